"""Menon2007 of one row after the other, from rows kept as even and odd columns. See demosaic.py.

Every row of the mosaic has a slot of eleven halves: its samples (even, odd), and at the row's own
color C, of parity q, or at green (the other parity):

    ALONG, ACROSS       at C: green from the row, from the column; later refined green, other color
    D_ALONG, D_ACROSS   at C: C minus the two greens
    WAY                 at C: 1 where the row is the smoother direction, 0 where the column
    C_G                 at C: C minus green
    OWN, OTHER, BOTH    at green: C minus green, the other color minus green, the other minus C
"""

from rawdrift.isp.fused.bayer import beside, between, copied
from rawdrift.isp.fused.compiled import exact, fast
from rawdrift.isp.fused.rows import PAD, f32, reflect, weave

ALONG, ACROSS, D_ALONG, D_ACROSS, WAY, C_G, OWN, OTHER, BOTH = range(2, 11)
SLOT = 11
SLOTS = 10  # rows of the mosaic in work at a time
DELAY = 8  # rows that the result is behind the mosaic


@exact
def slot(base, r, rows):
    return base + reflect(r, rows) % SLOTS * SLOT


@exact
def mirror_half(s, row, parity, n):
    """Fill one sample before a half of the columns of a row of n, and two behind."""
    s[row, PAD - 1] = s[row, PAD + reflect(parity - 2, n) // 2]
    for j in range((n + 1 - parity) // 2, (n + 1) // 2 + 1):
        s[row, PAD + j] = s[row, PAD + reflect(2 * j + parity, n) // 2]


@exact
def green_along(s, at, q, taps, n):
    """Green at C from the row, and what C differs from it. Rounded in the order of the steps."""
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    left, x, g, out, difference = PAD - 1 + (q & 1), at + q, at + 1 - q, at + ALONG, at + D_ALONG
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = (tb * s[g, left + j] + td * s[g, left + 1 + j]) + (
            tc * s[x, PAD + j] + (ta * s[x, PAD - 1 + j] + te * s[x, PAD + 1 + j])
        )
    for j in range((n + 31) // 32 * 32):
        s[difference, PAD + j] = s[x, PAD + j] - s[out, PAD + j]


@exact
def green_across(s, at, a, b, d, e, q, taps, n):
    """Green at C from the column, and what C differs from it. a, b, d, e: slots above and below."""
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    x, out, difference = at + q, at + ACROSS, at + D_ACROSS
    a, b, d, e = a + q, b + q, d + q, e + q
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = (tb * s[b, PAD + j] + td * s[d, PAD + j]) + (
            tc * s[x, PAD + j] + (ta * s[a, PAD + j] + te * s[e, PAD + j])
        )
    for j in range((n + 31) // 32 * 32):
        s[difference, PAD + j] = s[x, PAD + j] - s[out, PAD + j]


@exact
def variation_along(s, out, a, b, c, d, e, q, n):
    """How much differences vary along rows in Menon's window of five lines."""
    left, three = PAD - 1 + (q & 1), f32(3)
    for j in range((n + 31) // 32 * 32):
        t = abs(s[a, PAD - 1 + j] - s[a, PAD + j]) + abs(s[a, PAD + j] - s[a, PAD + 1 + j])
        t += abs(s[b, left + j] - s[b, left + 1 + j])
        t += three * abs(s[c, PAD - 1 + j] - s[c, PAD + j])
        t += three * abs(s[c, PAD + j] - s[c, PAD + 1 + j])
        t += abs(s[d, left + j] - s[d, left + 1 + j])
        t += abs(s[e, PAD - 1 + j] - s[e, PAD + j])
        s[out, PAD + j] = t + abs(s[e, PAD + j] - s[e, PAD + 1 + j])


@exact
def variation_across(s, out, a, b, c, d, e, q, n):
    """How much differences vary along columns in Menon's window of five lines."""
    left, three = PAD - 1 + (q & 1), f32(3)
    for j in range((n + 31) // 32 * 32):
        t = abs(s[a, PAD - 1 + j] - s[c, PAD - 1 + j]) + three * abs(s[a, PAD + j] - s[c, PAD + j])
        t += abs(s[a, PAD + 1 + j] - s[c, PAD + 1 + j])
        t += abs(s[b, left + j] - s[d, left + j])
        t += abs(s[b, left + 1 + j] - s[d, left + 1 + j])
        t += abs(s[c, PAD - 1 + j] - s[e, PAD - 1 + j])
        t += three * abs(s[c, PAD + j] - s[e, PAD + j])
        s[out, PAD + j] = t + abs(s[c, PAD + 1 + j] - s[e, PAD + 1 + j])


@exact
def decide(s, at, along, across, n):
    """The smoother direction at C, and C minus the green along it."""
    way, way_along, way_across, out = at + WAY, at + D_ALONG, at + D_ACROSS, at + C_G
    for j in range((n + 31) // 32 * 32):
        s[way, PAD + j] = f32(1) if s[across, PAD + j] >= s[along, PAD + j] else f32(0)
    for j in range((n + 31) // 32 * 32):
        h, v = s[way_along, PAD + j], s[way_across, PAD + j]
        s[out, PAD + j] = h if s[way, PAD + j] > f32(0) else v


@exact
def minus(s, out, a, b, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = s[a, PAD + j] - s[b, PAD + j]


@exact
def plus(s, out, a, b, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] = s[a, PAD + j] + s[b, PAD + j]


@fast
def green_again(s, at, scratch, q, center, n):
    """Refined green at C: C minus the average of C minus green along the smoother direction.

    scratch: the neighbors' part of it along the row, then along the column.
    """
    x, c_g, way, across, out = at + (q & 1), at + C_G, at + WAY, scratch + 1, at + ALONG
    for j in range((n + 31) // 32 * 32):
        h, v = s[scratch, PAD + j], s[across, PAD + j]
        t = h if s[way, PAD + j] > f32(0) else v
        s[out, PAD + j] = s[x, PAD + j] - (t + center * s[c_g, PAD + j])


@fast
def other_color(s, at, scratch, q, center, n):
    """The other color at C: C plus the average of their difference along the smoother direction.

    scratch: as above; above and below, the colors have changed places.
    """
    x, out, way, across = at + (q & 1), at + ACROSS, at + WAY, scratch + 1
    for j in range((n + 31) // 32 * 32):
        h, v = s[scratch, PAD + j], -s[across, PAD + j]
        t = h if s[way, PAD + j] > f32(0) else v
        c = s[x, PAD + j]
        s[out, PAD + j] = c + (t + center * (s[out, PAD + j] - c))


@exact
def at_greens(s, base, r, rows, n, chroma, difference):
    """Both colors minus green at the greens of row r, from what C differs from green around."""
    q, at, m = chroma[r % 2], slot(base, r, rows), (n + 1) // 2
    up, down = slot(base, r - 1, rows), slot(base, r + 1, rows)
    beside(s, at + OWN, at + C_G, 1 - q, difference[1], difference[3], 0, m)
    between(s, at + OTHER, up + C_G, down + C_G, difference[1], difference[3], m)
    minus(s, at + BOTH, at + OTHER, at + OWN, m)
    mirror_half(s, at + OWN, 1 - q, n)
    mirror_half(s, at + BOTH, 1 - q, n)


@exact
def other_at_color(s, base, r, rows, n, chroma, taps, center, scratch):
    """The other color at C of row r, by the taps beside and the one at C itself."""
    q, at, m = chroma[r % 2], slot(base, r, rows), (n + 1) // 2
    up, down = slot(base, r - 1, rows), slot(base, r + 1, rows)
    beside(s, scratch, at + BOTH, q, taps[1], taps[3], 0, m)
    between(s, scratch + 1, up + BOTH, down + BOTH, taps[1], taps[3], m)
    other_color(s, at, scratch, q, center, m)


@exact
def menon(view, colors, s, base, t, rows, n, chroma, red_row, kernels, scratch):
    """All that can be done once row t of the mosaic is in its slot; at last row t - DELAY.

    As `bilinear`; base: first of SLOTS slots; kernels: (3, 5), see Menon2007.taps.
    """
    m = (n + 1) // 2
    line, difference, refine = kernels[0], kernels[1], kernels[2]

    r = t - 2
    if 0 <= r < rows:
        q, at = chroma[r % 2], slot(base, r, rows)
        a, b = slot(base, r - 2, rows), slot(base, r - 1, rows)
        d, e = slot(base, r + 1, rows), slot(base, r + 2, rows)
        green_along(s, at, q, line, m)
        green_across(s, at, a, b, d, e, q, line, m)
        mirror_half(s, at + D_ALONG, q, n)
        mirror_half(s, at + D_ACROSS, q, n)
    r = t - 4
    if 0 <= r < rows:
        q, c = chroma[r % 2], slot(base, r, rows)
        a, b = slot(base, r - 2, rows), slot(base, r - 1, rows)
        d, e = slot(base, r + 1, rows), slot(base, r + 2, rows)
        i = D_ALONG
        variation_along(s, scratch, a + i, b + i, c + i, d + i, e + i, q, m)
        i = D_ACROSS
        variation_across(s, scratch + 1, a + i, b + i, c + i, d + i, e + i, q, m)
        decide(s, c, scratch, scratch + 1, m)
        mirror_half(s, c + C_G, q, n)
    r = t - 5
    if 0 <= r < rows:
        at_greens(s, base, r, rows, n, chroma, difference)
    r = t - 6
    if 0 <= r < rows:
        q, at = chroma[r % 2], slot(base, r, rows)
        up, down = slot(base, r - 1, rows), slot(base, r + 1, rows)
        beside(s, scratch, at + OWN, q, refine[1], refine[3], 0, m)
        between(s, scratch + 1, up + OTHER, down + OTHER, refine[1], refine[3], m)
        green_again(s, at, scratch, q, refine[2], m)
        other_at_color(s, base, r, rows, n, chroma, difference, f32(0), scratch)
        minus(s, at + C_G, at + q, at + ALONG, m)
        mirror_half(s, at + C_G, q, n)
    r = t - 7
    if 0 <= r < rows:
        at_greens(s, base, r, rows, n, chroma, difference)
    r = t - DELAY
    if 0 <= r < rows:
        q, at = chroma[r % 2], slot(base, r, rows)
        own, other = (0, 2) if r % 2 == red_row else (2, 0)
        other_at_color(s, base, r, rows, n, chroma, refine, refine[2], scratch)
        at_c, at_green = scratch + q, scratch + 1 - q
        plus(s, at_green, at + 1 - q, at + OTHER, m)
        copied(s, at_c, at + ACROSS, f32(1), m)
        weave(view, colors + other, s, scratch, scratch + 1, n)
        plus(s, at_green, at + 1 - q, at + OWN, m)
        copied(s, at_c, at + q, f32(1), m)
        weave(view, colors + own, s, scratch, scratch + 1, n)
        copied(s, at_green, at + 1 - q, f32(1), m)
        copied(s, at_c, at + ALONG, f32(1), m)
        weave(view, colors + 1, s, scratch, scratch + 1, n)
