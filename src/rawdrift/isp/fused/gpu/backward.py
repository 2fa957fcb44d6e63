"""From the gradient of views to those of the mosaics and of all numbers, stage by stage back."""

from collections.abc import Set

import torch
from torch import Tensor

from rawdrift.isp.fused.gpu.bayer import table_adjoint, table_gradient
from rawdrift.isp.fused.gpu.correlation import adjoint, taps_gradient
from rawdrift.isp.fused.gpu.finish_back import from_planes, from_views
from rawdrift.isp.fused.gpu.forward import Stages, stages
from rawdrift.isp.fused.gpu.median import median_adjoint
from rawdrift.isp.fused.gpu.menon_back import menon_back
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers


def backward(
    grad: Tensor, raw: Tensor, full: float, numbers: Numbers, layout: Layout, needed: Set[str]
) -> dict[str, Tensor]:
    """Gradients by name: "mosaic" (N, H, W), and those of `Numbers`, float64.

    grad: (N, 3, H, W); the others as for `forward`. The stages are computed again.
    """
    at = stages(raw, full, numbers, layout)
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
    found: dict[str, Tensor], grad: Tensor, at: Stages, numbers: Numbers, needed: Set[str]
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
    at: Stages,
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
