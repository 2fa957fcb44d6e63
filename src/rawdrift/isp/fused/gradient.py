"""Gradients of fused views: the forward pass keeps the mosaic and the numbers, nothing else."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from rawdrift.isp.fused.plan import NUMBERS, numbers
from rawdrift.isp.step import Step

_PIXELS = 2**18  # of a mosaic that the backward pass takes at a time, for each thread
_REACH = 16  # rows: even, and beyond all neighborhoods of a pipeline that is fused, together


def recorded(view: Tensor, steps: Sequence[Step], mosaic: Tensor) -> Tensor:
    """A view (..., 3, H, W) by these steps of a float mosaic, made differentiable in both.

    The backward pass runs the steps again, on one part of the mosaic after the other, and
    differentiates them: it needs the memory of one part only.
    """
    values = [value for step in steps for value in numbers(step)]
    found: Tensor = _Recomputed.apply(view, nn.Sequential(*steps), mosaic, *values)
    return found


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, view: Tensor, steps: nn.Sequential, mosaic: Tensor, *values: Tensor
    ) -> Tensor:
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
        totals = [torch.zeros_like(x) if x.requires_grad else None for x in inputs]
        mosaic, *values = inputs
        height, width = mosaic.shape[-2:]
        mosaics, grads = mosaic.view(-1, height, width), grad.reshape(-1, 3, height, width)
        to_mosaic = None if totals[0] is None else totals[0].view(-1, height, width)
        names = [f"{i}.{name}" for i, step in enumerate(ctx.steps) for name in NUMBERS[type(step)]]
        for images, part, inner in _parts(*mosaics.shape):
            x = mosaics[images, part].detach().requires_grad_(needed[0])
            with torch.enable_grad(), torch.autocast("cpu", enabled=False):
                view = functional_call(ctx.steps, dict(zip(names, values, strict=True)), x)
            outside = torch.zeros_like(view)
            outside[:, :, inner] = grads[images, :, part][:, :, inner]
            wanted = [v for v in (x, *values) if v.requires_grad]
            found = iter(torch.autograd.grad(view, wanted, outside, allow_unused=True))
            if to_mosaic is not None:
                to_mosaic[images, part] += next(found)
            for total in totals[1:]:
                change = None if total is None else next(found)
                if total is not None and change is not None:
                    total += change
        return None, None, *totals


def _parts(images: int, height: int, width: int) -> Iterator[tuple[slice, slice, slice]]:
    """Images, rows with their surroundings, and the rows in the midst of them that count."""
    rows = max(4 * _REACH, _PIXELS * torch.get_num_threads() // width)
    count = max(1, rows // height)
    for image in range(0, images, count):
        for first in range(0, height, rows):
            top, last = max(0, first - _REACH) // 2 * 2, min(height, first + rows)
            bottom = min(height, last + _REACH)
            yield (
                slice(image, image + count),
                slice(top, bottom),
                slice(first - top, last - top),
            )
