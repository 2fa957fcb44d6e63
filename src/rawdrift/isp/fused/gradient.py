"""Gradients of fused views: the forward pass keeps the mosaic and the numbers, nothing else."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.fused.plan import NUMBERS, Plan, numbers
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance
from rawdrift.neighborhood import gaussian_taps

# What the kernels' gradients are called by the steps that they are of; any other demosaics.
_NAMES: dict[type[Step], str] = {
    BlackLevel: "black",
    WhiteBalance: "color",
    ColorCorrection: "color",
    SharpeningFilter: "sharpen",
    UnsharpMask: "sharpen",
    GaussianDenoising: "denoise",
    Gamma: "gamma",
}


def recorded(
    view: Tensor, plan: Plan, steps: Sequence[Step], mosaic: Tensor, bit_depth: int
) -> Tensor:
    """A view (..., 3, H, W) by these steps of a mosaic, made differentiable in both.

    plan: that of the steps.
    """
    values = [value for step in steps for value in numbers(step)]
    found: Tensor = _Developed.apply(view, plan, tuple(steps), bit_depth, mosaic, *values)
    return found


class _Developed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        view: Tensor,
        plan: Plan,
        steps: tuple[Step, ...],
        bit_depth: int,
        mosaic: Tensor,
        *values: Tensor,
    ) -> Tensor:
        ctx.plan, ctx.bit_depth = plan, bit_depth
        ctx.names = [(type(step), name) for step in steps for name in NUMBERS[type(step)]]
        ctx.black = steps[0]
        ctx.save_for_backward(mosaic, *values)
        return view.view_as(view)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from rawdrift.isp.fused.cpu_back import gradients

        mosaic, *values = ctx.saved_tensors
        of_mosaic, *of_values = ctx.needs_input_grad[4:]
        wanted = {
            _NAMES.get(kind, "kernels")
            for (kind, _), needed in zip(ctx.names, of_values, strict=True)
            if needed
        }
        found = gradients(
            ctx.plan, mosaic, ctx.bit_depth, grad, wanted | ({"mosaic"} if of_mosaic else set())
        )
        named = dict(zip(ctx.names, (value.detach() for value in values), strict=True))
        totals = _of_values(found, named, ctx.black)
        return (
            None,
            None,
            None,
            None,
            found["mosaic"] if of_mosaic else None,
            *(
                totals[name].to(value.dtype).view_as(value) if needed else None
                for (name, value), needed in zip(named.items(), of_values, strict=True)
            ),
        )


def _of_values(
    found: dict[str, Tensor], values: dict[tuple[type[Step], str], Tensor], black: BlackLevel
) -> dict[tuple[type[Step], str], Tensor]:
    """Gradients of the steps' numbers from those of the kernels' numbers, float64."""
    totals = {}
    for (kind, name), value in values.items():
        if kind is BlackLevel:
            sums, products = found["black"].unbind(-1)
            sites = -sums
            if black.white is not None:  # x = (raw - black) / (white - black)
                sites = (products - sums) / (black.white - value.double()[black.sites])
            of_value = sites.new_zeros(4).index_add_(0, black.sites.flatten(), sites.flatten())
        elif kind is WhiteBalance:
            of_value = (found["color"] * values[ColorCorrection, "matrix"]).sum(0)
        elif kind is ColorCorrection:
            of_value = found["color"] * values[WhiteBalance, "gains"]
        elif kind is UnsharpMask:
            radius, amount = values[kind, "radius"].double(), values[kind, "amount"]
            if name == "radius":
                of_value = _of_radius(found, radius, amount)
            else:
                of_value = _of_amount(found, radius)
        elif kind is Gamma:
            of_value = -found["gamma"] / value.double() ** 2
        else:
            of_value = found[_NAMES.get(kind, "kernels")]
        totals[kind, name] = of_value
    return totals


# The unsharp mask is y + amount * (y - b), where b is blurred along rows and columns: "keep" sums
# gradients times y, "blur" the gradients of the taps in b, of both blurs.


def _of_radius(found: dict[str, Tensor], radius: Tensor, amount: Tensor) -> Tensor:
    with torch.enable_grad():
        radius = radius.clone().requires_grad_()
        taps = gaussian_taps(radius)
        side = taps[len(taps) // 2 :]
        (of_radius,) = torch.autograd.grad(side, radius, -amount * found["blur"][: len(side)])
    return of_radius


def _of_amount(found: dict[str, Tensor], radius: Tensor) -> Tensor:
    taps = gaussian_taps(radius)
    side = taps[len(taps) // 2 :]
    return found["keep"] - (side * found["blur"][: len(side)]).sum() / 2
