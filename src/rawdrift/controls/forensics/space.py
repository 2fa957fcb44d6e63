"""Named boxes of an ISP's numbers, in physical units."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.checks import InputError, choose, is_number
from rawdrift.controls.forensics.ranges import ABOVE_ZERO, DEFAULTS, KNOBS, OTHERS, UNITS, Range
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step

Vector = NDArray[np.float64]  # (D,), one number for each axis, in its unit
Bounds = float | Sequence[float]


@dataclass(frozen=True)
class Axis:
    """One number that drifts: from `low` to `high`, and `default` as the ISP has it.

    name: "gamma.gamma"; "white_balance.gains[0]" of a tensor's elements; "color_correction.hue" of
    what turns a tensor as a whole.
    """

    name: str
    default: float
    low: float
    high: float
    unit: str = ""

    def __post_init__(self) -> None:
        for value in (self.default, self.low, self.high):
            if not is_number(value):
                raise InputError(f"{self.name} must have finite numbers, got {value!r}")
        if not self.low < self.high:
            raise InputError(
                f"the interval of {self.name} is empty: {self.low:g} to {self.high:g}; give two "
                f"numbers that differ, the lower one first"
            )
        if not self.low <= self.default <= self.high:
            raise InputError(
                f"the interval of {self.name}, {self.low:g} to {self.high:g}, leaves out its value "
                f"in this ISP, {self.default:g}; give one around it"
            )


@dataclass(frozen=True)
class ParameterSpace:
    """A box around a camera's settings, whose bounds nothing leaves.

    Settings are vectors (D,) of numbers in the units of the D axes.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if not self.axes:
            raise InputError("a parameter space needs at least one axis")
        if len(set(self.names)) < len(self.axes):
            raise InputError(f"a parameter space names each axis once, got {self.names}")

    @classmethod
    def around(cls, isp: Pipeline, ranges: Mapping[str, Bounds] | None = None) -> Self:
        """The box around the numbers that `isp` has.

        ranges: by the names of `isp.named_parameters()`, of their elements, as
            "white_balance.gains[0]", or of the physical quantities that turn a tensor as a whole:
            color_correction.saturation and .hue (degrees), demosaic.strength (of all neighbors),
            sharpen.strength, denoise.strength (0 is no filter, 1 that of `isp`), denoise.radius
            (sigma in px). A pair is absolute, a number the half-width relative to the value; to
            the tensor's largest one for an element that is 0.
            Left out, every step of the pipeline drifts by the range that `ranges.DEFAULTS`
            documents.

        Raises InputError for a name that the pipeline lacks, an empty interval, or one that leaves
        out the pipeline's own value.
        """
        known = {name: axis for step in isp.steps for name, axis in _quantities(isp, step)}
        if ranges is None:
            return cls(tuple(axis for axis, default in known.values() if default))
        axes: dict[str, Axis] = {}
        for name, bounds in ranges.items():
            found = [axis for axis, _ in known.values() if _belongs(axis.name, name)]
            if not found or name in isp.steps:
                names = dict.fromkeys(n.split("[")[0] for n in known)
                choose("parameter of this pipeline", name, names)
            largest = max(abs(axis.default) for axis in found)
            for axis in found:
                axes[axis.name] = _bounded(axis, bounds, largest, isp)
        return cls(tuple(axes.values()))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        try:
            return cls(tuple(Axis(**axis) for axis in table["axes"]))
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a parameter space: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Numbers and texts alone, for JSON and YAML."""
        return {"axes": [asdict(axis) for axis in self.axes]}

    def __len__(self) -> int:
        return len(self.axes)

    @property
    def names(self) -> list[str]:
        """Of the axes."""
        return [axis.name for axis in self.axes]

    @property
    def default(self) -> Vector:
        """The setting that the ISP has."""
        return np.array([axis.default for axis in self.axes])

    @property
    def low(self) -> Vector:
        """Lower bounds."""
        return np.array([axis.low for axis in self.axes])

    @property
    def high(self) -> Vector:
        """Upper bounds."""
        return np.array([axis.high for axis in self.axes])

    def clip(self, setting: Vector) -> Vector:
        """The nearest setting in the box."""
        return np.clip(setting, self.low, self.high)

    def at(self, unit: Vector) -> Vector:
        """Settings (..., D) at places in the unit cube (..., D)."""
        return self.clip(self.low + unit * (self.high - self.low))

    def unit(self, setting: Vector) -> Vector:
        """The inverse of `at`."""
        return np.clip((setting - self.low) / (self.high - self.low), 0, 1)

    def draw(self, count: int, rng: np.random.Generator) -> Vector:
        """Settings (count, D), uniform in the box."""
        return self.at(rng.random((count, len(self))))

    def only(self, names: Iterable[str]) -> "ParameterSpace":
        """The axes of these names: of axes, whole parameters ("white_balance.gains") or steps."""
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            if not any(_belongs(axis, name) for axis in self.names):
                choose("axis", name, self.names)
        kept = (a for a in self.axes if any(_belongs(a.name, name) for name in wanted))
        return ParameterSpace(tuple(kept))

    def named(self, setting: Vector) -> dict[str, float]:
        """A setting by the names of the axes."""
        return dict(zip(self.names, map(float, setting), strict=True))

    def values(self, isp: Pipeline, setting: Tensor) -> dict[str, Tensor]:
        """The tensors of `isp` that a setting (D,) changes, by their names in its state_dict.

        Differentiable in the setting. For `torch.func.functional_call`.
        """
        found: dict[str, Tensor] = {}
        turns: dict[tuple[int, int], tuple[str, str, Tensor]] = {}
        for number, (name, value) in enumerate(zip(self.names, setting, strict=True)):
            step, quantity, index = _split(name)
            knobs = KNOBS.get(type(isp.steps[step]), {})
            if quantity in knobs:
                order = (list(isp.steps).index(step), list(knobs).index(quantity))
                turns[order] = (step, quantity, value)
                continue
            full = f"{step}.{quantity}"
            tensor = found.get(full, _tensor(isp, full))
            place = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
            place[index] = True
            found[full] = torch.where(place, value.to(tensor), tensor)
        for _, (step, quantity, value) in sorted(turns.items()):
            knob = KNOBS[type(isp.steps[step])][quantity]
            full = f"{step}.{knob.of}"
            tensor = found.get(full, _tensor(isp, full))
            found[full] = knob.turn(tensor, value.to(tensor))
        return found

    def pipeline(self, isp: Pipeline, setting: Vector) -> Pipeline:
        """`isp` with the numbers of a setting, as a static pipeline of its own."""
        with torch.no_grad():
            values = self.values(isp, torch.from_numpy(self.clip(np.asarray(setting))))
        found = deepcopy(isp).requires_grad_(False)
        for name, value in values.items():
            _tensor(found, name).copy_(value)
        return found


def _quantities(isp: Pipeline, step: str) -> list[tuple[str, tuple[Axis, bool]]]:
    """Every axis that a step may have, with whether it is one by default."""
    module = isp.steps[step]
    kind = type(module)
    knobs = KNOBS.get(kind, {})
    defaults = DEFAULTS.get(kind)
    found = []
    for name, knob in knobs.items():
        tensor = _tensor(isp, f"{step}.{knob.of}")
        try:
            value = knob.default(tensor)
        except InputError:
            continue
        found.append((name, value, abs(value), knob.unit))
    for name, tensor in _numbers(module):
        unit = UNITS.get((kind, name), "")
        largest = float(tensor.detach().abs().max())
        for index in product(*map(range, tensor.shape)):
            at = f"[{','.join(map(str, index))}]" if index else ""
            found.append((name + at, float(tensor[index].detach()), largest, unit))
    axes = []
    for name, value, largest, unit in found:
        quantity = name.split("[")[0]
        default = (defaults or {}).get(quantity) or (OTHERS if defaults is None else None)
        low, high = _interval(value, default or OTHERS, largest)
        if low == high:  # drifts only where it is asked for, with a range
            default, low, high = None, value - 1, value + 1
        axes.append(
            (f"{step}.{name}", (Axis(f"{step}.{name}", value, low, high, unit), bool(default)))
        )
    return axes


def _interval(value: float, extent: Range, largest: float) -> tuple[float, float]:
    width = extent.relative * (abs(value) or largest) + extent.absolute
    return min(value, max(value - width, extent.least)), value + width


def _bounded(axis: Axis, bounds: Bounds, largest: float, isp: Pipeline) -> Axis:
    if is_number(bounds):
        width = abs(float(bounds)) * (abs(axis.default) or largest)  # type: ignore[arg-type]
        if width == 0:
            raise InputError(
                f"the interval of {axis.name} is empty: its value {axis.default:g} with the "
                f"relative half-width {bounds:g}; give a pair (low, high)"
            )
        low, high = axis.default - width, axis.default + width
    elif isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(is_number, bounds)):
        low, high = map(float, bounds)
    else:
        raise InputError(
            f"the range of {axis.name} must be a pair (low, high) or a relative half-width, "
            f"got {bounds!r}"
        )
    step, quantity, _ = _split(axis.name)
    module = isp.steps[step]
    least = DEFAULTS.get(type(module), {}).get(quantity, OTHERS).least
    if is_number(bounds):
        low = max(low, min(least, axis.default))
    if low < least or (low <= 0 and (type(module), quantity) in ABOVE_ZERO):
        expected = f"at least {least:g}" if low < least else "above 0"
        raise InputError(f"{axis.name} must be {expected}, got the interval {low:g} to {high:g}")
    white = module.white if isinstance(module, BlackLevel) else None
    if white is not None and quantity == "level" and high >= white:
        raise InputError(f"{axis.name} must stay below the white level {white:g}, got {high:g}")
    return replace(axis, low=low, high=high)


def _numbers(step: Step) -> list[tuple[str, Tensor]]:
    """The numbers of a step, learnable or not."""
    numbers = {**dict(step.named_parameters()), **dict(step.named_buffers())}
    kept = step.state_dict()
    return [(name, x) for name, x in numbers.items() if name in kept and x.is_floating_point()]


def _tensor(isp: Pipeline, name: str) -> Tensor:
    step, _, quantity = name.partition(".")
    found: Tensor = dict(_numbers(isp.steps[step]))[quantity]
    return found.detach()


def _split(name: str) -> tuple[str, str, tuple[int, ...]]:
    """ "a.b[0,1]" to ("a", "b", (0, 1))."""
    step, _, quantity = name.partition(".")
    quantity, _, index = quantity.partition("[")
    return step, quantity, tuple(map(int, re.findall(r"\d+", index)))


def _belongs(axis: str, name: str) -> bool:
    return axis == name or axis.startswith((f"{name}[", f"{name}."))
