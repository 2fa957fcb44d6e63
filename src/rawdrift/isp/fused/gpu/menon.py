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

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.filters import adjoint, taps_gradient
from rawdrift.isp.fused.gpu.tiles import COLUMNS, ROWS, launch, near, place, tile, tiles


class Planes(NamedTuple):
    """What the backward pass needs, each (N, H, W)."""

    along: Tensor
    across: Tensor
    own: Tensor
    other: Tensor
    way: Tensor  # int8


def menon(x: Tensor, kernels: Tensor, red: tuple[int, int]) -> tuple[Tensor, Planes]:
    """Colors (N, 3, H, W) of mosaics (N, H, W), and what was on the way. red: its row, column."""
    rows, columns = x.shape[1:]
    difference_h, difference_v = torch.empty_like(x), torch.empty_like(x)
    kept = [torch.empty_like(x) for _ in range(4)]
    planes = Planes._make([*kept, torch.empty_like(x, dtype=torch.int8)])
    out = x.new_empty(len(x), 3, rows, columns)
    line, difference, refine = kernels

    # Rounding decides between directions that are equally smooth: it must be that of the steps.
    def stage(kernel: object, *values: Tensor) -> None:
        launch(
            kernel,
            (tiles(*x.shape),),
            x,
            *values,
            rows,
            columns,
            GREEN=(sum(red) + 1) % 2,
            RED_ROW=red[0],
            ROWS=ROWS,
            COLUMNS=COLUMNS,
            fuse=False,
        )

    stage(differences, difference_h, difference_v, x, line)
    stage(decide, planes.along, planes.across, planes.way, difference_h, difference_v)
    del difference_h, difference_v
    stage(at_green, planes.along, planes.across, difference)
    stage(refined, *planes, difference, refine)
    stage(at_green_again, *planes, difference)
    stage(third_colors, out, x, *planes, refine)
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
def is_green(r, c, GREEN: tl.constexpr):
    """GREEN: the parity of row plus column at the green pixels."""
    return (r[:, None] + c[None, :]) % 2 == GREEN


@triton.jit
def _line(plane, taps, r, c, down, right, rows, columns):
    """Five taps along a line, added in the order of the steps."""
    a = tl.load(taps) * near(plane, r, c, -2 * down, -2 * right, rows, columns)
    b = tl.load(taps + 1) * near(plane, r, c, -down, -right, rows, columns)
    center = tl.load(taps + 2) * near(plane, r, c, 0, 0, rows, columns)
    d = tl.load(taps + 3) * near(plane, r, c, down, right, rows, columns)
    e = tl.load(taps + 4) * near(plane, r, c, 2 * down, 2 * right, rows, columns)
    return (b + d) + (center + (a + e))


@triton.jit
def differences(
    difference_h,
    difference_v,
    x,
    line,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    at, mask = place(r, c, rows, columns)
    sample = tl.load(x + start + at, mask=mask, other=0.0)
    green = is_green(r, c, GREEN)
    h = sample - _line(x + start, line, r, c, 0, 1, rows, columns)
    v = sample - _line(x + start, line, r, c, 1, 0, rows, columns)
    tl.store(difference_h + start + at, tl.where(green, 0.0, h), mask=mask)
    tl.store(difference_v + start + at, tl.where(green, 0.0, v), mask=mask)


@triton.jit
def _step_h(plane, r, c, i, j, rows, columns):
    return tl.abs(
        near(plane, r, c, i, j, rows, columns) - near(plane, r, c, i, j + 2, rows, columns)
    )


@triton.jit
def _step_v(plane, r, c, i, j, rows, columns):
    return tl.abs(
        near(plane, r, c, i, j, rows, columns) - near(plane, r, c, i + 2, j, rows, columns)
    )


@triton.jit
def decide(
    along,
    across,
    way,
    difference_h,
    difference_v,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    p = difference_h + start
    h = _step_h(p, r, c, -2, -2, rows, columns) + _step_h(p, r, c, -2, 0, rows, columns)
    h += _step_h(p, r, c, -1, -1, rows, columns)
    h += 3 * _step_h(p, r, c, 0, -2, rows, columns)
    h += 3 * _step_h(p, r, c, 0, 0, rows, columns)
    h += _step_h(p, r, c, 1, -1, rows, columns)
    h += _step_h(p, r, c, 2, -2, rows, columns)
    h += _step_h(p, r, c, 2, 0, rows, columns)
    p = difference_v + start
    v = _step_v(p, r, c, -2, -2, rows, columns) + 3 * _step_v(p, r, c, -2, 0, rows, columns)
    v += _step_v(p, r, c, -2, 2, rows, columns)
    v += _step_v(p, r, c, -1, -1, rows, columns)
    v += _step_v(p, r, c, -1, 1, rows, columns)
    v += _step_v(p, r, c, 0, -2, rows, columns)
    v += 3 * _step_v(p, r, c, 0, 0, rows, columns)
    v += _step_v(p, r, c, 0, 2, rows, columns)
    is_h = v >= h
    at, mask = place(r, c, rows, columns)
    at += start
    tl.store(way + at, is_h.to(tl.int8), mask=mask)
    difference = tl.where(
        is_h,
        tl.load(difference_h + at, mask=mask, other=0.0),
        tl.load(difference_v + at, mask=mask, other=0.0),
    )
    # What this writes at green, the next stage replaces; half a line costs as much as all of it.
    tl.store(along + at, difference, mask=mask)
    tl.store(across + at, difference, mask=mask)


# The kernels once directions are chosen


@triton.jit
def at_green(
    along,
    across,
    taps,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """From what is at C beside, to what is at green: no pixel is read and written here."""
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    p, before, after = along + start, tl.load(taps + 1), tl.load(taps + 3)
    h = before * near(p, r, c, 0, -1, rows, columns) + after * near(p, r, c, 0, 1, rows, columns)
    v = before * near(p, r, c, -1, 0, rows, columns) + after * near(p, r, c, 1, 0, rows, columns)
    at, mask = place(r, c, rows, columns)
    mask &= is_green(r, c, GREEN)
    tl.store(p + at, h, mask=mask)
    tl.store(across + start + at, v, mask=mask)


@triton.jit
def refined(
    along,
    across,
    own,
    other,
    way,
    difference,
    refine,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """At C: C minus refined green, and what the third color is more than C, along the direction."""
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    p, q = along + start, across + start
    at, mask = place(r, c, rows, columns)
    is_h = tl.load(way + start + at, mask=mask, other=0) != 0
    h = tl.zeros([ROWS, COLUMNS], tl.float32)
    v = tl.zeros([ROWS, COLUMNS], tl.float32)
    for k in tl.static_range(1, 4):
        tap = tl.load(refine + k)
        h += tap * near(p, r, c, 0, k - 2, rows, columns)
        v += tap * near(q, r, c, k - 2, 0, rows, columns)
    third_h = tl.zeros([ROWS, COLUMNS], tl.float32)
    third_v = tl.zeros([ROWS, COLUMNS], tl.float32)
    for k in tl.static_range(1, 4, 2):  # at C, along and across are equal
        tap, s = tl.load(difference + k), k - 2
        third_h += tap * (near(q, r, c, 0, s, rows, columns) - near(p, r, c, 0, s, rows, columns))
        third_v += tap * (near(p, r, c, s, 0, rows, columns) - near(q, r, c, s, 0, rows, columns))
    tl.store(own + start + at, tl.where(is_h, h, v), mask=mask)
    tl.store(other + start + at, tl.where(is_h, third_h, third_v), mask=mask)


@triton.jit
def at_green_again(
    along,
    across,
    own,
    other,
    way,
    taps,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """At green, from refined C - G and from the row's or the column's color - green."""
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    h = tl.zeros([ROWS, COLUMNS], tl.float32)
    v = tl.zeros([ROWS, COLUMNS], tl.float32)
    for k in tl.static_range(1, 4, 2):
        tap = tl.load(taps + k)
        h += tap * near(own + start, r, c, 0, k - 2, rows, columns)
        v += tap * near(own + start, r, c, k - 2, 0, rows, columns)
    at, mask = place(r, c, rows, columns)
    mask &= is_green(r, c, GREEN)
    tl.store(own + start + at, h, mask=mask)
    tl.store(other + start + at, v, mask=mask)


@triton.jit
def third_colors(
    out,
    x,
    along,
    across,
    own,
    other,
    way,
    refine,
    rows,
    columns,
    GREEN: tl.constexpr,
    RED_ROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    p, q = own + start, other + start
    at, mask = place(r, c, rows, columns)
    is_h = tl.load(way + start + at, mask=mask, other=0) != 0
    third_h = tl.zeros([ROWS, COLUMNS], tl.float32)
    third_v = tl.zeros([ROWS, COLUMNS], tl.float32)
    for k in tl.static_range(1, 4):
        tap, s = tl.load(refine + k), k - 2
        h = near(q, r, c, 0, s, rows, columns)
        v = near(q, r, c, s, 0, rows, columns)
        if k % 2 == 1:  # at green
            h -= near(p, r, c, 0, s, rows, columns)
            v = near(p, r, c, s, 0, rows, columns) - v
        third_h += tap * h
        third_v += tap * v
    sample = tl.load(x + start + at, mask=mask, other=0.0)
    first = tl.load(p + at, mask=mask, other=0.0)
    second = tl.load(q + at, mask=mask, other=0.0)
    at_green = is_green(r, c, GREEN)
    of_row = sample + tl.where(at_green, first, 0.0)
    green = sample - tl.where(at_green, 0.0, first)
    of_column = sample + tl.where(at_green, second, tl.where(is_h, third_h, third_v))
    red_row = (r % 2 == RED_ROW)[:, None]
    view = out + 3 * start + at
    tl.store(view, tl.where(red_row, of_row, of_column), mask=mask)
    tl.store(view + rows * columns, green, mask=mask)
    tl.store(view + 2 * rows * columns, tl.where(red_row, of_column, of_row), mask=mask)
