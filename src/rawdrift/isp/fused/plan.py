"""From a pipeline to the numbers of its fused kernels, or why it has to run step by step.

For every engine: no Numba here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from rawdrift.cfa import offsets
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB
from rawdrift.neighborhood import gaussian_taps

Array = np.ndarray[Any, Any]

_ORDER: tuple[tuple[type[Step], ...], ...] = (
    (BlackLevel,),
    (Bilinear, Malvar2004, Menon2007),
    (WhiteBalance,),
    (ColorCorrection,),
    (SharpeningFilter, UnsharpMask),
    (MedianDenoising, GaussianDenoising),
    (Gamma,),
)


class CannotFuseError(Exception):
    """Says why a pipeline has to run step by step."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The numbers of one pipeline, float64 where not said otherwise.

    One object for the same numbers, for as long as they are in use.
    """

    demosaic: type[Step]
    sharpen: type[Step]
    denoise: type[Step]
    black: Array  # (2, 2), by row and column parity
    span: Array  # (2, 2): white minus black, or ones
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red
    kernels: Array  # of demosaicing
    color: Array  # (3, 3): white balance, then color correction
    planes: Array  # (P, 3): demosaiced colors to the P planes that are filtered
    sharp: Array  # (3, 3): sharpening filter
    blur: Array  # (5,) or (9,): the unsharp mask's Gaussian, center and one side
    amount: float
    kernel: Array  # (5, 5): denoising
    lines: Array  # (2, 5): along columns and rows where the kernel is their product, or zeros
    exponent: float


def check_steps(steps: tuple[Step, ...]) -> list[Tensor]:
    """The numbers of these steps, if they are, in order, those of a canonical pipeline.

    Raises CannotFuseError if not.
    """
    if len(steps) != len(_ORDER) or any(
        type(step) not in kinds for step, kinds in zip(steps, _ORDER, strict=False)
    ):
        raise CannotFuseError(
            "its steps are not black level, demosaicing, white balance, color correction, "
            "sharpening, denoising and gamma of this package, in this order"
        )
    if any(step._forward_hooks or step._forward_pre_hooks for step in steps):
        raise CannotFuseError("its steps have forward hooks")
    channels: Any = {steps[4].channels, steps[5].channels}
    if channels not in ({"luma"}, {"yuv"}):
        raise CannotFuseError("sharpening and denoising act on different or unknown channels")
    values = [value for step in steps for value in numbers(step)]
    if not all(is_plain(value) for value in values):
        raise CannotFuseError("its numbers are not plain tensors")
    return values


def plan(steps: tuple[Step, ...]) -> Plan:
    """The plan of these steps on the CPU, in order; CannotFuseError where there is none."""
    values = check_steps(steps)
    black, demosaic, _, _, sharpen, _, _ = steps
    assert isinstance(black, BlackLevel)
    if any(value.device.type != "cpu" for value in values):
        raise CannotFuseError("its numbers are not on the CPU, as the mosaic is")
    return _plan(
        tuple(type(step) for step in steps),
        demosaic.cfa,
        tuple(black.sites.flatten().tolist()),
        black.white,
        sharpen.channels,
        b"".join(value.detach().double().numpy().tobytes() for value in values),
    )


def numbers(step: Step) -> list[Tensor]:
    """The numbers of a step, learnable or not, in the order of their declaration."""
    return list(step.tensors().values())


def is_plain(x: Tensor) -> bool:
    """Whether a kernel can read it: no subclass, nor traced, mapped or differentiated forward."""
    return (
        type(x) in (Tensor, nn.Parameter)
        and x.device.type in ("cpu", "cuda")
        and x.layout is torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and forward_ad.unpack_dual(x).tangent is None
    )


NUMBERS: dict[type[Step], dict[str, tuple[int, ...]]] = {
    kind: {name: number.shape for name, number in kind.numbers.items()}
    for kinds in _ORDER
    for kind in kinds
}


@lru_cache(maxsize=64)
def _plan(
    kinds: tuple[type[Step], ...],
    cfa: Any,
    sites: tuple[int, ...],
    white: float | None,
    channels: str,
    values: bytes,
) -> Plan:
    flat = np.frombuffer(values)
    if not np.isfinite(flat).all():
        raise CannotFuseError("some of its numbers are not finite")
    found: dict[tuple[type[Step], str], Array] = {}
    at = 0
    for kind in kinds:
        for name, shape in NUMBERS[kind].items():
            size = int(np.prod(shape))
            found[kind, name] = flat[at : at + size].reshape(shape)
            at += size

    level = found[BlackLevel, "level"][list(sites)].reshape(2, 2)
    span = np.ones((2, 2)) if white is None else white - level
    exponent = 1 / float(found[Gamma, "gamma"])
    if not ((span > 0).all() and 0.02 <= exponent <= 50):
        raise CannotFuseError(
            "its gamma is not between 0.02 and 50, or a black level is not below the white level"
        )

    demosaic, sharpen, denoise = kinds[1], kinds[4], kinds[5]
    kernels = found[demosaic, "kernels"]
    red, _, _, blue = offsets(cfa)
    color = found[ColorCorrection, "matrix"] * found[WhiteBalance, "gains"]
    sharp, blur, amount = np.zeros((3, 3)), np.zeros(5), 0.0
    if sharpen is SharpeningFilter:
        sharp = found[sharpen, "kernel"]
    else:
        blur, amount = _one_side(float(found[sharpen, "radius"])), float(found[sharpen, "amount"])
    kernel, lines = np.zeros((5, 5)), np.zeros((2, 5))
    if denoise is GaussianDenoising:
        kernel = found[denoise, "kernel"]
        lines = _factors(kernel)
    return Plan(
        demosaic=demosaic,
        sharpen=sharpen,
        denoise=denoise,
        black=level,
        span=span,
        chroma=np.array([red[1], blue[1]] if red[0] == 0 else [blue[1], red[1]], dtype=np.int64),
        red_row=red[0],
        kernels=kernels,
        color=color,
        planes=YUV_FROM_RGB.numpy()[: 1 if channels == "luma" else 3] @ color,
        sharp=sharp,
        blur=blur,
        amount=amount,
        kernel=kernel,
        lines=lines,
        exponent=exponent,
    )


def _one_side(radius: float) -> Array:
    """Center and four more taps of the unsharp mask's Gaussian, or eight where it is wide."""
    if not radius < 2.125:
        raise CannotFuseError("the radius of its unsharp mask is not below 2.125 pixels")
    taps = gaussian_taps(torch.tensor(radius, dtype=torch.float64)).numpy()
    side = taps[len(taps) // 2 :]
    return np.pad(side, (0, (5 if len(side) <= 5 else 9) - len(side)))


def _factors(kernel: Array) -> Array:
    """Two lines (2, 5) whose outer product is the kernel (5, 5), or zeros if there are none."""
    left, strength, right = np.linalg.svd(kernel)
    if strength[1] > 1e-9 * strength[0]:
        return np.zeros((2, 5))
    return np.stack([left[:, 0] * strength[0], right[0]])


BACK = RGB_FROM_YUV.numpy()
