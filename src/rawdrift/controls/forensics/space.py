"""Named boxes of an ISP's numbers, in physical units."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.checks import InputError, choose
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.quantities import (
    Bounds,
    belongs,
    bounded,
    candidates,
    split,
    tensor_of,
)
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline

Vector = NDArray[np.float64]  # (D,), one number for each axis, in its unit


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
            raise InputError(f"a parameter space names each axis once, got {', '.join(self.names)}")

    @classmethod
    def around(cls, isp: Pipeline, ranges: Mapping[str, Bounds] | None = None) -> Self:
        """The box around the numbers that `isp` has.

        ranges: by the names of `isp.named_parameters()`, of their elements, as
            "white_balance.gains[0]", or of the physical quantities that turn a tensor as a whole:
            color_correction.saturation and .hue (degrees), demosaic.strength (of all neighbors),
            sharpen.strength, denoise.strength (0 is no filter, 1 that of `isp`), denoise.radius
            (sigma in px). A pair is absolute, a number the half-width relative to the value; to
            the tensor's largest one for an element that is 0.
            Left out, every step of the pipeline drifts by the range that it declares. Of a black
            box, "libraw:bright", "command:NAME" and "import:NAME", for choices a list of names.

        Raises InputError for a name that the pipeline lacks, an empty interval, or one that leaves
        out the pipeline's own value.
        """
        if not isinstance(isp, Pipeline):
            raise InputError(
                f"isp must be a Pipeline, as of rd.isp.static, got {type(isp).__name__}"
            )
        if isinstance(isp, External):
            ranges = _of_black_box(isp, ranges)
        possible = candidates(isp)
        if ranges is None:
            return cls(tuple(c.axis for c in possible.values() if c.is_default))
        axes: dict[str, Axis] = {}
        for name, bounds in ranges.items():
            named = [c for c in possible.values() if belongs(c.axis.name, name)]
            if not named or name in isp.steps:
                if not possible:
                    raise InputError(
                        f"{isp.shown_title()} has no numbers that forensics could search, but the "
                        f"space names {name!r}; give an ISP that has"
                    )
                names = dict.fromkeys(n.split("[")[0] for n in possible)
                choose("parameter of this pipeline", name, names)
            largest = max(abs(c.axis.default) for c in named)
            for candidate in named:
                axes[candidate.axis.name] = bounded(candidate, bounds, largest)
        if isinstance(isp, External):
            for axis in axes.values():
                isp.check_option(axis.name, axis.low)
                isp.check_option(axis.name, axis.high)
        return cls(tuple(axes.values()))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Return the space of which `to_dict` returned this table."""
        try:
            return cls(tuple(Axis(**axis) for axis in table["axes"]))
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a parameter space: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain values, for JSON and YAML."""
        return {"axes": [asdict(axis) for axis in self.axes]}

    def __len__(self) -> int:
        return len(self.axes)

    @property
    def names(self) -> list[str]:
        """The names of the axes."""
        return [axis.name for axis in self.axes]

    @property
    def parts(self) -> list[str]:
        """What `only` takes: the names of steps, of their parameters and of the axes."""
        steps = [name.partition(".")[0] for name in self.names]
        parameters = [name.partition("[")[0] for name in self.names]
        return list(dict.fromkeys((*steps, *parameters, *self.names)))

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
        """Return the nearest setting in the box."""
        return np.clip(setting, self.low, self.high)

    def at(self, unit: Vector) -> Vector:
        """Return the settings (..., D) at places in the unit cube (..., D)."""
        return self.clip(self.low + unit * (self.high - self.low))

    def unit(self, setting: Vector) -> Vector:
        """Return the places in the unit cube (..., D) of settings (..., D)."""
        return np.clip((setting - self.low) / (self.high - self.low), 0, 1)

    def draw(self, count: int, rng: np.random.Generator) -> Vector:
        """Draw settings (count, D), uniform in the box."""
        return self.at(rng.random((count, len(self))))

    def only(self, names: Iterable[str]) -> "ParameterSpace":
        """Return the axes of these names, of axes, parameters ("white_balance.gains") or steps."""
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            choose("step, parameter or axis", name, self.parts)
        chosen = (a for a in self.axes if any(belongs(a.name, name) for name in wanted))
        return ParameterSpace(tuple(chosen))

    def named(self, setting: Vector) -> dict[str, float]:
        """Return a setting by the names of the axes."""
        return dict(zip(self.names, map(float, setting), strict=True))

    def values(self, isp: Pipeline, setting: Tensor) -> dict[str, Tensor]:
        """Return the tensors of `isp` that a setting (D,) changes, by their state_dict names.

        Differentiable in the setting. For `torch.func.functional_call`.
        """
        tensors: dict[str, Tensor] = {}
        turns: dict[tuple[int, int], tuple[str, str, Tensor]] = {}
        for name, value in zip(self.names, setting, strict=True):
            step, quantity, index = split(name)
            knobs = isp.steps[step].knobs()
            if quantity in knobs:
                order = (list(isp.steps).index(step), list(knobs).index(quantity))
                turns[order] = (step, quantity, value)
                continue
            full = f"{step}.{quantity}"
            tensor = tensors.get(full, tensor_of(isp, full))
            place = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
            place[index] = True
            tensors[full] = torch.where(place, value.to(tensor), tensor)
        for _, (step, quantity, value) in sorted(turns.items()):
            number, knob = isp.steps[step].knobs()[quantity]
            full = f"{step}.{number}"
            tensor = tensors.get(full, tensor_of(isp, full))
            tensors[full] = knob.turn(tensor, value.to(tensor))
        return tensors

    def pipeline(self, isp: Pipeline, setting: Vector) -> Pipeline:
        """Return a static copy of `isp` with the numbers of a setting."""
        with torch.no_grad():
            values = self.values(isp, torch.from_numpy(self.clip(np.asarray(setting))))
        pipeline = deepcopy(isp).requires_grad_(False)
        for name, value in values.items():
            tensor_of(pipeline, name).copy_(value)
        return pipeline


def _of_black_box(isp: External, ranges: Mapping[str, Bounds] | None) -> dict[str, Bounds]:
    """Return ranges by the names of axes; a list of choices becomes the range of their places."""
    if not isp.options:
        raise InputError(
            f"{isp.reference} has no numbers that forensics could search; expected a factory with "
            f"parameters beside the camera, such as def factory(camera, *, bright: float = 1.0), "
            f"or a command with {{NAME=VALUE}}"
        )
    if not ranges:
        raise InputError(
            f"{isp.reference} has no default space; name options with their ranges, such as "
            f'{{"libraw:bright": [0.7, 1.4], "libraw:demosaic_algorithm": [AHD, VNG, DCB]}}'
        )
    found: dict[str, Bounds] = {}
    for name, bounds in ranges.items():
        axis = name.replace(":", ".", 1)
        choose(f"option of {isp.reference}", axis.replace(".", ":", 1), isp.options)
        if isinstance(bounds, Sequence) and any(isinstance(value, str | bool) for value in bounds):
            names = [str(v).lower() if isinstance(v, bool) else str(v) for v in bounds]
            isp.choose(axis.partition(".")[2], names)
            bounds = (0.0, len(bounds) - 1.0)
        found[axis] = bounds
    return found
