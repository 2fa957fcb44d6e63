"""From a pipeline to the steps that can be fused and the numbers of their kernels, or why not.

For every engine: no Numba here. Every stage is optional but demosaicing; a missing one is skipped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from rawdrift.cfa import Pattern, offsets
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.sites import of_cell
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB
from rawdrift.neighborhood import gaussian_taps

Array = np.ndarray[Any, Any]
BACK = RGB_FROM_YUV.numpy()

# The stages of the canonical pipeline.
_ORDER = (
    "black_level",
    "demosaic",
    "white_balance",
    "color_correction",
    "sharpen",
    "denoise",
    "gamma",
)


class CannotFuseError(Exception):
    """Says why a pipeline has to run step by step."""


# Which steps


def run(steps: Sequence[Step]) -> slice:
    """The steps that are fused: demosaicing, and those around it that are in the usual order.

    Steps before and after must run one by one. Raises CannotFuseError if there is no demosaicing
    of rawdrift's.
    """
    places = [_ORDER.index(step.stage) if _is_own(step) else -1 for step in steps]
    demosaic = _ORDER.index("demosaic")
    if demosaic not in places:
        raise CannotFuseError("its demosaicing is not one of rawdrift's")
    first = places.index(demosaic)
    last = first + 1
    if first and places[first - 1] == demosaic - 1:
        first -= 1
    while last < len(steps) and places[last] > places[last - 1]:
        last += 1
    return slice(first, last)


def _is_own(step: Step) -> bool:
    """Whether it is exactly a step of rawdrift, in a stage of the canonical pipeline."""
    return STEPS.get(type(step).__name__) is type(step) and step.stage in _ORDER


class Layout(NamedTuple):
    """The steps and options of a pipeline, without its numbers."""

    demosaic: type[Step]
    sharpen: type[Step] | None
    denoise: type[Step] | None
    gamma: bool
    luma: bool  # whether sharpening and denoising act on Y alone
    cfa: Pattern
    black_cfa: Pattern | None  # that of the black level, if there is one
    white: float | None

    @property
    def filters(self) -> bool:
        """Whether there is sharpening or denoising."""
        return self.sharpen is not None or self.denoise is not None


class Fusable(NamedTuple):
    """Steps that can be fused, in the usual order."""

    layout: Layout
    values: dict[str, Tensor]  # their numbers, learnable or not, by stage and name: "gamma.gamma"
    steps: Sequence[Step]


def fusable(steps: Sequence[Step]) -> Fusable:
    """Steps in the usual order as one; CannotFuseError if they can't be fused."""
    if any(step._forward_hooks or step._forward_pre_hooks for step in steps):
        raise CannotFuseError("its steps have forward hooks")
    values = {f"{step.stage}.{name}": x for step in steps for name, x in step.tensors().items()}
    if not all(is_plain(value) for value in values.values()):
        raise CannotFuseError("its numbers are not plain tensors")
    by_stage: dict[str | None, Step] = {step.stage: step for step in steps}
    black, sharpen, denoise = (by_stage.get(s) for s in ("black_level", "sharpen", "denoise"))
    channels = {step.channels for step in (sharpen, denoise) if step is not None}
    if len(channels) > 1 or not channels <= {"luma", "yuv"}:
        raise CannotFuseError("sharpening and denoising act on different or unknown channels")
    layout = Layout(
        demosaic=type(by_stage["demosaic"]),
        sharpen=type(sharpen) if sharpen is not None else None,
        denoise=type(denoise) if denoise is not None else None,
        gamma="gamma" in by_stage,
        luma="yuv" not in channels,
        cfa=by_stage["demosaic"].cfa,
        black_cfa=black.cfa if black is not None else None,
        white=black.white if black is not None else None,
    )
    return Fusable(layout, values, steps)


def is_plain(x: Tensor) -> bool:
    """Whether a kernel can read it: no subclass, nor traced, mapped or differentiated forward."""
    return (
        type(x) in (Tensor, nn.Parameter)
        and x.device.type in ("cpu", "cuda")
        and x.layout is torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and forward_ad.unpack_dual(x).tangent is None
    )


# Which numbers


class Numbers(NamedTuple):
    """The numbers of the kernels of every engine, float64; empty without such a stage."""

    black: Tensor  # (2, 2), by row and column parity
    span: Tensor  # (2, 2): white minus black, or ones
    kernels: Tensor  # of demosaicing
    color: Tensor  # (3, 3): white balance, then color correction
    sharpen: Tensor  # (3, 3): sharpening filter
    blur: Tensor  # (L,): the unsharp mask's Gaussian, center and one side
    amount: Tensor  # (): of the unsharp mask
    denoise: Tensor  # (5, 5)
    exponent: Tensor  # (): 1 / gamma


def numbers(layout: Layout, values: Mapping[str, Tensor]) -> Numbers:
    """The numbers of `Fusable`, by PyTorch operations that carry gradients back to its values."""
    value = {name: x.double() for name, x in values.items()}
    kernels = value["demosaic.kernels"]
    none = kernels.new_zeros(0)
    if layout.black_cfa is None:
        black, span = kernels.new_zeros(2, 2), kernels.new_ones(2, 2)
    else:
        black = value["black_level.level"][of_cell(layout.black_cfa)]
        span = kernels.new_ones(2, 2) if layout.white is None else layout.white - black
    if layout.demosaic is Menon2007:
        kernels = kernels * _measured().to(kernels)
    matrix, gains = value.get("color_correction.matrix"), value.get("white_balance.gains")
    if matrix is None:
        matrix = torch.eye(3).to(kernels)
    blur = amount = none
    if layout.sharpen is UnsharpMask:
        taps, amount = gaussian_taps(value["sharpen.radius"]), value["sharpen.amount"]
        blur = taps[len(taps) // 2 :]
    return Numbers(
        black=black,
        span=span,
        kernels=kernels,
        color=matrix if gains is None else matrix * gains,
        sharpen=value.get("sharpen.kernel", none),
        blur=blur,
        amount=amount,
        denoise=value.get("denoise.kernel", none),
        exponent=1 / value["gamma.gamma"] if layout.gamma else none,
    )


def _measured() -> Tensor:
    """Where Menon's taps fall on what is measured; others don't count."""
    return torch.tensor(Menon2007.numbers["kernels"].default) != 0


# The plan of the engine on the CPU


@dataclass(frozen=True, eq=False)
class Plan:
    """The layout and the numbers of one pipeline, float64 where not said otherwise.

    One object for the same numbers, for as long as they are in use.
    """

    layout: Layout
    black: Array  # (2, 2), by row and column parity
    span: Array  # (2, 2): white minus black, or ones
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red
    kernels: Array  # of demosaicing
    color: Array  # (3, 3): white balance, then color correction
    planes: Array  # (P, 3): demosaiced colors to the P planes that are filtered
    sharpen: Array  # (3, 3)
    blur: Array  # (5,) or (9,): the unsharp mask's Gaussian, center and one side
    amount: float
    denoise: Array  # (5, 5)
    lines: Array  # (2, 5): along columns and rows where the kernel is their product, or zeros
    exponent: float


def plan(steps: Fusable) -> Plan:
    """The plan of steps on the CPU; CannotFuseError where there is none."""
    layout, values, _ = steps
    if any(value.device.type != "cpu" for value in values.values()):
        raise CannotFuseError("its numbers are not on the CPU, as the mosaic is")
    flat = b"".join(value.detach().double().numpy().tobytes() for value in values.values())
    shapes = tuple((name, tuple(value.shape)) for name, value in values.items())
    return _plan(layout, shapes, flat)


@lru_cache(maxsize=64)
def _plan(layout: Layout, shapes: tuple[tuple[str, tuple[int, ...]], ...], flat: bytes) -> Plan:
    together = torch.frombuffer(bytearray(flat), dtype=torch.float64)
    if not torch.isfinite(together).all():
        raise CannotFuseError("some of its numbers are not finite")
    parts = together.split([math.prod(shape) for _, shape in shapes])
    values = {name: x.view(shape) for (name, shape), x in zip(shapes, parts, strict=True)}
    these = numbers(layout, values)
    array = {name: x.numpy() for name, x in these._asdict().items()}
    exponent = float(these.exponent) if layout.gamma else 1.0
    if not ((array["span"] > 0).all() and 0.02 <= exponent <= 50):
        raise CannotFuseError(
            "its gamma is not between 0.02 and 50, or a black level is not below the white level"
        )
    red, _, _, blue = offsets(layout.cfa)
    planes = YUV_FROM_RGB.numpy()[: 1 if layout.luma else 3] if layout.filters else np.zeros((0, 3))
    denoise = array["denoise"] if these.denoise.numel() else np.zeros((5, 5))
    return Plan(
        layout=layout,
        black=array["black"],
        span=array["span"],
        chroma=np.array([red[1], blue[1]] if red[0] == 0 else [blue[1], red[1]], dtype=np.int64),
        red_row=red[0],
        kernels=array["kernels"],
        color=array["color"],
        planes=planes @ array["color"],
        sharpen=array["sharpen"] if these.sharpen.numel() else np.zeros((3, 3)),
        blur=_padded(array["blur"]),
        amount=float(these.amount) if these.amount.numel() else 0.0,
        denoise=denoise,
        lines=_factors(denoise),
        exponent=exponent,
    )


def _padded(side: Array) -> Array:
    """One side of a Gaussian padded to five taps, or nine where it is wide."""
    if len(side) > 9:
        raise CannotFuseError("the radius of its unsharp mask is not below 2.125 pixels")
    return np.pad(side, (0, (5 if len(side) <= 5 else 9) - len(side)))


def _factors(kernel: Array) -> Array:
    """Two lines (2, 5) whose outer product is the kernel (5, 5), or zeros if there are none."""
    if not kernel.any():
        return np.zeros((2, 5))
    left, strength, right = np.linalg.svd(kernel)
    if strength[1] > 1e-9 * strength[0]:
        return np.zeros((2, 5))
    return np.stack([left[:, 0] * strength[0], right[0]])
