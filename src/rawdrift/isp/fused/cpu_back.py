"""The backward pass of the fused CPU engine: gradients by tasks that compute the stages again.

Memory: rings of rows for each thread, and the mosaic's gradient.
"""

import math
from collections.abc import Iterator, Set
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.fused import menon_back, sums
from rawdrift.isp.fused.cpu import (
    REACH,
    even,
    f32,
    finish_of,
    kernels_of,
    mosaics,
    scratch,
    sites_of,
)
from rawdrift.isp.fused.finish_back import Back, back_rings
from rawdrift.isp.fused.plan import BACK, Array, Plan
from rawdrift.isp.fused.pool import for_each
from rawdrift.isp.fused.tasks import Part
from rawdrift.isp.fused.tasks_back import (
    back_halves,
    bilinear_back_task,
    malvar_back_task,
    menon_back_task,
)
from rawdrift.isp.gamma import SLOPE_FLOOR
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.yuv import YUV_FROM_RGB

_TASK = {Bilinear: bilinear_back_task, Malvar2004: malvar_back_task, Menon2007: menon_back_task}
_COLUMNS = 1536  # of a part at most, even


def gradients(
    plan: Plan, mosaic: Tensor, bit_depth: int, grad: Tensor, wanted: Set[str]
) -> dict[str, Tensor]:
    """Gradients of what is wanted of "mosaic", "black", "kernels", "color", "sharpen", "denoise",
    "gamma".

    mosaic: (..., H, W) as it was developed; grad: (..., 3, H, W) of the view, of any strides.
    """
    height, width = mosaic.shape[-2:]
    images = mosaic.reshape(-1, height, width).contiguous()
    views = grad.reshape(-1, 3, height, width)
    # As flat memory with strides, so that one compiled task takes gradients of every layout.
    steps = views.stride()
    length = 1 + sum((n - 1) * step for n, step in zip(views.shape, steps, strict=True))
    flat = views.as_strided((length,), (1,)).numpy()
    out = torch.empty(images.shape if "mosaic" in wanted else (1, 1, 1))
    blocks, tiles = -(-height // sums.BLOCK), -(-width // _COLUMNS)
    totals = np.zeros((len(images) * tiles * blocks, sums.TOTALS))
    read, to_mosaic = mosaics(images), out.numpy()
    sites, numbers, back = (
        sites_of(plan, mosaic.dtype, bit_depth),
        finish_of(plan),
        _back(plan, wanted),
    )
    kinds = (int(plan.sharpen is UnsharpMask), int(plan.denoise is GaussianDenoising))
    task, kernels = _TASK[plan.demosaic], _kernels(plan)
    at, count = back_rings(numbers)
    reach = numbers.reach_sharpen + numbers.reach_denoise
    halves = back_halves(reach)
    half_rows = halves[list(_TASK).index(plan.demosaic)]

    def work(item: tuple[int, int, Part]) -> bool:
        image, tile, part = item
        block = (image * tiles + tile) * blocks
        n = part.right - part.left
        return task(
            scratch(n, count),
            scratch((n + 1) // 2, half_rows),
            at,
            read,
            flat,
            steps,
            image,
            part,
            sites,
            kernels,
            kinds,
            numbers,
            back,
            to_mosaic,
            totals,
            block,
        )

    reach = 2 * (REACH[plan.demosaic] + reach)
    for_each(work, _parts(len(images), height, width, reach))
    found: dict[str, Tensor] = _of_numbers(plan, torch.from_numpy(totals.sum(0)))
    if "mosaic" in wanted:
        found["mosaic"] = out.view(mosaic.shape)
    return found


def _parts(images: int, height: int, width: int, reach: int) -> Iterator[tuple[int, int, Part]]:
    """Image, tile of columns and part; strips of rows end where blocks of totals do."""
    threads = torch.get_num_threads()
    blocks, tiles = -(-height // sums.BLOCK), -(-width // _COLUMNS)
    strips = 1 if threads == 1 else max(1, min(blocks // 2, -(-4 * threads // images)))
    rows = [min(height, blocks * i // strips * sums.BLOCK) for i in range(strips + 1)]
    columns = [*(even(width * i // tiles) for i in range(tiles)), width]
    for image in range(images):
        for first_row, last_row in pairwise(rows):
            for tile, (first, last) in enumerate(pairwise(columns)):
                yield (
                    image,
                    tile,
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


def _kernels(plan: Plan) -> Array:
    kernels = kernels_of(plan)
    if plan.demosaic is not Malvar2004:
        return kernels
    # See `malvar_split`. A tap reaches a site like its own where it goes an even number of steps.
    near = np.indices((5, 5)).sum(0) % 2 == 0
    pairs = ((0, 1), (3, 2), (1, 0), (2, 3))
    mixed = [np.where(near, kernels[own], kernels[other]) for own, other in pairs]
    return f32(np.concatenate([kernels, mixed]))


def _back(plan: Plan, wanted: Set[str]) -> Back:
    luma = len(plan.planes) == 1
    return Back(
        luma=f32(YUV_FROM_RGB.numpy()[0]),
        planes=np.ones((1, 3), np.float32) if luma else f32(BACK.T),
        colors=f32((plan.color if luma else plan.planes).T),
        column=f32(plan.lines[0][:, None]),
        line=f32(plan.lines[1][::-1]),
        blur=f32(np.concatenate([plan.blur[:0:-1], plan.blur])[:, None] * -plan.amount),
        ones=np.ones((3, 1), np.float32),
        floor_slope=np.float32(SLOPE_FLOOR ** (plan.exponent - 1)),
        gamma="gamma" in wanted,
        color="color" in wanted,
        sharpen="sharpen" in wanted,
        denoise="denoise" in wanted,
        kernels="kernels" in wanted,
        black="black" in wanted,
        mosaic="mosaic" in wanted,
    )


def _of_numbers(plan: Plan, totals: Tensor) -> dict[str, Tensor]:
    """Gradients of the plan's numbers from sums, float64."""

    def at(first: int, *shape: int) -> Tensor:
        return totals[first : first + math.prod(shape)].view(shape)

    color = at(sums.COLOR, 3, 3)
    if len(plan.planes) == 3:
        color = YUV_FROM_RGB.T @ color
    kernels = at(sums.KERNELS, *plan.kernels.shape).clone()
    if plan.demosaic is Menon2007:
        kernels[1] += plan.kernels[2, 2] * at(menon_back.THIRDS, 5)
    return {
        "gamma": at(sums.EXPONENT) * math.log(2),
        "color": color,
        "sharpen": at(sums.SHARPEN, 3, 3),
        "blur": at(sums.BLUR, len(plan.blur)),
        "keep": at(sums.KEEP),
        "denoise": at(sums.DENOISE, 5, 5),
        "black": at(sums.BLACK, 2, 2, 2),
        "kernels": kernels,
    }
