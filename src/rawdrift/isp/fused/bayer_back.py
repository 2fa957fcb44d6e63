"""The gradients of bayer.py: from demosaiced colors back to the mosaic, a row at a time.

Rows of gradients are kept as halves too, six for each row of the image, with zeros around.
"""

from rawdrift.isp.fused.adjoint import clear_half, fold_half, gathering
from rawdrift.isp.fused.bayer import add_rest, diamond
from rawdrift.isp.fused.compiled import allocating, exact, fast
from rawdrift.isp.fused.rows import PAD, reflect
from rawdrift.isp.fused.sums import KERNELS, dot, dots_half


@exact
def split(halves, even, odd, s, row, n):
    """A row of n columns to its even and odd ones, as `weave` takes them."""
    for j in range((n + 63) // 64 * 32):
        halves[even, PAD + j] = s[row, PAD + 2 * j]
        halves[odd, PAD + j] = s[row, PAD + 2 * j + 1]
    clear_half(halves, even, 0, n)
    clear_half(halves, odd, 1, n)


@fast
def square(s, out, up, row, down, q, k, n):
    """All 3x3 samples, of n columns from -1. out: of parity q; up, row, down: even halves."""
    q = q & 1
    p = 1 - q
    at, left = PAD - 1, PAD - 2 + q
    a, b, c, d, e = k[0, 0], k[0, 1], k[0, 2], k[1, 0], k[1, 1]
    f, g, h, i = k[1, 2], k[2, 0], k[2, 1], k[2, 2]
    for j in range((n + 31) // 32 * 32):
        t = a * s[up + p, left + j] + b * s[up + q, at + j] + c * s[up + p, left + 1 + j]
        t += d * s[row + p, left + j] + e * s[row + q, at + j] + f * s[row + p, left + 1 + j]
        t += g * s[down + p, left + j] + h * s[down + q, at + j]
        s[out, at + j] = t + i * s[down + p, left + 1 + j]


@fast
def add_two(s, out, a, b, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] += s[a, PAD + j] + s[b, PAD + j]


@exact
def bilinear_split(halves, at, s, colors, n):
    """Gradients of three colors to the halves of red, green and blue, from `at` on."""
    for c in range(3):
        split(halves, at + 2 * c, at + 2 * c + 1, s, colors + c, n)


@allocating
def bilinear_back(s, out, ring, r, rows, n, chroma, red_row, kernels):
    """Row r of the gradient of the mosaic: its halves from `out` on.

    ring: first of three rows' halves of `bilinear_split`.
    """
    q, m = chroma[r % 2], (n + 1) // 2
    own = 0 if r % 2 == red_row else 2
    up, row = ring + reflect(r - 1, rows) % 3 * 6, ring + r % 3 * 6
    down = ring + reflect(r + 1, rows) % 3 * 6
    for color, parity in ((own, q), (1, 1 - q)):
        k, c = gathering(kernels[color], r, rows), 2 * color
        square(s, out + parity, up + c, row + c, down + c, parity, k, m + 2)
        fold_half(s, out + parity, parity, n)


@exact
def bilinear_sums(totals, s, size, at, r, rows, chroma, red_row, first, n):
    """What row r gives to the gradients of kernels: each on the samples of its color.

    size: of the mosaic's ring; at: halves of `bilinear_split`; n columns from `first`, even.
    """
    q = chroma[r % 2]
    p = 1 - q
    own, other = (0, 2) if r % 2 == red_row else (2, 0)
    up, down = reflect(r - 1, rows) % size * 2, reflect(r + 1, rows) % size * 2
    row, h = r % size * 2, first // 2
    at_q, at_p = (n + 1 - q) // 2, (n + 1 - p) // 2
    k, g = KERNELS + 9 * own, at + 2 * own
    dot(totals, k + 4, s, g + q, row + q, 0, h, at_q)
    dot(totals, k + 3, s, g + p, row + q, p - 1, h, at_p)
    dot(totals, k + 5, s, g + p, row + q, p, h, at_p)
    k, g = KERNELS + 9, at + 2
    dot(totals, k + 1, s, g + q, up + q, 0, h, at_q)
    dot(totals, k + 3, s, g + q, row + p, q - 1, h, at_q)
    dot(totals, k + 5, s, g + q, row + p, q, h, at_q)
    dot(totals, k + 7, s, g + q, down + q, 0, h, at_q)
    dot(totals, k + 4, s, g + p, row + p, 0, h, at_p)
    for i, line in ((0, up), (6, down)):
        dot(totals, k + i, s, g + p, line + q, p - 1, h, at_p)
        dot(totals, k + i + 2, s, g + p, line + q, p, h, at_p)
    k, g = KERNELS + 9 * other, at + 2 * other
    for i, line in ((0, up), (6, down)):
        dot(totals, k + i, s, g + q, line + p, q - 1, h, at_q)
        dot(totals, k + i + 2, s, g + q, line + p, q, h, at_q)
        dot(totals, k + i + 1, s, g + p, line + p, 0, h, at_p)


@exact
def malvar_split(halves, at, s, colors, r, n, chroma, red_row):
    """Gradients of three colors of row r to halves from `at` on.

    First those of kernels 0 (green at the row's color) and 1 (the row's color at green), then of 3
    and 2 (the other color), then of the measured samples.
    """
    q = chroma[r % 2]
    own, other = (0, 2) if r % 2 == red_row else (2, 0)
    # Even columns first, where the row's color is in the odd ones, and the other way round.
    if q == 0:
        split(halves, at, at + 5, s, colors + 1, n)
        split(halves, at + 4, at + 1, s, colors + own, n)
    else:
        split(halves, at + 4, at + 1, s, colors + 1, n)
        split(halves, at, at + 5, s, colors + own, n)
    split(halves, at + 2, at + 3, s, colors + other, n)


@allocating
def malvar_back(s, out, ring, r, rows, n, chroma, mixed, rest, scratch):
    """Row r of the gradient of the mosaic: its halves from `out` on.

    ring: first of five rows' halves of `malvar_split`; mixed: (4, 5, 5), taps on samples at the
    row's color and at green, of the first and of the second two of these halves;
    rest: whether more than a diamond counts.
    """
    q, m = chroma[r % 2], (n + 1) // 2
    a, b = ring + reflect(r - 2, rows) % 5 * 6, ring + reflect(r - 1, rows) % 5 * 6
    d, e = ring + reflect(r + 1, rows) % 5 * 6, ring + reflect(r + 2, rows) % 5 * 6
    c = ring + r % 5 * 6
    for site, parity in ((0, q), (2, 1 - q)):
        for i in range(2):
            k, to = gathering(mixed[site + i], r, rows), scratch + i
            x = 2 * i
            diamond(s, to, a + x, b + x, c + x, d + x, e + x, parity, k, -1, m + 2)
            if rest:
                add_rest(s, to, a + x, b + x, d + x, e + x, parity, k, -1, m + 2)
            fold_half(s, to, parity, n)
        to = out + parity
        for j in range((m + 31) // 32 * 32):
            s[to, PAD + j] = s[c + 4 + parity, PAD + j]
        add_two(s, to, scratch, scratch + 1, m)


@exact
def malvar_sums(totals, s, size, at, r, rows, chroma, first, n):
    """What row r gives to the gradients of kernels. As `bilinear_sums`."""
    q = chroma[r % 2]
    for p in range(2):
        x, y = (0, 3) if p == q else (1, 2)
        for i in range(5):
            row = reflect(r + i - 2, rows) % size * 2
            to, then = KERNELS + 25 * x + 5 * i, KERNELS + 25 * y + 5 * i
            g, h, count = at + p, at + 2 + p, (n + 1 - p) // 2
            left = PAD - 1 + p
            dots_half(totals, to, then, s, g, h, row + p, row + 1 - p, left, first // 2, count)
