"""Develop a part of a frame as it is within the frame, at the cost of the part alone."""

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from rawdrift.cfa import layout
from rawdrift.checks import InputError
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Window, one_by_one

_BLOCK = 16  # of JPEG's colors


def reach(isp: Pipeline) -> int | None:
    """How many pixels to each side a pipeline looks at; None if a step needs the whole frame."""
    each = [step.reach for step in isp.steps.values()]
    return None if None in each else sum(filter(None, each))


def develop(isp: Pipeline, mosaic: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return `isp(mosaic)[..., rows, columns]` of a mosaic (..., H, W), developing little more.

    rows, columns: slices with a start and a stop inside the frame. Raises InputError for a pipeline
    with a step that needs the whole frame (`reach` is None).
    """
    part, crop, window = _around(isp, mosaic, rows, columns)
    view: Tensor = _within(isp, window)(part)
    return view[crop]


def trace(
    isp: Pipeline, mosaic: Tensor, rows: slice, columns: slice
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each step and this part of its result; see `develop`."""
    part, crop, window = _around(isp, mosaic, rows, columns)
    steps = _within(isp, window).steps
    for name, stage in zip(steps, one_by_one(steps.values(), isp.checked(part)), strict=True):
        yield name, stage[crop]


def _around(
    isp: Pipeline, mosaic: Tensor, rows: slice, columns: slice
) -> tuple[Tensor, Any, Window]:
    """Return the part of a mosaic that is to be developed, where in it is what was asked for, and
    the window."""
    margin = reach(isp)
    if margin is None:
        names = [name for name, step in isp.steps.items() if step.reach is None]
        raise InputError(f"{', '.join(names)} needs the whole frame; develop that")
    height, width = mosaic.shape[-2:]
    cells = [layout(step.cfa)[:2] for step in isp.steps.values() if "cfa" in step.options]
    period = math.lcm(_BLOCK, *(size for cell in cells for size in cell))
    top, left = (max(s.start - margin, 0) // period * period for s in (rows, columns))
    bottom, right = min(rows.stop + margin, height), min(columns.stop + margin, width)
    crop = (
        ...,
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    part = mosaic[..., top:bottom, left:right].contiguous()
    return part, crop, Window(top, left, height, width)


def _within(isp: Pipeline, window: Window) -> Pipeline:
    """The pipeline for a window; its steps that are the same there are not copied."""
    return Pipeline({n: step.within(window) for n, step in isp.steps.items()}, isp.bit_depth)
