"""Sharpening of planes, by a 3x3 filter or by an unsharp mask, and its gradients."""

from typing import NamedTuple

import numpy as np

from rawdrift.compiled import allocating, exact, fast, summing
from rawdrift.isp.fused.rows import (
    BLUR,
    KEEP,
    PAD,
    SHARPEN,
    SURE,
    Array,
    add_scaled,
    clear,
    copy,
    dot,
    f32,
    fold,
    gathering,
    mirror,
    mirrored,
    place,
)

NONE, FILTER, UNSHARP = range(3)  # kinds
MARGIN = 2  # columns that are mirrored for denoising


class Sharpening(NamedTuple):
    """Its numbers, float32."""

    kernel: Array  # (3, 3)
    blur: Array  # (9,) or (17,): Gaussian of the unsharp mask
    blur_back: Array  # (9, 1) or (17, 1): the same times -amount
    amount: np.float32
    reach: int  # rows to each side, of the kinds that are wanted


@exact
def sharpened(s, out, blurred, work, planes, p, r, kind, rows, numbers, n):
    """Row r of plane p sharpened, with margins. planes: their ring.

    blurred: the row for what the unsharp mask blurs along columns; work: a row that is free.
    """
    row = place(planes, r) + p
    if kind == FILTER:
        up, down = mirrored(planes, r - 1, rows) + p, mirrored(planes, r + 1, rows) + p
        k = numbers.kernel
        if k[0, 0] == 0 and k[0, 2] == 0 and k[2, 0] == 0 and k[2, 2] == 0:
            _cross3(s, out, up, row, down, k, n)
        else:
            _filter3(s, out, up, row, down, k, 0, n)
    else:
        _blur_column(s, blurred, planes, p, r, rows, numbers.blur, n)
        _blur_line(s, work, blurred, numbers.blur[len(numbers.blur) // 2 :], 0, n)
        _unsharp(s, out, row, work, numbers.amount, n)
    mirror(s, out, n, MARGIN)


@fast
def _filter3(s, out, up, row, down, kernel, first, n):
    """Correlation with a kernel (3, 3), of n columns from `first`."""
    left = (PAD - 1 + first) & SURE
    a, b, c = kernel[0, 0], kernel[0, 1], kernel[0, 2]
    d, e, f = kernel[1, 0], kernel[1, 1], kernel[1, 2]
    g, h, i = kernel[2, 0], kernel[2, 1], kernel[2, 2]
    for j in range((n + 63) // 64 * 64):
        t = a * s[up, left + j] + b * s[up, left + 1 + j] + c * s[up, left + 2 + j]
        t += d * s[row, left + j] + e * s[row, left + 1 + j] + f * s[row, left + 2 + j]
        t += g * s[down, left + j] + h * s[down, left + 1 + j] + i * s[down, left + 2 + j]
        s[out, left + 1 + j] = t


@fast
def _cross3(s, out, up, row, down, kernel, n):
    """Correlation with a kernel (3, 3) whose corners are zero."""
    a, b, c, d, e = kernel[0, 1], kernel[1, 0], kernel[1, 1], kernel[1, 2], kernel[2, 1]
    for j in range((n + 63) // 64 * 64):
        t = b * s[row, PAD - 1 + j] + c * s[row, PAD + j] + d * s[row, PAD + 1 + j]
        s[out, PAD + j] = t + a * s[up, PAD + j] + e * s[down, PAD + j]


@exact
def nine(ring, p, r, rows):
    """The places of plane p of rows r - 4 to r + 4."""
    return (
        mirrored(ring, r - 4, rows) + p,
        mirrored(ring, r - 3, rows) + p,
        mirrored(ring, r - 2, rows) + p,
        mirrored(ring, r - 1, rows) + p,
        place(ring, r) + p,
        mirrored(ring, r + 1, rows) + p,
        mirrored(ring, r + 2, rows) + p,
        mirrored(ring, r + 3, rows) + p,
        mirrored(ring, r + 4, rows) + p,
    )


@fast
def _column9(s, out, at, taps, n):
    """Nine rows weighted with taps (9,), margins too. at: the places of `nine`."""
    a, b, c, d, e, f, g, h, i = at
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    tf, tg, th, ti = taps[5], taps[6], taps[7], taps[8]
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        t = ta * s[a, j] + tb * s[b, j] + tc * s[c, j] + td * s[d, j] + te * s[e, j]
        s[out, j] = t + tf * s[f, j] + tg * s[g, j] + th * s[h, j] + ti * s[i, j]


@fast
def _add_pair(s, out, a, b, u, v, n):
    """Two rows weighted with u and v added to `out`, margins too."""
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        s[out, j] += u * s[a, j] + v * s[b, j]


@exact
def _blur_column(s, out, ring, p, r, rows, taps, n):
    """Plane p of rows around row r weighted with taps (9,) or (17,), margins too."""
    side = len(taps) // 2
    _column9(s, out, nine(ring, p, r, rows), taps[side - 4 : side + 5], n)
    for d in range(5, side + 1):
        up, down = mirrored(ring, r - d, rows) + p, mirrored(ring, r + d, rows) + p
        _add_pair(s, out, up, down, taps[side - d], taps[side + d], n)


@exact
def _blur_line(s, out, row, taps, first, n):
    """Correlation along the row with a symmetric filter, of n columns from `first`.

    taps: (5,) or (9,), its center and one side.
    """
    _symmetric9(s, out, row, taps, first, n)
    for d in range(5, len(taps)):
        _add_beside(s, out, row, taps[d], d, first, n)


@fast
def _add_beside(s, out, row, tap, d, first, n):
    """Add to n columns from `first` what is d columns before and behind, weighted."""
    at, before, behind = (PAD + first) & SURE, (PAD + first - d) & SURE, (PAD + first + d) & SURE
    for j in range((n + 63) // 64 * 64):
        s[out, at + j] += tap * (s[row, before + j] + s[row, behind + j])


@fast
def _symmetric9(s, out, row, taps, first, n):
    """Correlation with nine taps, given as their center and one side (5,)."""
    left = (PAD - 4 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = a * s[row, left + 4 + j] + b * (s[row, left + 3 + j] + s[row, left + 5 + j])
        t += c * (s[row, left + 2 + j] + s[row, left + 6 + j])
        t += d * (s[row, left + 1 + j] + s[row, left + 7 + j])
        s[out, left + 4 + j] = t + e * (s[row, left + j] + s[row, left + 8 + j])


@fast
def _unsharp(s, out, row, blurred, amount, n):
    """out = row + amount * (row - blurred)."""
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = s[row, PAD + j] + amount * (s[row, PAD + j] - s[blurred, PAD + j])


@exact
def sharpen_sums(s, at, r, p, kind, part, reach, totals):
    """Add row r to the totals of sharpening's numbers."""
    rows = part.bottom - part.top
    first, own = part.first_column - part.left, part.last_column - part.first_column
    g, row = place(at.of_sharp, r) + p, place(at.planes, r) + p
    if kind == FILTER:
        for i in range(3):
            plane = mirrored(at.planes, r + i - 1, rows) + p
            _dots3(totals, SHARPEN + 3 * i, s, g, plane, first, own)
        return
    dot(totals, KEEP, s, g, row, 0, first, own)
    b = place(at.blurred, r) + p
    _dots9(totals, BLUR, s, g, (b, b, b, b, b, b, b, b, b), 1, first, own)
    along = place(at.along, r) + p
    _dots9(totals, BLUR, s, along, nine(at.planes, p, r, rows), 0, first, own)
    for d in range(5, reach + 1):
        _dot_pair(totals, BLUR + d, s, g, b, b, d, first, own)
        up, down = mirrored(at.planes, r - d, rows) + p, mirrored(at.planes, r + d, rows) + p
        _dot_pair(totals, BLUR + d, s, along, up, down, 0, first, own)


@exact
def sharpen_margins(s, at, r, p, kind, numbers, n):
    """Make row r of the gradient of sharpened plane p ready for `sharpen_back`."""
    g, along, reach = place(at.of_sharp, r) + p, place(at.along, r) + p, numbers.reach
    clear(s, g, n, 2 * reach)
    if kind == UNSHARP:
        _blur_line(s, along, g, numbers.blur[reach:], -reach, n + 2 * reach)
        fold(s, along, n, reach)


@allocating
def kernel_back(numbers, kind):
    """The kernel (K, L) by which `sharpen_back` gathers rows."""
    return numbers.blur_back if kind == UNSHARP else numbers.kernel


@exact
def sharpen_back(s, out, at, r, p, kind, rows, numbers, gathered, n):
    """Row r of the gradient of plane p. gathered: taps, see `rows.gatherings`."""
    taps = gathered[gathering(gathered, r, rows)]
    row = place(at.of_sharp, r) + p
    if kind == NONE:
        copy(s, out, row, n)
    elif kind == FILTER:
        up, down = mirrored(at.of_sharp, r - 1, rows) + p, mirrored(at.of_sharp, r + 1, rows) + p
        _filter3(s, out, up, row, down, taps, -1, n + 2)
        fold(s, out, n, 1)
    else:
        _blur_column(s, out, at.along, p, r, rows, taps[:, 0], n)
        add_scaled(s, out, row, f32(1) + numbers.amount, n)


@summing
def _dot_pair(totals, k, s, g, a, b, shift, first, n):
    """Products with row a shifted by -shift and row b by shift."""
    at = (PAD + first) & SURE
    before, behind = (PAD + first - shift) & SURE, (PAD + first + shift) & SURE
    t = f32(0)
    for j in range(n):
        t += s[g, at + j] * (s[a, before + j] + s[b, behind + j])
    totals[k] += t


@summing
def _dots3(totals, k, s, g, row, first, n):
    """Products with a row shifted by -1, 0, 1, to three totals from k."""
    at, left = (PAD + first) & SURE, (PAD - 1 + first) & SURE
    a = b = c = f32(0)
    for j in range(n):
        v = s[g, at + j]
        a += v * s[row, left + j]
        b += v * s[row, left + 1 + j]
        c += v * s[row, left + 2 + j]
    totals[k] += a
    totals[k + 1] += b
    totals[k + 2] += c


@summing
def _dots9(totals, k, s, g, rows, step, first, n):
    """Products with nine rows, each shifted by `step` more than the one before, the middle by 0.

    To five totals from k: of the middle row, and of pairs of rows as far from it.
    """
    left, at = (PAD + first - 4 * step) & SURE, (PAD + first) & SURE
    one = step & SURE
    ra, rb, rc, rd, re, rf, rg, rh, ri = rows
    a = b = c = d = e = f32(0)
    for j in range(n):
        v = s[g, at + j]
        a += v * s[re, at + j]
        b += v * (s[rd, left + 3 * one + j] + s[rf, left + 5 * one + j])
        c += v * (s[rc, left + 2 * one + j] + s[rg, left + 6 * one + j])
        d += v * (s[rb, left + one + j] + s[rh, left + 7 * one + j])
        e += v * (s[ra, left + j] + s[ri, left + 8 * one + j])
    totals[k] += a
    totals[k + 1] += b
    totals[k + 2] += c
    totals[k + 3] += d
    totals[k + 4] += e
