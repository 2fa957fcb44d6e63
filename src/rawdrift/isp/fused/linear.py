"""Bilinear and Malvar2004: demosaicing that is linear in the samples around, and its gradients.

In each row of the mosaic one half holds green, and the other the row's own color, red or blue.
Here q is the parity of the columns that are not green, and p that of the green ones. Gradients of
colors are kept as halves too, six for each row of the image, with zeros around.
"""

from rawdrift.compiled import exact, fast, inlined, summing
from rawdrift.isp.fused.rows import (
    KERNELS,
    PAD,
    SURE,
    add_two,
    block_of,
    copied,
    dot,
    f32,
    five,
    fold_half,
    gathering,
    is_owned,
    mirrored,
    place,
    unweave,
    weave,
)

# Rows that the colors are behind the mosaic, and the mosaic's gradient behind that of the colors.
BILINEAR_DELAY = 1
MALVAR_DELAY = 2
GRADIENTS = 6  # halves that keep the gradient of one row of colors


# Bilinear


@inlined
def interleave(view, out, j, q, x, y):
    """Two neighbors to row `out` of n columns: x to the column of parity q, y to the other."""
    view[out, PAD + 2 * j] = y if q else x
    view[out, PAD + 2 * j + 1] = x if q else y


@inlined
def own_color(view, out, s, row, q, k, n):
    """Measured at the columns of parity q, and there between. row: its even half; k: (3, 3)."""
    c, g = row + q, PAD - q
    for j in range((n + 31) // 32 * 32):
        at_green = k[1, 0] * s[c, g + j] + k[1, 2] * s[c, g + 1 + j]
        interleave(view, out, j, q, k[1, 1] * s[c, PAD + j], at_green)


@inlined
def green(view, out, s, up, row, down, q, k, n):
    """The four nearest samples at parity q; at the other, the measured one and its corners."""
    g, p = row + 1 - q, PAD - 1 + q
    up, down = up + q, down + q
    for j in range((n + 31) // 32 * 32):
        at_color = k[0, 1] * s[up, PAD + j] + k[1, 0] * s[g, p + j] + k[1, 2] * s[g, p + 1 + j]
        at_color += k[2, 1] * s[down, PAD + j]
        t = k[0, 0] * s[up, PAD - q + j] + k[0, 2] * s[up, PAD - q + 1 + j]
        t += k[2, 0] * s[down, PAD - q + j] + k[2, 2] * s[down, PAD - q + 1 + j]
        interleave(view, out, j, q, at_color, t + k[1, 1] * s[g, PAD + j])


@inlined
def other_color(view, out, s, up, down, q, k, n):
    """The four diagonal samples at parity q, and between two at the other."""
    up, down, p = up + 1 - q, down + 1 - q, PAD - 1 + q
    for j in range((n + 31) // 32 * 32):
        at_color = k[0, 0] * s[up, p + j] + k[0, 2] * s[up, p + 1 + j]
        at_color += k[2, 0] * s[down, p + j] + k[2, 2] * s[down, p + 1 + j]
        at_green = k[0, 1] * s[up, PAD + j] + k[2, 1] * s[down, PAD + j]
        interleave(view, out, j, q, at_color, at_green)


@inlined
def three_colors(view, colors, own, s, up, row, down, q, kernels, n):
    own_color(view, colors + own, s, row, q, kernels[own], n)
    green(view, colors + 1, s, up, row, down, q, kernels[1], n)
    other_color(view, colors + 2 - own, s, up, down, q, kernels[2 - own], n)


@fast
def bilinear(s, colors, halves, at, t, rows, n, sites, kernels):
    """Once row t of the mosaic is there: row t - 1 of red, green, blue, from `colors` on in s.

    at: the rings of the array `halves`; kernels: (3, 3, 3), each on the samples of its color.
    """
    r = t - BILINEAR_DELAY
    if not 0 <= r < rows:
        return
    m, own = (n + 1) // 2, 0 if r % 2 == sites.red_row else 2
    up, down = mirrored(at.mosaic, r - 1, rows), mirrored(at.mosaic, r + 1, rows)
    row = place(at.mosaic, r)
    # Parities that are constants let LLVM write both columns of a pair at once.
    if sites.chroma[r % 2] == 0:
        three_colors(s, colors, own, halves, up, row, down, 0, kernels, m)
    else:
        three_colors(s, colors, own, halves, up, row, down, 1, kernels, m)


@fast
def given(s, colors, halves, at, t, rows, n, sites, kernels):
    """Row t of a view that is demosaiced already."""
    if t < rows:
        row = place(at.mosaic, t)
        for c in range(3):
            weave(s, colors + c, halves, row + 2 * c, row + 2 * c + 1, n)


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


@exact
def bilinear_back(s, colors, halves, at, t, part, sites, kernels, gathered, totals, wants_kernels):
    """Once row t of the gradient of colors is there, at `colors` in s: row t - 1 of the mosaic's.

    Returns the first of its two halves, and the first of those of the corrected mosaic. Adds row t
    to the totals of the kernels if they are wanted. gathered: taps, see `rows.gatherings`.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    if 0 <= t < rows:
        gradient = place(at.gradients, t)
        for c in range(3):
            unweave(halves, gradient + 2 * c, gradient + 2 * c + 1, s, colors + c, n)
        if wants_kernels and is_owned(part, t):
            bilinear_sums(totals[block_of(part, t)], halves, at, gradient, t, part, sites)
    r = t - BILINEAR_DELAY
    if 0 <= r < rows and is_owned(part, r):
        q, m = sites.chroma[r % 2], (n + 1) // 2
        own = 0 if r % 2 == sites.red_row else 2
        up, down = mirrored(at.gradients, r - 1, rows), mirrored(at.gradients, r + 1, rows)
        row = place(at.gradients, r)
        for color, parity in ((own, q), (1, 1 - q)):
            k = gathered[color, gathering(gathered[color], r, rows)]
            c, out = 2 * color, at.out + parity
            square(halves, out, up + c, row + c, down + c, parity, k, m + 2)
            fold_half(halves, out, parity, n)
    return at.out, place(at.mosaic, r)


@exact
def bilinear_sums(totals, s, at, gradient, r, part, sites):
    """Add row r to the totals of the kernels, each on the samples of its color."""
    rows, n = part.bottom - part.top, part.last_column - part.first_column
    q, h = sites.chroma[r % 2], (part.first_column - part.left) // 2
    p = 1 - q
    own, other = (0, 2) if r % 2 == sites.red_row else (2, 0)
    up, down = mirrored(at.mosaic, r - 1, rows), mirrored(at.mosaic, r + 1, rows)
    row = place(at.mosaic, r)
    at_q, at_p = (n + 1 - q) // 2, (n + 1 - p) // 2
    k, g = KERNELS + 9 * own, gradient + 2 * own
    dot(totals, k + 4, s, g + q, row + q, 0, h, at_q)
    _pair(totals, k + 3, k + 5, s, g + p, row + q, p - 1, row + q, p, h, at_p)
    k, g = KERNELS + 9, gradient + 2
    _pair(totals, k + 1, k + 7, s, g + q, up + q, 0, down + q, 0, h, at_q)
    _pair(totals, k + 3, k + 5, s, g + q, row + p, q - 1, row + p, q, h, at_q)
    dot(totals, k + 4, s, g + p, row + p, 0, h, at_p)
    _corners(totals, k, s, g + p, up + q, down + q, p, h, at_p)
    k, g = KERNELS + 9 * other, gradient + 2 * other
    _corners(totals, k, s, g + q, up + p, down + p, q, h, at_q)
    _pair(totals, k + 1, k + 7, s, g + p, up + p, 0, down + p, 0, h, at_p)


@summing
def _pair(totals, k, i, s, g, a, left, b, right, first, n):
    """Products with a row shifted by `left` to total k, and with one shifted by `right` to i."""
    at, x, y = (PAD + first) & SURE, (PAD + first + left) & SURE, (PAD + first + right) & SURE
    t = u = f32(0)
    for j in range(n):
        v = s[g, at + j]
        t += v * s[a, x + j]
        u += v * s[b, y + j]
    totals[k] += t
    totals[i] += u


@summing
def _corners(totals, k, s, g, up, down, parity, first, n):
    """Products with the four diagonal samples, to totals of the corners of a kernel (3, 3)."""
    at, left = (PAD + first) & SURE, (PAD - 1 + parity + first) & SURE
    a = b = c = d = f32(0)
    for j in range(n):
        v = s[g, at + j]
        a += v * s[up, left + j]
        b += v * s[up, left + 1 + j]
        c += v * s[down, left + j]
        d += v * s[down, left + 1 + j]
    totals[k] += a
    totals[k + 2] += b
    totals[k + 6] += c
    totals[k + 8] += d


# Malvar2004


@fast
def diamond(s, out, a, b, c, d, e, q, k, first, n):
    """The 13 samples no farther than two steps, weighted; n columns from `first`, -1 or 0.

    out: of parity q; k: (5, 5); a .. e: the even halves of five rows, each followed by the odd one.
    """
    q = q & 1
    p = 1 - q
    at = (PAD + first) & SURE
    left = (PAD - 1 + q + first) & SURE
    before = (PAD - 1 + first) & SURE
    t0, t1, t2, t3 = k[0, 2], k[1, 1], k[1, 2], k[1, 3]
    t4, t5, t6, t7, t8 = k[2, 0], k[2, 1], k[2, 2], k[2, 3], k[2, 4]
    t9, t10, t11, t12 = k[3, 1], k[3, 2], k[3, 3], k[4, 2]
    for j in range((n + 31) // 32 * 32):
        t = t0 * s[a + q, at + j] + t2 * s[b + q, at + j]
        t += t10 * s[d + q, at + j] + t12 * s[e + q, at + j]
        t += t1 * s[b + p, left + j] + t3 * s[b + p, left + 1 + j]
        t += t9 * s[d + p, left + j] + t11 * s[d + p, left + 1 + j]
        t += t5 * s[c + p, left + j] + t7 * s[c + p, left + 1 + j]
        t += t4 * s[c + q, before + j] + t6 * s[c + q, at + j] + t8 * s[c + q, at + 1 + j]
        s[out, at + j] = t


@fast
def add_rest(s, out, a, b, d, e, q, k, first, n):
    """The other 12 of 25 samples, added; zero in Malvar's kernels, but not in learned ones."""
    q = q & 1
    p = 1 - q
    at = (PAD + first) & SURE
    left = (PAD - 1 + q + first) & SURE
    before = (PAD - 1 + first) & SURE
    t0, t1, t2, t3 = k[0, 0], k[0, 1], k[0, 3], k[0, 4]
    t4, t5, t6, t7 = k[1, 0], k[1, 4], k[3, 0], k[3, 4]
    t8, t9, t10, t11 = k[4, 0], k[4, 1], k[4, 3], k[4, 4]
    for j in range((n + 31) // 32 * 32):
        t = t0 * s[a + q, before + j] + t3 * s[a + q, at + 1 + j]
        t += t1 * s[a + p, left + j] + t2 * s[a + p, left + 1 + j]
        t += t4 * s[b + q, before + j] + t5 * s[b + q, at + 1 + j]
        t += t6 * s[d + q, before + j] + t7 * s[d + q, at + 1 + j]
        t += t8 * s[e + q, before + j] + t11 * s[e + q, at + 1 + j]
        t += t9 * s[e + p, left + j] + t10 * s[e + p, left + 1 + j]
        s[out, at + j] += t


@exact
def malvar(s, colors, halves, at, t, rows, n, sites, kernels):
    """Once row t of the mosaic is there: row t - 2 of red, green, blue; see `bilinear`.

    kernels: (9, 5, 5), four kernels; one that is zero where nothing but a diamond of 13 samples
    counts; and four for `malvar_back`.
    """
    r = t - MALVAR_DELAY
    if not 0 <= r < rows:
        return
    m = (n + 1) // 2
    q = sites.chroma[r % 2]
    own, other = (0, 2) if r % 2 == sites.red_row else (2, 0)
    a, b, c, d, e = five(at.mosaic, r, rows)
    # The measured half, and the one that is interpolated with which kernel.
    for color, measured, at_color, at_green in (
        (own, q, -1, 1),
        (1, 1 - q, 0, -1),
        (other, -1, 3, 2),
    ):
        even, odd = at.work, at.work + 1
        if measured == 0:
            even = c
        elif measured == 1:
            odd = c + 1
        for kernel, parity in ((at_color, q), (at_green, 1 - q)):
            if kernel >= 0:
                to = at.work + parity
                diamond(halves, to, a, b, c, d, e, parity, kernels[kernel], 0, m)
                if kernels[4, 0, 0] != 0:
                    add_rest(halves, to, a, b, d, e, parity, kernels[kernel], 0, m)
        weave(s, colors + color, halves, even, odd, n)


@exact
def malvar_split(halves, gradient, s, colors, r, n, sites):
    """Gradients of three colors of row r to halves from `gradient` on.

    First those of kernels 0 (green at the row's color) and 1 (the row's color at green), then of 3
    and 2 (the other color), then of the measured samples.
    """
    own, other = (0, 2) if r % 2 == sites.red_row else (2, 0)
    interpolated, measured = gradient, gradient + 4
    # Even columns first, where the row's color is in the odd ones, and the other way round.
    if sites.chroma[r % 2] == 0:
        unweave(halves, interpolated, measured + 1, s, colors + 1, n)
        unweave(halves, measured, interpolated + 1, s, colors + own, n)
    else:
        unweave(halves, measured, interpolated + 1, s, colors + 1, n)
        unweave(halves, interpolated, measured + 1, s, colors + own, n)
    unweave(halves, gradient + 2, gradient + 3, s, colors + other, n)


@exact
def malvar_back(s, colors, halves, at, t, part, sites, kernels, gathered, totals, wants_kernels):
    """Do the same as `bilinear_back`, for row t - 2.

    The last four kernels are the taps on samples at the row's color and at green, of the first and
    of the second two halves of `malvar_split`.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    if 0 <= t < rows:
        gradient = place(at.gradients, t)
        malvar_split(halves, gradient, s, colors, t, n, sites)
        if wants_kernels and is_owned(part, t):
            malvar_sums(totals[block_of(part, t)], halves, at, gradient, t, part, sites)
    r = t - MALVAR_DELAY
    if 0 <= r < rows and is_owned(part, r):
        q, m = sites.chroma[r % 2], (n + 1) // 2
        rest = kernels[4, 0, 0] != 0
        a, b, c, d, e = five(at.gradients, r, rows)
        for site, parity in ((5, q), (7, 1 - q)):
            for i in range(2):
                k = gathered[site + i, gathering(gathered[site + i], r, rows)]
                to, x = at.work + i, 2 * i
                diamond(halves, to, a + x, b + x, c + x, d + x, e + x, parity, k, -1, m + 2)
                if rest:
                    add_rest(halves, to, a + x, b + x, d + x, e + x, parity, k, -1, m + 2)
                fold_half(halves, to, parity, n)
            copied(halves, at.out + parity, c + 4 + parity, f32(1), m)
            add_two(halves, at.out + parity, at.work, at.work + 1, m)
    return at.out, place(at.mosaic, r)


@exact
def malvar_sums(totals, s, at, gradient, r, part, sites):
    """Add row r to the totals of the kernels."""
    rows, n = part.bottom - part.top, part.last_column - part.first_column
    q, h = sites.chroma[r % 2], (part.first_column - part.left) // 2
    places = five(at.mosaic, r, rows)
    for p in range(2):
        x, y = (0, 3) if p == q else (1, 2)
        for i in range(5):
            to, then = KERNELS + 25 * x + 5 * i, KERNELS + 25 * y + 5 * i
            g, count, row = gradient + p, (n + 1 - p) // 2, places[i]
            left = PAD - 1 + p
            _dots_half(totals, to, then, s, g, g + 2, row + p, row + 1 - p, left, h, count)


@summing
def _dots_half(totals, k, i, s, g, h, same, other, left, first, n):
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
