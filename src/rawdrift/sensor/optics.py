"""The lens, which blurs light before the sensor counts it."""

from typing import final

import torch
from torch import Tensor, nn

from rawdrift.checks import InputError, positive
from rawdrift.neighborhood import along_columns, along_rows, gaussian_taps


@final
class GaussianPSF(nn.Module):
    """Convolution with a Gaussian point spread function, cut at 4 sigma, mirrored at the borders.

    Shape (..., H, W) is kept; H and W are at least 2. sigma: standard deviation in pixels, a number
    above 0, or an nn.Parameter of shape (), which stays learnable.
    """

    sigma: Tensor

    def __init__(self, sigma: float | nn.Parameter):
        super().__init__()
        if isinstance(sigma, nn.Parameter):
            if sigma.ndim:
                raise InputError(f"sigma must be one number, got shape {tuple(sigma.shape)}")
            self.register_parameter("sigma", sigma)
        else:
            value = torch.tensor(positive("sigma", sigma), dtype=torch.float64)
            self.register_buffer("sigma", value)

    def forward(self, light: Tensor) -> Tensor:
        if min(light.shape[-2:]) < 2:
            raise InputError(
                f"a point spread function needs light of at least 2x2 pixels, got "
                f"{light.shape[-2]}x{light.shape[-1]}"
            )
        taps = gaussian_taps(self.sigma.to(light))
        return along_columns(along_rows(light, taps), taps)
