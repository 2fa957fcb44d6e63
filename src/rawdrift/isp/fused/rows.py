"""What single rows go through: margins, weighted sums, medians, color and gamma.

The rows are those of an array `s` (float32, C order), and a function takes their numbers: column j
of row i is s[i, PAD + j], and the margins around are filled by mirror reflection. With one row to
write, few to read and columns counted from zero, LLVM makes SIMD loops of these functions; that is
why they are so small. They may write up to 63 samples of nonsense behind the last column.
"""

import numpy as np

from rawdrift.isp.fused.compiled import exact, fast
from rawdrift.isp.fused.nontemporal import LINE, store_line
from rawdrift.isp.fused.power import i32, power

f32 = np.float32
PAD = 16  # columns: beyond the reach of every filter
SURE = 0xFFFFFFFF  # masks what is known not to be negative: LLVM then makes a loop with SIMD
_LARGEST = f32(1e30).view(i32)  # mosaics with samples beyond it, infinite or NaN, go to the steps


@exact
def reflect(i, n):
    """The index in [0, n) that mirror reflection finds at i, for n >= 2."""
    while i < 0 or i >= n:
        i = -i if i < 0 else 2 * (n - 1) - i
    return i


@exact
def mirror(s, row, n, reach):
    """Fill `reach` columns to both sides of a row of n columns."""
    for d in range(1, reach + 1):
        s[row, PAD - d] = s[row, PAD + reflect(-d, n)]
        s[row, PAD + n - 1 + d] = s[row, PAD + reflect(n - 1 + d, n)]


@exact
def mirror_halves(s, even, odd, n, reach):
    """The same for a row of n columns that is kept as its even and its odd columns."""
    for d in range(1, reach + 1):
        s[even, PAD - d] = s[even, PAD + reflect(-2 * d, n) // 2]
        s[odd, PAD - d] = s[odd, PAD + reflect(1 - 2 * d, n) // 2]
    for j in range(n // 2, n // 2 + 1 + reach):
        s[even, PAD + j] = s[even, PAD + reflect(2 * j, n) // 2]
        s[odd, PAD + j] = s[odd, PAD + reflect(2 * j + 1, n) // 2]


@exact
def read(s, even, odd, row, n):
    """A row of n floats to its even and odd columns. True if it is sane."""
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
def read_integers(s, even, odd, row, n, unit):
    """The same of integers. unit: DN at full scale."""
    for j in range(n // 2):
        s[even, PAD + j] = f32(row[2 * j]) / unit
        s[odd, PAD + j] = f32(row[2 * j + 1]) / unit
    if n % 2:
        s[even, PAD + n // 2] = f32(row[n - 1]) / unit


@exact
def correct(s, row, black, span, n):
    """row = (row - black) / span, in place."""
    for j in range((n + 31) // 32 * 32):
        s[row, PAD + j] -= black
    if span != f32(1):  # a division costs as much as all of bilinear demosaicing
        for j in range((n + 31) // 32 * 32):
            s[row, PAD + j] /= span


@exact
def _magnitude(x):
    return i32(f32(x).view(i32) & i32(0x7FFFFFFF))


@exact
def _worse(a, b):
    return a if a > b else b


@exact
def weave(s, out, halves, even, odd, n):
    """Even and odd columns, two rows of the array `halves`, to a row of n.

    In one array LLVM doesn't see that rows read and written at another pace don't overlap.
    """
    for j in range((n + 63) // 64 * 32):
        s[out, PAD + 2 * j] = halves[even, PAD + j]
        s[out, PAD + 2 * j + 1] = halves[odd, PAD + j]


@fast
def sum3(s, out, a, b, c, weights, n):
    """Three rows weighted with (3,)."""
    u, v, w = weights[0], weights[1], weights[2]
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = u * s[a, PAD + j] + v * s[b, PAD + j] + w * s[c, PAD + j]


@fast
def filter3(s, out, up, row, down, kernel, first, n):
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
def cross3(s, out, up, row, down, kernel, n):
    """The same with a kernel whose corners are zero."""
    a, b, c, d, e = kernel[0, 1], kernel[1, 0], kernel[1, 1], kernel[1, 2], kernel[2, 1]
    for j in range((n + 63) // 64 * 64):
        t = b * s[row, PAD - 1 + j] + c * s[row, PAD + j] + d * s[row, PAD + 1 + j]
        s[out, PAD + j] = t + a * s[up, PAD + j] + e * s[down, PAD + j]


@fast
def column5(s, out, a, b, c, d, e, taps, n):
    """Five rows weighted with taps (5,), margins too: rows begin where lines of the cache do."""
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        t = ta * s[a, j] + tb * s[b, j] + tc * s[c, j]
        s[out, j] = t + td * s[d, j] + te * s[e, j]


@fast
def line5(s, out, row, taps, first, n):
    """Correlation along the row with taps (5,), of n columns from `first`."""
    left = (PAD - 2 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = a * s[row, left + j] + b * s[row, left + 1 + j] + c * s[row, left + 2 + j]
        s[out, left + 2 + j] = t + d * s[row, left + 3 + j] + e * s[row, left + 4 + j]


@fast
def add_line5(s, out, row, taps, first, n):
    """The same, added to `out`."""
    left = (PAD - 2 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = s[out, left + 2 + j] + a * s[row, left + j] + b * s[row, left + 1 + j]
        t += c * s[row, left + 2 + j] + d * s[row, left + 3 + j] + e * s[row, left + 4 + j]
        s[out, left + 2 + j] = t


@exact
def nine(first, size, count, r, rows):
    """Places of rows r - 4 to r + 4 in a ring of `size` rows of the image, `count` apart."""
    return (
        first + reflect(r - 4, rows) % size * count,
        first + reflect(r - 3, rows) % size * count,
        first + reflect(r - 2, rows) % size * count,
        first + reflect(r - 1, rows) % size * count,
        first + r % size * count,
        first + reflect(r + 1, rows) % size * count,
        first + reflect(r + 2, rows) % size * count,
        first + reflect(r + 3, rows) % size * count,
        first + reflect(r + 4, rows) % size * count,
    )


@fast
def column9(s, out, at, taps, n):
    """Nine rows weighted with taps (9,), margins too. at: the places of `nine`."""
    a, b, c, d, e, f, g, h, i = at
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    tf, tg, th, ti = taps[5], taps[6], taps[7], taps[8]
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        t = ta * s[a, j] + tb * s[b, j] + tc * s[c, j] + td * s[d, j] + te * s[e, j]
        s[out, j] = t + tf * s[f, j] + tg * s[g, j] + th * s[h, j] + ti * s[i, j]


@fast
def add_pair(s, out, a, b, u, v, n):
    """Two rows weighted with u and v added to `out`, margins too."""
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        s[out, j] += u * s[a, j] + v * s[b, j]


@exact
def blur_column(s, out, first, size, count, r, rows, taps, n):
    """Rows around row r weighted with taps (9,) or (17,), margins too. The ring is as in `nine`."""
    side = len(taps) // 2
    column9(s, out, nine(first, size, count, r, rows), taps[side - 4 : side + 5], n)
    for d in range(5, side + 1):
        up = first + reflect(r - d, rows) % size * count
        down = first + reflect(r + d, rows) % size * count
        add_pair(s, out, up, down, taps[side - d], taps[side + d], n)


@exact
def blur_line(s, out, row, taps, first, n):
    """Correlation along the row with a symmetric filter, of n columns from `first`.

    taps: (5,) or (9,), its center and one side.
    """
    symmetric9(s, out, row, taps, first, n)
    for d in range(5, len(taps)):
        add_beside(s, out, row, taps[d], d, first, n)


@fast
def add_beside(s, out, row, tap, d, first, n):
    """What is d columns before and behind, weighted, added to n columns from `first`."""
    at, before, behind = (PAD + first) & SURE, (PAD + first - d) & SURE, (PAD + first + d) & SURE
    for j in range((n + 63) // 64 * 64):
        s[out, at + j] += tap * (s[row, before + j] + s[row, behind + j])


@fast
def symmetric9(s, out, row, taps, first, n):
    """Correlation with nine taps, given as their center and one side (5,)."""
    left = (PAD - 4 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = a * s[row, left + 4 + j] + b * (s[row, left + 3 + j] + s[row, left + 5 + j])
        t += c * (s[row, left + 2 + j] + s[row, left + 6 + j])
        t += d * (s[row, left + 1 + j] + s[row, left + 7 + j])
        s[out, left + 4 + j] = t + e * (s[row, left + j] + s[row, left + 8 + j])


@fast
def sharper(s, out, row, blurred, amount, n):
    """out = row + amount * (row - blurred)."""
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = s[row, PAD + j] + amount * (s[row, PAD + j] - s[blurred, PAD + j])


@exact
def smaller(a, b):
    return a if a < b else b


@exact
def larger(a, b):
    return a if a > b else b


@exact
def middle(a, b, c):
    """Median of three."""
    return larger(smaller(a, b), smaller(larger(a, b), c))


@exact
def median(s, out, low, a, b, c, n):
    """Median of the 3x3 neighborhood of row b; low: the first of three rows of scratch.

    See denoise.median3x3 for why.
    """
    mid, high = low + 1, low + 2
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        x, y, z = s[a, j], s[b, j], s[c, j]
        x, y = smaller(x, y), larger(x, y)
        s[low, j] = smaller(x, z)
        s[mid, j] = larger(x, smaller(y, z))
        s[high, j] = larger(y, z)
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = middle(
            larger(larger(s[low, PAD - 1 + j], s[low, PAD + j]), s[low, PAD + 1 + j]),
            middle(s[mid, PAD - 1 + j], s[mid, PAD + j], s[mid, PAD + 1 + j]),
            smaller(smaller(s[high, PAD - 1 + j], s[high, PAD + j]), s[high, PAD + 1 + j]),
        )


@fast
def to_differences(s, y, red, luma, weights, n):
    """Luma of three rows of colors to row y; what colors differ from it takes their place.

    luma: (3,); weights: (3, 3), from colors to color minus luma.
    """
    green, blue = red + 1, red + 2
    ya, yb, yc = luma[0], luma[1], luma[2]
    ra, rb, rc = weights[0, 0], weights[0, 1], weights[0, 2]
    ga, gb, gc = weights[1, 0], weights[1, 1], weights[1, 2]
    ba, bb, bc = weights[2, 0], weights[2, 1], weights[2, 2]
    for j in range((n + 63) // 64 * 64):
        r, g, b = s[red, PAD + j], s[green, PAD + j], s[blue, PAD + j]
        s[y, PAD + j] = ya * r + yb * g + yc * b
        s[red, PAD + j] = ra * r + rb * g + rc * b
        s[green, PAD + j] = ga * r + gb * g + gc * b
        s[blue, PAD + j] = ba * r + bb * g + bc * b


@fast
def to_view(out, before, s, work, first, difference, luma, numbers):
    """out = power(difference + luma), from column `first` of the two rows.

    before: columns of `out` before its first line of the cache begins; work: a row of scratch.
    """
    n, scratch = len(out), s[work]
    begin = min(before, n)
    lines = (n - begin) // 64 * 64
    at = (PAD + first + begin) & SURE
    for j in range(0, lines, 64):
        for i in range(64):
            s[work, i] = power(s[difference, at + j + i] + s[luma, at + j + i], numbers)
        for i in range(0, 64, LINE):
            store_line(out, begin + j + i, scratch, i)
    for start, end in ((0, begin), (begin + lines, n)):
        at = (PAD + first + start) & SURE
        for j in range(end - start):
            out[start + j] = power(s[difference, at + j] + s[luma, at + j], numbers)
