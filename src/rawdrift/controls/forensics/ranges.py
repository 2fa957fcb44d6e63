"""Which numbers of an ISP can drift, how far by default, and what physical knobs turn them."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift import isp
from rawdrift.checks import InputError
from rawdrift.controls.forensics.sensor_settings import SensorSettings
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB


class Range(NamedTuple):
    """How far a number v drifts by default: v +- (relative |v| + absolute), from `least` on."""

    relative: float = 0.0
    absolute: float = 0.0
    least: float = -math.inf


class Knob(NamedTuple):
    """A physical quantity that turns a tensor of numbers: a matrix, a kernel.

    of: name of the tensor. default: at which the tensor (given) is what it is. turn: (tensor,
    quantity ()) to the tensor that it makes, differentiable in the quantity.
    """

    of: str
    default: Callable[[Tensor], float]
    turn: Callable[[Tensor, Tensor], Tensor]
    unit: str = ""


def _center(kernel: Tensor) -> Tensor:
    """1 at the center of each kernel, of one line or square, else 0."""
    found = torch.zeros_like(kernel)
    size = kernel.shape[-1]
    square = kernel.ndim > 1 and kernel.shape[-2] == size
    found[(..., size // 2, size // 2) if square else (..., size // 2)] = 1
    return found


def _saturated(matrix: Tensor, saturation: Tensor) -> Tensor:
    """Every color's distance from the gray of its Y, times `saturation`."""
    gray = YUV_FROM_RGB[0].to(matrix).expand(3, 3)
    return gray @ matrix + saturation * (matrix - gray @ matrix)


def _turned(matrix: Tensor, degrees: Tensor) -> Tensor:
    """The plane of U and V turned; Y stays."""
    angle = torch.deg2rad(degrees.to(matrix))
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    turn = torch.stack(
        [one, zero, zero, zero, angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos()]
    ).view(3, 3)
    found: Tensor = RGB_FROM_YUV.to(matrix) @ turn @ YUV_FROM_RGB.to(matrix) @ matrix
    return found


def _neighbors(kernel: Tensor, strength: Tensor) -> Tensor:
    """All weights but the central ones times `strength`."""
    center = _center(kernel)
    return kernel * (center + strength * (1 - center))


def _blended(kernel: Tensor, strength: Tensor) -> Tensor:
    """From no filter at 0 through the kernel at 1 and beyond. A sum of 1 stays."""
    center = _center(kernel)
    return center + strength * (kernel - center)


def _sigma(kernel: Tensor) -> float:
    """Standard deviation in pixels of a Gaussian kernel."""
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


_DEMOSAICING_KNOBS = {"strength": Knob("kernels", lambda _: 1.0, _neighbors)}

KNOBS: Mapping[type[Step], Mapping[str, Knob]] = {
    isp.Bilinear: _DEMOSAICING_KNOBS,
    isp.Malvar2004: _DEMOSAICING_KNOBS,
    isp.Menon2007: _DEMOSAICING_KNOBS,
    isp.ColorCorrection: {
        "saturation": Knob("matrix", lambda _: 1.0, _saturated),
        "hue": Knob("matrix", lambda _: 0.0, _turned, "degrees"),
    },
    isp.SharpeningFilter: {"strength": Knob("kernel", lambda _: 1.0, _blended)},
    isp.GaussianDenoising: {
        "radius": Knob("kernel", _sigma, _widened, "px"),
        "strength": Knob("kernel", lambda _: 1.0, _blended),
    },
}
"""Knobs are turned in this order, after single numbers of the tensor have been set."""

_DEMOSAICING = {"strength": Range(0.05)}

DEFAULTS: Mapping[type[Step], Mapping[str, Range]] = {
    # A pedestal is known to some digital numbers of a 12-bit converter: 4 of 4095 are 0.001.
    isp.BlackLevel: {"level": Range(0.05, 0.001, 0.0)},
    isp.Bilinear: _DEMOSAICING,
    isp.Malvar2004: _DEMOSAICING,
    isp.Menon2007: _DEMOSAICING,
    # Blue against green changes by a fifth between 5500 K and 4600 K or 6900 K (Planck's law at
    # 450 and 550 nm): daylight from a low sun to a clouded sky.
    isp.WhiteBalance: {"gains": Range(0.2)},
    isp.ColorCorrection: {"saturation": Range(0.2, least=0.0), "hue": Range(absolute=10.0)},
    isp.SharpeningFilter: {"strength": Range(0.5)},
    isp.UnsharpMask: {"radius": Range(0.5), "amount": Range(0.5)},
    isp.GaussianDenoising: {"radius": Range(0.5), "strength": Range(0.5)},
    isp.MedianDenoising: {},
    # 2.2 with a fifth: 1.76 to 2.64, from the 1.8 of old screens to the 2.6 of cinemas.
    isp.Gamma: {"gamma": Range(0.2)},
    SensorSettings: {
        "exposure": Range(0.5),
        "gain": Range(0.2),
        "read_noise": Range(absolute=4.0, least=0.0),
        "psf_sigma": Range(absolute=1.0, least=0.0),
    },
}
"""By step and quantity; of other steps every number drifts by a fifth."""

OTHERS = Range(0.2)

UNITS = {
    (isp.BlackLevel, "level"): "of full scale",
    (isp.UnsharpMask, "radius"): "px",
    (SensorSettings, "read_noise"): "e- rms",
    (SensorSettings, "psf_sigma"): "px",
}

ABOVE_ZERO = {
    (isp.Gamma, "gamma"),
    (isp.UnsharpMask, "radius"),
    (isp.GaussianDenoising, "radius"),
    (SensorSettings, "exposure"),
    (SensorSettings, "gain"),
}
"""What makes no sense at 0 or below."""
