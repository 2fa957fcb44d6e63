"""Lens shading correction by a radial polynomial."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.checks import InputError, numbers
from rawdrift.isp.number import Number, Option, absolute
from rawdrift.isp.step import Kind, Part, Step, Window


def _check_center(name: str, value: object) -> tuple[float, ...]:
    center = numbers(name, value, 2)
    if not all(0 <= place <= 1 for place in center):
        raise InputError(f"{name} must be shares of height and width, 0 to 1, got {list(center)}")
    return center


@final
class RadialShading(Step):
    """v = x * (1 + k[0] r**2 + k[1] r**4 + ...), where r is the distance from the optical center, 1
    in the farthest corner, as the FixVignetteRadial of a DNG file.

    coefficients: (K,) of any number of terms. center: (down, across) in shares of the frame. Mosaic
    (..., H, W) of the whole frame to mosaic.
    """

    reach = 0
    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {"center": Option(default=(0.5, 0.5), check=_check_center)}
    numbers = {
        "coefficients": Number(
            shape=(None,),
            camera="radial_shading",
            drift=absolute(0.05),
            label="radial shading",
        )
    }

    def setup(self) -> None:
        if not len(self.coefficients):
            raise InputError("RadialShading.coefficients must be one number or more, got none")

    def within(self, window: Window) -> Step:
        return Part(self, window)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return self.at(x, Window(0, 0, *x.shape[-2:]))

    def at(self, x: Tensor, window: Window) -> Tensor:
        """Correct a part of a frame; see `Step.within`."""
        sizes = window.height, window.width
        starts = window.top, window.left
        down, across = (
            ((torch.arange(start, start + count, device=x.device).double() + 0.5) / size - middle)
            * size
            for start, count, size, middle in zip(
                starts, x.shape[-2:], sizes, self.center, strict=True
            )
        )
        corner = [max(m, 1 - m) * s for s, m in zip(sizes, self.center, strict=True)]
        square = (down[:, None] ** 2 + across**2) / (corner[0] ** 2 + corner[1] ** 2)
        gain = torch.zeros_like(square)
        for coefficient in reversed(self.coefficients.unbind()):
            gain = (gain + coefficient) * square
        return x * (1 + gain).to(x)
