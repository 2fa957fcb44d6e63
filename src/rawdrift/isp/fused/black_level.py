"""Black level: rows of the raw mosaic to corrected halves, and back."""

from typing import NamedTuple

import numpy as np

from rawdrift.compiled import exact, inlined, store_row
from rawdrift.isp.fused.rows import (
    BLACK,
    PAD,
    Array,
    copied,
    dot,
    f32,
    i32,
    mirror_halves,
    total,
    weave,
)

_LARGEST = f32(1e30).view(i32)  # mosaics with samples beyond it, infinite or NaN, go to the steps


class Sites(NamedTuple):
    """The mosaic's numbers."""

    kind: int  # of samples: 0 float32, 1 uint8, 2 uint16
    unit: np.float32  # DN at full scale
    black: Array  # (2, 2) float32, by row and column parity
    span: Array  # (2, 2) float32
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red


@exact
def _magnitude(x):
    return i32(f32(x).view(i32) & i32(0x7FFFFFFF))


@exact
def _worse(a, b):
    return a if a > b else b


@exact
def _read(s, even, row, n):
    """A row of n floats to its even and odd columns. True if it is sane."""
    odd = even + 1
    worst = i32(0)  # the largest bits but the sign: infinity and NaN are above every number
    for j in range(n // 2):
        x, y = row[2 * j], row[2 * j + 1]
        worst = _worse(worst, _worse(_magnitude(x), _magnitude(y)))
        s[even, PAD + j], s[odd, PAD + j] = x, y
    if n % 2:
        worst = _worse(worst, _magnitude(row[n - 1]))
        s[even, PAD + n // 2] = row[n - 1]
    return worst <= _LARGEST


@exact
def _read_integers(s, even, row, n, unit):
    """A row of n integers to its even and odd columns. unit: DN at full scale."""
    odd = even + 1
    for j in range(n // 2):
        s[even, PAD + j] = f32(row[2 * j]) / unit
        s[odd, PAD + j] = f32(row[2 * j + 1]) / unit
    if n % 2:
        s[even, PAD + n // 2] = f32(row[n - 1]) / unit


@exact
def _correct(s, row, black, span, n):
    """row = (row - black) / span, in place."""
    if black != f32(0):
        for j in range((n + 31) // 32 * 32):
            s[row, PAD + j] -= black
    if span != f32(1):  # a division costs as much as all of bilinear demosaicing
        for j in range((n + 31) // 32 * 32):
            s[row, PAD + j] /= span


@inlined
def load(s, even, mosaic, r, part, sites):
    """Row r of the part to two halves from `even` on. True if it is sane."""
    floats, small, words = mosaic
    row, left, right = part.top + r, part.left, part.right
    n, sane = right - left, True
    if sites.kind == 0:
        sane = _read(s, even, floats[part.image, row, left:right], n)
    elif sites.kind == 1:
        _read_integers(s, even, small[part.image, row, left:right], n, sites.unit)
    else:
        _read_integers(s, even, words[part.image, row, left:right], n, sites.unit)
    black, span = sites.black[r % 2], sites.span[r % 2]
    _correct(s, even, black[0], span[0], (n + 1) // 2)
    _correct(s, even + 1, black[1], span[1], (n + 1) // 2)
    mirror_halves(s, even, n, 2)
    return sane


@inlined
def load_view(s, even, view, r, part, sites):
    """Row r of a part of a view, three images of floats, to six halves. True if it is sane."""
    floats, sane = view[0], True
    left, right = part.left, part.right
    for c in range(3):
        row = floats[3 * part.image + c, part.top + r, left:right]
        sane &= _read(s, even + 2 * c, row, right - left)
    return sane


@exact
def load_back(out, totals, s, work, halves, gradient, row, r, part, sites, wants_black, wants_out):
    """From row r of the corrected mosaic's gradient to what is wanted of it.

    out: (images, H, W), gradients of mosaics; gradient: its first of two halves, and `row` that of
    the corrected mosaic; work: a row of s; totals: of the row.
    """
    first, last = part.first_column, part.last_column
    h = (first - part.left) // 2
    for p in range(2):
        count = (last - first + 1 - p) // 2
        if wants_black:
            k = BLACK + 4 * (r % 2) + 2 * p
            total(totals, k, halves, gradient + p, h, count)
            dot(totals, k + 1, halves, gradient + p, row + p, 0, h, count)
    if wants_out:
        for p in range(2):
            scale = f32(1) / sites.span[r % 2, p]
            if scale != f32(1):
                copied(halves, gradient + p, gradient + p, scale, (part.right - part.left + 1) // 2)
        weave(s, work, halves, gradient, gradient + 1, part.right - part.left)
        at = PAD + first - part.left
        store_row(s[work, at : at + last - first], out[part.image, part.top + r, first:last])
