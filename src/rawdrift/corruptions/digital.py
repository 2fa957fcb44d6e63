"""Identity of views (N, 3, H, W), and pixelation and JPEG of an image (3, H, W)."""

from torch import Tensor

from rawdrift.corruptions import kernels
from rawdrift.corruptions.declaration import corruption, filling
from rawdrift.corruptions.streams import Streams
from rawdrift.jpeg import compress
from rawdrift.machine import Array


@corruption(small={}, imagenet={})
def identity(views: Tensor, streams: Streams) -> Tensor:
    """Return the views unchanged."""
    return views


@filling(
    small={"scale": (0.95, 0.9, 0.85, 0.75, 0.65)}, imagenet={"scale": (0.6, 0.5, 0.4, 0.3, 0.25)}
)
def pixelate(image: Array, out: Array, scale: float) -> bool:
    """Reduce to `scale` of the rows and columns by the mean of each box, and enlarge again.

    As in Pillow, whose boxes share no pixels. A pixel whose center is on the line between two boxes
    counts in the first and is filled by the second; Pillow places it by rounding.
    """
    _, height, width = image.shape
    return kernels.pixelate(image, out, max(int(height * scale), 1), max(int(width * scale), 1))


@filling(small={"quality": (80, 65, 58, 50, 40)}, imagenet={"quality": (25, 18, 15, 10, 7)})
def jpeg_compression(image: Array, out: Array, quality: float) -> bool:
    """Encode as 8-bit JPEG, with colors at half the resolution, and decode."""
    return compress(image, out, int(quality), "420")
