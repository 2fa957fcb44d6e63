"""Demosaicing of Malvar, He and Cutler."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.isp.kernels import demosaicing
from rawdrift.isp.sites import BAYER_OPTION, Sites
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import correlate

_FROM_ROW = (
    (0.0, 0.0, 0.0625, 0.0, 0.0),
    (0.0, -0.125, 0.0, -0.125, 0.0),
    (-0.125, 0.5, 0.625, 0.5, -0.125),
    (0.0, -0.125, 0.0, -0.125, 0.0),
    (0.0, 0.0, 0.0625, 0.0, 0.0),
)
KERNELS = (
    (
        (0.0, 0.0, -0.125, 0.0, 0.0),
        (0.0, 0.0, 0.25, 0.0, 0.0),
        (-0.125, 0.25, 0.5, 0.25, -0.125),
        (0.0, 0.0, 0.25, 0.0, 0.0),
        (0.0, 0.0, -0.125, 0.0, 0.0),
    ),
    _FROM_ROW,
    tuple(zip(*_FROM_ROW, strict=True)),
    (
        (0.0, 0.0, -0.1875, 0.0, 0.0),
        (0.0, 0.25, 0.0, 0.25, 0.0),
        (-0.1875, 0.0, 0.75, 0.0, -0.1875),
        (0.0, 0.25, 0.0, 0.25, 0.0),
        (0.0, 0.0, -0.1875, 0.0, 0.0),
    ),
)


@final
class Malvar2004(Step):
    """Linear 5x5 interpolation that lets each color follow the others' Laplacian.

    kernels: (4, 5, 5): green at red and blue; red or blue at green, from its row; the same from its
    column; red at blue and blue at red. Mosaic (..., H, W) to view (..., 3, H, W).
    Source: Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of
    Bayer-patterned color images", ICASSP 2004, with its gains 1/2, 5/8, 3/4.
    """

    reach = 2
    takes: ClassVar[Kind] = "mosaic"
    stage = "demosaic"
    options = {"cfa": BAYER_OPTION}
    numbers = {"kernels": demosaicing(KERNELS)}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        at = Sites.of(self.cfa, x)
        green, from_row, from_column, across = correlate(x, self.kernels)
        at_green = at.green_in_red_rows | at.green_in_blue_rows

        def color(own: Tensor, in_row: Tensor, in_column: Tensor) -> Tensor:
            at_greens = torch.where(in_row, from_row, torch.where(in_column, from_column, across))
            return torch.where(own, x, at_greens)

        return torch.stack(
            [
                color(at.red, at.green_in_red_rows, at.green_in_blue_rows),
                torch.where(at_green, x, green),
                color(at.blue, at.green_in_blue_rows, at.green_in_red_rows),
            ],
            dim=-3,
        )
