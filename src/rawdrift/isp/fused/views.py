"""Views of mosaics by tasks of the CPU engine. No torch: the differentiable side is in cpu.py."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from rawdrift.isp.constants import RGB_FROM_YUV, SLOPE_FLOOR, YUV_FROM_RGB
from rawdrift.isp.fused import driver, rows
from rawdrift.isp.fused.black_level import Sites
from rawdrift.isp.fused.color import Color
from rawdrift.isp.fused.denoise import Denoising
from rawdrift.isp.fused.driver import DEMOSAICING
from rawdrift.isp.fused.gamma import Correction
from rawdrift.isp.fused.plan import GIVEN, Array, Plan
from rawdrift.isp.fused.power import power_of
from rawdrift.isp.fused.rows import Part
from rawdrift.isp.fused.sharpen import Sharpening
from rawdrift.machine import empty

_KINDS = (np.float32, np.uint8, np.uint16)  # of mosaics
_SHARPENING = (None, "SharpeningFilter", "UnsharpMask")  # as numbered in sharpen.py
_DENOISING = (None, "MedianDenoising", "GaussianDenoising")  # as numbered in denoise.py
MOST = 4  # views that a task can write at a time
COLUMNS = 1536  # of a part at most, even: its rows in work fit the second level of a core's cache


def develop(
    plans: Sequence[Plan], mosaic: Array, bit_depth: int, threads: int = 1
) -> list[Array] | None:
    """One view (..., 3, H, W) float32 for each plan; None if a sample is NaN, infinite or huge.

    plans: at most `MOST`, which differ in the kinds of sharpening and denoising only. mosaic:
    (..., H, W) float32 in [0, 1], or uint8 or uint16 of that bit depth, in C order; for plans that
    begin with a view (`plan.GIVEN`) that, (..., 3, H, W) float32.
    Keep a view itself, see `machine.empty`.
    """
    height, width = mosaic.shape[-2:]
    images = mosaic.reshape(-1, height, width)
    plan = plans[0]
    is_view = plan.layout.demosaic == GIVEN
    leading = mosaic.shape[: -3 if is_view else -2]
    out = [empty(*leading, 3, height, width) for _ in plans]
    stage = DEMOSAICING[plan.layout.demosaic]
    task = driver.forward_task(stage)
    sites, kernels = sites_of(plan, mosaic.dtype, bit_depth), kernels_of(plan)
    numbers = numbers_of(*plans)
    read = by_kind(images)
    # As many as a task takes, though not all are written.
    written = tuple(view.reshape(-1, 3, height, width) for view in (out * MOST)[:MOST])

    count = len(images) // 3 if is_view else len(images)
    strips = 1
    if threads > 1:  # a few for each, so that none waits long, though strips overlap
        most = max(height // 256, min(threads, height // 64))
        strips = max(1, min(most, -(-4 * threads // max(1, count))))
    ends = tuple(height * i // strips for i in range(strips + 1))
    # Whole lines of the cache: no two parts write to the same.
    parts = parts_of((count, height, width), ends, 16, reach_of(plan, numbers), COLUMNS)
    done = task(len(parts), threads, parts, read, written, sites, kernels, numbers)
    return out if done else None


def reach(plan: Plan) -> int:
    """How many pixels to each side a view looks at."""
    return reach_of(plan, numbers_of(plan))


def reach_of(plan: Plan, numbers: driver.Numbers) -> int:
    """How many pixels to each side the views of these numbers look at."""
    delay: int = DEMOSAICING[plan.layout.demosaic].delay
    return delay + numbers.sharpen.reach + numbers.denoise.reach


@lru_cache(maxsize=16)
def parts_of(
    shape: tuple[int, int, int], ends: tuple[int, ...], line: int, reach: int, most: int
) -> Array:
    """A table of parts: image by image, what tasks write; columns never depend on the number of
    threads.

    shape: (images, H, W); ends: where strips of rows end; line: of how many columns tiles of
    columns are multiples; most: columns of a part.
    """
    parts = [*_parts(shape, ends, line, reach, most)]
    return np.array(parts, np.int64).reshape(-1, len(Part._fields))


def _parts(
    shape: tuple[int, int, int], ends: tuple[int, ...], line: int, reach: int, most: int
) -> Iterator[Part]:
    images, height, width = shape
    blocks, tiles = -(-height // rows.BLOCK), -(-width // most)
    columns = [width * i // tiles // line * line for i in range(tiles)] + [width]
    for image in range(images):
        for first_row, last_row in pairwise(ends):
            for tile, (first_column, last_column) in enumerate(pairwise(columns)):
                yield Part(
                    image=image,
                    block=(image * tiles + tile) * blocks,
                    top=max(0, first_row - reach) // 2 * 2,
                    bottom=min(height, last_row + reach),
                    left=max(0, first_column - reach) // 2 * 2,
                    right=min(width, last_column + reach),
                    first_row=first_row,
                    last_row=last_row,
                    first_column=first_column,
                    last_column=last_column,
                )


def by_kind(images: Array) -> tuple[Array, Array, Array]:
    """Mosaics (images, H, W) as tasks take them: as float32, uint8 or uint16, the others empty."""
    kinds = [images if images.dtype == kind else np.zeros((0, 0, 0), kind) for kind in _KINDS]
    return kinds[0], kinds[1], kinds[2]


@lru_cache(maxsize=64)
def sites_of(plan: Plan, dtype: np.dtype[Any], bit_depth: int) -> Sites:
    """The numbers of mosaics of this type."""
    unit, kind = np.float32(2**bit_depth - 1), _KINDS.index(dtype.type)
    return Sites(kind, unit, _f32(plan.black), _f32(plan.span), plan.chroma, plan.red_row)


@lru_cache(maxsize=64)
def kernels_of(plan: Plan) -> Array:
    """The kernels of demosaicing as its tasks take them, see linear.py."""
    if plan.layout.demosaic != "Malvar2004":
        kernels = plan.kernels
        return _f32(kernels if kernels.ndim == 3 else kernels[..., None])
    row, column = np.indices((5, 5)) - 2
    rest = plan.kernels[:, abs(row) + abs(column) > 2].any()
    # See `malvar_split`. A tap reaches a site like its own where it goes an even number of steps.
    near = (row + column) % 2 == 0
    pairs = ((0, 1), (3, 2), (1, 0), (2, 3))
    mixed = [np.where(near, plan.kernels[own], plan.kernels[other]) for own, other in pairs]
    return _f32(np.concatenate([plan.kernels, np.full((1, 5, 5), rest), mixed]))


@lru_cache(maxsize=64)
def numbers_of(*plans: Plan) -> driver.Numbers:
    """The numbers behind demosaicing, for all plans together."""
    plan, slots = plans[0], np.full((3, 3), -1)
    for view, other in enumerate(plans):
        slots[kinds_of(other)] = view
        if other.layout.sharpen == "UnsharpMask":
            plan = replace(plan, blur=other.blur, amount=other.amount)
        elif other.layout.sharpen == "SharpeningFilter":
            plan = replace(plan, sharpen=other.sharpen)
        if other.layout.denoise == "GaussianDenoising":
            plan = replace(plan, denoise=other.denoise, lines=other.lines)
    p = len(plan.planes)
    sharpening = (0, 1, len(plan.blur) - 1)  # reaches by kind
    reach_sharpen = max(r for r, kinds in zip(sharpening, slots, strict=True) if kinds.max() >= 0)
    reach_denoise = max(r for r, kinds in enumerate(slots.T) if kinds.max() >= 0)
    blur = np.concatenate([plan.blur[:0:-1], plan.blur])
    return driver.Numbers(
        color=Color(
            matrix=_f32(plan.color),
            plain=bool((plan.color == np.eye(3)).all()),
            difference=_f32(plan.color - (plan.planes[0] if p else 0)),
            planes=_f32(plan.planes),
            to_rgb=_f32(RGB_FROM_YUV),
            margin=max(reach_sharpen, reach_denoise),
            luma=_f32(YUV_FROM_RGB[0]),
            planes_back=_f32({0: np.zeros((0, 3)), 1: np.ones((1, 3)), 3: RGB_FROM_YUV.T}[p]),
            colors_back=_f32((plan.planes if p == 3 else plan.color).T),
        ),
        sharpen=Sharpening(
            kernel=_f32(plan.sharpen),
            blur=_f32(blur),
            blur_back=_f32(blur[:, None] * -plan.amount),
            amount=np.float32(plan.amount),
            reach=reach_sharpen,
        ),
        denoise=Denoising(
            kernel=_f32(plan.denoise),
            lines=_f32(plan.lines),
            column=_f32(plan.lines[0][:, None]),
            flipped=_f32(plan.lines[1][::-1]),
            ones=np.ones((3, 1), np.float32),
            reach=reach_denoise,
        ),
        gamma=Correction(
            on=plan.layout.gamma,
            exponent=np.float32(plan.exponent),
            power=power_of(plan.exponent),
            floor_slope=np.float32(SLOPE_FLOOR ** (plan.exponent - 1)),
        ),
        slots=slots,
    )


def kinds_of(plan: Plan) -> tuple[int, int]:
    """The kinds of sharpening and denoising, by number."""
    return _SHARPENING.index(plan.layout.sharpen), _DENOISING.index(plan.layout.denoise)


def _f32(values: Array) -> Array:
    """Return the numbers in the form that kernels take."""
    return np.ascontiguousarray(values, dtype=np.float32)
