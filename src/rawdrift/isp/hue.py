"""Hue."""

from typing import final

import torch
from torch import Tensor

from rawdrift.isp.number import Number, absolute
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB, mix


@final
class Hue(Step):
    """Every color turned around gray by an angle, in the plane of U and V; the luma stays.

    angle: in degrees. Shape (..., 3, H, W) is kept.
    """

    reach = 0
    numbers = {"angle": Number(camera="hue", default=0.0, drift=absolute(10.0), unit="degrees")}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return mix(turned(self.angle), x)


def turned(degrees: Tensor) -> Tensor:
    """Return the matrix (3, 3) of RGB that turns the plane of U and V; Y stays."""
    angle = torch.deg2rad(degrees)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    turn = torch.stack(
        [one, zero, zero, zero, angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos()]
    ).view(3, 3)
    matrix: Tensor = RGB_FROM_YUV.to(turn) @ turn @ YUV_FROM_RGB.to(turn)
    return matrix
