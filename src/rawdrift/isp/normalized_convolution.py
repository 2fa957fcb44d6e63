"""Demosaicing of any color filter array by normalized convolution."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import Pattern, is_bayer, layout
from rawdrift.checks import InputError
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.number import Knob, Number, relative
from rawdrift.isp.sites import CFA_OPTION
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import correlate

_FEWEST = 2  # samples from which a value is interpolated


def masks(cfa: Pattern, x: Tensor) -> Tensor:
    """Return where a mosaic (..., H, W) measures each plane of the pattern: (P, H, W), 1 or 0."""
    height, width, _, planes, places = layout(cfa)
    measured = x.new_zeros(len(planes), *x.shape[-2:])
    for _, row, column, color in places:
        if color in planes:
            measured[planes.index(color), row::height, column::width] = 1
    return measured


def tents(given: Mapping[str, Any]) -> Tensor:
    """Return the kernels (P, k, k) of the planes of `given["cfa"]`: the products of two triangles,
    just wide enough to reach two samples wherever none is measured."""
    return _tents(given["cfa"]).clone()


@cache
def _tents(cfa: Pattern) -> Tensor:
    height, width, _, planes, _ = layout(cfa)
    reach = []
    for mask in masks(cfa, torch.zeros(3 * height, 3 * width, dtype=torch.float64)):
        radius = 0
        while not ((mask > 0) | (correlate(mask, _ones(radius)) > _FEWEST - 0.5)).all():
            radius += 1
        reach.append(radius)
    size = 2 * max(reach) + 1
    kernels = torch.zeros(len(planes), size, size, dtype=torch.float64)
    for kernel, radius in zip(kernels, reach, strict=True):
        side = (radius + 1 - (torch.arange(size) - size // 2).abs()).clamp(min=0).double()
        kernel.copy_(torch.outer(side, side) / (radius + 1) ** 2)
    return kernels


def _ones(radius: int) -> Tensor:
    return torch.ones(2 * radius + 1, 2 * radius + 1, dtype=torch.float64)


def _narrowed(kernels: Tensor, narrowness: Tensor) -> Tensor:
    """Raise the weights to a power: above 1 near samples count more."""
    positive = kernels > 0
    return torch.where(positive, kernels.where(positive, 1.0) ** narrowness, kernels)


class Interpolation(Step):
    """A step on mosaics that interpolates the planes of their color filter array.

    kernels: (P, k, k), one for each plane, by default tents that reach two samples everywhere; at
    least one sample must have weight at each pixel.
    """

    takes: ClassVar[Kind] = "mosaic"
    options = {"cfa": CFA_OPTION}
    numbers = {
        "kernels": Number(
            shape=(None, None, None),
            default=tents,
            drift=relative(0.05),
            knobs={"narrowness": Knob(turn=_narrowed, default=1.0, drift=relative(0.2), least=0.0)},
        )
    }

    def setup(self) -> None:
        planes = layout(self.cfa).planes
        count, rows, columns = self.kernels.shape
        if count != len(planes) or rows != columns or rows % 2 == 0:
            raise InputError(
                f"{type(self).__name__}.kernels must be {len(planes)} squares of odd size, for "
                f"{', '.join(planes)}, got {tuple(self.kernels.shape)}"
            )

    @property
    def reach(self) -> int:
        return int(self.kernels.shape[-1]) // 2

    def planes(self, x: Tensor) -> Tensor:
        """Return the planes (..., P, H, W) of a mosaic (..., H, W), in the order of the pattern's.

        A sample stays as it was measured. Elsewhere a color is the mean of its samples around,
        weighted by its kernel: with the mask m of the samples, (k * (m x)) / (k * m).
        """
        self.check(x)
        planes = []
        for mask, kernel in zip(masks(self.cfa, x), self.kernels, strict=True):
            mean = correlate(x * mask, kernel) / correlate(mask, kernel)
            planes.append(torch.where(mask > 0, x, mean))
        return torch.stack(planes, dim=-3)


@final
class NormalizedConvolution(Interpolation):
    """Demosaicing of any color filter array: each color's samples, spread over the mosaic with
    zeros between, correlated with its kernel and divided by the weight of the samples there.

    What is measured stays as it is. A Bayer mosaic gives what `Bilinear` does. The planes are
    those of the pattern: R, G, B, or R, C, B of "RCCB", which the color matrix then turns into R,
    G, B; a monochrome mosaic gives three equal ones. White pixels beside R, G and B are not used.

    kernels: see `Interpolation`. Mosaic (..., H, W) to view (..., 3, H, W).
    Source: Knutsson, Westin, "Normalized and differential convolution", CVPR 1993.
    """

    def forward(self, x: Tensor) -> Tensor:
        planes = self.planes(x)
        return planes.expand(*planes.shape[:-3], 3, *planes.shape[-2:])


def demosaicing(cfa: Pattern) -> Step:
    """Return the plainest demosaicing of a pattern."""
    return Bilinear(cfa) if is_bayer(cfa) else NormalizedConvolution(cfa)
