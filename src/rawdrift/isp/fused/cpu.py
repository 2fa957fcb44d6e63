"""The fused CPU engine: views of a mosaic by tasks that run on torch's number of threads."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.fused import menon
from rawdrift.isp.fused.finish import Finish, rings
from rawdrift.isp.fused.memory import empty
from rawdrift.isp.fused.nontemporal import LINE
from rawdrift.isp.fused.plan import BACK, Array, Plan
from rawdrift.isp.fused.pool import for_each
from rawdrift.isp.fused.power import numbers_of
from rawdrift.isp.fused.rows import PAD
from rawdrift.isp.fused.tasks import HALVES, Part, Sites, bilinear_task, malvar_task, menon_task
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.unsharp_mask import UnsharpMask

_KIND = {torch.float32: 0, torch.uint8: 1, torch.uint16: 2}
_TASK = {Bilinear: bilinear_task, Malvar2004: malvar_task, Menon2007: menon_task}
_HALVES = dict(zip(_TASK, HALVES, strict=True))
REACH = {Bilinear: 1, Malvar2004: 2, Menon2007: menon.DELAY}
_COLUMNS = 1536  # of a part at most: its rows in work fit the second level of a core's cache


def develop(plans: list[Plan], mosaic: Tensor, bit_depth: int) -> list[Tensor] | None:
    """One view (..., 3, H, W) for each plan. None if the mosaic has NaN, infinity or huge samples.

    plans: they differ in the kinds of sharpening and denoising only, no two in neither.
    mosaic: (..., H, W) float32 in [0, 1], or uint8 or uint16 of that bit depth.
    """
    height, width = mosaic.shape[-2:]
    images = mosaic.reshape(-1, height, width).contiguous()
    out = [empty(len(images), 3, height, width) for _ in plans]
    plan = plans[0]
    sites = sites_of(plan, mosaic.dtype, bit_depth)
    task, kernels, numbers = _TASK[plan.demosaic], kernels_of(plan), finish_of(*plans)
    at, count = rings(numbers)
    read = mosaics(images)
    views = tuple(view.numpy() for view in (out * 4)[:4])  # a task takes four, and fills its slots

    def work(item: tuple[int, Part]) -> bool:
        image, part = item
        n = part.right - part.left
        s, halves = scratch(n, count), scratch((n + 1) // 2, _HALVES[plan.demosaic])
        return task(s, halves, at, read, image, views, part, sites, kernels, numbers)

    reach = REACH[plan.demosaic] + numbers.reach_sharpen + numbers.reach_denoise
    if not for_each(work, _parts(len(images), height, width, reach)):
        return None
    return [view.view(*mosaic.shape[:-2], 3, height, width) for view in out]


def mosaics(images: Tensor) -> tuple[Array, Array, Array]:
    """Mosaics (images, H, W) as tasks take them: as float32, uint8 or uint16, the others empty."""
    empty, values = np.zeros((0, 0, 0), np.float32), images.numpy()
    floats, small, words = empty, empty.astype(np.uint8), empty.astype(np.uint16)
    if values.dtype == np.float32:
        floats = values
    elif values.dtype == np.uint8:
        small = values
    else:
        words = values
    return floats, small, words


def scratch(n: int, count: int) -> Array:
    """Empty rows for n columns, whose columns 0 begin lines of the cache."""
    columns = 2 * PAD + (n + 63) // 64 * 64 + 64
    memory = np.zeros(count * columns + LINE, np.float32)
    first = -memory.ctypes.data // 4 % LINE
    return memory[first : first + count * columns].reshape(count, columns)


def sites_of(plan: Plan, dtype: torch.dtype, bit_depth: int) -> Sites:
    """The numbers of mosaics of this type."""
    return Sites(
        _KIND[dtype],
        np.float32(2**bit_depth - 1),
        f32(plan.black),
        f32(plan.span),
        plan.chroma,
        plan.red_row,
    )


def _parts(images: int, height: int, width: int, reach: int) -> Iterator[tuple[int, Part]]:
    """Image by image, what the tasks write; columns never depend on the number of threads."""
    threads = torch.get_num_threads()
    strips = 1 if threads == 1 else max(1, min(height // 64, -(-4 * threads // images)))
    tiles = -(-width // _COLUMNS)
    rows = [height * i // strips for i in range(strips + 1)]
    # Whole lines of the cache: no two parts write to the same.
    columns = [width * i // tiles // 16 * 16 for i in range(tiles)] + [width]
    for image in range(images):
        for first_row, last_row in pairwise(rows):
            for first, last in pairwise(columns):
                yield (
                    image,
                    Part(
                        top=even(first_row - reach),
                        bottom=min(height, last_row + reach),
                        left=even(first - reach),
                        right=min(width, last + reach),
                        first_row=first_row,
                        last_row=last_row,
                        first_column=first,
                        last_column=last,
                    ),
                )


def even(i: int) -> int:
    """The even index at or before i, or the first."""
    return max(0, i) // 2 * 2


@lru_cache(maxsize=64)
def kernels_of(plan: Plan) -> Array:
    """The kernels of demosaicing as its task takes them."""
    if plan.demosaic is not Malvar2004:
        return f32(plan.kernels)
    row, column = np.indices((5, 5)) - 2
    rest = plan.kernels[:, abs(row) + abs(column) > 2].any()
    return f32(np.concatenate([plan.kernels, np.full((1, 5, 5), rest)]))


@lru_cache(maxsize=64)
def finish_of(*plans: Plan) -> Finish:
    """The numbers behind demosaicing, for all plans together."""
    plan, slots = plans[0], np.full((2, 2), -1)
    for view, other in enumerate(plans):
        slots[int(other.sharpen is UnsharpMask), int(other.denoise is GaussianDenoising)] = view
        if other.sharpen is UnsharpMask:
            plan = replace(plan, blur=other.blur, amount=other.amount)
        else:
            plan = replace(plan, sharp=other.sharp)
        if other.denoise is GaussianDenoising:
            plan = replace(plan, kernel=other.kernel, lines=other.lines)
    return Finish(
        color=f32(plan.color),
        difference=f32(plan.color - plan.planes[0]),
        planes=f32(plan.planes),
        back=f32(BACK),
        slots=slots,
        sharpen=f32(plan.sharp),
        blur=f32(np.concatenate([plan.blur[:0:-1], plan.blur])),
        amount=np.float32(plan.amount),
        denoise=f32(plan.kernel),
        lines=f32(plan.lines),
        exponent=np.float32(plan.exponent),
        reach_sharpen=len(plan.blur) - 1 if slots[1].max() >= 0 else 1,
        reach_denoise=2 if slots[:, 1].max() >= 0 else 1,
        power=numbers_of(plan.exponent),
    )


def f32(values: Array) -> Array:
    """As kernels take numbers."""
    return np.ascontiguousarray(values, dtype=np.float32)
