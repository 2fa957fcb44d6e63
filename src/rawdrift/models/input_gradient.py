"""A cheaper gradient by the input of networks that begin with a strided convolution."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEW = 4  # input channels, for which the gradient of oneDNN is slow


@contextmanager
def cheap(net: nn.Module) -> Iterator[None]:
    """Compute the gradient by the input of the first convolution of `net` at a third of the cost on
    a CPU, inside the block.

    For a stride s, the gradient is a convolution of stride 1 to s * s times the channels, which are
    then put in order (Shi et al. 2016, "sub-pixel convolution"). It agrees to rounding; everything
    else stays the same to the last bit.
    """
    convolution = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if convolution is None or not _fits(convolution):
        yield
        return
    convolution.forward = partial(_forward, convolution)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del convolution.forward


def _fits(module: nn.Conv2d) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.in_channels <= FEW
        and module.stride[0] == module.stride[1] > 1
        and module.dilation == (1, 1)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def _forward(module: nn.Conv2d, x: Tensor) -> Tensor:
    weight, bias = module.weight, module.bias
    if not (x.requires_grad and x.device.type == "cpu" and x.ndim == 4):
        return nn.Conv2d.forward(module, x)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, weight, bias, module.stride[0], module.padding)
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.steps, ctx.bias = (stride, padding), None if bias is None else bias.shape
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, *needs = ctx.needs_input_grad[:3]
        by_x = _by_input(grad, weight, x.shape[-2:], *ctx.steps) if needs_x else None
        stride, padding = ctx.steps
        _, by_weight, by_bias = torch.ops.aten.convolution_backward(
            grad, x, weight, ctx.bias, [stride] * 2, padding, [1, 1], False, [0, 0], 1,
            [False, *needs],
        )  # fmt: skip
        return by_x, by_weight, by_bias, None, None


def _by_input(
    grad: Tensor, weight: Tensor, size: torch.Size, stride: int, padding: tuple[int, int]
) -> Tensor:
    """Return the gradient by the input (N, C, *size) from that by the output (N, O, h, w).

    weight: (O, C, kh, kw). Its tap k connects output o with input stride * o - padding + k. The
    kernel is widened so that padding and size are multiples of the stride; then k = stride * a + b,
    and input stride * j + b gets the gradient of output j - a + padding / stride.
    """
    edges: list[int] = []
    starts: list[int] = []
    for length, pad in zip(weight.shape[:1:-1], padding[::-1], strict=True):
        before = -pad % stride
        edges += [before, -(before + length) % stride]
        starts.insert(0, (pad + before) // stride)
    wide = F.pad(weight, edges)
    taps = F.pixel_unshuffle(wide, stride).contiguous(memory_format=torch.channels_last)
    cells = F.conv_transpose2d(grad, taps)
    rows, columns = (-(-length // stride) for length in size)
    top, left = starts
    missing = (left + columns - cells.shape[3], top + rows - cells.shape[2])
    cells = F.pad(cells, (0, max(0, missing[0]), 0, max(0, missing[1])))
    cells = cells[:, :, top : top + rows, left : left + columns]
    return F.pixel_shuffle(cells, stride)[:, :, : size[0], : size[1]]
