"""Elastic transform of views (N, 3, H, W)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.borders import blurred
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams, uniform


@corruption(
    small={
        "alpha": (0, 1.6, 2.56, 3.2, 3.2),
        "sigma": (0, 6.4, 1.92, 1.28, 0.96),
        "affine": (2.56, 2.24, 1.92, 1.6, 0.96),
    },
    imagenet={
        "alpha": (488, 488, 12.2, 17.08, 29.28),
        "sigma": (170.8, 19.52, 2.44, 2.44, 2.44),
        "affine": (24.4, 48.8, 4.88, 4.88, 4.88),
    },
)
def elastic_transform(
    views: Tensor, streams: Streams, alpha: float, sigma: float, affine: float
) -> Tensor:
    """A random affine map, then random displacements that are smooth over `sigma` pixels.

    affine: three points around the center move by up to this many pixels each way, and the view
    with them. alpha: the displacements are uniform noise in [-1, 1), blurred, times this number.
    Both sample bilinearly, with mirrored borders. A mask of the view does not move with it.
    """
    height, width = views.shape[-2:]
    moved = uniform((3, 2), streams, -affine, affine).double()
    x = torch.arange(width, device=views.device, dtype=views.dtype)
    y = torch.arange(height, device=views.device, dtype=views.dtype)[:, None]
    views = _sampled(views, *_before(moved, x, y), mirror_edge=False)
    if alpha == 0:
        return views
    noise = uniform((2, height, width), streams, -1, 1)
    fields = alpha * blurred(noise, sigma, truncate=3, border="symmetric")
    dx, dy = fields.to(views).unbind(1)
    return _sampled(views, x + dx, y + dy, mirror_edge=True)


def _before(moved: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return where pixels were before three points around the center moved: x, y, each (N, H, W).

    moved: (N, 3, 2) pixels, x before y. x, y: (W,) and (H, 1) pixels.
    """
    height, width = len(y), len(x)
    center = torch.tensor([width // 2, height // 2]).to(moved)
    corners = torch.tensor([[1, 1], [1, -1], [-1, -1]]).to(moved)
    points = center + min(height, width) // 3 * corners
    ones = moved.new_ones(len(moved), 3, 1)
    back = torch.linalg.solve(torch.cat([points + moved, ones], -1), points).to(x)
    (xx, xy), (yx, yy), (ox, oy) = (row.T[..., None, None] for row in back.unbind(1))
    return xx * x + yx * y + ox, xy * x + yy * y + oy


def _sampled(views: Tensor, x: Tensor, y: Tensor, mirror_edge: bool) -> Tensor:
    """Sample views (N, 3, H, W) bilinearly at x and y in pixels, each (N, H, W).

    Views are mirrored at the outer rim of the edge pixels (mirror_edge) or at their centers.
    """
    height, width = views.shape[-2:]
    if mirror_edge:
        grid = [(2 * place + 1) / n - 1 for place, n in ((x, width), (y, height))]
    else:
        grid = [2 * place / max(n - 1, 1) - 1 for place, n in ((x, width), (y, height))]
    return F.grid_sample(
        views,
        torch.stack(grid, -1),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=not mirror_edge,
    )
