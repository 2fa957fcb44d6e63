"""Develop a part of a frame as it is within the frame, at the cost of the part alone."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from torch import Tensor

from rawdrift.camera.read import to_unit
from rawdrift.cfa import layout
from rawdrift.checks import InputError
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step, Window, one_by_one

_BLOCK = 16  # of JPEG's colors
_STRIP = 1 << 20  # pixels that are developed at a time, where a frame is measured


def need_all(isp: Pipeline) -> list[str]:
    """Return the names of the steps that need the whole frame, even once it is measured."""
    return [name for name, step in isp.steps.items() if not (_is_local(step) or measures(step))]


def measures(step: Step) -> bool:
    """Whether a step measures the whole frame before it changes a pixel."""
    return type(step).measure is not Step.measure


def size_after(steps: Sequence[Step], size: Sequence[int]) -> tuple[int, int]:
    """Return height and width of what these steps make of a mosaic of this height and width."""
    height, width = size
    for step in steps:
        height, width = step.length_after(height), step.length_after(width)
    return height, width


def develop(
    isp: Pipeline, mosaic: Tensor, rows: slice, columns: slice, after: str | None = None
) -> Tensor:
    """Return `isp(mosaic)[..., rows, columns]` of a mosaic (..., H, W), developing little more.

    rows, columns: slices with a start and a stop inside of the result. after: the step whose result
    is wanted, by default the last. Raises InputError for a step that needs the whole frame, see
    `need_all`, and for one that measures it, see `measured`.
    """
    steps = list(isp.steps.values())
    if after is not None:
        steps = steps[: list(isp.steps).index(after) + 1]
    if far := [name for name, step in isp.steps.items() if step in steps and not _is_local(step)]:
        raise InputError(f"{', '.join(far)} needs the whole frame; develop that")
    # Neighbors that keep the size are run together, and those that change it one by one.
    legs = [list(leg) for _, leg in groupby(steps, lambda s: -1 if s.reach is not None else id(s))]
    sizes = [tuple(mosaic.shape[-2:])]
    for leg in legs[:-1]:
        sizes.append(size_after(leg, sizes[-1]))
    regions = [(rows, columns)]
    for leg, size in zip(reversed(legs), reversed(sizes), strict=True):
        needed = (_needed(leg, *pair) for pair in zip(regions[-1], size, strict=True))
        regions.append(tuple(needed))  # type: ignore[arg-type]
    regions.reverse()
    isp.check(mosaic)
    x = mosaic[..., *regions[0]].contiguous()
    for leg, size, (top, left), (down, across) in zip(
        legs, sizes, regions, regions[1:], strict=False
    ):
        window = Window(top.start, left.start, *size)
        if leg[0].reach is None:
            x = leg[0].part(x, window, down, across)
            continue
        x = _run([step.within(window) for step in leg], x, isp.bit_depth)
        x = x[
            ...,
            down.start - top.start : down.stop - top.start,
            across.start - left.start : across.stop - left.start,
        ]
    return x


def strips(isp: Pipeline, mosaic: Tensor, before: str) -> Iterator[Tensor]:
    """Yield what a step is given of the whole frame, in parts, from the top down."""
    names = list(isp.steps)
    steps = list(isp.steps.values())[: names.index(before)]
    height, width = size_after(steps, mosaic.shape[-2:])
    rows = max(_BLOCK, _STRIP // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        after = names[len(steps) - 1]
        yield develop(isp, mosaic, slice(top, bottom), slice(0, width), after)


def measured(isp: Pipeline, mosaic: Tensor) -> Pipeline:
    """Return the pipeline that does to a part of a frame what `isp` does to it within the frame:
    steps that measure it have done so."""
    for name, step in isp.steps.items():
        if measures(step):
            found = step.measure(strips(isp, mosaic, name))
            assert found is not None
            isp = with_step(isp, name, step.settled(found))
    return isp


def with_step(isp: Pipeline, name: str, step: Step) -> Pipeline:
    """Return a pipeline with another step; the others are not copied."""
    return Pipeline({**isp.steps, name: step}, isp.bit_depth)


def _is_local(step: Step) -> bool:
    return step.reach is not None or type(step).needs is not Step.needs


def _needed(leg: Sequence[Step], wanted: slice, length: int) -> slice:
    """The rows of a frame that a leg needs for those that are wanted of its result."""
    start, stop = wanted.start, wanted.stop
    if leg[0].reach is None:
        needed = leg[0].needs(start, stop, length)
        assert needed is not None
        return slice(*needed)
    margin = sum(step.reach or 0 for step in leg)
    cells = [size for step in leg if "cfa" in step.options for size in layout(step.cfa)[:2]]
    period = math.lcm(_BLOCK, *cells)
    return slice(max(start - margin, 0) // period * period, min(stop + margin, length))


def _run(steps: Sequence[Step], x: Tensor, bit_depth: int) -> Tensor:
    if steps[0].takes == "mosaic" and steps[-1].gives == "view":
        view: Tensor = Pipeline({f"step{i}": s for i, s in enumerate(steps)}, bit_depth)(x)
        return view
    for result in one_by_one(steps, to_unit(x, bit_depth)):
        x = result
    return x
