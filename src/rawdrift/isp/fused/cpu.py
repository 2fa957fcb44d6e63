"""The fused CPU engine: views of a mosaic, and gradients, by tasks on torch's number of threads.

The forward pass keeps the mosaic and the numbers, nothing else; the backward pass computes the
stages again. Its memory is rings of rows for each thread, and the mosaic's gradient.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from rawdrift.camera.read import to_unit
from rawdrift.isp.constants import YUV_FROM_RGB
from rawdrift.isp.fused import driver, fusable, menon, rows, views
from rawdrift.isp.fused.driver import DEMOSAICING
from rawdrift.isp.fused.fusable import Fusable
from rawdrift.isp.fused.plan import Array, CannotFuseError, Numbers, Plan
from rawdrift.machine import empty


def develop(pipelines: Sequence[Fusable], mosaic: Tensor, bit_depth: int) -> list[Tensor] | None:
    """One view (..., 3, H, W) for each pipeline. None if a sample is NaN, infinite or huge.

    pipelines: they differ in the kinds of sharpening and denoising only, no two in neither.
    mosaic: (..., H, W) float32 in [0, 1], or uint8 or uint16 of that bit depth.
    Raises CannotFuseError where the steps must run one by one.
    """
    plans = [fusable.planned(steps) for steps in pipelines]
    first, *others = pipelines
    learns = torch.is_grad_enabled() and (
        mosaic.requires_grad
        or any(x.requires_grad for steps in pipelines for x in steps.values.values())
    )
    if others and learns:
        raise CannotFuseError("gradients of several views at a time are not fused")
    if len(plans) > views.MOST:
        raise CannotFuseError(f"more than {views.MOST} views at a time are not fused")
    if learns and mosaic.is_inference():
        mosaic = mosaic.clone()  # that autograd can save
    read = _computed(mosaic).detach().contiguous().numpy()
    arrays = views.develop(plans, read, bit_depth, torch.get_num_threads())
    if arrays is None:
        return None
    found = [torch.from_numpy(array) for array in arrays]
    if not learns:
        return found
    values = first.values.values()
    view: Tensor = _Developed.apply(found[0], plans[0], bit_depth, first, mosaic, *values)
    return [view]


class _Developed(torch.autograd.Function):
    """A view that was developed, made differentiable in the mosaic and in the steps' values."""

    @staticmethod
    def forward(
        ctx: Any,
        view: Tensor,
        plan: Plan,
        bit_depth: int,
        steps: Fusable,
        mosaic: Tensor,
        *values: Tensor,
    ) -> Tensor:
        ctx.plan, ctx.bit_depth, ctx.steps = plan, bit_depth, steps
        ctx.save_for_backward(mosaic, *values)  # an error if the values change until then
        ctx.mark_dirty(view)
        return view

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs = dict(zip(("mosaic", *ctx.steps.values), ctx.saved_tensors, strict=True))
        needs = ctx.needs_input_grad[4:]
        if torch.is_grad_enabled():  # create_graph=True: the steps can be differentiated again
            mosaic, *values = (x.view_as(x) for x in inputs.values())  # apart if two are the same
            view = _one_by_one(ctx.steps, values, to_unit(mosaic, ctx.bit_depth))
            of = [x for x, need in zip((mosaic, *values), needs, strict=True) if need]
            gradient = iter(torch.autograd.grad(view, of, grad, create_graph=True))
        else:
            wanted = frozenset(name for name, need in zip(inputs, needs, strict=True) if need)
            found = gradients(ctx.plan, inputs["mosaic"], ctx.bit_depth, grad, wanted)
            gradient = (found[name].to(inputs[name].dtype) for name in inputs if name in wanted)
        return (*(None,) * 4, *(next(gradient) if need else None for need in needs))


def _one_by_one(steps: Fusable, values: Sequence[Tensor], x: Tensor) -> Tensor:
    """The view of a mosaic by the steps as they are written, with these values for their own."""
    value = dict(zip(steps.values, values, strict=True))
    for step in steps.steps:
        own = {name: value[f"{step.stage}.{name}"] for name in step.numbers}
        with torch.autocast(x.device.type, enabled=False):
            x = functional_call(_apart(step), own, (x,), tie_weights=False)
    return x


def _apart(module: Any) -> Any:
    """A module whose values can be replaced for a call while other threads run the given one."""
    twin = object.__new__(type(module))
    vars(twin).update(vars(module))
    vars(twin).update(
        _parameters=dict(module._parameters),
        _buffers=dict(module._buffers),
        _modules={name: child and _apart(child) for name, child in module._modules.items()},
    )
    return twin


def _computed(x: Tensor) -> Tensor:
    """The tensor with its own values, also where PyTorch has only noted that they are negated or
    zero."""
    return x.clone() if x.is_neg() or x._is_zerotensor() else x


# Back


def gradients(
    plan: Plan, mosaic: Tensor, bit_depth: int, grad: Tensor, wanted: frozenset[str]
) -> dict[str, Tensor]:
    """Gradients of what is wanted of "mosaic" and `Fusable.values`; others have no meaning.

    mosaic: (..., H, W) as it was developed; grad: (..., 3, H, W) of the view, of any strides.
    """
    height, width = mosaic.shape[-2:]
    images = _computed(mosaic).reshape(-1, height, width).contiguous().numpy()
    grads = _computed(grad).reshape(-1, 3, height, width)
    # As flat memory with strides, so that one compiled task takes gradients of every layout.
    strides = grads.stride()
    length = 1 + sum((n - 1) * step for n, step in zip(grads.shape, strides, strict=True))
    flat = grads.as_strided((length,), (1,)).numpy()
    wants = _wanted(wanted)
    to_mosaic = empty(*images.shape) if wants.mosaic else np.empty((1, 1, 1), np.float32)
    blocks, tiles = -(-height // rows.BLOCK), -(-width // views.COLUMNS)
    totals = np.zeros((len(images) * tiles * blocks, rows.TOTALS))
    stage = DEMOSAICING[plan.layout.demosaic]
    task = driver.backward_task(stage)
    sites, kernels = views.sites_of(plan, images.dtype, bit_depth), views.kernels_of(plan)
    numbers, kinds, read = views.numbers_of(plan), views.kinds_of(plan), views.by_kind(images)

    threads, reach = torch.get_num_threads(), 2 * views.reach(plan)
    count = max(1, len(images))
    # The fewest that keep all threads busy: strips overlap.
    strips = min(threads // math.gcd(threads, count), -(-4 * threads // count))
    strips = max(1, min(blocks // 2, strips))
    ends = tuple(min(height, blocks * i // strips * rows.BLOCK) for i in range(strips + 1))
    parts = views.parts_of(images.shape, ends, 2, reach, views.COLUMNS)
    given = driver.Back(
        read, flat, strides, sites, kernels, kinds, numbers, wants, to_mosaic, totals
    )
    task(len(parts), threads, parts, given)
    with np.errstate(all="ignore"):  # of gradients that are infinite, as PyTorch does
        of_values = fusable.values_back(plan, _of_numbers(plan, totals.sum(0)))
    found = {name: torch.from_numpy(array) for name, array in of_values.items()}
    if wants.mosaic:
        found["mosaic"] = torch.from_numpy(to_mosaic).view(mosaic.shape)
    return found


@lru_cache(maxsize=64)
def _wanted(names: frozenset[str]) -> driver.Wanted:
    """The sums that tasks have to make for gradients of these names."""
    stages = {name.partition(".")[0] for name in names}
    return driver.Wanted(
        gamma="gamma" in stages,
        color=not stages.isdisjoint({"white_balance", "color_correction"}),
        sharpen="sharpen" in stages,
        denoise="denoise" in stages,
        kernels="demosaic" in stages,
        black="black_level" in stages,
        mosaic="mosaic" in stages,
    )


def _of_numbers(plan: Plan, totals: Array) -> Numbers:
    """Gradients of `plan.Numbers` from totals of kernels, float64."""

    def at(first: int, *shape: int) -> Array:
        return totals[first : first + math.prod(shape)].reshape(shape)

    color = at(rows.COLOR, 3, 3)
    if len(plan.planes) == 3:
        color = YUV_FROM_RGB.T @ color
    kernels = at(rows.KERNELS, *plan.kernels.shape)
    if plan.layout.demosaic == "Menon2007":
        kernels[1] += plan.kernels[2, 2] * at(menon.THIRDS, 5)
    # The unsharp mask is y + amount * (y - b), where b is blurred along rows and columns: "keep"
    # sums gradients times y, "blur" those of the taps in b, of both blurs.
    blur = at(rows.BLUR, len(plan.blur))
    black, products = at(rows.BLACK, 2, 2, 2).transpose(2, 0, 1)
    return Numbers(
        black=-black / plan.span,  # mosaic = (raw - black) / span
        span=-products / plan.span,
        kernels=kernels,
        color=color,
        sharpen=at(rows.SHARPEN, 3, 3),
        blur=-plan.amount * blur,
        amount=at(rows.KEEP) - plan.blur @ blur / 2,
        denoise=at(rows.DENOISE, 5, 5),
        exponent=at(rows.EXPONENT) * math.log(2),
    )
