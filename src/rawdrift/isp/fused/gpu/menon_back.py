"""The gradient of Menon2007: linear in the mosaic once the directions are chosen.

Names are those of menon.py. Every stage is a correlation along rows and one along columns.
"""

import torch
from torch import Tensor

from rawdrift.isp.fused.gpu.correlation import adjoint, taps_gradient
from rawdrift.isp.fused.gpu.menon import Planes


class _Lines:
    """Correlations along rows and along columns with the same taps (5,), backwards."""

    def __init__(self, taps: Tensor):
        self.taps = taps
        self.grad = torch.zeros(5, dtype=torch.float64, device=taps.device)

    def back(self, grad_h: Tensor, grad_v: Tensor, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of h, that was correlated along rows, and of v, along columns."""
        self.grad += taps_gradient(grad_h, h, (1, 5))[0] + taps_gradient(grad_v, v, (5, 1))[:, 0]
        return adjoint(grad_h, self.taps[None]), adjoint(grad_v, self.taps[:, None])


def menon_back(
    grad: Tensor, x: Tensor, planes: Planes, kernels: Tensor, red: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Gradients of the mosaics (N, H, W) and of the kernels (3, 5), from that of the colors."""
    line, difference, refine = (_Lines(taps) for taps in kernels)
    rows, columns = (torch.arange(n, device=x.device) for n in x.shape[1:])
    red_row = (rows % 2 == red[0])[:, None]
    green = (rows[:, None] + columns) % 2 != sum(red) % 2
    is_h = planes.way.bool()
    along, across, own, other, _ = planes

    def at_c(v: Tensor) -> Tensor:
        return v.masked_fill(green, 0)

    def at_green(v: Tensor) -> Tensor:
        return v.masked_fill(~green, 0)

    def directed(v: Tensor) -> tuple[Tensor, Tensor]:
        """Of what was taken at C from the smoother direction: along rows, along columns."""
        v = at_c(v)
        return v.masked_fill(~is_h, 0), v.masked_fill(is_h, 0)

    of_row = torch.where(red_row, grad[:, 0], grad[:, 2])
    of_column = torch.where(red_row, grad[:, 2], grad[:, 0])
    mosaic = grad.sum(1)

    # The third color at C.
    beside = own - other
    h, v = refine.back(
        *directed(of_column), torch.where(green, -beside, other), torch.where(green, beside, other)
    )
    to_third = h + v
    turned = v - h
    # Both colors at green, after refining.
    h, v = difference.back(
        at_green(of_row + turned),
        at_green(of_column - turned),
        torch.where(green, along, own),
        torch.where(green, across, own),
    )
    to_own = h + v - grad[:, 1]
    to_along, to_across = at_green(h), at_green(v)
    # The third color at C, and refined green.
    h, v = directed(to_third)
    beside = along - across
    h, v = difference.back(-h, v, beside, beside)
    to_along += h + v
    to_across -= h + v
    h, v = refine.back(*directed(to_own), along, across)
    to_along += h
    to_across += v
    # Both colors at green, and C - G.
    of_c = at_c(along)
    h, v = difference.back(at_green(to_along), at_green(to_across), of_c, of_c)
    to_c = at_c(to_along + to_across + h + v)
    mosaic += to_c
    h, v = line.back(*directed(-to_c), x, x)
    mosaic += h + v
    return mosaic, torch.stack([line.grad, difference.grad, refine.grad])
