"""The fused engine on a GPU: Triton kernels, with planes in memory between them.

mosaic -> corrected mosaic [-> Menon's stages -> colors] -> Y -> sharpened Y -> view

The forward pass keeps the mosaic and the numbers, nothing else; the backward pass computes the
stages again and goes back stage by stage.
"""

from collections.abc import Iterator, Set
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.isp.fused.fusable import Fusable
from rawdrift.isp.fused.gpu.filters import adjoint, correlate, median_adjoint, taps_gradient
from rawdrift.isp.fused.gpu.finish import from_planes, from_views, to_planes, to_views
from rawdrift.isp.fused.gpu.linear import corrected, table_adjoint, table_gradient
from rawdrift.isp.fused.gpu.menon import Planes, menon, menon_back
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers, numbers_of
from rawdrift.isp.fused.plan import CannotFuseError

__all__ = ["develop"]

_PIXELS = 2**22  # in work at a time, if images are not larger: bounds the memory between kernels


def develop(steps: Fusable, mosaic: Tensor, bit_depth: int) -> Tensor:
    """The view (..., 3, H, W) of a mosaic (..., H, W), not empty, by steps that can be fused.

    mosaic: float32 in [0, 1], or uint8 or uint16 of that bit depth, on a GPU; in Triton's
    interpreter, on the CPU.

    Raises CannotFuseError where the steps must run one by one.
    """
    if mosaic.shape[-2] * mosaic.shape[-1] * 3 >= 2**31:
        raise CannotFuseError("the mosaic has more pixels than 32 bits can count")
    layout, numbers = numbers_of(steps, mosaic.device)
    images = mosaic.reshape(-1, *mosaic.shape[-2:]).contiguous()
    views: Tensor = _Developed.apply(layout, float(2**bit_depth - 1), images, *numbers)
    return views.view(*mosaic.shape[:-2], 3, *mosaic.shape[-2:])


class _Developed(torch.autograd.Function):
    """Views (N, 3, H, W) of mosaics (N, H, W): keeps these and the numbers, nothing else."""

    @staticmethod
    def forward(ctx: Any, layout: Layout, full: float, images: Tensor, *numbers: Tensor) -> Tensor:
        ctx.layout, ctx.full = layout, full
        ctx.save_for_backward(images, *numbers)
        out = torch.empty(len(images), 3, *images.shape[1:], device=images.device)
        for some in _parts(images):
            _forward(out[some], images[some], full, Numbers._make(numbers), layout)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True
            raise InputError(
                "the fused engine has no second derivatives on a GPU; develop with "
                'rd.isp.engine("eager") where create_graph=True'
            )
        images, *numbers = ctx.saved_tensors
        names = ("mosaic", *Numbers._fields)
        needed = {name for name, need in zip(names, ctx.needs_input_grad[2:], strict=True) if need}
        to_images = torch.empty_like(images) if "mosaic" in needed else None
        totals: dict[str, Tensor] = {}
        for some in _parts(images):
            found = _backward(
                grad[some].contiguous(),
                images[some],
                ctx.full,
                Numbers._make(numbers),
                ctx.layout,
                needed,
            )
            if to_images is not None:
                to_images[some] = found["mosaic"]
            for name in needed - {"mosaic"}:
                totals[name] = found[name] + totals.get(name, 0)
        of_numbers = (
            totals[name].to(x.dtype) if name in needed else None
            for name, x in zip(Numbers._fields, numbers, strict=True)
        )
        return None, None, to_images, *of_numbers


def _parts(images: Tensor) -> Iterator[slice]:
    count = max(1, _PIXELS // images[0].numel())
    for first in range(0, len(images), count):
        yield slice(first, first + count)


class _Stages(NamedTuple):
    """The results of the stages before the views. P planes are filtered, see finish.py."""

    mosaics: Tensor  # (N, H, W), black level corrected
    menon: Planes | None
    source: Tensor  # of colors: the mosaics, or Menon's colors (N, 3, H, W)
    planes: Tensor  # (N * P, H, W)
    blurred: Tensor | None  # planes along rows, of the unsharp mask
    sharp: Tensor  # (N * P, H, W)


def _stages(raw: Tensor, full: float, numbers: Numbers, layout: Layout) -> _Stages:
    """The stages of raw mosaics (N, H, W)."""
    mosaics = corrected(raw, full, numbers.black, numbers.span)
    source, on_the_way, blurred = mosaics, None, None
    if not layout.size:
        source, on_the_way = menon(mosaics, numbers.demosaic, layout.red)
    planes = to_planes(source, numbers, layout)
    if layout.unsharp:
        blurred = correlate(planes, numbers.sharpen[:1])
        sharp = correlate(blurred, numbers.sharpen[1:].mT, planes, numbers.keep)
    else:
        sharp = correlate(planes, numbers.sharpen)
    return _Stages(mosaics, on_the_way, source, planes, blurred, sharp)


def _forward(out: Tensor, raw: Tensor, full: float, numbers: Numbers, layout: Layout) -> None:
    """Write the views (N, 3, H, W) of raw mosaics (N, H, W), float32 or DN up to `full`."""
    found = _stages(raw, full, numbers, layout)
    to_views(out, found.source, found.sharp, numbers, layout)


def _backward(
    grad: Tensor, raw: Tensor, full: float, numbers: Numbers, layout: Layout, needed: Set[str]
) -> dict[str, Tensor]:
    """Gradients by name: "mosaic" (N, H, W), and those of `Numbers`, float64.

    grad: (N, 3, H, W); the others as for `_forward`. The stages are computed again.
    """
    at = _stages(raw, full, numbers, layout)
    found = {}
    linear, change, medians, found["exponent"] = from_views(
        grad, at.source, at.sharp, numbers, layout
    )
    if medians is not None:
        change = median_adjoint(change, at.sharp, medians)
    else:
        if "denoise" in needed:
            found["denoise"] = taps_gradient(change, at.sharp, (5, 5))
        change = adjoint(change, numbers.denoise)
    change = _sharpening(found, change, at, numbers, needed)
    to_colors, found["color"] = from_planes(linear, change, at.source, numbers, layout)
    if needed & {"mosaic", "black", "span", "demosaic"}:
        to_mosaics = _demosaicing(found, to_colors, at, numbers, layout, needed)
        _black_level(found, to_mosaics, at.mosaics, numbers)
    return found


def _sharpening(
    found: dict[str, Tensor], grad: Tensor, at: _Stages, numbers: Numbers, needed: Set[str]
) -> Tensor:
    """From sharpened planes to planes."""
    if at.blurred is None:
        if "sharpen" in needed:
            found["sharpen"] = taps_gradient(grad, at.planes, (3, 3))
        return adjoint(grad, numbers.sharpen)
    along, across = numbers.sharpen[:1], numbers.sharpen[1:].mT
    to_blurred = adjoint(grad, across)
    if "sharpen" in needed:
        size = along.shape[1]
        found["sharpen"] = torch.cat(
            [
                taps_gradient(to_blurred, at.planes, (1, size)),
                taps_gradient(grad, at.blurred, (size, 1)).mT,
            ]
        )
        found["keep"] = taps_gradient(grad, at.planes, (1, 1))
    return adjoint(to_blurred, along).addcmul_(numbers.keep, grad)


def _demosaicing(
    found: dict[str, Tensor],
    grad: Tensor,
    at: _Stages,
    numbers: Numbers,
    layout: Layout,
    needed: Set[str],
) -> Tensor:
    """From colors to mosaics."""
    if at.menon is not None:
        change, found["demosaic"] = menon_back(
            grad, at.mosaics, at.menon, numbers.demosaic, layout.red
        )
        return change
    if "demosaic" in needed:
        found["demosaic"] = table_gradient(grad, at.mosaics, layout.size)
    return table_adjoint(grad, numbers.demosaic)


def _black_level(found: dict[str, Tensor], grad: Tensor, mosaics: Tensor, numbers: Numbers) -> None:
    """From corrected mosaics (x - black) / span to x, black and span. Changes `grad`."""
    sums, products = torch.zeros(2, 2, 2, dtype=torch.float64, device=grad.device)
    for i in range(2):
        for j in range(2):
            at = (slice(None), slice(i, None, 2), slice(j, None, 2))
            sums[i, j] = grad[at].sum(dtype=torch.float64)
            products[i, j] = (grad[at] * mosaics[at]).sum(dtype=torch.float64)
            grad[at] /= numbers.span[i, j]
    found["black"] = -sums / numbers.span
    found["span"] = -products / numbers.span
    found["mosaic"] = grad
