"""Linear demosaicing of one row, from rows kept as even and odd columns ("halves").

In each row one half holds green, and the other the row's own color, red or blue. Left of column j
of the half of parity q lies column j + q - 1 of the other half, and right of it j + q.
"""

from rawdrift.isp.fused.compiled import exact, fast, inlined
from rawdrift.isp.fused.rows import PAD, SURE, reflect, weave


@fast
def beside(s, out, row, q, a, b, first, n):
    """a * left + b * right, n columns from `first`, -1 or 0. out: of parity q; row: other half."""
    at, left = (PAD + first) & SURE, (PAD - 1 + (q & 1) + first) & SURE
    for j in range((n + 31) // 32 * 32):
        s[out, at + j] = a * s[row, left + j] + b * s[row, left + 1 + j]


@fast
def between(s, out, up, down, a, b, n):
    """a * up + b * down."""
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = a * s[up, PAD + j] + b * s[down, PAD + j]


@fast
def copied(s, out, row, weight, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = weight * s[row, PAD + j]


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
def bilinear(view, colors, s, size, r, rows, n, chroma, red_row, kernels):
    """Row r of red, green and blue, at `colors` and behind in `view`: each kernel on its samples.

    size: of the ring of rows' halves, at least three, at the beginning of s;
    chroma: parity of the columns that are not green, in even and in odd rows; kernels: (3, 3, 3).
    """
    m, own = (n + 1) // 2, 0 if r % 2 == red_row else 2
    up, down = reflect(r - 1, rows) % size * 2, reflect(r + 1, rows) % size * 2
    row = r % size * 2
    # Parities that are constants let LLVM write both columns of a pair at once.
    if chroma[r % 2] == 0:
        three_colors(view, colors, own, s, up, row, down, 0, kernels, m)
    else:
        three_colors(view, colors, own, s, up, row, down, 1, kernels, m)


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
def malvar(view, colors, s, size, r, rows, n, chroma, red_row, kernels, scratch):
    """Row r of red, green and blue, at `colors` and behind. As `bilinear`, but:

    size: at least five; kernels: (4, 5, 5), and then (1, 5, 5) that is zero where nothing but a
    diamond of 13 samples counts; scratch: two rows.
    """
    m = (n + 1) // 2
    q = chroma[r % 2]
    own, other = (0, 2) if r % 2 == red_row else (2, 0)
    a, b = reflect(r - 2, rows) % size * 2, reflect(r - 1, rows) % size * 2
    d, e = reflect(r + 1, rows) % size * 2, reflect(r + 2, rows) % size * 2
    c = r % size * 2
    # The measured half, and the one that is interpolated with which kernel.
    for color, measured, at_color, at_green in (
        (own, q, -1, 1),
        (1, 1 - q, 0, -1),
        (other, -1, 3, 2),
    ):
        even, odd = scratch, scratch + 1
        if measured == 0:
            even = c
        elif measured == 1:
            odd = c + 1
        for kernel, parity in ((at_color, q), (at_green, 1 - q)):
            if kernel >= 0:
                diamond(s, scratch + parity, a, b, c, d, e, parity, kernels[kernel], 0, m)
                if kernels[4, 0, 0] != 0:
                    add_rest(s, scratch + parity, a, b, d, e, parity, kernels[kernel], 0, m)
        weave(view, colors + color, s, even, odd, n)
