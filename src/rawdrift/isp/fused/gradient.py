"""Gradients of fused views: the forward pass keeps the mosaic and the numbers, nothing else."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from rawdrift.isp.fused.plan import NUMBERS, numbers
from rawdrift.isp.step import Step


def recorded(view: Tensor, steps: Sequence[Step], mosaic: Tensor) -> Tensor:
    """A view (..., 3, H, W) by these steps of a float mosaic, made differentiable in both.

    The backward pass runs the steps again and differentiates them: it needs their memory, but for
    its own time only.
    """
    values = [value for step in steps for value in numbers(step)]
    recorded: Tensor = _Recomputed.apply(view, nn.Sequential(*steps), mosaic, *values)
    return recorded


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, view: Tensor, steps: nn.Sequential, mosaic: Tensor, *values: Tensor
    ) -> Any:
        ctx.steps = steps
        ctx.save_for_backward(mosaic, *values)
        return view.view_as(view)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[2:]
        inputs = [
            x.detach().requires_grad_(need)
            for x, need in zip(ctx.saved_tensors, needed, strict=True)
        ]
        names = [f"{i}.{name}" for i, step in enumerate(ctx.steps) for name in NUMBERS[type(step)]]
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            view = functional_call(ctx.steps, dict(zip(names, inputs[1:], strict=True)), inputs[0])
        found = iter(
            torch.autograd.grad(
                view, [x for x in inputs if x.requires_grad], grad, allow_unused=True
            )
        )
        return None, None, *(next(found) if need else None for need in needed)
