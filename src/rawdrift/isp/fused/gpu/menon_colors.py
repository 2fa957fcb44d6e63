"""Menon2007's kernels once directions are chosen. Names are those of menon.py."""

import triton
import triton.language as tl

from rawdrift.isp.fused.gpu.menon_direction import is_green
from rawdrift.isp.fused.gpu.tiles import near, place, tile


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
