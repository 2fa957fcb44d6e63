"""Gamma correction."""

from typing import Any, final

import torch
from torch import Tensor

from rawdrift.isp.constants import SLOPE_FLOOR
from rawdrift.isp.number import Number, outside, relative
from rawdrift.isp.step import Step


@final
class Gamma(Step):
    """Gamma correction (eqs. 28-29): v = clip(x, 0, 1) ** (1 / gamma), element-wise.

    Shape (..., 3, H, W) is kept. The value is exact. The gradient is finite everywhere: below
    2**-16 it is that at 2**-16.
    """

    reach = 0
    stage = "gamma"
    numbers = {
        "gamma": Number(
            camera="gamma",
            default=2.2,
            # 2.2 with a fifth: 1.76 to 2.64, from the 1.8 of old screens to the 2.6 of cinemas.
            drift=relative(0.2),
            above=0.0,
            implausible=outside(0.5, 5.0),  # displays and their inverses, with room
        )
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        exponent = (1 / self.gamma).to(x)
        return _ClippedPower.apply(x, exponent)  # type: ignore[no-any-return]


class _ClippedPower(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, exponent: Tensor) -> Tensor:
        return x.clamp(0, 1).pow(exponent)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, exponent, output = ctx.saved_tensors
        base = x.clamp(SLOPE_FLOOR, 1)
        grad_x = grad_exponent = None
        if ctx.needs_input_grad[0]:
            inside = (x >= 0) & (x <= 1)
            grad_x = torch.where(inside, grad * exponent * base.pow(exponent - 1), 0)
        if ctx.needs_input_grad[1]:
            grad_exponent = (grad * output * base.log()).sum()
        return grad_x, grad_exponent
