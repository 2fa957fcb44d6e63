"""Menon2007 in stages, each a kernel over all pixels. See demosaic.py.

C is the color of a pixel that is not green, G the green at it. Along its row, a pixel at green has
the samples of the row's color beside it, along its column those of the column's color. Planes:

    difference_h, difference_v   at C: C - G, with G from the row, from the column; zero at green
    along, across                at C: C - G along the smoother direction, in both;
                                 at green: the row's color - green, the column's color - green
    own, other                   the same after refining, but at C: C - G in `own`, and in `other`
                                 what the third color is more than C
    way                          at C: whether the row is the smoother direction

Going back it is linear in the mosaic, for the directions are chosen; every stage is a correlation
along rows and one along columns.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.filters import adjoint, taps_gradient
from rawdrift.isp.fused.gpu.tiles import (
    inside,
    launch,
    near,
    place,
    plane,
    put,
    put_three,
    tile,
    zeros,
)


class Planes(NamedTuple):
    """What the backward pass needs, each (N, H, W)."""

    along: Tensor
    across: Tensor
    own: Tensor
    other: Tensor
    way: Tensor  # int8


def menon(x: Tensor, kernels: Tensor, red: tuple[int, int]) -> tuple[Tensor, Planes]:
    """Colors (N, 3, H, W) of mosaics (N, H, W), and what was on the way. red: its row, column."""
    difference_h, difference_v = torch.empty_like(x), torch.empty_like(x)
    kept = [torch.empty_like(x) for _ in range(4)]
    planes = Planes._make([*kept, torch.empty_like(x, dtype=torch.int8)])
    out = x.new_empty(len(x), 3, *x.shape[1:])
    line, difference, refine = kernels
    green = (sum(red) + 1) % 2

    # Rounding decides between directions that are equally smooth: it must be that of the steps.
    def stage(kernel: object, *values: Tensor, **constants: Any) -> None:
        launch(kernel, x.shape, *values, fuse=False, **constants)

    stage(differences, difference_h, difference_v, x, line, GREEN=green)
    stage(decide, planes.along, planes.across, planes.way, difference_h, difference_v)
    del difference_h, difference_v
    stage(at_green, planes.along, planes.across, difference, GREEN=green)
    stage(refined, *planes, difference, refine)
    stage(at_green, planes.own, planes.other, difference, GREEN=green)
    stage(third_colors, out, x, *planes[2:], refine, GREEN=green, RED_ROW=red[0])
    return out, planes


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


# The kernels until a direction is chosen


@triton.jit
def is_green(t, GREEN: tl.constexpr):
    """GREEN: the parity of row plus column at the green pixels."""
    _, r, c, _, _ = t
    return (r[:, None] + c[None, :]) % 2 == GREEN


@triton.jit
def _line(plane, taps, t, down, right):
    """Five taps along a line, added in the order of the steps."""
    a = tl.load(taps) * near(plane, t, -2 * down, -2 * right)
    b = tl.load(taps + 1) * near(plane, t, -down, -right)
    center = tl.load(taps + 2) * near(plane, t, 0, 0)
    d = tl.load(taps + 3) * near(plane, t, down, right)
    e = tl.load(taps + 4) * near(plane, t, 2 * down, 2 * right)
    return (b + d) + (center + (a + e))


@triton.jit
def differences(difference_h, difference_v, x, line, rows, columns, GREEN: tl.constexpr):
    t = tile(rows, columns)
    sample, green = inside(plane(x, t), t), is_green(t, GREEN)
    h = sample - _line(plane(x, t), line, t, 0, 1)
    v = sample - _line(plane(x, t), line, t, 1, 0)
    put(plane(difference_h, t), t, tl.where(green, 0.0, h))
    put(plane(difference_v, t), t, tl.where(green, 0.0, v))


@triton.jit
def _roughness(plane, t, DOWN: tl.constexpr, RIGHT: tl.constexpr):
    """How much differences at C vary in one direction, added in the order of the steps."""
    total = zeros(t)
    for i in tl.static_range(-2, 3 - 2 * DOWN):
        for j in tl.static_range(-2, 3 - 2 * RIGHT):
            if (i + j) % 2 == 0:
                step = near(plane, t, i, j) - near(plane, t, i + 2 * DOWN, j + 2 * RIGHT)
                weight = 3 if i * RIGHT + j * DOWN == 0 else 1
                total += weight * tl.abs(step)
    return total


@triton.jit
def decide(along, across, way, difference_h, difference_v, rows, columns):
    t = tile(rows, columns)
    p, q = plane(difference_h, t), plane(difference_v, t)
    is_h = _roughness(q, t, 1, 0) >= _roughness(p, t, 0, 1)
    put(plane(way, t), t, is_h.to(tl.int8))
    difference = tl.where(is_h, inside(p, t), inside(q, t))
    # What this writes at green, the next stage replaces; half a line costs as much as all of it.
    put(plane(along, t), t, difference)
    put(plane(across, t), t, difference)


# The kernels once directions are chosen


@triton.jit
def at_green(row, column, taps, rows, columns, GREEN: tl.constexpr):
    """At green, the row's color minus green in `row`, the column's color minus green in `column`.

    They come from C - G in `row`, at C beside: no pixel is read and written here.
    """
    t = tile(rows, columns)
    p, before, after = plane(row, t), tl.load(taps + 1), tl.load(taps + 3)
    h = before * near(p, t, 0, -1) + after * near(p, t, 0, 1)
    v = before * near(p, t, -1, 0) + after * near(p, t, 1, 0)
    at, mask = place(t)
    mask &= is_green(t, GREEN)
    tl.store(p + at, h, mask=mask)
    tl.store(plane(column, t) + at, v, mask=mask)


@triton.jit
def refined(along, across, own, other, way, difference, refine, rows, columns):
    """At C: C minus refined green, and what the third color is more than C, along the direction."""
    t = tile(rows, columns)
    p, q = plane(along, t), plane(across, t)
    is_h = inside(plane(way, t), t) != 0
    h, v, third_h, third_v = zeros(t), zeros(t), zeros(t), zeros(t)
    for k in tl.static_range(1, 4):
        tap = tl.load(refine + k)
        h += tap * near(p, t, 0, k - 2)
        v += tap * near(q, t, k - 2, 0)
    for k in tl.static_range(1, 4, 2):  # at C, along and across are equal
        tap, s = tl.load(difference + k), k - 2
        third_h += tap * (near(q, t, 0, s) - near(p, t, 0, s))
        third_v += tap * (near(p, t, s, 0) - near(q, t, s, 0))
    put(plane(own, t), t, tl.where(is_h, h, v))
    put(plane(other, t), t, tl.where(is_h, third_h, third_v))


@triton.jit
def third_colors(
    out, x, own, other, way, refine, rows, columns, GREEN: tl.constexpr, RED_ROW: tl.constexpr
):
    t = tile(rows, columns)
    p, q = plane(own, t), plane(other, t)
    is_h = inside(plane(way, t), t) != 0
    third_h, third_v = zeros(t), zeros(t)
    for k in tl.static_range(1, 4):
        tap, s = tl.load(refine + k), k - 2
        h, v = near(q, t, 0, s), near(q, t, s, 0)
        if k % 2 == 1:  # at green
            h -= near(p, t, 0, s)
            v = near(p, t, s, 0) - v
        third_h += tap * h
        third_v += tap * v
    sample, first, second = inside(plane(x, t), t), inside(p, t), inside(q, t)
    green = is_green(t, GREEN)
    of_row = sample + tl.where(green, first, 0.0)
    of_column = sample + tl.where(green, second, tl.where(is_h, third_h, third_v))
    _, r, _, _, _ = t
    red_row = (r % 2 == RED_ROW)[:, None]
    red, blue = tl.where(red_row, of_row, of_column), tl.where(red_row, of_column, of_row)
    put_three(out, t, red, sample - tl.where(green, 0.0, first), blue)
