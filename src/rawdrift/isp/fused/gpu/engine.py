"""Views of any mosaic, some images at a time."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rawdrift.isp.fused.gpu.forward import forward
from rawdrift.isp.fused.gpu.numbers import layout_of, numbers_of
from rawdrift.isp.fused.plan import CannotFuseError
from rawdrift.isp.step import Step

_PIXELS = 2**24  # in work at a time, if images are not larger: bounds the memory between kernels


def develop(steps: Sequence[Step], mosaic: Tensor, bit_depth: int) -> Tensor:
    """The view (..., 3, H, W) of a mosaic (..., H, W) by steps in the usual order.

    mosaic: float32 in [0, 1], or uint8 or uint16 of that bit depth, on a GPU; in Triton's
    interpreter, on the CPU.

    Raises CannotFuseError where the steps must run one by one.
    """
    if mosaic.shape[-2] * mosaic.shape[-1] * 3 >= 2**31:
        raise CannotFuseError("the mosaic has more pixels than 32 bits can count")
    layout, numbers = layout_of(tuple(steps)), numbers_of(tuple(steps), mosaic.device)
    images = mosaic.reshape(-1, *mosaic.shape[-2:]).contiguous()
    out = torch.empty(len(images), 3, *images.shape[1:], device=mosaic.device)
    for some in _parts(images):
        forward(out[some], images[some], float(2**bit_depth - 1), numbers, layout)
    return out.view(*mosaic.shape[:-2], 3, *mosaic.shape[-2:])


def _parts(images: Tensor) -> Iterator[slice]:
    count = max(1, _PIXELS // images[0].numel()) if len(images) else 1
    for first in range(0, len(images), count):
        yield slice(first, first + count)
