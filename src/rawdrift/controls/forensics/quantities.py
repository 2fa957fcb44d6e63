"""The numbers of an ISP, one by one or turned as a whole, and the intervals they drift in.

All of it follows from what the steps declare (`rawdrift.isp.number`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
from torch import Tensor

from rawdrift.checks import InputError, is_number, positive
from rawdrift.controls.forensics.axis import Axis
from rawdrift.isp.external import BlackBox
from rawdrift.isp.number import Quantity
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step

Bounds = float | Sequence[float | str]


class Candidate(NamedTuple):
    """An axis that an ISP may have.

    quantity: its declaration. drifts: whether that gives it an interval; a share of zero is none.
    is_turned: whether it is an element of a tensor that knobs turn as a whole. limit: what it stays
    below, by name; None without such a limit.
    """

    axis: Axis
    quantity: Quantity
    drifts: bool
    is_turned: bool = False
    limit: tuple[str, float] | None = None

    @property
    def is_default(self) -> bool:
        """Whether it is an axis if no ranges are asked for."""
        return self.drifts and not self.is_turned


def candidates(isp: Pipeline) -> dict[str, Candidate]:
    """Return every axis that an ISP may have, by name: each step's knobs, then its elements."""
    return {
        candidate.axis.name: candidate
        for name, step in isp.steps.items()
        for candidate in (*_knobs(name, step), *_elements(name, step))
    }


def _knobs(step_name: str, step: Step) -> Iterator[Candidate]:
    for name, (number, knob) in step.knobs().items():
        try:
            value = knob.of(getattr(step, number).detach())
        except InputError:  # this tensor has no such quantity
            continue
        axis, drifts = _axis(f"{step_name}.{name}", value, abs(value), knob, None)
        yield Candidate(axis, knob, drifts)


def _elements(step_name: str, step: Step) -> Iterator[Candidate]:
    for name, number in step.numbers.items():
        tensor = getattr(step, name).detach()
        largest = float(tensor.abs().max())
        limit = getattr(step, number.below) if number.below else None
        for index in product(*map(range, tensor.shape)):
            full = f"{step_name}.{name}{_at(index)}"
            axis, drifts = _axis(full, float(tensor[index]), largest, number, limit)
            label = number.label if isinstance(step, BlackBox) else ""
            own = _label(step_name, step, name, step.element(name, index))
            label = f"{step_name} {label}" if label else own
            yield Candidate(
                replace(axis, label=label),
                number,
                drifts,
                is_turned=bool(number.knobs),
                limit=None if limit is None else (str(number.below), float(limit)),
            )


def _axis(
    name: str, value: float, largest: float, quantity: Quantity, limit: float | None
) -> tuple[Axis, bool]:
    """Return an axis with its default interval, and whether its declaration gives one."""
    low, high = quantity.interval(value, largest)
    if limit is not None and high >= limit:
        high = (value + limit) / 2
    drifts = low < high
    if not drifts:
        low, high = value - 1, value + 1
    return Axis(name, value, low, high, quantity.unit, _words(*name.split(".", 1))), drifts


def labels(steps: Mapping[str, type[Step]]) -> dict[str, str]:
    """Return what readers call each number of an ISP, and each of its elements that has a name."""
    names = {}
    for step_name, step in steps.items():
        for name, number in step.numbers.items():
            for index in ((), *np.ndindex(number.named)):
                label = _label(step_name, step, name, number.element(index) if index else "")
                names[f"{step_name}.{name}{_at(index)}"] = label
    return names


def _label(
    step_name: str,
    step: type[Step] | Step,
    name: str,
    element: str,
) -> str:
    """Return "white balance gain R", or "warm gains R" for a step that is called `warm`."""
    number = step.numbers[name]
    usual = number.label and step_name == step.stage
    whole = number.label if usual else _words(step_name, name)
    return f"{whole} {element}".rstrip()


def _at(index: tuple[int, ...]) -> str:
    """ "[0,1]" of an element, "" of a single number."""
    return f"[{','.join(map(str, index))}]" if index else ""


def _words(step_name: str, name: str) -> str:
    words = step_name if step_name == name else f"{step_name} {name}"
    return words.replace("_", " ")


def bounded(candidate: Candidate, bounds: Bounds, largest: float) -> Axis:
    """Return the axis with the interval that a user gives.

    largest: the largest number of its tensor. Raises InputError for an interval that is empty or
    outside the bounds.
    """
    axis, quantity, _, _, limit = candidate
    if is_number(bounds):
        share = positive(f"the relative half-width of {axis.name}", bounds)
        width = share * (abs(axis.default) or largest)
        if width == 0:
            raise InputError(
                f"the interval of {axis.name} is empty: its value {axis.default:g} with the "
                f"relative half-width {share:g}; give a pair (low, high)"
            )
        low, high = axis.default - width, axis.default + width
    elif isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(is_number, bounds)):
        low, high = map(float, bounds)
    else:
        raise InputError(
            f"the range of {axis.name} must be a pair (low, high) or a relative half-width, "
            f"got {bounds!r}"
        )
    least = max(quantity.least, quantity.drift.least)
    if is_number(bounds):
        low, high = max(low, min(least, axis.default)), min(high, quantity.most)
    if low < least or not (quantity.allows(low) and quantity.allows(high)):
        expected = f"at least {least:g}" if low < least else quantity.bound
        raise InputError(f"{axis.name} must be {expected}, got the interval {low:g} to {high:g}")
    if limit is not None and high >= limit[1]:
        raise InputError(
            f"{axis.name} must stay below {limit[0]}, which is {limit[1]:g}, got {high:g}"
        )
    return replace(axis, low=low, high=high)


def tensor_of(isp: Pipeline, name: str) -> Tensor:
    """Return a tensor of numbers by its name in the state_dict, detached."""
    step, _, number = name.partition(".")
    return isp.steps[step].tensors()[number].detach()


def split(name: str) -> tuple[str, str, tuple[int, ...]]:
    """Split the name of an axis: "a.b[0,1]" into ("a", "b", (0, 1))."""
    step, _, quantity = name.partition(".")
    quantity, _, index = quantity.partition("[")
    return step, quantity, tuple(map(int, re.findall(r"\d+", index)))


def belongs(axis: str, name: str) -> bool:
    """Whether a name is that of an axis, of its parameter or of its step."""
    return axis == name or axis.startswith((f"{name}[", f"{name}."))
