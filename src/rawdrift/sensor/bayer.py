"""The color filter array: what each pixel sees."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rawdrift.cfa import MONO, Pattern, layout, sampled


def mosaic(light: Tensor, cfa: Pattern) -> Tensor:
    """Return (..., H, W): at each pixel of (..., 3, H, W) the channel of its filter.

    The channels are the planes of the pattern, in its order (R, G, B; R, C, B of "RCCB"). A filter
    that is none of them, the white one beside R, G and B, passes their sum; a monochrome sensor
    sees the mean.
    """
    height, width, _, planes, places = layout(cfa)
    if cfa == MONO:
        return light.mean(-3)
    filtered = torch.empty_like(light[..., 0, :, :])
    for _, row, column, color in places:
        seen = light[..., row::height, column::width]
        at = (..., slice(row, None, height), slice(column, None, width))
        filtered[at] = seen[..., planes.index(color), :, :] if color in planes else seen.sum(-3)
    return filtered


def plane(values: Sequence[float], cfa: Pattern, like: Tensor) -> Tensor:
    """Return (H, W), the last axes of `like`, with the value of its site at each pixel.

    values: of R, G in red rows, G in blue rows, B; of the sites of the pattern.
    """
    filled = like.new_empty(like.shape[-2:])
    for site, pixels in sampled(filled, cfa):
        pixels[...] = values[site]
    return filled
