"""From the light of a scene to the light on a camera's sensor."""

from typing import Any

import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.isp.yuv import mix


def irradiance(light: Tensor, camera: Camera) -> Tensor:
    """Return the light in the camera's channels, in [0, 1], of linear RGB (..., 3, H, W).

    The inverse of its white balance and color matrix, so that its ISP restores the light, except
    for colors that its filters can't give: those are clipped at 0 and at saturation.
    """
    inverse = torch.linalg.inv(torch.tensor(camera.color_matrix, dtype=torch.float64))
    gains = torch.tensor(camera.white_balance, dtype=torch.float64)
    return mix(inverse / gains[:, None], light).clamp_(0, 1)


def through_lens(light: NDArray[Any], psf_sigma: float) -> NDArray[Any]:
    """Return light (C, H, W) behind a lens with a Gaussian point spread of that sigma in pixels."""
    sigma = (0, psf_sigma, psf_sigma)
    blurred: NDArray[Any] = gaussian_filter(light, sigma, mode="mirror", truncate=3)
    return blurred


def check_order(images: int, size: int, seed: int) -> None:
    """Raise InputError for an impossible number of images, size in pixels or seed."""
    for name, value, least in (("images", images, 1), ("size", size, 16), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise InputError(f"{name} must be a whole number from {least} on, got {value!r}")
