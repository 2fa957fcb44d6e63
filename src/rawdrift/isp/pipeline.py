"""A pipeline: an ordered set of named steps from a raw mosaic to a view."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import Tensor, nn

from rawdrift import inputs, plots
from rawdrift.camera.read import to_unit
from rawdrift.cfa import is_bayer
from rawdrift.checks import InputError, choose
from rawdrift.isp.fused import engine
from rawdrift.isp.step import Step, one_by_one
from rawdrift.text import Shown, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Pipeline(Shown, nn.Module):
    """The composition of its steps, in order (eqs. 11 and 14): (..., H, W) to (..., 3, H, W).

    steps: name -> Step. The names are the modules' names: `isp.gamma`, "gamma.gamma".
    bit_depth: of the container that integer mosaics come from, x = DN / (2**bit_depth - 1).

    Takes float32 and float64 mosaics in [0, 1], of any leading dimensions and at least 2x2 pixels,
    and uint8 or uint16 ones as they are in their files. Autocast does not reach inside.
    """

    def __init__(self, steps: Mapping[str, Step], bit_depth: int = 16):
        super().__init__()
        self.bit_depth = bit_depth
        kind, cfa = "mosaic", None
        for name, step in steps.items():
            if not isinstance(step, Step):
                raise InputError(f"step {name!r} must be a Step, got {type(step).__name__}")
            if not name.isidentifier() or hasattr(self, name):
                raise InputError(f"{name!r} can't name a step; use another identifier")
            if step.takes != kind:
                raise InputError(
                    f"step {name!r} takes a {step.takes} but is given a {kind}; one demosaicing "
                    f"step comes after the steps on the mosaic and before the steps on the view"
                )
            kind = step.gives
            if "cfa" in step.options:
                if cfa not in (None, step.cfa) and not (is_bayer(cfa) and is_bayer(step.cfa)):
                    raise InputError(
                        f"step {name!r} takes the color filter array {step.cfa} but is given {cfa}"
                    )
                cfa = step.cfa
            cfa = step.cfa_after(cfa)
            self.add_module(name, step)
        if kind != "view":
            raise InputError(f"a pipeline must end in a view, but {list(steps)} has no demosaicing")

    @property
    def steps(self) -> dict[str, Step]:
        """The steps by name, in order."""
        return {name: step for name, step in self.named_children() if isinstance(step, Step)}

    def shown_title(self) -> str:
        from rawdrift.isp.presets import configuration  # which imports this module

        name = configuration(self.steps)
        return f"Pipeline {name or 'of ' + ', '.join(self.steps)}, {self.bit_depth} bits"

    def shown_rows(self) -> list[tuple[str, str, str]]:
        return [
            (name, type(step).__name__, "; ".join(step.shown_numbers()))
            for name, step in self.steps.items()
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary a number: its step, name, index, value and unit."""
        return [
            {"step": step, "number": name, "index": index, "value": value, "unit": number.unit}
            for step, of in self.steps.items()
            for name, number in of.numbers.items()
            for index, value in np.ndenumerate(getattr(of, name).detach().cpu().numpy())
        ]

    def to_frame(self) -> "pandas.DataFrame":
        """Return `rows` as a pandas DataFrame. Raises InputError if pandas is not installed."""
        return frame(self.rows())

    def plot(self) -> "Figure":
        """Draw the numbers of each step (Matplotlib)."""
        numbers = {
            f"{step} {name}": getattr(of, name).detach().cpu().numpy()
            for step, of in self.steps.items()
            for name in of.numbers
        }
        return plots.panels(self.shown_title(), numbers)

    def forward(self, mosaic: Tensor) -> Tensor:
        self.check(mosaic)
        views = engine.develop([list(self.steps.values())], mosaic, self.bit_depth)
        if views is not None:
            return views[0]
        x = to_unit(mosaic, self.bit_depth)
        for _, stage in self.stages(x):
            x = stage
        return x

    def trace(self, mosaic: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the view, and the result of each step by the step's name."""
        stages = dict(self.stages(self.checked(mosaic)))
        return next(reversed(stages.values())), stages

    def stages(self, x: Tensor, skip: int = 0) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and result of each step, after the first `skip`, whose result is `x`."""
        steps = dict(list(self.steps.items())[skip:])
        return zip(steps, one_by_one(steps.values(), x), strict=True)

    def checked(self, mosaic: Tensor) -> Tensor:
        """Return the mosaic in [0, 1] and floating point; see `check`."""
        self.check(mosaic)
        return to_unit(mosaic, self.bit_depth)

    def check(self, mosaic: Tensor) -> None:
        """Raise InputError unless it is a mosaic; see `inputs.mosaic`."""
        inputs.mosaic(mosaic)

    def replace(self, **steps: Step) -> Self:
        """Return a new pipeline in which these steps replace those of the same name."""
        for name in steps:
            choose("step", name, self.steps)
        return self._with({**self.steps, **steps})

    def insert(
        self, name: str, step: Step, *, before: str | None = None, after: str | None = None
    ) -> Self:
        """Return a new pipeline with `step` before or after the step of that name."""
        if (before is None) == (after is None):
            raise InputError("insert takes the name of one step: before=NAME or after=NAME")
        if name in self.steps:
            raise InputError(f"there is a step {name!r} already; replace it, or use another name")
        neighbor = choose("step", before or after, self.steps)
        names = list(self.steps)
        names.insert(names.index(neighbor) + (after is not None), name)
        return self._with({n: step if n == name else self.steps[n] for n in names})

    def remove(self, *names: str) -> Self:
        """Return a new pipeline without these steps."""
        for name in names:
            choose("step", name, self.steps)
        return self._with({n: step for n, step in self.steps.items() if n not in names})

    def reorder(self, names: Sequence[str]) -> Self:
        """Return a new pipeline with the same steps in this order."""
        if sorted(names) != sorted(self.steps):
            raise InputError(f"reorder takes each of {list(self.steps)} once, got {list(names)}")
        return self._with({name: self.steps[name] for name in names})

    def _with(self, steps: Mapping[str, Step]) -> Self:
        """A pipeline with copies of the steps that stay: learning it does not change this one."""
        old = self.steps.values()
        return type(self)(
            {n: deepcopy(s) if any(s is o for o in old) else s for n, s in steps.items()},
            self.bit_depth,
        )
