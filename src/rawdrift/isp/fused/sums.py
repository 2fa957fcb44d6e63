"""Sums of products along rows, for the gradients of numbers.

A sum over one row is made in float32, some lanes at a time, and added to a total in float64. There
is one row of totals for each block of rows of the mosaic, so that their order never depends on the
parts that tasks work on.
"""

from rawdrift.isp.fused.compiled import summing
from rawdrift.isp.fused.rows import PAD, SURE, f32

BLOCK = 64  # rows of the mosaic

# Places in a row of totals.
EXPONENT = 0
COLOR = 1  # (3, 3)
SHARPEN = 10  # (3, 3)
BLUR = 19  # (9,): taps of the unsharp mask, center and one side
KEEP = 28  # of what the unsharp mask keeps
DENOISE = 29  # (5, 5)
BLACK = 54  # (2, 2, 2): by row and column, gradients and their products with the mosaic
KERNELS = 62  # of demosaicing
TOTALS = 162


@summing
def total(totals, k, s, row, first, n):
    """A row's sum to totals[k], n columns from `first`."""
    at = (PAD + first) & SURE
    t = f32(0)
    for j in range(n):
        t += s[row, at + j]
    totals[k] += t


@summing
def dot(totals, k, s, g, row, shift, first, n):
    """Products with a row shifted by `shift`."""
    at, other = (PAD + first) & SURE, (PAD + first + shift) & SURE
    t = f32(0)
    for j in range(n):
        t += s[g, at + j] * s[row, other + j]
    totals[k] += t


@summing
def dot_pair(totals, k, s, g, a, b, shift, first, n):
    """Products with row a shifted by -shift and row b by shift."""
    at = (PAD + first) & SURE
    before, behind = (PAD + first - shift) & SURE, (PAD + first + shift) & SURE
    t = f32(0)
    for j in range(n):
        t += s[g, at + j] * (s[a, before + j] + s[b, behind + j])
    totals[k] += t


@summing
def dots3(totals, k, s, g, row, first, n):
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
def dots5(totals, k, s, g, row, first, n):
    """Products with a row shifted by -2 to 2, to five totals from k."""
    at, left = (PAD + first) & SURE, (PAD - 2 + first) & SURE
    a = b = c = d = e = f32(0)
    for j in range(n):
        v = s[g, at + j]
        a += v * s[row, left + j]
        b += v * s[row, left + 1 + j]
        c += v * s[row, left + 2 + j]
        d += v * s[row, left + 3 + j]
        e += v * s[row, left + 4 + j]
    totals[k] += a
    totals[k + 1] += b
    totals[k + 2] += c
    totals[k + 3] += d
    totals[k + 4] += e


@summing
def dots9(totals, k, s, g, rows, step, first, n):
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


@summing
def dots_colors(totals, k, s, g, row, first, n):
    """Products of each of three rows from g with each of three from `row`."""
    at = (PAD + first) & SURE
    for i in range(3):
        a = b = c = f32(0)
        for j in range(n):
            v = s[g + i, at + j]
            a += v * s[row, at + j]
            b += v * s[row + 1, at + j]
            c += v * s[row + 2, at + j]
        totals[k + 3 * i] += a
        totals[k + 3 * i + 1] += b
        totals[k + 3 * i + 2] += c


@summing
def dots_half(totals, k, i, s, g, h, same, other, left, first, n):
    """Products of two half rows g and h, to five totals from k and i, with columns beside.

    same: the half of their own parity; other: that of the other, left of column j being left + j.
    """
    at, before = (PAD + first) & SURE, (PAD - 1 + first) & SURE
    beside = (left + first) & SURE
    a = b = c = d = e = f32(0)
    t = u = v = w = x = f32(0)
    for j in range(n):
        y, z = s[g, at + j], s[h, at + j]
        a += y * s[same, before + j]
        b += y * s[other, beside + j]
        c += y * s[same, at + j]
        d += y * s[other, beside + 1 + j]
        e += y * s[same, at + 1 + j]
        t += z * s[same, before + j]
        u += z * s[other, beside + j]
        v += z * s[same, at + j]
        w += z * s[other, beside + 1 + j]
        x += z * s[same, at + 1 + j]
    totals[k] += a
    totals[k + 1] += b
    totals[k + 2] += c
    totals[k + 3] += d
    totals[k + 4] += e
    totals[i] += t
    totals[i + 1] += u
    totals[i + 2] += v
    totals[i + 3] += w
    totals[i + 4] += x
