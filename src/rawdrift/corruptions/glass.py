"""Glass blur of views (N, 3, H, W): pixels that change places between two blurs."""

import torch
from torch import Tensor

from rawdrift.borders import blurred
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams, integers


@corruption(
    small={
        "sigma": (0.05, 0.25, 0.4, 0.25, 0.4),
        "reach": (1, 1, 1, 1, 1),
        "passes": (1, 1, 1, 2, 2),
    },
    imagenet={
        "sigma": (0.7, 0.9, 1, 1.1, 1.5),
        "reach": (1, 2, 2, 3, 4),
        "passes": (2, 1, 3, 2, 2),
    },
)
def glass_blur(
    views: Tensor, streams: Streams, sigma: float, reach: float, passes: float
) -> Tensor:
    """Gaussian blur, a local shuffle in several passes, and Gaussian blur again.

    A pass goes through the inner pixels from the last to the first and gives each the current value
    of a neighbor, -reach to reach - 1 rows and columns away. (The published code means to swap the
    two, but its assignment copies one, and the published data were made that way.)
    """
    views, reach = blurred(views, sigma), int(reach)
    count, _, height, width = views.shape
    inner = (2, max(height - 2 * reach, 0), max(width - 2 * reach, 0))
    source = torch.arange(count * height * width, device=views.device)
    for _ in range(int(passes)):
        offsets = integers(inner, streams, -reach, reach)
        source = source.index_select(0, shuffle(offsets, reach, height, width))
    pixel = source.view(count, height * width) % (height * width)
    shuffled = views.flatten(-2).gather(-1, pixel[:, None].expand(-1, 3, -1))
    return blurred(shuffled.view_as(views), sigma)


def shuffle(offsets: Tensor, reach: int, height: int, width: int) -> Tensor:
    """Return the pixel that each pixel's value comes from after one pass: (N * H * W,) indices.

    offsets: (N, 2, H - 2 reach, W - 2 reach), rows and columns to each inner pixel's neighbor.

    A pixel that copies from one that the pass has visited gets what that one got before, and so on
    along a chain. All chains are followed at once, twice as far in each round.
    """
    count = len(offsets)
    pixels = torch.arange(count * height * width, device=offsets.device).view(count, height, width)
    changed = torch.zeros_like(pixels, dtype=torch.bool)
    # The pass begins at (H - reach, W - reach) and ends at (reach + 1, reach + 1).
    rows, columns = (slice(reach + 1, max(n - reach, reach) + 1) for n in (height, width))
    core = (slice(None), rows, columns)
    changed[core] = True
    source = pixels.clone()
    source[core] += offsets[:, 0] * width + offsets[:, 1]
    source, changed = source.flatten(), changed.flatten()
    chained = (source > pixels.flatten()) & changed.index_select(0, source)
    while len(links := chained.nonzero().squeeze(1)):
        previous = source[links]
        source[links], chained[links] = source[previous], chained[previous]
    return source
