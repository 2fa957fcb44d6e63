"""JPEG compression."""

from typing import Any, final

import torch
from torch import Tensor

from rawdrift.checks import InputError, whole
from rawdrift.isp.number import Option
from rawdrift.isp.step import Step


def _check_quality(name: str, value: object) -> int:
    quality = whole(name, value, least=1)
    if quality > 100:
        raise InputError(f"{name} must be a whole number from 1 to 100, got {value!r}")
    return quality


@final
class JPEG(Step):
    """The view as an 8-bit JPEG file gives it back: clipped to [0, 1], bit by bit as libjpeg does.

    quality: 1 to 100, with libjpeg's tables. subsampling: of colors, "420", "422" or "444". Shape
    (..., 3, H, W) is kept. The value is exact, and computed on the CPU; the gradient is passed on
    as it is where the view is in [0, 1] (straight through).
    """

    reach = 16  # the blocks of colors, and what is interpolated between them
    options = {
        "quality": Option(default=90, check=_check_quality),
        "subsampling": Option(default="420", choices=("420", "422", "444")),
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        clipped = x.clamp(0, 1)
        return _Compressed.apply(clipped, self.quality, self.subsampling)  # type: ignore[no-any-return]


class _Compressed(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, quality: int, subsampling: str) -> Tensor:
        from rawdrift.jpeg import compressed  # kernels, loaded when they are used

        return compressed(x, quality, subsampling)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, *options: Any) -> tuple[Tensor, int]:
        return _Compressed.apply(x.movedim(in_dims[0], 0), *options), 0
