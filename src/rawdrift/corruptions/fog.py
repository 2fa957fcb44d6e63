"""Fog. Views (N, 3, H, W), a stream for each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rawdrift.corruptions import kernels
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams, uniform


@corruption(
    small={"strength": (0.2, 0.5, 0.75, 1, 1.5), "decay": (3, 3, 2.5, 2, 1.75)},
    imagenet={"strength": (1.5, 2, 2.5, 2.5, 3), "decay": (2, 2, 1.7, 1.5, 1.4)},
)
def fog(views: Tensor, streams: Streams, strength: float, decay: float) -> Tensor:
    """(x + strength cloud) max / (max + strength), with max the brightest sample of the image."""
    cloud = clouds(views.shape[-2:], streams, decay)[:, None]
    brightest = views.amax((-3, -2, -1), keepdim=True)
    foggy = torch.add(views, cloud.to(views), alpha=strength)
    return foggy.mul_(brightest / (brightest + strength))


def clouds(size: Sequence[int], streams: Streams, decay: float) -> Tensor:
    """Return clouds (N, H, W) in [0, 1], cut from a `plasma` as large as the next power of two."""
    height, width = size
    side = 2 ** (max(height, width, 2) - 1).bit_length()
    return plasma(uniform((side, side), streams, -1, 1), decay)[:, :height, :width]


def plasma(noise: Tensor, decay: float) -> Tensor:
    """Fractal clouds in [0, 1] by the diamond-square algorithm, on a torus.

    noise: (N, S, S) uniform in [-1, 1], S a power of two. Each point is the mean of four neighbors
    plus its own noise, which falls by decay ** 2 from a scale to the one half as large.
    """
    return kernels.each(kernels.plasma, noise, decay)
