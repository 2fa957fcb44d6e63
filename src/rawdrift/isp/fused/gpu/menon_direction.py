"""Menon2007's kernels until a direction is chosen. Names are those of menon.py."""

import triton
import triton.language as tl

from rawdrift.isp.fused.gpu.tiles import near, place, tile


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
