"""What a step declares about its numbers and options. Everything else is derived from it: files,
parameter spaces, what optimization holds, axes with units, and what the signature check compares.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import choose

Array = NDArray[np.float64]
Settings = Mapping[str, float]  # of knobs, by name
_REQUIRED: Any = object()


@dataclass(frozen=True)
class Drift:
    """How far a number v drifts by default: v +- (relative |v| + absolute), not below `least`.

    For an element that is 0, the share is of the largest number of its tensor.
    """

    relative: float = 0.0
    absolute: float = 0.0
    least: float = -math.inf

    def interval(self, value: float, largest: float) -> tuple[float, float]:
        """Lower and upper end. largest: the largest number of the tensor, without its sign."""
        width = self.relative * (abs(value) or largest) + self.absolute
        return min(value, max(value - width, self.least)), value + width


def relative(share: float, plus: float = 0.0, least: float = -math.inf) -> Drift:
    """Drift by a share of the value, `plus` a fixed width in the number's unit."""
    return Drift(share, plus, least)


def absolute(width: float) -> Drift:
    """Drift by a fixed width in the number's unit."""
    return Drift(absolute=width)


_A_FIFTH = relative(0.2)


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantity:
    """The common part of numbers and knobs.

    unit: for readers. drift: the default range of drift forensics; a fifth unless a step knows
    better. above, least: the lower bound of every element, exclusive and inclusive. most: the upper
    bound, inclusive.
    """

    unit: str = ""
    drift: Drift = _A_FIFTH
    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf

    @property
    def bound(self) -> str:
        """The bounds in words, "above 0", "at least 0" or "above 0 and at most 1"."""
        low = f"above {self.above:g}" if self.above >= self.least else f"at least {self.least:g}"
        return low if self.most == math.inf else f"{low} and at most {self.most:g}"

    def allows(self, value: float) -> bool:
        """Whether a value respects the bounds."""
        return not (value <= self.above or value < self.least or value > self.most)

    def interval(self, value: float, largest: float) -> tuple[float, float]:
        """The default range around a value, within the bounds: halfway to one that is exclusive."""
        low, high = self.drift.interval(value, largest)
        if low < self.least:
            low = min(value, self.least)
        if low <= self.above < value:
            low = (self.above + value) / 2
        return low, max(value, min(high, self.most))


@dataclass(frozen=True, eq=False, kw_only=True)
class Knob(Quantity):
    """A physical quantity that turns a tensor of numbers as a whole, such as the hue of a matrix.

    turn: (tensor, quantity ()) to the tensor that it makes, differentiable in the quantity.
    default: the quantity at which a tensor stays as it is, or a function of the tensor that returns
        it; that raises InputError for a tensor that has no such quantity.
    rounding: by which the numbers of a file, which are rounded, may seem to turn it.
    """

    turn: Callable[[Tensor, Tensor], Tensor]
    default: float | Callable[[Tensor], float]
    rounding: float = 1e-3

    def of(self, tensor: Tensor) -> float:
        """The quantity that a tensor has."""
        return self.default(tensor) if callable(self.default) else self.default


@dataclass(frozen=True, eq=False, kw_only=True)
class Number(Quantity):
    """One number, vector or tensor of a step. All elements are learnable and can drift.

    shape: of the tensor, () for a single number; None where any size is valid.
    camera: the field of `Camera` that holds it, if one does.
    default: its value where nobody gives one, or a function of the step's other arguments by name
        that returns it; None if it must be given.
    below: the option of the step that it stays below, if that is given.
    used_below: what the step uses in place of a number that learning has brought below its bound.
    label: what a reader calls it in the step's usual place; left out, step and number by name.
    elements: names of the elements, nested as the shape, or as the usual one of any size.
    knobs: by name, what turns the tensor as a whole. If there are any, they drift by default in
        place of the elements, in this order; `drift` is then of elements that learning bounds.
    settings: (tensor before, tensor after, names of knobs) to the settings of these knobs that come
        nearest to turning one into the other. Without it a changed tensor is never explained by
        knobs.
    implausible: (value, value at the camera's settings, median raw signal at R, G in red rows, G in
        blue rows, B) to what no camera could have, in words. Bounds need no mention.
    scale: what a relative learning step is relative to: the tensor's "size", its root mean square,
        or the raw "signal" above it.
    """

    shape: tuple[int | None, ...] = ()
    camera: str | None = None
    default: Any = None
    below: str | None = None
    used_below: float | None = None
    label: str = ""
    elements: Sequence[Any] = ()
    knobs: Mapping[str, Knob] = field(default_factory=lambda: MappingProxyType({}))
    settings: Callable[[Array, Array, frozenset[str]], Settings] | None = None
    implausible: Callable[[Array, Array, Sequence[float]], Iterator[str]] | None = None
    scale: Literal["size", "signal"] = "size"

    def __post_init__(self) -> None:
        _check_field(self.camera)
        try:
            fits = not self.elements or self.fits(self.named)
            for at in np.ndindex(self.named):
                self.element(at)
        except (IndexError, TypeError):
            fits = False
        if not fits:
            raise TypeError(f"elements must be nested as the shape {self.shape}")

    @property
    def named(self) -> tuple[int, ...]:
        """The shape of the elements that have names; (0,) if none has."""
        sizes, names = [], self.elements
        for _ in self.shape if names else ():
            sizes.append(len(names))
            names = names[0]
        return tuple(sizes) or (0,)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor may have this shape."""
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(own in (None, size) for own, size in pairs)

    def element(self, index: tuple[int, ...], shape: Sequence[int] | None = None) -> str:
        """The name of an element for readers: "G in red rows", or else "0, 1".

        shape: of the tensor, whose elements have names only where there are as many.
        """
        name: Any = self.elements
        if not name or (shape is not None and tuple(shape) != self.named):
            return ", ".join(map(str, index))
        for place in index:
            name = name[place]
        return str(name)

    def not_physical(self, value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
        """Yield what no camera could have, in words; see `implausible`."""
        beyond = [at for at in np.ndindex(value.shape) if not self.allows(float(value[at]))]
        unit = f" {self.unit}" if self.unit else ""
        for at in beyond:
            where = f"{self.element(at, value.shape)}: " if at else ""
            yield f"{where}{value[at]:.3g}{unit} is not {self.bound}"
        if not beyond and self.implausible is not None:
            yield from self.implausible(value, start, signal)


def outside(low: float, high: float) -> Callable[[Array, Array, Sequence[float]], Iterator[str]]:
    """Return an `implausible` of a single number that is plausible from `low` to `high`."""

    def implausible(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
        if not low <= float(value) <= high:
            yield f"{float(value):.3g} is not from {low:g} to {high:g}"

    return implausible


@dataclass(frozen=True, eq=False, kw_only=True)
class Option:
    """A setting of a step that is neither learned nor drifts, of a kind that TOML can hold.

    default: where nobody gives one; without, it must be given, before the numbers.
    camera: the field of `Camera` that holds it, if one does.
    choices: the values that are allowed. check: (name, value) to the value, or an InputError.
    """

    default: Any = _REQUIRED
    camera: str | None = None
    choices: Sequence[str] = ()
    check: Callable[[str, Any], Any] | None = None

    def __post_init__(self) -> None:
        _check_field(self.camera)

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is _REQUIRED

    def checked(self, name: str, value: Any) -> Any:
        """The value, or an InputError."""
        if self.choices:
            return choose(name, value, self.choices)
        if self.check is not None and (self.required or value is not self.default):
            return self.check(name, value)
        return value


def _check_field(name: str | None) -> None:
    if name is not None:
        choose("camera field", name, [item.name for item in fields(Camera)])
