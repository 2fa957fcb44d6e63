"""The numbers of a pipeline as one vector, and the vector that fits pictures best."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import Tensor

from rawdrift.isp.fit_linear import Linear, stages
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.norm_tone_curve import NormToneCurve
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.saturation import Saturation
from rawdrift.isp.step import Step
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.isp.transfer_function import TransferFunction

Vector = NDArray[np.float64]

BORDER = 6  # pixels at each edge that are not compared: programs treat edges as they like
_CHANNELWISE = (Gamma, ToneCurve, TransferFunction)
_PIXELWISE = (*_CHANNELWISE, NormToneCurve, Saturation)
_STEP = 1e-7
ROUGH = 1e-3  # share of the cost: steps that save less change no choice
CONVERGED = 1e-8
_FEW = 3  # steps to the best gains, which are nearly known
_STEEPEST = 100.0  # change of linear light by that of a number


class Pairs(NamedTuple):
    """Mosaics (n, h, w), and the pictures of the same places (n, 3, h, w), float64.

    black: above this level (h, w), each picture may have been given a gain of its own, which is
        fitted with the numbers, but for the first's; None: none was.
    """

    mosaics: Tensor
    pictures: Tensor
    black: Tensor | None = None

    def of(self, chosen: slice | NDArray[np.int64]) -> "Pairs":
        return Pairs(self.mosaics[chosen], self.pictures[chosen], self.black)

    def lit(self, gains: Vector) -> Tensor:
        """The mosaics with these gains (n)."""
        if self.black is None:
            return self.mosaics
        return self.black + (self.mosaics - self.black) * torch.from_numpy(gains)[:, None, None]


class Solution(NamedTuple):
    """A vector, the sum of squares of the values' errors, and the matrix of normal equations, of
    the vector's numbers and then of gains."""

    vector: Vector
    cost: float
    normal: NDArray[np.float64]
    values: int

    @property
    def rms(self) -> float:
        return float(np.sqrt(self.cost / self.values))

    def errors(self) -> Vector:
        """The standard error of each number, if the errors of the pictures were random."""
        scale = np.sqrt(np.maximum(np.diag(self.normal), 1e-300))
        values, vectors = np.linalg.eigh(self.normal / np.outer(scale, scale))
        inverse = (vectors**2 / np.maximum(values, 1e-13)).sum(1)
        variance = self.cost / max(self.values - len(self.normal), 1)
        errors: Vector = np.sqrt(inverse * variance) / scale
        return errors[: len(self.vector)]


class Model:
    """A pipeline some of whose numbers are fitted.

    names: "step.number". Of a kernel the middle follows from its sum, which stays. Of the points of
    a curve the outputs are fitted, and beside one the middle of the matrix stays: a factor of the
    matrix and the inputs of the curve can't be told apart.
    """

    def __init__(self, isp: Pipeline, names: Sequence[str]):
        self.isp, self.names = isp, list(names)
        self.steps = list(isp.steps.values())
        self._at = {name: place for place, name in enumerate(isp.steps)}
        self._has_curve = any(name.endswith(".points") for name in names)
        self._free = {name: self._which(name) for name in self.names}
        places = [place for place, step in enumerate(self.steps) if type(step) in _PIXELWISE]
        self._tail = len(self.steps)
        while self._tail - 1 in places:
            self._tail -= 1

    def tensor(self, name: str) -> Tensor:
        step, _, number = name.partition(".")
        return self.isp.steps[step].tensors()[number]

    def _which(self, name: str) -> NDArray[np.bool_]:
        """Which elements of a tensor are fitted."""
        shape = tuple(self.tensor(name).shape)
        free = np.ones(shape, dtype=bool)
        middle = tuple(size // 2 for size in shape)
        if name.endswith(".kernel") or (name.endswith(".matrix") and self._has_curve):
            free[middle] = False
        elif name.endswith(".points"):
            free[:, 0] = False
        return free

    def vector(self) -> Vector:
        return np.concatenate([self.tensor(n).numpy()[self._free[n]] for n in self.names])

    def parts(self, vector: Vector) -> dict[str, Vector]:
        """A vector by names."""
        counts = np.cumsum([self._free[name].sum() for name in self.names])[:-1]
        return dict(zip(self.names, np.split(vector, counts), strict=True))

    def put(self, vector: Vector) -> None:
        for name, part in self.parts(vector).items():
            values = self.tensor(name).numpy()
            total = values.sum()
            values[self._free[name]] = part
            if name.endswith(".kernel"):
                values[tuple(size // 2 for size in values.shape)] += total - values.sum()

    def full(self, name: str, part: Vector) -> Vector:
        """Numbers of the free elements as a tensor, of the others zeros."""
        values = np.zeros(self._free[name].shape)
        values[self._free[name]] = part
        return values

    def _rising(self, vector: Vector) -> Vector:
        """The nearest vector whose curves don't fall."""
        if not self._has_curve:
            return vector
        parts = self.parts(vector)
        for name in parts:
            if name.endswith(".points"):
                parts[name] = isotonic_regression(parts[name]).x
        return np.concatenate([*parts.values()])

    def views(self, vector: Vector, mosaics: Tensor) -> Tensor:
        self.put(vector)
        with torch.no_grad():
            return _run(self.steps, mosaics).clamp(0, 1)

    def rms(self, vector: Vector, pairs: Pairs) -> float:
        """The root mean square error, with the best gains."""
        gains = np.ones(len(pairs.mosaics))
        for _ in range(0 if pairs.black is None else _FEW):
            error = self._error(vector, pairs, gains)
            response = self._response(vector, pairs, gains)
            gains = gains - shares(response, error)
        return float(self._error(vector, pairs, gains).square().mean().sqrt())

    def _error(self, vector: Vector, pairs: Pairs, gains: Vector) -> Tensor:
        return inner(self.views(vector, pairs.lit(gains))) - inner(pairs.pictures)

    def _response(self, vector: Vector, pairs: Pairs, gains: Vector) -> Tensor:
        """The derivatives of the views by their gains: (n, 3, h, w)."""
        views = [self.views(vector, pairs.lit(gains + h)) for h in (_STEP, -_STEP)]
        return inner(views[0] - views[1]) / (2 * _STEP)

    def _moves(self, vector: Vector) -> Iterator[int]:
        """Move each number by _STEP in turn, and yield the place of its step."""
        for name, part in self.parts(vector).items():
            values = self.tensor(name).numpy()
            start = values.copy()
            for index in range(len(part)):
                move = np.zeros_like(part)
                move[index] = _STEP
                values += self.full(name, move)
                if name.endswith(".kernel"):
                    values[tuple(size // 2 for size in values.shape)] -= _STEP
                yield self._at[name.partition(".")[0]]
                values[...] = start

    def jacobian(self, vector: Vector, mosaics: Tensor) -> Tensor:
        """The derivatives of the views by each number: (numbers, values)."""
        self.put(vector)
        tail = self._tail
        with torch.no_grad():
            front = stages(self.steps[:tail], mosaics)
            ends = stages(self.steps[tail:], inner(front[-1]))
            view = ends[-1]
            shown = ((view > 0) & (view < 1)).to(view)
            slope = shown * self._slope(ends[0])
            columns = view.new_empty(len(vector), *view.shape)

            def show(index: int, change: Tensor) -> None:
                """What a number changes of the tail's input, in the views."""
                if len(slope) == 1:
                    torch.mul(slope[0], change, out=columns[index])
                else:
                    torch.sum(slope * change.transpose(0, 1)[:, :, None], 0, out=columns[index])

            linear = Linear.of(self.steps[:tail], BORDER)
            impulses = stages(linear.steps, linear.impulses())
            moved: dict[int, list[tuple[int, Tensor]]] = {}  # by step: numbers, its answers
            for index, place in enumerate(self._moves(vector)):
                if place >= tail:
                    change = _run(self.steps[place:], ends[place - tail]) - view
                    torch.mul(change, shown / _STEP, out=columns[index])
                elif place >= linear.start:
                    answer = self.steps[place](impulses[place - linear.start])
                    moved.setdefault(place, []).append((index, answer))
                else:
                    change = (inner(_run(self.steps[place:tail], front[place])) - ends[0]) / _STEP
                    # Demosaicing that chooses another direction tells nothing.
                    show(index, change.where(change.abs() < _STEEPEST, 0))
            windows = linear.windows(front[linear.start], BORDER)
            for place, found in moved.items():
                answers = _run(self.steps[place + 1 : tail], torch.stack([x for _, x in found]))
                changes = linear.matrix(answers - impulses[-1]) / _STEP
                for (index, _), change in zip(found, changes, strict=True):
                    cells = linear.output(change, windows)
                    show(index, cells[..., : view.shape[-2], : view.shape[-1]])
            return columns.flatten(1)

    def _slope(self, before: Tensor) -> Tensor:
        """The derivatives of what the last, pixelwise steps return by their input: by the same
        channel (1, n, 3, h, w), or, if they mix channels, by each (3, n, 3, h, w)."""
        tail = self.steps[self._tail :]
        mixes = any(type(step) not in _CHANNELWISE for step in tail)
        moves = torch.eye(3, dtype=torch.float64) if mixes else torch.ones(1, 3)
        return torch.stack(
            [
                (_run(tail, before + h) - _run(tail, before - h)) / (2 * _STEP)
                for h in _STEP * moves[:, :, None, None].to(before)
            ]
        )

    def solve(
        self, vector: Vector, pairs: Pairs, rounds: int, enough: float = CONVERGED
    ) -> Solution:
        """Return what Levenberg-Marquardt steps find from a vector.

        enough: share of the cost; a step that saves less is the last.
        """
        gains = np.ones(len(pairs.mosaics))
        size = len(vector)
        now = self._error(vector, pairs, gains)
        cost, damping = float(now.square().sum()), 1e-4
        normal = np.eye(size)
        for _ in range(rounds):
            jacobian = self.jacobian(vector, pairs.lit(gains))
            if pairs.black is not None:
                response = self._response(vector, pairs, gains)
                own = torch.eye(len(gains)).to(response)[1:, :, None, None, None] * response
                jacobian = torch.cat([jacobian, own.flatten(1)])
            normal = (jacobian @ jacobian.T).numpy()
            slope = (jacobian @ now.flatten()).numpy()
            scale = np.diag(normal) + 1e-12 * np.trace(normal)
            before = cost
            while damping < 1e6:
                step = np.linalg.solve(normal + damping * np.diag(scale), slope)
                trial = self._rising(vector - step[:size])
                lights = (
                    gains - np.concatenate([[0.0], step[size:]]) if step[size:].any() else gains
                )
                after = self._error(trial, pairs, lights)
                value = float(after.square().sum())
                if value < cost:
                    vector, gains, now, cost = trial, lights, after, value
                    damping = max(damping / 10, 1e-9)
                    break
                damping *= 10
            if before - cost < enough * before:
                break
        self.put(vector)
        return Solution(vector, cost, normal, now.numel())


def shares(response: Tensor, error: Tensor) -> Vector:
    """How much of its response explains the error of each picture (n, 3, h, w) best."""
    strength = response.square().sum((1, 2, 3)).clamp(min=1e-12)
    found: Vector = ((response * error).sum((1, 2, 3)) / strength).numpy()
    return found


def inner(views: Tensor) -> Tensor:
    """All but the borders."""
    return views[..., BORDER:-BORDER, BORDER:-BORDER]


def _run(steps: Sequence[Step], x: Tensor) -> Tensor:
    for step in steps:
        x = step(x)
    return x
