"""From steps to the numbers of the kernels, by PyTorch operations that carry gradients back."""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rawdrift.cfa import Pattern, offsets
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.fused.plan import CannotFuseError, numbers
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB
from rawdrift.neighborhood import gaussian_taps

_SIZES: dict[type[Step], int] = {Bilinear: 3, Malvar2004: 5, Menon2007: 0}
_REACH = 16  # of the unsharp mask, at most: beyond, kernels would grow without bound


class Layout(NamedTuple):
    """What a pipeline is made of."""

    size: int  # K of the table (4, 3, K, K) of linear demosaicing, see bayer.py; 0 for Menon2007
    red: tuple[int, int]  # row and column of red in the cell
    planes: int  # that are filtered: 1 (Y) or 3 (Y, U, V)
    unsharp: bool
    median: bool


class Numbers(NamedTuple):
    """What its kernels compute with: float32."""

    black: Tensor  # (2, 2) by row and column of the cell
    span: Tensor  # (2, 2): white minus black, or ones
    demosaic: Tensor  # the table, or Menon's (3, 5)
    color: Tensor  # (3, 3): white balance, then color correction
    sharpen: Tensor  # (3, 3), or (2, L): taps along rows, and those along columns, times -amount
    keep: Tensor  # (1, 1): what the unsharp mask keeps of its input, 1 + amount
    denoise: Tensor  # (5, 5)
    exponent: Tensor  # ()
    constants: Tensor  # (2, 3, 3): YUV from RGB, RGB from YUV


def layout_of(steps: tuple[Step, ...]) -> Layout:
    """The layout of steps that are known to be in the usual order."""
    _, demosaic, _, _, sharpen, denoise, _ = steps
    cfa: Any = demosaic.cfa
    return Layout(
        size=_SIZES[type(demosaic)],
        red=offsets(cfa)[0],
        planes=1 if sharpen.channels == "luma" else 3,
        unsharp=isinstance(sharpen, UnsharpMask),
        median=not isinstance(denoise, GaussianDenoising),
    )


def numbers_of(steps: tuple[Step, ...], device: torch.device) -> Numbers:
    """Their numbers on a device, in the autograd graph of the steps' parameters."""
    black, demosaic, balance, correction, sharpen, denoise, gamma = steps
    assert isinstance(black, BlackLevel)
    assert isinstance(balance, WhiteBalance)
    assert isinstance(correction, ColorCorrection)
    assert isinstance(gamma, Gamma)
    level = black.level[black.sites]
    span = torch.ones_like(level) if black.white is None else black.white - level
    none = level.new_zeros(1, 1)
    kernel, keep = none, none
    if isinstance(sharpen, SharpeningFilter):
        kernel = sharpen.kernel
    elif isinstance(sharpen, UnsharpMask):
        taps = gaussian_taps(sharpen.radius)
        if len(taps) > 2 * _REACH + 1:
            raise CannotFuseError(f"its unsharp mask reaches farther than {_REACH} pixels")
        kernel = torch.stack([taps, -sharpen.amount.to(taps) * taps])
        keep = (1 + sharpen.amount).reshape(1, 1)
    found = (
        level,
        span,
        _table(demosaic),
        correction.matrix * balance.gains.to(correction.matrix),
        kernel,
        keep,
        denoise.kernel if isinstance(denoise, GaussianDenoising) else none,
        1 / gamma.gamma,
    )
    return Numbers._make(
        [*(x.to(device, torch.float32).contiguous() for x in found), _constants(device)]
    )


def _table(demosaic: Step) -> Tensor:
    """The table (4, 3, K, K) of linear demosaicing, or Menon's taps as they are."""
    if isinstance(demosaic, Menon2007):
        return demosaic.taps()
    (kernels,) = numbers(demosaic)
    cfa: Any = demosaic.cfa
    which, weight, rest = (
        x.to(kernels.device) for x in _basis(isinstance(demosaic, Bilinear), cfa)
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
