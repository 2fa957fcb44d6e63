"""Median denoising."""

from typing import final

import torch
from torch import Tensor

from rawdrift.isp.step import Step
from rawdrift.isp.yuv import CHANNELS_OPTION, filtered
from rawdrift.neighborhood import extend


@final
class MedianDenoising(Step):
    """Median of the 3x3 neighborhood of Y (eq. 27). Shape (..., 3, H, W) is kept."""

    reach = 1
    stage = "denoise"
    options = {"channels": CHANNELS_OPTION}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return filtered(x, self.channels, median3x3)


def median3x3(y: Tensor) -> Tensor:
    """Median of nine by comparisons alone: sort columns, then combine three neighbors of each rank.

    The median of nine is the median of the largest minimum, the middle median and the smallest
    maximum of the three sorted columns (Paeth, "Median finding on a 3x3 grid", Graphics Gems,
    1990).
    """
    y = extend(y, 1, 1)
    top, middle, bottom = y[..., :-2, :], y[..., 1:-1, :], y[..., 2:, :]
    low, high = torch.minimum(top, middle), torch.maximum(top, middle)
    lows, mids, highs = (
        torch.minimum(low, bottom),
        torch.maximum(low, torch.minimum(high, bottom)),
        torch.maximum(high, bottom),
    )
    return _median3(
        torch.maximum(torch.maximum(lows[..., :-2], lows[..., 1:-1]), lows[..., 2:]),
        _median3(mids[..., :-2], mids[..., 1:-1], mids[..., 2:]),
        torch.minimum(torch.minimum(highs[..., :-2], highs[..., 1:-1]), highs[..., 2:]),
    )


def _median3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.maximum(low, torch.minimum(high, c))
