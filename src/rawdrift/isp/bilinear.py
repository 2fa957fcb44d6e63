"""Bilinear demosaicing."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import offsets
from rawdrift.isp.kernels import demosaicing
from rawdrift.isp.sites import BAYER_OPTION
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import correlate

KERNELS = (
    ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25)),
    ((0.0, 0.25, 0.0), (0.25, 1.0, 0.25), (0.0, 0.25, 0.0)),
    ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25)),
)


@final
class Bilinear(Step):
    """Each color's samples, spread over the mosaic with zeros between, correlated with its kernel.

    kernels: (3, 3, 3), one 3x3 kernel each for R, G, B (eqs. 33-35).
    Mosaic (..., H, W) to view (..., 3, H, W).
    """

    reach = 1
    takes: ClassVar[Kind] = "mosaic"
    stage = "demosaic"
    options = {"cfa": BAYER_OPTION}
    numbers = {"kernels": demosaicing(KERNELS)}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        red, green_red, green_blue, blue = offsets(self.cfa)
        colors = []
        for sites, kernel in zip(
            ([red], [green_red, green_blue], [blue]), self.kernels, strict=True
        ):
            samples = torch.zeros_like(x)
            for row, column in sites:
                samples[..., row::2, column::2] = x[..., row::2, column::2]
            colors.append(correlate(samples, kernel))
        return torch.stack(colors, dim=-3)
