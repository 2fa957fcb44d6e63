"""Elastic transform. Views (N, 3, H, W), a stream for each."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.corruptions.neighborhood import blurred
from rawdrift.corruptions.streams import Streams, uniform


def elastic_transform(
    views: Tensor, streams: Streams, alpha: float, sigma: float, affine: float
) -> Tensor:
    """A random affine map, then random displacements that are smooth over `sigma` pixels.

    affine: three points about the center move by up to this many pixels each way, and the view
    with them. alpha: the displacements are noise, uniform in [-1, 1), blurred and times this.
    Both sample bilinearly, in mirrored surroundings.
    """
    height, width = views.shape[-2:]
    moved = uniform((3, 2), streams, -affine, affine).double()
    rows = torch.arange(height, device=views.device, dtype=views.dtype)
    columns = torch.arange(width, device=views.device, dtype=views.dtype)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    views = _sampled(views, _affine(grid, moved, height, width), mirror_edge=False)
    if alpha == 0:
        return views
    noise = uniform((2, height, width), streams, -1, 1)
    fields = alpha * blurred(noise, sigma, truncate=3, border="symmetric")
    return _sampled(views, grid + fields.movedim(1, -1).to(views), mirror_edge=True)


def _affine(grid: Tensor, moved: Tensor, height: int, width: int) -> Tensor:
    """Where the pixels of a grid (H, W, 2) of x, y were before three points moved: (N, H, W, 2)."""
    center = torch.tensor([width // 2, height // 2]).to(moved)
    corner = min(height, width) // 3
    before = center + corner * torch.tensor([[1, 1], [1, -1], [-1, -1]]).to(moved)
    ones = moved.new_ones(len(moved), 3, 1)
    back = torch.linalg.solve(torch.cat([before + moved, ones], -1), before)
    linear, shift = back[:, None, :2].to(grid), back[:, None, None, 2].to(grid)
    return grid @ linear + shift


def _sampled(views: Tensor, position: Tensor, mirror_edge: bool) -> Tensor:
    """The views (N, 3, H, W) at positions (N, H, W, 2) of x, y in pixels."""
    size = torch.tensor(views.shape[:-3:-1], device=views.device)
    if mirror_edge:  # about the outer rim of the edge pixels, else about their centers
        unit = (2 * position + 1) / size - 1
    else:
        unit = 2 * position / (size - 1).clamp(min=1) - 1
    return F.grid_sample(
        views, unit, "bilinear", padding_mode="reflection", align_corners=not mirror_edge
    )
