"""Contrast, brightness and saturation of views (N, 3, H, W); the streams are not used.

Brightness is the V and saturation the S of HSV, which need no hue: with V = max(R, G, B) and
m = min(R, G, B), a channel is x = V (1 - S f), where f = (V - x) / (V - m) is hue alone.
"""

import torch
from torch import Tensor

from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams


@corruption(
    small={"factor": (0.75, 0.5, 0.4, 0.3, 0.15)}, imagenet={"factor": (0.4, 0.3, 0.2, 0.1, 0.05)}
)
def contrast(views: Tensor, streams: Streams, factor: float) -> Tensor:
    """mean + factor (x - mean), with the mean of each channel of each image."""
    mean = views.mean((-2, -1), keepdim=True)
    return torch.lerp(mean, views, factor)


@corruption(
    small={"offset": (0.05, 0.1, 0.15, 0.2, 0.3)}, imagenet={"offset": (0.1, 0.2, 0.3, 0.4, 0.5)}
)
def brightness(views: Tensor, streams: Streams, offset: float) -> Tensor:
    """V becomes V + offset, at most 1; hue and saturation stay. Black becomes gray."""
    value = views.amax(-3, keepdim=True)
    brighter = (value + offset).clamp_(max=1)
    return torch.where(value > 0, views * (brighter / value), brighter)


@corruption(
    small={"factor": (0.3, 0.1, 1.5, 2, 2.5), "offset": (0, 0, 0, 0.1, 0.2)},
    imagenet={"factor": (0.3, 0.1, 2, 5, 20), "offset": (0, 0, 0, 0.1, 0.2)},
)
def saturate(views: Tensor, streams: Streams, factor: float, offset: float) -> Tensor:
    """S becomes factor S + offset, in [0, 1]; hue and V stay.

    Gray has no hue. As published, it gets that of red, so an offset tints it.
    """
    low, value = views.amin(-3, keepdim=True), views.amax(-3, keepdim=True)
    chroma = value - low
    saturation = (chroma / value.clamp(min=torch.finfo(views.dtype).tiny)) * factor + offset
    depth = value * saturation.clamp_(0, 1)
    share = (value - views) / chroma
    red = torch.tensor([0, 1, 1]).to(views).view(3, 1, 1)
    return value - depth * torch.where(chroma > 0, share, red)
