"""Frost, snow and spatter. Views (N, 3, H, W), a stream for each."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.borders import blurred
from rawdrift.corruptions import kernels
from rawdrift.corruptions.blur import line, streaked, zoomed
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.fog import clouds
from rawdrift.corruptions.streams import Streams, normal, uniform

ICE = (0.52, 0.6, 0.65)
WATER = (175 / 255, 238 / 255, 238 / 255)
MUD = (63 / 255, 42 / 255, 20 / 255)
CRYSTALS = 6  # directions
GRAY = (0.299, 0.587, 0.114)


@corruption(
    small={
        "view": (1, 1, 0.9, 0.85, 0.75),
        "ice": (0.2, 0.3, 0.4, 0.4, 0.45),
        "needle": (8, 8, 8, 8, 8),
    },
    imagenet={
        "view": (1, 0.8, 0.7, 0.65, 0.6),
        "ice": (0.4, 0.6, 0.7, 0.7, 0.75),
        "needle": (40, 40, 40, 40, 40),
    },
)
def frost(views: Tensor, streams: Streams, view: float, ice: float, needle: float) -> Tensor:
    """view x + ice c, with crystals c of branches up to `needle` pixels long.

    The published code crops one of six photographs, a fifth as large for `small`. Here crystals
    grow from random grains, at random angles: a branch, its twigs 60 degrees to both sides, and
    theirs, lit from one side. Their mean color and contrast are those of the photographs.
    """
    size = views.shape[-2:]
    height = torch.zeros(len(streams), 1, *size)
    for _ in range(CRYSTALS):
        angles = uniform((), streams, -math.pi, math.pi).tolist()
        chances = uniform(size, streams).cpu().numpy()
        for chance, out, angle in zip(chances, height.numpy(), angles, strict=True):
            twigs = (_branch(needle / 3, angle + turn) for turn in (-math.pi / 3, math.pi / 3))
            kernels.crystal(chance, out[0], 1.5 / needle**2, _branch(needle, angle), *twigs)
    height = height.to(views.device)
    height = blurred(height, 0.6)
    relief = height + 1.5 * (height - height.roll((1, 1), (-2, -1)))
    relief = relief + 1.5 * clouds(size, streams, 1.5)[:, None]
    std, mean = torch.std_mean(relief, (-3, -2, -1), correction=0, keepdim=True)
    crystals = (0.27 * (relief - mean) / std.clamp(min=1e-3)).add_(1).clamp_(min=0)
    return _tinted(ice * crystals[:, 0], ICE, views).add_(views, alpha=view)


def _branch(length: float, angle: float) -> tuple[np.ndarray, ...]:
    """Return the line of a straight branch, ever lower, as `kernels.streak` takes it."""
    rows, columns, weights = line(length / 2, length / 2, angle)
    return rows, columns, (weights * length * 0.65).astype(np.float32)


@corruption(
    small={
        "mean": (0.1, 0.1, 0.15, 0.25, 0.3),
        "std": (0.2, 0.2, 0.3, 0.3, 0.3),
        "zoom": (1, 1, 1.75, 2.25, 1.25),
        "threshold": (0.6, 0.5, 0.55, 0.6, 0.65),
        "radius": (8, 10, 10, 12, 14),
        "sigma": (3, 4, 4, 6, 12),
        "view": (0.95, 0.9, 0.9, 0.85, 0.8),
    },
    imagenet={
        "mean": (0.1, 0.2, 0.55, 0.55, 0.55),
        "std": (0.3, 0.3, 0.3, 0.3, 0.3),
        "zoom": (3, 2, 4, 4.5, 2.5),
        "threshold": (0.5, 0.5, 0.9, 0.85, 0.85),
        "radius": (10, 12, 12, 12, 12),
        "sigma": (4, 4, 8, 8, 12),
        "view": (0.8, 0.7, 0.7, 0.65, 0.55),
    },
)
def snow(
    views: Tensor,
    streams: Streams,
    mean: float,
    std: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    view: float,
) -> Tensor:
    """view x + (1 - view) max(x, 1.5 gray + 0.5) + flakes + flakes turned by 180 degrees.

    Flakes are normal noise, enlarged, without what is below the threshold, and streaked by motion
    at 45 to 135 degrees.
    """
    noise = mean + std * normal((1, *views.shape[-2:]), streams)
    flakes = zoomed(noise, zoom)
    flakes = flakes.masked_fill(flakes < threshold, 0).clamp(0, 1)
    angles = uniform((), streams, -0.75 * math.pi, -0.25 * math.pi)
    flakes = streaked(flakes, radius, sigma, angles).to(views)
    gray = torch.einsum("c,nchw->nhw", torch.tensor(GRAY).to(views), views)[:, None]
    pale = torch.lerp(torch.maximum(views, 1.5 * gray + 0.5), views, view)
    return pale + flakes + flakes.rot90(2, (-2, -1))


@corruption(
    small={
        "mean": (0.62, 0.65, 0.65, 0.65, 0.65),
        "std": (0.1, 0.1, 0.3, 0.1, 0.1),
        "sigma": (0.7, 0.8, 1, 0.7, 0.5),
        "threshold": (0.7, 0.7, 0.69, 0.69, 0.68),
        "strength": (0.5, 0.5, 0.5, 0.6, 0.6),
        "mud": (0, 0, 0, 1, 1),
    },
    imagenet={
        "mean": (0.65, 0.65, 0.65, 0.65, 0.67),
        "std": (0.3, 0.3, 0.3, 0.3, 0.4),
        "sigma": (4, 3, 2, 1, 1),
        "threshold": (0.69, 0.68, 0.68, 0.65, 0.65),
        "strength": (0.6, 0.6, 0.5, 1.5, 1.5),
        "mud": (0, 0, 0, 1, 1),
    },
)
def spatter(
    views: Tensor,
    streams: Streams,
    mean: float,
    std: float,
    sigma: float,
    threshold: float,
    strength: float,
    mud: float,
) -> Tensor:
    """Drops where normal noise, blurred by `sigma` pixels, is above the threshold: water, or mud.

    Water adds strength m of its color, with m the relief of the drops lit from the lower right, at
    most 1. Mud covers a share m of the view, with m the drops blurred by `strength` pixels, where
    that is at least 0.8.
    """
    liquid = blurred(mean + std * normal(views.shape[-2:], streams), sigma)
    drops = (liquid > threshold).float()
    if mud:
        cover = blurred(drops, strength)
        cover = cover.masked_fill(cover < 0.8, 0)
        return _tinted(cover, MUD, views).add_(views * (1 - cover[:, None].to(views)))
    relief = drops * liquid * _lit(drops)
    highest = relief.amax((-2, -1), keepdim=True).clamp(min=1e-6)
    return _tinted(relief / highest, WATER, views).mul_(strength).add_(views)


def _lit(drops: Tensor) -> Tensor:
    """Return how brightly the light from the lower right falls on drops (N, H, W), from 0.

    Their height is the distance to the rim, up to 20 pixels.
    """
    weights = torch.tensor([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]], device=drops.device)
    smooth = _mean(kernels.each(kernels.depths, drops, 20.0))
    padded = F.pad(smooth[:, None], (1, 1, 1, 1), mode="replicate")
    return _mean(F.conv2d(padded, weights[None, None])[:, 0].clamp_(min=0))


def _mean(x: Tensor) -> Tensor:
    """Return the mean of 3x3 pixels, with 0 beyond the border; as `F.avg_pool2d`, and faster."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1))
    total = torch.zeros_like(x)
    for top, left in product(range(3), repeat=2):
        total += padded[:, top : top + height, left : left + width]
    return total.div_(9)


def _tinted(amount: Tensor, color: Sequence[float], views: Tensor) -> Tensor:
    """Return the amounts (N, H, W) times a color, (N, 3, H, W) like the views."""
    return amount[:, None].to(views) * torch.tensor(color).to(views)[:, None, None]
