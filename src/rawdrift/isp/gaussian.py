"""Gaussian denoising."""

import math
from typing import final

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.isp.kernels import BLENDED, other_sum
from rawdrift.isp.number import Knob, Number, relative
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import CHANNELS_OPTION, filtered
from rawdrift.neighborhood import correlate, gaussian_taps

_TAPS = gaussian_taps(torch.tensor(0.5, dtype=torch.float64))
KERNEL = torch.outer(_TAPS, _TAPS).tolist()


def _sigma(kernel: Tensor) -> float:
    """Standard deviation in pixels of a Gaussian kernel; InputError for another kernel."""
    middle = kernel.shape[-1] // 2
    ratio = float(kernel[middle, middle + 1] / kernel[middle, middle])
    if not 0 < ratio < 1:
        raise InputError(
            "the denoising kernel is not a Gaussian, so that it has no radius; name "
            "denoise.strength or denoise.kernel in its place"
        )
    return math.sqrt(-0.5 / math.log(ratio))


def _widened(kernel: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian kernel with another sigma, cut where it is and with the same sum."""
    t = torch.arange(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
    squares = (t - kernel.shape[-1] // 2) ** 2
    distance = squares[:, None] + squares
    # At the same sigma the exponent is 0 throughout, and the kernel itself to the last digit.
    scaled = kernel * torch.exp(-0.5 * distance * (1 / sigma**2 - 1 / _sigma(kernel) ** 2))
    return scaled * (kernel.sum() / scaled.sum())


@final
class GaussianDenoising(Step):
    """Y correlated with a 5x5 kernel, by default a Gaussian of sigma 0.5 cut at 4 sigma (eq. 27).

    kernel: (5, 5). Shape (..., 3, H, W) is kept.
    """

    stage = "denoise"
    options = {"channels": CHANNELS_OPTION}
    numbers = {
        "kernel": Number(
            shape=(5, 5),
            default=KERNEL,
            drift=relative(0.5),
            knobs={
                "radius": Knob(
                    turn=_widened, default=_sigma, drift=relative(0.5), above=0.0, unit="px"
                ),
                "strength": BLENDED,
            },
            implausible=other_sum,
        )
    }

    @property
    def reach(self) -> int:
        return int(self.kernel.shape[-1]) // 2

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return filtered(x, self.channels, lambda y: correlate(y, self.kernel))
