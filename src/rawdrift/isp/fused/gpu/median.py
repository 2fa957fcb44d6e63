"""Median of nine by comparisons, and the gradient through its choice."""

import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.correlation import fold
from rawdrift.isp.fused.gpu.tiles import (
    COLUMNS,
    ROWS,
    inside,
    launch,
    near,
    place,
    tile,
    tiles,
)


def median_adjoint(grad: Tensor, x: Tensor, medians: Tensor) -> Tensor:
    """Gradient (N, H, W) of planes x whose 3x3 medians are known.

    grad: that of the medians, already shared among the samples that equal them.
    """
    n, rows, columns = x.shape
    out = grad.new_empty(n, rows + 2, columns + 2)
    launch(
        _median_adjoint,
        (tiles(*out.shape),),
        grad,
        out,
        grad,
        x,
        medians,
        rows,
        columns,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
    )
    return fold(out, 1, 1)


@triton.jit
def _median_adjoint(
    out, grad, x, medians, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """out: with a margin of one, to be folded."""
    image, r, c = tile(rows + 2, columns + 2, ROWS, COLUMNS)
    start = image * rows * columns
    sample = near(x + start, r, c, -1, -1, rows, columns)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            chosen = sample == inside(medians + start, r - i, c - j, rows, columns)
            total += tl.where(chosen, inside(grad + start, r - i, c - j, rows, columns), 0.0)
    at, mask = place(r, c, rows + 2, columns + 2)
    tl.store(out + image * (rows + 2) * (columns + 2) + at, total, mask=mask)


@triton.jit
def least(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def greatest(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _median3(a, b, c):
    return greatest(least(a, b), least(greatest(a, b), c))


@triton.jit
def _sorted_column(plane, r, c, j, rows, columns):
    top, middle = near(plane, r, c, -1, j, rows, columns), near(plane, r, c, 0, j, rows, columns)
    bottom = near(plane, r, c, 1, j, rows, columns)
    low, high = least(top, middle), greatest(top, middle)
    return least(low, bottom), greatest(low, least(high, bottom)), greatest(high, bottom)


@triton.jit
def median(plane, r, c, rows, columns):
    """Median of the 3x3 neighborhood, as in denoise.py."""
    low_a, middle_a, high_a = _sorted_column(plane, r, c, -1, rows, columns)
    low_b, middle_b, high_b = _sorted_column(plane, r, c, 0, rows, columns)
    low_c, middle_c, high_c = _sorted_column(plane, r, c, 1, rows, columns)
    return _median3(
        greatest(greatest(low_a, low_b), low_c),
        _median3(middle_a, middle_b, middle_c),
        least(least(high_a, high_b), high_c),
    )


@triton.jit
def equals(plane, value, r, c, rows, columns):
    """How many of the 3x3 neighborhood equal a value."""
    count = tl.zeros(value.shape, tl.float32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            count += (near(plane, r, c, i - 1, j - 1, rows, columns) == value).to(tl.float32)
    return count
