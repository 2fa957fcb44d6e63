"""Denoising of sharpened planes, by the 3x3 median or by a 5x5 kernel, and its gradients."""

from typing import NamedTuple

from rawdrift.compiled import allocating, exact, fast, summing
from rawdrift.isp.fused.rows import (
    DENOISE,
    PAD,
    SURE,
    Array,
    clear,
    copy,
    f32,
    five,
    fold,
    gathering,
    is_owned,
    line5,
    mirrored,
    place,
    zero,
)

NONE, MEDIAN, KERNEL = range(3)  # kinds, and the rows to each side that they reach


class Denoising(NamedTuple):
    """Its numbers, float32."""

    kernel: Array  # (5, 5)
    lines: Array  # (2, 5): taps along columns and rows where the kernel is their product, or zeros
    column: Array  # (5, 1): those along columns
    flipped: Array  # (5,): those along rows, flipped
    ones: Array  # (3, 1)
    reach: int  # rows to each side, of the kinds that are wanted


@exact
def denoised(s, out, ring, p, work, r, kind, rows, numbers, n):
    """Row r of sharpened plane p denoised. ring: of sharpened planes; work: three rows."""
    if kind == MEDIAN:
        up, down = mirrored(ring, r - 1, rows) + p, mirrored(ring, r + 1, rows) + p
        _median(s, out, work, up, place(ring, r) + p, down, n)
        return
    a, b, c, d, e = five(ring, r, rows)
    if numbers.lines[0, 2] != 0:
        _column5(s, work, a + p, b + p, c + p, d + p, e + p, numbers.lines[0], n)
        line5(s, out, work, numbers.lines[1], 0, n)
    else:
        line5(s, out, a + p, numbers.kernel[0], 0, n)
        _add_line5(s, out, b + p, numbers.kernel[1], 0, n)
        _add_line5(s, out, c + p, numbers.kernel[2], 0, n)
        _add_line5(s, out, d + p, numbers.kernel[3], 0, n)
        _add_line5(s, out, e + p, numbers.kernel[4], 0, n)


@fast
def _column5(s, out, a, b, c, d, e, taps, n):
    """Five rows weighted with taps (5,), margins too: rows begin where lines of the cache do."""
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        t = ta * s[a, j] + tb * s[b, j] + tc * s[c, j]
        s[out, j] = t + td * s[d, j] + te * s[e, j]


@fast
def _add_line5(s, out, row, taps, first, n):
    """Compute `line5` and add it to `out`."""
    left = (PAD - 2 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = s[out, left + 2 + j] + a * s[row, left + j] + b * s[row, left + 1 + j]
        t += c * s[row, left + 2 + j] + d * s[row, left + 3 + j] + e * s[row, left + 4 + j]
        s[out, left + 2 + j] = t


@exact
def _smaller(a, b):
    return a if a < b else b


@exact
def _larger(a, b):
    return a if a > b else b


@exact
def _middle(a, b, c):
    """Median of three."""
    return _larger(_smaller(a, b), _smaller(_larger(a, b), c))


@exact
def _median(s, out, low, a, b, c, n):
    """Median of the 3x3 neighborhood of row b; low: the first of three rows of scratch.

    See denoise.median3x3 for why.
    """
    mid, high = low + 1, low + 2
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        x, y, z = s[a, j], s[b, j], s[c, j]
        x, y = _smaller(x, y), _larger(x, y)
        s[low, j] = _smaller(x, z)
        s[mid, j] = _larger(x, _smaller(y, z))
        s[high, j] = _larger(y, z)
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = _middle(
            _larger(_larger(s[low, PAD - 1 + j], s[low, PAD + j]), s[low, PAD + 1 + j]),
            _middle(s[mid, PAD - 1 + j], s[mid, PAD + j], s[mid, PAD + 1 + j]),
            _smaller(_smaller(s[high, PAD - 1 + j], s[high, PAD + j]), s[high, PAD + 1 + j]),
        )


@exact
def change_back(s, at, ring, r, p, kind, part, wants_kernel, totals):
    """Make row r of the gradient of denoised plane p, at.change, ready for `denoise_back`.

    ring: of sharpened planes. Adds the row to the totals of the kernel if they are wanted.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    first, own = part.first_column - part.left, part.last_column - part.first_column
    g = place(at.change, r) + p
    if kind == MEDIAN:
        up, down = mirrored(ring, r - 1, rows) + p, mirrored(ring, r + 1, rows) + p
        _share(s, g, place(at.denoised, r) + p, up, place(ring, r) + p, down, n)
    clear(s, g, n, 8)
    if kind == KERNEL and wants_kernel and is_owned(part, r):
        rows_around = five(ring, r, rows)
        for i in range(5):
            _dots5(totals, DENOISE + 5 * i, s, g, rows_around[i] + p, first, own)


@allocating
def kernel_back(numbers, kind):
    """The kernel (K, L) by which `denoise_back` gathers rows."""
    if kind == MEDIAN:
        return numbers.ones
    return numbers.column if numbers.lines[0, 2] != 0 else numbers.kernel


@exact
def denoise_back(s, out, at, ring, r, p, kind, rows, numbers, gathered, n):
    """Row r of the gradient of sharpened plane p. ring: of sharpened planes; gathered: taps, see
    `rows.gatherings`."""
    if kind == NONE:
        copy(s, out, place(at.change, r) + p, n)
        return
    a, b, c, d, e = five(at.change, r, rows)
    taps = gathered[gathering(gathered, r, rows)]
    if kind == MEDIAN:
        zero(s, out, n)
        row = place(ring, r) + p
        medians = five(at.denoised, r, rows)
        for i, g in enumerate((b, c, d)):
            if taps[i, 0] != 0:
                _add_chosen(s, out, row, g + p, medians[1 + i] + p, taps[i, 0], n)
        fold(s, out, n, 1)
        return
    if numbers.lines[0, 2] != 0:
        _column5(s, at.work, a + p, b + p, c + p, d + p, e + p, taps[:, 0], n)
        line5(s, out, at.work, numbers.flipped, -2, n + 4)
    else:
        line5(s, out, a + p, taps[0], -2, n + 4)
        _add_line5(s, out, b + p, taps[1], -2, n + 4)
        _add_line5(s, out, c + p, taps[2], -2, n + 4)
        _add_line5(s, out, d + p, taps[3], -2, n + 4)
        _add_line5(s, out, e + p, taps[4], -2, n + 4)
    fold(s, out, n, 2)


@fast
def _share(s, g, medians, a, b, c, n):
    """Divide gradients by how many of the 3x3 samples around equal the median."""
    for j in range((n + 63) // 64 * 64):
        m, count = s[medians, PAD + j], f32(0)
        count += f32(1) if s[a, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[a, PAD + j] == m else f32(0)
        count += f32(1) if s[a, PAD + 1 + j] == m else f32(0)
        count += f32(1) if s[b, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[b, PAD + j] == m else f32(0)
        count += f32(1) if s[b, PAD + 1 + j] == m else f32(0)
        count += f32(1) if s[c, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[c, PAD + j] == m else f32(0)
        count += f32(1) if s[c, PAD + 1 + j] == m else f32(0)
        s[g, PAD + j] /= count


@fast
def _add_chosen(s, out, row, g, medians, weight, n):
    """Add the gradients of medians in one row to the samples that equal them, and to margins."""
    for j in range((n + 2 + 63) // 64 * 64):
        v = s[row, PAD - 1 + j]
        t = s[g, PAD - 2 + j] if s[medians, PAD - 2 + j] == v else f32(0)
        t += s[g, PAD - 1 + j] if s[medians, PAD - 1 + j] == v else f32(0)
        t += s[g, PAD + j] if s[medians, PAD + j] == v else f32(0)
        s[out, PAD - 1 + j] += weight * t


@summing
def _dots5(totals, k, s, g, row, first, n):
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
