"""From the numbers of a pipeline to those of the GPU's kernels, by PyTorch operations that carry
gradients back."""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rawdrift.cfa import Pattern, offsets
from rawdrift.isp.fused import fusable, plan
from rawdrift.isp.fused.fusable import Fusable
from rawdrift.isp.fused.plan import CannotFuseError
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB

_SIZES = {"Bilinear": 3, "Malvar2004": 5, "Menon2007": 0}
_REACH = 16  # of the unsharp mask, at most: beyond, kernels would grow without bound


class Layout(NamedTuple):
    """The stages of a pipeline."""

    size: int  # K of the table (4, 3, K, K) of linear demosaicing, see linear.py; 0 for Menon2007
    red: tuple[int, int]  # row and column of red in the cell
    planes: int  # that are filtered: 1 (Y) or 3 (Y, U, V)
    unsharp: bool
    median: bool


class Numbers(NamedTuple):
    """The numbers of its kernels, float32."""

    black: Tensor  # (2, 2) by row and column of the cell
    span: Tensor  # (2, 2): white minus black, or ones
    demosaic: Tensor  # the table, or Menon's (3, 5)
    color: Tensor  # (3, 3): white balance, then color correction
    sharpen: Tensor  # (3, 3), or (2, L): taps along rows, and those along columns, times -amount
    keep: Tensor  # (1, 1): what the unsharp mask keeps of its input, 1 + amount
    denoise: Tensor  # (5, 5)
    exponent: Tensor  # ()
    constants: Tensor  # (2, 3, 3): YUV from RGB, RGB from YUV


def numbers_of(steps: Fusable, device: torch.device) -> tuple[Layout, Numbers]:
    """Layout and numbers of steps, in the autograd graph of their parameters.

    Without sharpening or denoising, kernels that change nothing take their place. Raises
    CannotFuseError where the steps must run one by one.
    """
    parts = steps.layout
    if not parts.gamma:
        raise CannotFuseError("it has no gamma, which kernels on a GPU need")
    given = fusable.numbers(steps)
    unsharp = parts.sharpen == "UnsharpMask"
    if len(given.blur) > _REACH + 1:
        raise CannotFuseError(f"its unsharp mask reaches farther than {_REACH} pixels")
    none = given.kernels.new_zeros(1, 1)
    sharpen, keep = given.sharpen, none
    if unsharp:
        taps = torch.cat([given.blur.flip(0)[:-1], given.blur])
        sharpen, keep = torch.stack([taps, -given.amount * taps]), (1 + given.amount).view(1, 1)
    elif parts.sharpen is None:
        sharpen = _identity(3, none)
    denoise = given.denoise
    if parts.denoise != "GaussianDenoising":
        denoise = none if parts.denoise == "MedianDenoising" else _identity(5, none)
    numbers = (
        given.black,
        given.span,
        _table(parts, given.kernels),
        given.color,
        sharpen,
        keep,
        denoise,
        given.exponent,
    )
    layout = Layout(
        size=_SIZES[parts.demosaic],
        red=offsets(parts.cfa)[0],
        planes=1 if parts.luma else 3,
        unsharp=unsharp,
        median=parts.denoise == "MedianDenoising",
    )
    moved = [x.to(device, torch.float32).contiguous() for x in numbers]
    return layout, Numbers._make([*moved, _constants(device)])


def _identity(size: int, like: Tensor) -> Tensor:
    kernel = like.new_zeros(size, size)
    kernel[size // 2, size // 2] = 1
    return kernel


def _table(layout: plan.Layout, kernels: Tensor) -> Tensor:
    """The table (4, 3, K, K) of linear demosaicing, or Menon's taps as they are."""
    if layout.demosaic == "Menon2007":
        return kernels
    which, weight, rest = (
        x.to(kernels.device) for x in _basis(layout.demosaic == "Bilinear", layout.cfa)
    )
    return kernels[which] * weight.to(kernels) + rest.to(kernels)


@cache
def _basis(bilinear: bool, cfa: Pattern) -> tuple[Tensor, Tensor, Tensor]:
    """table = kernels[which] * weight + rest: (4, 3), and two that extend to (4, 3, K, K)."""
    red, green_red, green_blue, blue = offsets(cfa)
    colors = {red: 0, green_red: 1, green_blue: 1, blue: 2}
    if bilinear:
        # Of each kernel, the taps on samples of its color.
        which = torch.arange(3).expand(4, 3)
        weight = torch.zeros(4, 3, 3, 3)
        for site in range(4):
            for i in range(3):
                for j in range(3):
                    at = (site // 2 + i + 1) % 2, (site % 2 + j + 1) % 2
                    weight[site, colors[at], i, j] = 1
        return which, weight, torch.zeros(1)
    # Of each color, one kernel, or the sample itself.
    which, own = torch.zeros(4, 3, dtype=torch.long), torch.zeros(4, 3, 1, 1)
    for at, color in colors.items():
        site = at[0] * 2 + at[1]
        own[site, color] = 1
        if at in (red, blue):
            which[site, 2 - color] = 3  # across; green is 0
        else:
            in_row = 0 if at == green_red else 2
            which[site, in_row], which[site, 2 - in_row] = 1, 2
    sample = torch.zeros(5, 5)
    sample[2, 2] = 1
    return which, 1 - own, own * sample


@cache
def _constants(device: Any) -> Tensor:
    return torch.stack([YUV_FROM_RGB, RGB_FROM_YUV]).to(device, torch.float32)
