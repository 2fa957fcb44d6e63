"""Views of any mosaic, some images at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rawdrift.isp.fused.gpu.backward import backward
from rawdrift.isp.fused.gpu.forward import forward
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers, layout_of, numbers_of
from rawdrift.isp.fused.plan import CannotFuseError
from rawdrift.isp.step import Step

_PIXELS = 2**22  # in work at a time, if images are not larger: bounds the memory between kernels


def develop(steps: Sequence[Step], mosaic: Tensor, bit_depth: int) -> Tensor:
    """The view (..., 3, H, W) of a mosaic (..., H, W), not empty, by steps in the usual order.

    mosaic: float32 in [0, 1], or uint8 or uint16 of that bit depth, on a GPU; in Triton's
    interpreter, on the CPU.

    Raises CannotFuseError where the steps must run one by one.
    """
    if mosaic.shape[-2] * mosaic.shape[-1] * 3 >= 2**31:
        raise CannotFuseError("the mosaic has more pixels than 32 bits can count")
    layout, numbers = layout_of(tuple(steps)), numbers_of(tuple(steps), mosaic.device)
    images = mosaic.reshape(-1, *mosaic.shape[-2:]).contiguous()
    views: Tensor = _Developed.apply(layout, float(2**bit_depth - 1), images, *numbers)
    return views.view(*mosaic.shape[:-2], 3, *mosaic.shape[-2:])


class _Developed(torch.autograd.Function):
    """Views (N, 3, H, W) of mosaics (N, H, W): keeps these and the numbers, nothing else."""

    @staticmethod
    def forward(ctx: Any, layout: Layout, full: float, images: Tensor, *numbers: Tensor) -> Tensor:
        ctx.layout, ctx.full = layout, full
        ctx.save_for_backward(images, *numbers)
        out = torch.empty(len(images), 3, *images.shape[1:], device=images.device)
        for some in _parts(images):
            forward(out[some], images[some], full, Numbers._make(numbers), layout)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        images, *numbers = ctx.saved_tensors
        names = ("mosaic", *Numbers._fields)
        needed = {name for name, need in zip(names, ctx.needs_input_grad[2:], strict=True) if need}
        to_images = torch.empty_like(images) if "mosaic" in needed else None
        totals: dict[str, Tensor] = {}
        for some in _parts(images):
            found = backward(
                grad[some].contiguous(),
                images[some],
                ctx.full,
                Numbers._make(numbers),
                ctx.layout,
                needed,
            )
            if to_images is not None:
                to_images[some] = found["mosaic"]
            for name in needed - {"mosaic"}:
                totals[name] = found[name] + totals.get(name, 0)
        of_numbers = (
            totals[name].to(x.dtype) if name in needed else None
            for name, x in zip(Numbers._fields, numbers, strict=True)
        )
        return None, None, to_images, *of_numbers


def _parts(images: Tensor) -> Iterator[slice]:
    count = max(1, _PIXELS // images[0].numel())
    for first in range(0, len(images), count):
        yield slice(first, first + count)
