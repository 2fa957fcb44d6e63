"""Gaussian, defocus, motion and zoom blur of views (N, 3, H, W)."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.borders import blurred, extended, gaussian
from rawdrift.corruptions import kernels
from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams, uniform

Array = np.ndarray[Any, Any]


@corruption(small={"sigma": (0.4, 0.6, 0.7, 0.8, 1)}, imagenet={"sigma": (1, 2, 3, 4, 6)})
def gaussian_blur(views: Tensor, streams: Streams, sigma: float) -> Tensor:
    """Gaussian of `sigma` pixels, cut at 4 sigma; the edge is repeated beyond the border."""
    return blurred(views, sigma)


@corruption(
    small={"radius": (0.3, 0.4, 0.5, 1, 1.5), "alias": (0.4, 0.5, 0.6, 0.2, 0.1)},
    imagenet={"radius": (3, 4, 6, 8, 10), "alias": (0.1, 0.5, 0.5, 0.5, 0.5)},
)
def defocus_blur(views: Tensor, streams: Streams, radius: float, alias: float) -> Tensor:
    """Mean over a disk of `radius` pixels with softened rim; mirrored beyond the border."""
    return kernels.each(kernels.correlate, views, _steps(radius, alias, views.dtype))


@lru_cache
def _steps(radius: float, alias: float, dtype: torch.dtype) -> np.ndarray:
    """Return a quarter of the disk as `kernels.correlate` takes it."""
    weights = disk(radius, alias)
    quarter = weights[len(weights) // 2 :, len(weights) // 2 :]
    steps = quarter - F.pad(quarter, (0, 1))[:, 1:]
    return steps.where(steps.abs() > 1e-12, 0).to(dtype).numpy()


def disk(radius: float, alias: float) -> Tensor:
    """Return a disk on the pixel grid, softened by a small Gaussian of `alias` pixels: float64.

    As published, the grid spans 8 pixels each way (`radius` beyond that) and the Gaussian, of 3x3
    (5x5) pixels, mirrors it at its end. Disks that reach there therefore sum to 1.01.
    """
    reach = max(8, int(radius))
    soft = 1 if radius <= 8 else 2
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    filled = (line[:, None] ** 2 + line**2 <= radius**2).to(torch.float64)
    taps = gaussian(alias, soft)
    mirrored = extended(filled, soft, "reflect")[None, None]
    softened = F.conv2d(mirrored, torch.outer(taps, taps)[None, None])
    return softened[0, 0] / filled.sum()


@corruption(
    small={"radius": (6, 6, 6, 8, 9), "sigma": (1, 1.5, 2, 2, 2.5)},
    imagenet={"radius": (10, 15, 15, 15, 20), "sigma": (3, 5, 8, 12, 15)},
)
def motion_blur(views: Tensor, streams: Streams, radius: float, sigma: float) -> Tensor:
    """A streak at an angle uniform in [-45, 45) degrees, drawn for each image; see `streaked`."""
    return streaked(views, radius, sigma, uniform((), streams, -math.pi / 4, math.pi / 4))


def streaked(x: Tensor, radius: float, sigma: float, angles: Tensor) -> Tensor:
    """Return the mean along 2 radius + 1 pixels on a line from each pixel, falling with `sigma`.

    x: (N, C, H, W). angles: (N,), clockwise from the line to the right; the line goes through whole
    pixels. The edge is repeated beyond the border.
    """
    lines = [line(radius, sigma, angle) for angle in angles.tolist()]
    images = []
    for image, (rows, columns, weights) in zip(x.split(1), lines, strict=True):
        weights = weights.astype(str(x.dtype).removeprefix("torch."))
        images.append(kernels.each(kernels.streak, image, rows, columns, weights))
    return torch.cat(images)


def line(radius: float, sigma: float, angle: float) -> tuple[Array, Array, Array]:
    """Return the rows, columns and weights of 2 radius + 1 pixels on a line; see `streaked`."""
    steps = np.arange(2 * int(radius) + 1)
    falling = np.exp(-0.5 * (steps / sigma) ** 2)
    rows, columns = (
        np.ceil(steps * turn(angle) - 0.5).astype(int) for turn in (math.sin, math.cos)
    )
    return rows, columns, falling / falling.sum()


@corruption(
    small={"stop": (1.06, 1.11, 1.16, 1.21, 1.26), "step": (0.01, 0.01, 0.01, 0.01, 0.01)},
    imagenet={"stop": (1.11, 1.16, 1.21, 1.26, 1.31), "step": (0.01, 0.01, 0.02, 0.02, 0.03)},
)
def zoom_blur(views: Tensor, streams: Streams, stop: float, step: float) -> Tensor:
    """Mean of the view and of its enlargements by 1, 1 + step, ... below `stop`, about its center.

    The factors are those of `numpy.arange`, whose rounding includes `stop` wherever the published
    data do.
    """
    factors = np.arange(1, stop, step).tolist()
    views = views.contiguous(memory_format=torch.channels_last)  # which is faster to enlarge
    total = views.clone()
    for factor in factors:
        total += zoomed(views, factor)
    return total.div_(len(factors) + 1)


def zoomed(views: Tensor, factor: float) -> Tensor:
    """Enlarge the center bilinearly, between the outermost pixels, and crop it to the old size."""
    sizes = views.shape[-2:]
    crops = [math.ceil(n / factor) for n in sizes]
    top, left = ((n - crop) // 2 for n, crop in zip(sizes, crops, strict=True))
    center = views[..., top : top + crops[0], left : left + crops[1]]
    large = [round(crop * factor) for crop in crops]
    center = F.interpolate(center, large, mode="bilinear", align_corners=True)
    top, left = ((m - n) // 2 for m, n in zip(large, sizes, strict=True))
    return center[..., top : top + sizes[0], left : left + sizes[1]]
