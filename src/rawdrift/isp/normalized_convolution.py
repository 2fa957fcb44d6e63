"""Demosaicing of any color filter array by normalized convolution."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.cfa import Pattern, is_bayer, layout
from rawdrift.checks import InputError
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.number import Knob, Number, relative
from rawdrift.isp.sites import CFA_OPTION
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import correlate

_FEWEST = 2  # samples from which a value is interpolated
_DARK = 0.03  # of white, in units of full scale, below which its detail counts less


def colors(cfa: Pattern) -> tuple[str, ...]:
    """Return the colors that are interpolated: the planes of the pattern, and behind them the most
    frequent other one, if there is one, as the white beside R, G and B."""
    planes, places = layout(cfa)[3:]
    others = [place.color for place in places if place.color not in planes]
    return (*planes, *sorted({*others}, key=lambda color: -others.count(color))[:1])


def masks(cfa: Pattern, x: Tensor) -> Tensor:
    """Return where a mosaic (..., H, W) measures each of the `colors`: (C, H, W), 1 or 0."""
    height, width, _, _, places = layout(cfa)
    names = colors(cfa)
    measured = x.new_zeros(len(names), *x.shape[-2:])
    for _, row, column, color in places:
        if color in names:
            measured[names.index(color), row::height, column::width] = 1
    return measured


def tents(given: Mapping[str, Any]) -> Tensor:
    """Return the kernels (C, k, k) of the `colors` of `given["cfa"]`: the products of two
    triangles, just wide enough to reach two samples wherever none is measured."""
    return _tents(given["cfa"]).clone()


@cache
def _tents(cfa: Pattern) -> Tensor:
    height, width = layout(cfa)[:2]
    reach = []
    for mask in masks(cfa, torch.zeros(3 * height, 3 * width, dtype=torch.float64)):
        radius = 0
        while not _is_reached(mask, radius):
            radius += 1
        reach.append(radius)
    size = 2 * max(reach) + 1
    kernels = torch.zeros(len(reach), size, size, dtype=torch.float64)
    for kernel, radius in zip(kernels, reach, strict=True):
        side = (radius + 1 - (torch.arange(size) - size // 2).abs()).clamp(min=0).double()
        kernel.copy_(torch.outer(side, side) / (radius + 1) ** 2)
    return kernels


def _is_reached(mask: Tensor, radius: int) -> bool:
    """Whether there are enough samples around every pixel, and one beside every corner, where a
    frame may end anywhere in the cell."""
    around = correlate(mask, torch.ones(2 * radius + 1, 2 * radius + 1))
    is_beside = F.max_pool2d(mask[None], radius + 1, stride=1)
    return bool(((mask > 0) | (around > _FEWEST - 0.5)).all() and is_beside.all())


def _narrowed(kernels: Tensor, narrowness: Tensor) -> Tensor:
    """Raise the weights to a power: above 1 near samples count more."""
    positive = kernels > 0
    return torch.where(positive, kernels.where(positive, 1.0) ** narrowness, kernels)


class Interpolation(Step):
    """A step on mosaics that interpolates the planes of their color filter array.

    kernels: (C, k, k), one for each of the `colors`, by default tents that reach two samples
    everywhere; at least one sample must have weight at each pixel.
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
        names = colors(self.cfa)
        count, rows, columns = self.kernels.shape
        if count != len(names) or rows != columns or rows % 2 == 0:
            raise InputError(
                f"{type(self).__name__}.kernels must be {len(names)} squares of odd size, for "
                f"{', '.join(names)}, got {tuple(self.kernels.shape)}"
            )

    @property
    def reach(self) -> int:
        once = int(self.kernels.shape[-1]) // 2
        return once if self.is_linear else 2 * once

    @property
    def is_linear(self) -> bool:
        """Whether white beside R, G and B scales none of the planes."""
        return self._others == 0

    @property
    def _others(self) -> int:
        return len(self.kernels) - len(layout(self.cfa).planes)

    def planes(self, x: Tensor) -> Tensor:
        """Return the planes (..., P, H, W) of a mosaic (..., H, W), in the order of the pattern's.

        A sample stays as it was measured. Elsewhere a color is the mean N of its samples around,
        weighted by its kernel: with the mask m of the samples, (k * (m x)) / (k * m). White beside
        R, G and B gives them its detail, by (W + 0.03) / (N(W) + 0.03), where W is interpolated
        too: what the samples of a color miss of it.

        Raises InputError for a mosaic that is smaller than a cell and lacks one of its colors.
        """
        self.check(x)
        measured = masks(self.cfa, x)
        height, width = layout(self.cfa)[:2]
        is_part = x.shape[-2] < height or x.shape[-1] < width
        if is_part and not measured.flatten(1).any(1).all():
            raise InputError(
                f"a mosaic of {x.shape[-2]}x{x.shape[-1]} pixels does not measure every color of "
                f"{self.cfa}; expected a whole cell, {height}x{width} pixels or more"
            )
        ways = [*zip(measured, self.kernels, strict=True)]
        if self.is_linear:
            return torch.stack([_mean(x, *way) for way in ways], dim=-3)
        white = _mean(x, *ways.pop()).clamp(min=0) + _DARK
        planes = [_mean(x, *way) * white / _mean(white, *way) for way in ways]
        return torch.stack(planes, dim=-3)


def _mean(x: Tensor, mask: Tensor, kernel: Tensor) -> Tensor:
    """Interpolate the samples of a mosaic where the mask is 1."""
    mean = correlate(x * mask, kernel) / correlate(mask, kernel)
    return torch.where(mask > 0, x, mean)


@final
class NormalizedConvolution(Interpolation):
    """Demosaicing of any color filter array: each color's samples, spread over the mosaic with
    zeros between, correlated with its kernel and divided by the weight of the samples there.

    What is measured stays as it is. A Bayer mosaic gives what `Bilinear` does. The planes are
    those of the pattern: R, G, B, or R, C, B of "RCCB", which the color matrix then turns into R,
    G, B; a monochrome mosaic gives three equal ones. White pixels beside R, G and B sharpen these.

    kernels: see `Interpolation`. Mosaic (..., H, W) to view (..., 3, H, W).
    Source: Knutsson, Westin, "Normalized and differential convolution", CVPR 1993.
    """

    def forward(self, x: Tensor) -> Tensor:
        planes = self.planes(x)
        return planes.expand(*planes.shape[:-3], 3, *planes.shape[-2:])


def demosaicing(cfa: Pattern) -> Step:
    """Return the plainest demosaicing of a pattern."""
    return Bilinear(cfa) if is_bayer(cfa) else NormalizedConvolution(cfa)
