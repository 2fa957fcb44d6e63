"""Menon2007 of one row after the other, from halves, and its gradient. See demosaic.py.

Every row of the mosaic has a slot of eleven halves: its samples (even, odd), and at the row's own
color C, of parity q, or at green (the other parity):

    ALONG, ACROSS       at C: green from the row, from the column; later refined green, other color
    D_ALONG, D_ACROSS   at C: C minus the two greens
    WAY                 at C: 1 where the row is the smoother direction, 0 where the column
    C_G                 at C: C minus green
    OWN, OTHER, BOTH    at green: C minus green, the other color minus green, the other minus C

The way back is linear in the mosaic, for the directions are chosen. What the stages of the forward
pass gave is kept for each row in KEPT halves:

    X                   the mosaic (even, odd)
    CHOSEN              at C: WAY
    FIRST, REFINED      at C: C minus green, before and after refining
    THIRD               at C: the other color minus C, before refining
    OWN_1, OTHER_1      at green: OWN and OTHER before refining
    BOTH_1, BOTH_2      at green: BOTH before and after refining

Gradients have GRADIENTS halves for each row: the six of `malvar_split`, of which the last two
(MOSAIC_G) become that of the mosaic, and those of the stages, going back; H is along the row, V
along the column:

    THIRD_H, THIRD_V    at C: of the other color, after refining; V with its sign changed
    GREEN_H, GREEN_V    at C: of REFINED
    OWN_G, OTHER_G      at green: of OWN_1 and OTHER_1
    LINE_H, LINE_V      at C: of the first green
"""

from rawdrift.compiled import exact, fast
from rawdrift.isp.fused.linear import malvar_split
from rawdrift.isp.fused.rows import (
    KERNELS,
    PAD,
    add,
    add_two,
    beside,
    between,
    block_of,
    clear_half,
    copied,
    dot,
    f32,
    five,
    fold_half,
    gathering,
    is_owned,
    mirror_half,
    mirrored,
    place,
    sum3,
    weave,
)

ALONG, ACROSS, D_ALONG, D_ACROSS, WAY, C_G, OWN, OTHER, BOTH = range(2, 11)
SLOT = 11
SLOTS = 10  # rows of the mosaic in work at a time
DELAY = 8  # rows that the colors are behind the mosaic

X, CHOSEN, FIRST, REFINED, THIRD, OWN_1, OTHER_1, BOTH_1, BOTH_2 = 0, *range(2, 10)
KEPT = 10
MOSAIC_G, THIRD_H, THIRD_V, GREEN_H, GREEN_V, OWN_G, OTHER_G, LINE_H, LINE_V = 4, *range(6, 14)
GRADIENTS = 15
GRADIENT_SLOTS = 10  # rows of gradients in work at a time
BACK_DELAY = 7  # rows that the mosaic's gradient is behind that of the colors

# Totals of kernels, (3, 5), and THIRDS, (5,): those of `difference` at last, see cpu.py.
LINE, DIFFERENCE, REFINE, THIRDS = (KERNELS + 5 * i for i in range(4))


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
def at_greens(s, ring, r, rows, n, q, difference):
    """Both colors minus green at the greens of row r, from what C differs from green around."""
    at, m = place(ring, r), (n + 1) // 2
    up, down = mirrored(ring, r - 1, rows), mirrored(ring, r + 1, rows)
    beside(s, at + OWN, at + C_G, 1 - q, difference[1], difference[3], 0, m)
    between(s, at + OTHER, up + C_G, down + C_G, difference[1], difference[3], m)
    minus(s, at + BOTH, at + OTHER, at + OWN, m)
    mirror_half(s, at + OWN, 1 - q, n)
    mirror_half(s, at + BOTH, 1 - q, n)


@exact
def other_at_color(s, ring, r, rows, n, q, taps, center, scratch):
    """The other color at C of row r, by the taps beside and the one at C itself."""
    at, m = place(ring, r), (n + 1) // 2
    up, down = mirrored(ring, r - 1, rows), mirrored(ring, r + 1, rows)
    beside(s, scratch, at + BOTH, q, taps[1], taps[3], 0, m)
    between(s, scratch + 1, up + BOTH, down + BOTH, taps[1], taps[3], m)
    other_color(s, at, scratch, q, center, m)


@exact
def menon(out, colors, s, at, t, rows, n, sites, kernels):
    """Do all that is possible once row t of the mosaic is there, at last row t - 8 of the colors.

    Arguments as of `bilinear`, but `out` has the rows of colors, and `s` the halves. kernels:
    (3, 5, 1), see Menon2007.
    """
    ring, scratch = at.mosaic, at.work
    m = (n + 1) // 2
    line, difference, refine = kernels[0, :, 0], kernels[1, :, 0], kernels[2, :, 0]

    r = t - 2
    if 0 <= r < rows:
        q = sites.chroma[r % 2]
        a, b, c, d, e = five(ring, r, rows)
        green_along(s, c, q, line, m)
        green_across(s, c, a, b, d, e, q, line, m)
        mirror_half(s, c + D_ALONG, q, n)
        mirror_half(s, c + D_ACROSS, q, n)
    r = t - 4
    if 0 <= r < rows:
        q = sites.chroma[r % 2]
        a, b, c, d, e = five(ring, r, rows)
        i = D_ALONG
        variation_along(s, scratch, a + i, b + i, c + i, d + i, e + i, q, m)
        i = D_ACROSS
        variation_across(s, scratch + 1, a + i, b + i, c + i, d + i, e + i, q, m)
        decide(s, c, scratch, scratch + 1, m)
        mirror_half(s, c + C_G, q, n)
    r = t - 5
    if 0 <= r < rows:
        at_greens(s, ring, r, rows, n, sites.chroma[r % 2], difference)
    r = t - 6
    if 0 <= r < rows:
        q, c = sites.chroma[r % 2], place(ring, r)
        up, down = mirrored(ring, r - 1, rows), mirrored(ring, r + 1, rows)
        beside(s, scratch, c + OWN, q, refine[1], refine[3], 0, m)
        between(s, scratch + 1, up + OTHER, down + OTHER, refine[1], refine[3], m)
        green_again(s, c, scratch, q, refine[2], m)
        other_at_color(s, ring, r, rows, n, q, difference, f32(0), scratch)
        minus(s, c + C_G, c + q, c + ALONG, m)
        mirror_half(s, c + C_G, q, n)
    r = t - 7
    if 0 <= r < rows:
        at_greens(s, ring, r, rows, n, sites.chroma[r % 2], difference)
    r = t - DELAY
    if 0 <= r < rows:
        q, c = sites.chroma[r % 2], place(ring, r)
        own, other = (0, 2) if r % 2 == sites.red_row else (2, 0)
        other_at_color(s, ring, r, rows, n, q, refine, refine[2], scratch)
        at_c, at_green = scratch + q, scratch + 1 - q
        plus(s, at_green, c + 1 - q, c + OTHER, m)
        copied(s, at_c, c + ACROSS, f32(1), m)
        weave(out, colors + other, s, scratch, scratch + 1, n)
        plus(s, at_green, c + 1 - q, c + OWN, m)
        copied(s, at_c, c + q, f32(1), m)
        weave(out, colors + own, s, scratch, scratch + 1, n)
        copied(s, at_green, c + 1 - q, f32(1), m)
        copied(s, at_c, c + ALONG, f32(1), m)
        weave(out, colors + 1, s, scratch, scratch + 1, n)


@exact
def copy_half(s, out, row, n):
    """A half row of n columns, with margins of two."""
    for j in range((n + 4 + 31) // 32 * 32):
        s[out, PAD - 2 + j] = s[row, PAD - 2 + j]


@exact
def menon_kept(out, colors, s, at, t, rows, n, sites, kernels):
    """Do the same as `menon`, and keep what the way back needs."""
    m = (n + 1) // 2
    # Before `menon` writes over it:
    r = t - 6
    if 0 <= r < rows:
        copy_half(s, place(at.kept, r) + FIRST, place(at.mosaic, r) + C_G, m)
    r = t - 7
    if 0 <= r < rows:
        to, row = place(at.kept, r), place(at.mosaic, r)
        copy_half(s, to + OWN_1, row + OWN, m)
        copy_half(s, to + OTHER_1, row + OTHER, m)
        copy_half(s, to + BOTH_1, row + BOTH, m)
    r = t - DELAY
    if 0 <= r < rows:
        row = place(at.mosaic, r)
        minus(s, place(at.kept, r) + THIRD, row + ACROSS, row + sites.chroma[r % 2], m)
    menon(out, colors, s, at, t, rows, n, sites, kernels)
    if 0 <= r < rows:
        to, row = place(at.kept, r), place(at.mosaic, r)
        copy_half(s, to + X, row, m)
        copy_half(s, to + X + 1, row + 1, m)
        copy_half(s, to + CHOSEN, row + WAY, m)
        copy_half(s, to + REFINED, row + C_G, m)
        copy_half(s, to + BOTH_2, row + BOTH, m)


@fast
def by_way(s, along, across, row, way, sign, n):
    """A row where the direction is along it, and `sign` times the row where it is not."""
    for j in range((n + 31) // 32 * 32):
        s[along, PAD + j] = s[row, PAD + j] if s[way, PAD + j] > f32(0) else f32(0)
    for j in range((n + 31) // 32 * 32):
        s[across, PAD + j] = f32(0) if s[way, PAD + j] > f32(0) else sign * s[row, PAD + j]


@fast
def three(s, out, row, a, b, c, n):
    """a * left + b * center + c * right of the same half, n columns from -1."""
    for j in range((n + 31) // 32 * 32):
        t = a * s[row, PAD - 2 + j] + b * s[row, PAD - 1 + j]
        s[out, PAD - 1 + j] = t + c * s[row, PAD + j]


@exact
def beside_back(s, out, row, parity, taps, n):
    """Adjoint of `beside` with taps[1] and taps[3]. out: of this parity; row: the other half."""
    beside(s, out, row, parity, taps[3], taps[1], -1, (n + 1) // 2 + 2)
    fold_half(s, out, parity, n)


@exact
def between_back(s, out, up, down, gathered, r, rows, n):
    """Adjoint of `between` with taps[1] and taps[3]. gathered: taps, see `rows.gatherings`."""
    k = gathered[gathering(gathered, r, rows)]
    between(s, out, up, down, k[1, 0], k[3, 0], (n + 1) // 2)


@exact
def cross_sums(totals, k, s, along, across, row, up, down, parity, first, n):
    """To totals k + 1 and k + 3, products with the two samples beside, and with those between."""
    dot(totals, k + 1, s, along, row, parity - 1, first, n)
    dot(totals, k + 3, s, along, row, parity, first, n)
    dot(totals, k + 1, s, across, up, 0, first, n)
    dot(totals, k + 3, s, across, down, 0, first, n)


@exact
def far_sums(totals, k, s, along, across, row, above, below, first, n):
    """To totals k and k + 4, products with samples two beside, and with those above and below."""
    dot(totals, k, s, along, row, -1, first, n)
    dot(totals, k + 4, s, along, row, 1, first, n)
    dot(totals, k, s, across, above, 0, first, n)
    dot(totals, k + 4, s, across, below, 0, first, n)


@exact
def sizes(part):
    """Rows and columns of a part; of the columns that it adds up: pairs before them, how many."""
    rows, n = part.bottom - part.top, part.right - part.left
    return rows, n, (part.first_column - part.left) // 2, part.last_column - part.first_column


@exact
def third_back(s, at, r, part, q, totals, wants):
    """Row r: of the mosaic directly, and of the other color at C."""
    rows, n, h, own = sizes(part)
    m, g = (n + 1) // 2, place(at.gradients, r)
    add_two(s, g + MOSAIC_G, g, g + 2, m)
    add_two(s, g + MOSAIC_G + 1, g + 1, g + 3, m)
    _, b, c, d, _ = five(at.kept, r, rows)
    of_third, along, across = g + 2 + q, g + THIRD_H, g + THIRD_V
    by_way(s, along, across, of_third, c + CHOSEN, f32(-1), m)
    clear_half(s, along, q, n)
    if wants:
        count, i = (own + 1 - q) // 2, BOTH_2
        cross_sums(totals, REFINE, s, along, across, c + i, b + i, d + i, q, h, count)
        dot(totals, REFINE + 2, s, of_third, c + THIRD, 0, h, count)
        i = BOTH_1
        cross_sums(totals, THIRDS, s, along, across, c + i, b + i, d + i, q, h, count)


@exact
def again_back(s, at, r, part, q, taps, gathered, totals, wants):
    """Row r: of both colors at green after refining, in place of what they were."""
    rows, n, h, own = sizes(part)
    m, p, scratch = (n + 1) // 2, 1 - q, at.work
    _, up, g, down, _ = five(at.gradients, r, rows)
    beside_back(s, scratch, g + THIRD_H, p, taps[2, :, 0], n)
    between_back(s, scratch + 1, up + THIRD_V, down + THIRD_V, gathered[2], r, rows, n)
    for i in range(2):
        add(s, g + p, scratch + i, f32(-1), m)
        add(s, g + 2 + p, scratch + i, f32(1), m)
    clear_half(s, g + p, p, n)
    if wants:
        _, b, c, d, _ = five(at.kept, r, rows)
        count, k, i = (own + 1 - p) // 2, DIFFERENCE, REFINED
        cross_sums(totals, k, s, g + p, g + 2 + p, c + i, b + i, d + i, p, h, count)


@exact
def refined_back(s, at, r, part, q, taps, gathered, totals, wants):
    """Row r: of C minus refined green."""
    rows, n, h, own = sizes(part)
    m, scratch = (n + 1) // 2, at.work
    _, up, g, down, _ = five(at.gradients, r, rows)
    beside_back(s, scratch, g + 1 - q, q, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + 2 + q, down + 2 + q, gathered[1], r, rows, n)
    add(s, scratch, scratch + 1, f32(1), m)
    add(s, scratch, g + q, f32(-1), m)
    _, b, c, d, _ = five(at.kept, r, rows)
    along, across = g + GREEN_H, g + GREEN_V
    by_way(s, along, across, scratch, c + CHOSEN, f32(1), m)
    clear_half(s, along, q, n)
    if wants:
        count, k, i = (own + 1 - q) // 2, REFINE, OTHER_1
        cross_sums(totals, k, s, along, across, c + OWN_1, b + i, d + i, q, h, count)
        dot(totals, k + 2, s, scratch, c + FIRST, 0, h, count)


@exact
def greens_back(s, at, r, part, q, taps, gathered, totals, wants):
    """Row r: of both colors at green before refining."""
    rows, n, h, own = sizes(part)
    m, p, scratch, center = (n + 1) // 2, 1 - q, at.work, taps[2, 2, 0]
    _, up, g, down, _ = five(at.gradients, r, rows)
    along, across = g + OWN_G, g + OTHER_G
    beside_back(s, along, g + GREEN_H, p, taps[2, :, 0], n)
    between_back(s, across, up + GREEN_V, down + GREEN_V, gathered[2], r, rows, n)
    beside_back(s, scratch, g + THIRD_H, p, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + THIRD_V, down + THIRD_V, gathered[1], r, rows, n)
    for i in range(2):
        add(s, along, scratch + i, -center, m)
        add(s, across, scratch + i, center, m)
    clear_half(s, along, p, n)
    if wants:
        _, b, c, d, _ = five(at.kept, r, rows)
        count, k, i = (own + 1 - p) // 2, DIFFERENCE, FIRST
        cross_sums(totals, k, s, along, across, c + i, b + i, d + i, p, h, count)


@exact
def first_back(s, at, r, part, q, taps, gathered, totals, wants):
    """Row r: of C minus the first green, which is partly that of the mosaic."""
    rows, n, h, own = sizes(part)
    m, p, scratch = (n + 1) // 2, 1 - q, at.work
    _, up, g, down, _ = five(at.gradients, r, rows)
    beside_back(s, scratch, g + OWN_G, q, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + OTHER_G, down + OTHER_G, gathered[1], r, rows, n)
    add(s, scratch, scratch + 1, f32(1), m)
    add(s, scratch, g + GREEN_H, taps[2, 2, 0], m)
    add(s, scratch, g + GREEN_V, taps[2, 2, 0], m)
    add(s, g + MOSAIC_G + q, scratch, f32(1), m)
    add(s, scratch, scratch, f32(-2), m)
    a, b, c, d, e = five(at.kept, r, rows)
    along, across = g + LINE_H, g + LINE_V
    by_way(s, along, across, scratch, c + CHOSEN, f32(1), m)
    clear_half(s, along, q, n)
    if wants:
        count = (own + 1 - q) // 2
        dot(totals, LINE + 1, s, along, c + p, q - 1, h, count)
        dot(totals, LINE + 3, s, along, c + p, q, h, count)
        dot(totals, LINE + 1, s, across, b + q, 0, h, count)
        dot(totals, LINE + 3, s, across, d + q, 0, h, count)
        dot(totals, LINE + 2, s, scratch, c + q, 0, h, count)
        far_sums(totals, LINE, s, along, across, c + q, a + q, e + q, h, count)


@exact
def mosaic_back(s, at, r, part, q, taps, gathered):
    """Row r of the gradient of the mosaic: its halves, from MOSAIC_G on."""
    rows, n, _, _ = sizes(part)
    m, scratch = (n + 1) // 2, at.work
    a, b, g, d, e = five(at.gradients, r, rows)
    line, k = taps[0, :, 0], gathered[gathering(gathered, r, rows)]
    beside_back(s, scratch, g + LINE_H, 1 - q, line, n)
    between(s, scratch + 1, b + LINE_V, d + LINE_V, k[1, 0], k[3, 0], m)
    add_two(s, g + MOSAIC_G + 1 - q, scratch, scratch + 1, m)
    three(s, scratch, g + LINE_H, line[4], line[2], line[0], m + 2)
    fold_half(s, scratch, q, n)
    sum3(s, scratch + 1, a + LINE_V, g + LINE_V, e + LINE_V, k[::2, 0], m)
    add_two(s, g + MOSAIC_G + q, scratch, scratch + 1, m)


@exact
def menon_back(out, colors, s, at, t, part, sites, kernels, gathered, totals, wants_kernels):
    """Do all that is possible once row t of the gradient of colors is there; see `bilinear_back`.

    Returns the halves of row t - 7 of the mosaic's gradient, and of the corrected mosaic.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    if 0 <= t < rows:
        malvar_split(s, place(at.gradients, t), out, colors, t, n, sites)
    # The first stage reads what is kept of the next row, which is there one row later.
    for stage, delay in enumerate((1, 2, 3, 4, 5, BACK_DELAY)):
        r = t - delay
        if not 0 <= r < rows:
            continue
        q, to = sites.chroma[r % 2], totals[block_of(part, r)]
        wants = wants_kernels and is_owned(part, r)
        if stage == 0:
            third_back(s, at, r, part, q, to, wants)
        elif stage == 1:
            again_back(s, at, r, part, q, kernels, gathered, to, wants)
        elif stage == 2:
            refined_back(s, at, r, part, q, kernels, gathered, to, wants)
        elif stage == 3:
            greens_back(s, at, r, part, q, kernels, gathered, to, wants)
        elif stage == 4:
            first_back(s, at, r, part, q, kernels, gathered, to, wants)
        else:
            mosaic_back(s, at, r, part, q, kernels, gathered[0])
    r = t - BACK_DELAY
    return place(at.gradients, r) + MOSAIC_G, place(at.kept, r) + X
