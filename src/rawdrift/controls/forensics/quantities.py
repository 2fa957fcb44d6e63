"""The numbers of an ISP, one by one or as physical quantities, and the intervals they drift in."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from torch import Tensor

from rawdrift.checks import InputError, is_number
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.ranges import ABOVE_ZERO, DEFAULTS, KNOBS, OTHERS, UNITS, Range
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step

Bounds = float | Sequence[float]


def quantities(isp: Pipeline, step: str) -> list[tuple[str, tuple[Axis, bool]]]:
    """Every axis that a step may have, with whether it is one by default."""
    module = isp.steps[step]
    kind = type(module)
    knobs = KNOBS.get(kind, {})
    defaults = DEFAULTS.get(kind)
    found = []
    for name, knob in knobs.items():
        tensor = tensor_of(isp, f"{step}.{knob.of}")
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


def bounded(axis: Axis, bounds: Bounds, largest: float, isp: Pipeline) -> Axis:
    """The axis with the interval that a user gives. largest: of the axis' tensor."""
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
    step, quantity, _ = split(axis.name)
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


def tensor_of(isp: Pipeline, name: str) -> Tensor:
    """A tensor of numbers by its name in the state_dict, detached."""
    step, _, quantity = name.partition(".")
    found: Tensor = dict(_numbers(isp.steps[step]))[quantity]
    return found.detach()


def split(name: str) -> tuple[str, str, tuple[int, ...]]:
    """ "a.b[0,1]" to ("a", "b", (0, 1))."""
    step, _, quantity = name.partition(".")
    quantity, _, index = quantity.partition("[")
    return step, quantity, tuple(map(int, re.findall(r"\d+", index)))


def belongs(axis: str, name: str) -> bool:
    """Whether a name is that of an axis, of its parameter or of its step."""
    return axis == name or axis.startswith((f"{name}[", f"{name}."))
