"""White balance that is estimated from each image."""

import math
from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.isp.number import Number, Option, absolute
from rawdrift.isp.step import Step
from rawdrift.isp.white_balance import WhiteBalance

_DARK = 1e-6  # full scale; no color is estimated from less


def _check_norm(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 1:
        raise InputError(f"{name} must be a number of at least 1, or inf, got {value!r}")
    return float(value)


@final
class ShadesOfGray(Step):
    """White balance with gains estimated from each image (Finlayson and Trezzi 2004):
    v = x[c] * (mean[G] / mean[c]) ** strength, mean[c] = mean(x[c] ** norm) ** (1 / norm).

    norm: 1 is the gray world, inf the white patch, in which the brightest value of each color is
    white; 6 lies between. Values below 0 count as 0. strength: 1 balances fully, 0 not at all.
    Shape (..., 3, H, W) is kept; each image of a batch has its own gains.
    """

    options = {"norm": Option(default=1.0, check=_check_norm)}
    numbers = {
        "strength": Number(default=1.0, drift=absolute(0.2), least=0.0, most=1.0),
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return x * self._gains(self._means(x.clamp(min=0)))

    def measure(self, parts: Iterable[Tensor]) -> Tensor:
        """Return the norm of each color (3, 1, 1), over the number of pixels."""
        means, pixels = [], []
        for part in parts:
            means.append(self._means(part.clamp(min=0)).double())
            pixels.append(part[0].numel())
        each = torch.stack(means)
        if math.isinf(self.norm):
            return each.amax(0)
        largest = each.amax(0).clamp(min=_DARK)
        shares = torch.tensor(pixels, dtype=torch.float64) / sum(pixels)
        powers = torch.einsum("n,ncij->cij", shares, (each / largest) ** self.norm)
        mean: Tensor = largest * powers ** (1 / self.norm)
        return mean

    def settled(self, measured: Tensor) -> WhiteBalance:
        return WhiteBalance(self._gains(measured).flatten())

    def _gains(self, means: Tensor) -> Tensor:
        means = means.clamp(min=_DARK)
        strength: Tensor = self.strength.to(means)
        gains: Tensor = (means[..., 1:2, :, :] / means) ** strength
        return gains

    def _means(self, x: Tensor) -> Tensor:
        """The norm of each color (..., 3, 1, 1), over the number of pixels."""
        if math.isinf(self.norm):
            return x.amax((-2, -1), keepdim=True)
        if self.norm == 1:
            return x.mean((-2, -1), keepdim=True)
        # Relative to the brightest value, so that powers neither overflow nor vanish.
        largest = x.detach().amax((-2, -1), keepdim=True).clamp(min=_DARK)
        norm: float = self.norm
        mean = ((x / largest) ** norm).mean((-2, -1), keepdim=True)
        return largest * mean.clamp(min=torch.finfo(x.dtype).tiny) ** (1 / norm)
