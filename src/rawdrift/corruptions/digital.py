"""Identity, pixelation and JPEG for views (N, 3, H, W); the streams are not used."""

from torch import Tensor

from rawdrift.corruptions import kernels
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams
from rawdrift.jpeg import compress


@corruption(small={}, imagenet={})
def identity(views: Tensor, streams: Streams) -> Tensor:
    """Return the views unchanged."""
    return views


@corruption(
    small={"scale": (0.95, 0.9, 0.85, 0.75, 0.65)}, imagenet={"scale": (0.6, 0.5, 0.4, 0.3, 0.25)}
)
def pixelate(views: Tensor, streams: Streams, out: Tensor, scale: float) -> Tensor:
    """Reduce to `scale` of the rows and columns by the mean of each box, and enlarge again.

    As in Pillow, whose boxes share no pixels.
    """
    rows, columns = (max(int(n * scale), 1) for n in views.shape[-2:])
    for image, new in zip(views.numpy(), out.numpy(), strict=True):
        kernels.pixelate(image, new, rows, columns)
    return out


@corruption(small={"quality": (80, 65, 58, 50, 40)}, imagenet={"quality": (25, 18, 15, 10, 7)})
def jpeg_compression(views: Tensor, streams: Streams, out: Tensor, quality: float) -> Tensor:
    """Encode as 8-bit JPEG, with colors at half the resolution, and decode, on the CPU."""
    compress(views, out, int(quality), "420")
    return out
