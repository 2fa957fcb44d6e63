"""The fused CPU engine: views of a mosaic, and gradients, by tasks on torch's number of threads.

The forward pass keeps the mosaic and the numbers, nothing else; the backward pass computes the
stages again. Its memory is rings of rows for each thread, and the mosaic's gradient.
"""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from rawdrift.camera.read import to_unit
from rawdrift.isp.fused import driver, menon, plan, rows
from rawdrift.isp.fused.black_level import Sites
from rawdrift.isp.fused.color import Color
from rawdrift.isp.fused.denoise import Denoising
from rawdrift.isp.fused.driver import DEMOSAICING
from rawdrift.isp.fused.gamma import Correction, power_of
from rawdrift.isp.fused.machine import empty, for_each
from rawdrift.isp.fused.plan import BACK, Array, CannotFuseError, Fusable, Numbers, Plan
from rawdrift.isp.fused.rows import Part
from rawdrift.isp.fused.sharpen import Sharpening
from rawdrift.isp.gamma import SLOPE_FLOOR
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.yuv import YUV_FROM_RGB

_KIND = {torch.float32: 0, torch.uint8: 1, torch.uint16: 2}
_SHARPENING = (None, SharpeningFilter, UnsharpMask)  # as numbered in sharpen.py
_DENOISING = (None, MedianDenoising, GaussianDenoising)  # as numbered in denoise.py
_VIEWS = 4  # that a task can write at a time
_COLUMNS = 1536  # of a part at most, even: its rows in work fit the second level of a core's cache


def develop(pipelines: Sequence[Fusable], mosaic: Tensor, bit_depth: int) -> list[Tensor] | None:
    """One view (..., 3, H, W) for each pipeline. None if a sample is NaN, infinite or huge.

    pipelines: they differ in the kinds of sharpening and denoising only, no two in neither.
    mosaic: (..., H, W) float32 in [0, 1], or uint8 or uint16 of that bit depth.
    Raises CannotFuseError where the steps must run one by one.
    """
    plans = [plan.plan(steps) for steps in pipelines]
    first, *others = pipelines
    learns = torch.is_grad_enabled() and (
        mosaic.requires_grad
        or any(x.requires_grad for steps in pipelines for x in steps.values.values())
    )
    if others and learns:
        raise CannotFuseError("gradients of several views at a time are not fused")
    if len(plans) > _VIEWS:
        raise CannotFuseError(f"more than {_VIEWS} views at a time are not fused")
    with torch.no_grad():
        views = _views(plans, mosaic, bit_depth)
    if views is None or not learns:
        return views
    numbers, values = plan.numbers(first.layout, first.values), first.values.values()
    view: Tensor = _Developed.apply(views[0], plans[0], bit_depth, first, mosaic, *numbers, *values)
    return [view]


class _Developed(torch.autograd.Function):
    """A view that was developed, made differentiable in the mosaic and in `plan.Numbers`.

    The values of the steps, from which these numbers were made, take part in second derivatives.
    """

    @staticmethod
    def forward(
        ctx: Any,
        view: Tensor,
        plan: Plan,
        bit_depth: int,
        steps: Fusable,
        mosaic: Tensor,
        *numbers_and_values: Tensor,
    ) -> Tensor:
        ctx.plan, ctx.bit_depth, ctx.steps = plan, bit_depth, steps
        ctx.taps = numbers_and_values[Numbers._fields.index("blur")].numel()
        # An error if the values change until then.
        ctx.save_for_backward(mosaic, *numbers_and_values[len(Numbers._fields) :])
        ctx.mark_dirty(view)
        return view

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mosaic, *values = ctx.saved_tensors
        names = ("mosaic", *Numbers._fields)
        needs = ctx.needs_input_grad[4:]
        if torch.is_grad_enabled():  # create_graph=True: the steps can be differentiated again
            view = _one_by_one(ctx.steps, values, to_unit(mosaic, ctx.bit_depth))
            needs = needs[0], *needs[len(names) :]
            inputs = [x for x, need in zip((mosaic, *values), needs, strict=True) if need]
            gradient = iter(torch.autograd.grad(view, inputs, grad, create_graph=True))
            first, *rest = (next(gradient) if need else None for need in needs)
            return (*(None,) * 4, first, *(None,) * len(Numbers._fields), *rest)
        wanted = {name for name, need in zip(names, needs, strict=False) if need}
        found = gradients(ctx.plan, mosaic, ctx.bit_depth, grad, wanted)
        # The kernels' Gaussian has more taps, of which the last are zero.
        found["blur"] = found["blur"][: ctx.taps]
        of_numbers = (found[name] if name in wanted else None for name in names)
        return (*(None,) * 4, *of_numbers, *(None,) * len(values))


def _one_by_one(steps: Fusable, values: Sequence[Tensor], x: Tensor) -> Tensor:
    """The view of a mosaic by the steps as they are written, with these values for their own."""
    value = dict(zip(steps.values, values, strict=True))
    for step in steps.steps:
        own = {name: value[f"{step.stage}.{name}"] for name in step.numbers}
        with torch.autocast(x.device.type, enabled=False):
            x = functional_call(step, own, (x,))
    return x


# Forward


def _views(plans: list[Plan], mosaic: Tensor, bit_depth: int) -> list[Tensor] | None:
    height, width = mosaic.shape[-2:]
    images = mosaic.reshape(-1, height, width).contiguous()
    out = [empty(*mosaic.shape[:-2], 3, height, width) for _ in plans]
    plan = plans[0]
    stage = DEMOSAICING[plan.layout.demosaic]
    task = driver.forward_task(stage)
    sites, kernels = _sites(plan, mosaic.dtype, bit_depth), _kernels(plan)
    numbers = _numbers(*plans)
    read = _mosaics(images)
    # As many as a task takes, though not all are written.
    views = tuple(v.numpy().reshape(-1, 3, height, width) for v in (out * _VIEWS)[:_VIEWS])

    def work(part: Part) -> bool:
        return task(read, views, part, sites, kernels, numbers)

    threads, reach = torch.get_num_threads(), stage.delay + _reach(numbers)
    strips = 1 if threads == 1 else max(1, min(height // 64, -(-4 * threads // len(images))))
    ends = [height * i // strips for i in range(strips + 1)]
    # Whole lines of the cache: no two parts write to the same.
    return out if for_each(work, _parts(images.shape, ends, 16, reach)) else None


def _parts(shape: Sequence[int], ends: Sequence[int], line: int, reach: int) -> Iterator[Part]:
    """Image by image, what tasks write; columns never depend on the number of threads.

    shape: (images, H, W); ends: where strips of rows end; line: of how many columns tiles of
    columns are multiples.
    """
    images, height, width = shape
    blocks, tiles = -(-height // rows.BLOCK), -(-width // _COLUMNS)
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


def _mosaics(images: Tensor) -> tuple[Array, Array, Array]:
    """Mosaics (images, H, W) as tasks take them: as float32, uint8 or uint16, the others empty."""
    values = images.numpy()
    kinds = (np.float32, np.uint8, np.uint16)
    empty = [values if values.dtype == kind else np.zeros((0, 0, 0), kind) for kind in kinds]
    return empty[0], empty[1], empty[2]


def _sites(plan: Plan, dtype: torch.dtype, bit_depth: int) -> Sites:
    """The numbers of mosaics of this type."""
    unit = np.float32(2**bit_depth - 1)
    return Sites(_KIND[dtype], unit, _f32(plan.black), _f32(plan.span), plan.chroma, plan.red_row)


@lru_cache(maxsize=64)
def _kernels(plan: Plan) -> Array:
    """The kernels of demosaicing as its tasks take them, see linear.py."""
    if plan.layout.demosaic is not Malvar2004:
        return _f32(plan.kernels)
    row, column = np.indices((5, 5)) - 2
    rest = plan.kernels[:, abs(row) + abs(column) > 2].any()
    # See `malvar_split`. A tap reaches a site like its own where it goes an even number of steps.
    near = (row + column) % 2 == 0
    pairs = ((0, 1), (3, 2), (1, 0), (2, 3))
    mixed = [np.where(near, plan.kernels[own], plan.kernels[other]) for own, other in pairs]
    return _f32(np.concatenate([plan.kernels, np.full((1, 5, 5), rest), mixed]))


@lru_cache(maxsize=64)
def _numbers(*plans: Plan) -> driver.Numbers:
    """The numbers behind demosaicing, for all plans together."""
    plan, slots = plans[0], np.full((3, 3), -1)
    for view, other in enumerate(plans):
        slots[_kinds(other)] = view
        if other.layout.sharpen is UnsharpMask:
            plan = replace(plan, blur=other.blur, amount=other.amount)
        elif other.layout.sharpen is SharpeningFilter:
            plan = replace(plan, sharpen=other.sharpen)
        if other.layout.denoise is GaussianDenoising:
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
            to_rgb=_f32(BACK),
            margin=max(reach_sharpen, reach_denoise),
            luma=_f32(YUV_FROM_RGB.numpy()[0]),
            planes_back=_f32({0: np.zeros((0, 3)), 1: np.ones((1, 3)), 3: BACK.T}[p]),
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


def _kinds(plan: Plan) -> tuple[int, int]:
    """The kinds of sharpening and denoising, by number."""
    return _SHARPENING.index(plan.layout.sharpen), _DENOISING.index(plan.layout.denoise)


def _reach(numbers: driver.Numbers) -> int:
    return numbers.sharpen.reach + numbers.denoise.reach


def _f32(values: Array) -> Array:
    """Return the numbers in the form that kernels take."""
    return np.ascontiguousarray(values, dtype=np.float32)


# Back


def gradients(
    plan: Plan, mosaic: Tensor, bit_depth: int, grad: Tensor, wanted: Set[str]
) -> dict[str, Tensor]:
    """Gradients of what is wanted of "mosaic" and the fields of `plan.Numbers`; others are zero.

    mosaic: (..., H, W) as it was developed; grad: (..., 3, H, W) of the view, of any strides.
    """
    height, width = mosaic.shape[-2:]
    images = mosaic.reshape(-1, height, width).contiguous()
    views = grad.reshape(-1, 3, height, width)
    # As flat memory with strides, so that one compiled task takes gradients of every layout.
    strides = views.stride()
    length = 1 + sum((n - 1) * step for n, step in zip(views.shape, strides, strict=True))
    flat = views.as_strided((length,), (1,)).numpy()
    out = torch.empty(images.shape if "mosaic" in wanted else (1, 1, 1))
    blocks, tiles = -(-height // rows.BLOCK), -(-width // _COLUMNS)
    totals = np.zeros((len(images) * tiles * blocks, rows.TOTALS))
    stage = DEMOSAICING[plan.layout.demosaic]
    task = driver.backward_task(stage)
    sites, kernels = _sites(plan, mosaic.dtype, bit_depth), _kernels(plan)
    numbers, kinds, wants = _numbers(plan), _kinds(plan), _wanted(wanted)
    read, to_mosaic = _mosaics(images), out.numpy()

    def work(part: Part) -> bool:
        return task(
            read,
            flat,
            strides,
            part,
            sites,
            kernels,
            kinds,
            numbers,
            wants,
            to_mosaic,
            totals,
        )

    threads, reach = torch.get_num_threads(), 2 * (stage.delay + _reach(numbers))
    strips = 1 if threads == 1 else max(1, min(blocks // 2, -(-4 * threads // len(images))))
    ends = [min(height, blocks * i // strips * rows.BLOCK) for i in range(strips + 1)]
    for_each(work, _parts(images.shape, ends, 2, reach))
    found = _of_numbers(plan, torch.from_numpy(totals.sum(0)))
    if "mosaic" in wanted:
        found["mosaic"] = out.view(mosaic.shape)
    return found


def _wanted(names: Set[str]) -> driver.Wanted:
    """The sums that tasks have to make for gradients of these names."""
    return driver.Wanted(
        gamma="exponent" in names,
        color="color" in names,
        sharpen=not names.isdisjoint({"sharpen", "blur", "amount"}),
        denoise="denoise" in names,
        kernels="kernels" in names,
        black=not names.isdisjoint({"black", "span"}),
        mosaic="mosaic" in names,
    )


def _of_numbers(plan: Plan, totals: Tensor) -> dict[str, Tensor]:
    """Gradients of `plan.Numbers` from totals of kernels, float64."""

    def at(first: int, *shape: int) -> Tensor:
        return totals[first : first + math.prod(shape)].view(shape)

    color = at(rows.COLOR, 3, 3)
    if len(plan.planes) == 3:
        color = YUV_FROM_RGB.T @ color
    kernels = at(rows.KERNELS, *plan.kernels.shape).clone()
    if plan.layout.demosaic is Menon2007:
        kernels[1] += plan.kernels[2, 2] * at(menon.THIRDS, 5)
    # The unsharp mask is y + amount * (y - b), where b is blurred along rows and columns: "keep"
    # sums gradients times y, "blur" those of the taps in b, of both blurs.
    blur, side = at(rows.BLUR, len(plan.blur)), torch.from_numpy(plan.blur)
    black, products = at(rows.BLACK, 2, 2, 2).unbind(-1)
    span = torch.from_numpy(plan.span)  # mosaic = (raw - black) / span
    return {
        "black": -black / span,
        "span": -products / span,
        "kernels": kernels,
        "color": color,
        "sharpen": at(rows.SHARPEN, 3, 3),
        "blur": -plan.amount * blur,
        "amount": at(rows.KEEP) - (side * blur).sum() / 2,
        "denoise": at(rows.DENOISE, 5, 5),
        "exponent": at(rows.EXPONENT) * math.log(2),
    }
