"""Identity, pixelation and JPEG for views (N, 3, H, W); the streams are not used."""

import torch
from torch import Tensor

from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams
from rawdrift.jpeg import compressed


@corruption(small={}, imagenet={})
def identity(views: Tensor, streams: Streams) -> Tensor:
    """Return the views unchanged."""
    return views


@corruption(
    small={"scale": (0.95, 0.9, 0.85, 0.75, 0.65)}, imagenet={"scale": (0.6, 0.5, 0.4, 0.3, 0.25)}
)
def pixelate(views: Tensor, streams: Streams, scale: float) -> Tensor:
    """Reduce to `scale` of the rows and columns by the mean of each box, and enlarge again.

    As in Pillow, whose boxes share no pixels.
    """
    for axis in (-2, -1):
        n = views.shape[axis]
        boxes = max(int(n * scale), 1)
        place = 2 * torch.arange(n, device=views.device) + 1  # of pixel centers, in half pixels
        box = -(-place * boxes // (2 * n)) - 1  # a center on the line between two is the first's
        total = torch.zeros_like(views.narrow(axis, 0, boxes)).index_add_(axis, box, views)
        count = torch.bincount(box, minlength=boxes).view(-1, *[1] * (-1 - axis))
        views = (total / count).index_select(axis, place * boxes // (2 * n))
    return views


@corruption(small={"quality": (80, 65, 58, 50, 40)}, imagenet={"quality": (25, 18, 15, 10, 7)})
def jpeg_compression(views: Tensor, streams: Streams, quality: float) -> Tensor:
    """Encode as 8-bit JPEG, with colors at half the resolution, and decode, on the CPU."""
    return compressed(views, int(quality), "420")
