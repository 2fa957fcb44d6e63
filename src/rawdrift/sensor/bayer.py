"""The color filter array: each pixel sees one channel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rawdrift.cfa import Pattern, offsets

_CHANNELS = (0, 1, 1, 2)  # of R, G in red rows, G in blue rows, B


def mosaic(light: Tensor, cfa: Pattern) -> Tensor:
    """Return (..., H, W): at each pixel of (..., 3, H, W) the channel of its filter."""
    filtered = torch.empty_like(light[..., 0, :, :])
    for channel, (row, column) in zip(_CHANNELS, offsets(cfa), strict=True):
        filtered[..., row::2, column::2] = light[..., channel, row::2, column::2]
    return filtered


def plane(values: Sequence[float], cfa: Pattern, like: Tensor) -> Tensor:
    """Return (H, W), the last axes of `like`, with the value of its site at each pixel.

    values: of R, G in red rows, G in blue rows, B.
    """
    filled = like.new_empty(like.shape[-2:])
    for value, (row, column) in zip(values, offsets(cfa), strict=True):
        filled[row::2, column::2] = value
    return filled
