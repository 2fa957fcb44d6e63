"""The gradient of menon.py: linear in the mosaic once the directions are chosen, a row at a time.

The forward pass is computed again, and what its stages gave is kept for each row in KEPT halves:

    X                   the mosaic (even, odd)
    WAY                 at the row's own color C: 1 where the row is the smoother direction
    FIRST, REFINED      at C: C minus green, before and after refining
    THIRD               at C: the other color minus C, before refining
    OWN, OTHER          at green: C minus green, the other color minus green, before refining
    BOTH, BOTH_REFINED  at green: the other color minus C, before and after refining

Gradients have SLOT halves for each row: the six of `malvar_split`, of which the last two become
that of the mosaic, and those of the stages, going back; H is along the row, V along the column:

    THIRD_H, THIRD_V    at C: of the other color, after refining; V with its sign changed
    GREEN_H, GREEN_V    at C: of REFINED
    OWN_G, OTHER_G      at green: of OWN and OTHER
    LINE_H, LINE_V      at C: of the first green
"""

from rawdrift.isp.fused import menon as forward
from rawdrift.isp.fused.adjoint import clear_half, fold_half, gathering
from rawdrift.isp.fused.bayer import beside, between
from rawdrift.isp.fused.bayer_back import add_two
from rawdrift.isp.fused.compiled import allocating, exact, fast
from rawdrift.isp.fused.finish_back import is_owned
from rawdrift.isp.fused.menon import minus, slot
from rawdrift.isp.fused.rows import PAD, f32, reflect, sum3
from rawdrift.isp.fused.sums import BLOCK, KERNELS, dot

X, WAY, FIRST, REFINED, THIRD, OWN, OTHER, BOTH, BOTH_REFINED, KEPT = 0, 2, 3, 4, 5, 6, 7, 8, 9, 10
THIRD_H, THIRD_V, GREEN_H, GREEN_V, OWN_G, OTHER_G, LINE_H, LINE_V, SLOT = range(6, 15)
SLOTS = 9  # rows of gradients in work at a time
DELAY = 6  # rows that the mosaic's gradient is behind that of its colors

# Totals of kernels: (3, 5), and what is known by the kernels' numbers at last, see cpu_back.py.
LINE, DIFFERENCE, REFINE = KERNELS, KERNELS + 5, KERNELS + 10
THIRDS = KERNELS + 15  # (5,)


@exact
def copy(s, out, row, n):
    """A half row of n columns, with margins of two."""
    for j in range((n + 4 + 31) // 32 * 32):
        s[out, PAD - 2 + j] = s[row, PAD - 2 + j]


@exact
def keep_first(s, base, kept, size, t, rows, n, chroma):
    """Keep what `menon` is going to write over once row t is there. base: of its slots."""
    m = (n + 1) // 2
    r = t - 6
    if 0 <= r < rows:
        copy(s, kept + r % size * KEPT + FIRST, slot(base, r, rows) + forward.C_G, m)
    r = t - 7
    if 0 <= r < rows:
        to, at = kept + r % size * KEPT, slot(base, r, rows)
        copy(s, to + OWN, at + forward.OWN, m)
        copy(s, to + OTHER, at + forward.OTHER, m)
        copy(s, to + BOTH, at + forward.BOTH, m)
    r = t - forward.DELAY
    if 0 <= r < rows:
        at = slot(base, r, rows)
        minus(s, kept + r % size * KEPT + THIRD, at + forward.ACROSS, at + chroma[r % 2], m)


@exact
def keep(s, base, kept, size, t, rows, n):
    """Keep what `menon` has found once row t is there."""
    m, r = (n + 1) // 2, t - forward.DELAY
    if 0 <= r < rows:
        to, at = kept + r % size * KEPT, slot(base, r, rows)
        copy(s, to + X, at, m)
        copy(s, to + X + 1, at + 1, m)
        copy(s, to + WAY, at + forward.WAY, m)
        copy(s, to + REFINED, at + forward.C_G, m)
        copy(s, to + BOTH_REFINED, at + forward.BOTH, m)


@fast
def by_way(s, along, across, row, way, sign, n):
    """A row where the direction is along it, and `sign` times the row where it is not."""
    for j in range((n + 31) // 32 * 32):
        s[along, PAD + j] = s[row, PAD + j] if s[way, PAD + j] > f32(0) else f32(0)
    for j in range((n + 31) // 32 * 32):
        s[across, PAD + j] = f32(0) if s[way, PAD + j] > f32(0) else sign * s[row, PAD + j]


@fast
def add(s, out, row, weight, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] += weight * s[row, PAD + j]


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


@allocating
def between_back(s, out, up, down, taps, r, rows, n):
    """Adjoint of `between` with taps[1] and taps[3]. taps: (5, 1)."""
    k = gathering(taps, r, rows)
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
def around(base, size, count, r, rows):
    """Places of rows r - 2 to r + 2 in a ring with `count` halves for each row."""
    return (
        base + reflect(r - 2, rows) % size * count,
        base + reflect(r - 1, rows) % size * count,
        base + r % size * count,
        base + reflect(r + 1, rows) % size * count,
        base + reflect(r + 2, rows) % size * count,
    )


@allocating
def third_back(s, ring, kept, size, r, rows, n, chroma, totals, wants, first, own):
    """Row r: of the mosaic directly, and of the other color at C."""
    q, m, at, h = chroma[r % 2], (n + 1) // 2, ring + r % SLOTS * SLOT, first // 2
    add_two(s, at + 4, at, at + 2, m)
    add_two(s, at + 5, at + 1, at + 3, m)
    _, b, c, d, _ = around(kept, size, KEPT, r, rows)
    of_third, along, across = at + 2 + q, at + THIRD_H, at + THIRD_V
    by_way(s, along, across, of_third, c + WAY, f32(-1), m)
    clear_half(s, along, q, n)
    if wants:
        count, i = (own + 1 - q) // 2, BOTH_REFINED
        cross_sums(totals, REFINE, s, along, across, c + i, b + i, d + i, q, h, count)
        dot(totals, REFINE + 2, s, of_third, c + THIRD, 0, h, count)
        i = BOTH
        cross_sums(totals, THIRDS, s, along, across, c + i, b + i, d + i, q, h, count)


@allocating
def again_back(s, ring, kept, size, r, rows, n, chroma, taps, scratch, totals, wants, first, own):
    """Row r: of both colors at green after refining, in place of what they were."""
    q, m, h = chroma[r % 2], (n + 1) // 2, first // 2
    p = 1 - q
    _, up, at, down, _ = around(ring, SLOTS, SLOT, r, rows)
    beside_back(s, scratch, at + THIRD_H, p, taps[2, :, 0], n)
    between_back(s, scratch + 1, up + THIRD_V, down + THIRD_V, taps[2], r, rows, n)
    for i in range(2):
        add(s, at + p, scratch + i, f32(-1), m)
        add(s, at + 2 + p, scratch + i, f32(1), m)
    clear_half(s, at + p, p, n)
    if wants:
        _, b, c, d, _ = around(kept, size, KEPT, r, rows)
        count, k, i = (own + 1 - p) // 2, DIFFERENCE, REFINED
        cross_sums(totals, k, s, at + p, at + 2 + p, c + i, b + i, d + i, p, h, count)


@allocating
def refined_back(s, ring, kept, size, r, rows, n, chroma, taps, scratch, totals, wants, first, own):
    """Row r: of C minus refined green."""
    q, m, h = chroma[r % 2], (n + 1) // 2, first // 2
    _, up, at, down, _ = around(ring, SLOTS, SLOT, r, rows)
    beside_back(s, scratch, at + 1 - q, q, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + 2 + q, down + 2 + q, taps[1], r, rows, n)
    add(s, scratch, scratch + 1, f32(1), m)
    add(s, scratch, at + q, f32(-1), m)
    _, b, c, d, _ = around(kept, size, KEPT, r, rows)
    along, across = at + GREEN_H, at + GREEN_V
    by_way(s, along, across, scratch, c + WAY, f32(1), m)
    clear_half(s, along, q, n)
    if wants:
        count, k, i = (own + 1 - q) // 2, REFINE, OTHER
        cross_sums(totals, k, s, along, across, c + OWN, b + i, d + i, q, h, count)
        dot(totals, k + 2, s, scratch, c + FIRST, 0, h, count)


@allocating
def greens_back(s, ring, kept, size, r, rows, n, chroma, taps, scratch, totals, wants, first, own):
    """Row r: of both colors at green before refining."""
    q, m, h = chroma[r % 2], (n + 1) // 2, first // 2
    p, center = 1 - q, taps[2, 2, 0]
    _, up, at, down, _ = around(ring, SLOTS, SLOT, r, rows)
    along, across = at + OWN_G, at + OTHER_G
    beside_back(s, along, at + GREEN_H, p, taps[2, :, 0], n)
    between_back(s, across, up + GREEN_V, down + GREEN_V, taps[2], r, rows, n)
    beside_back(s, scratch, at + THIRD_H, p, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + THIRD_V, down + THIRD_V, taps[1], r, rows, n)
    for i in range(2):
        add(s, along, scratch + i, -center, m)
        add(s, across, scratch + i, center, m)
    clear_half(s, along, p, n)
    if wants:
        _, b, c, d, _ = around(kept, size, KEPT, r, rows)
        count, k, i = (own + 1 - p) // 2, DIFFERENCE, FIRST
        cross_sums(totals, k, s, along, across, c + i, b + i, d + i, p, h, count)


@allocating
def first_back(s, ring, kept, size, r, rows, n, chroma, taps, scratch, totals, wants, first, own):
    """Row r: of C minus the first green, which is partly that of the mosaic."""
    q, m, h = chroma[r % 2], (n + 1) // 2, first // 2
    p = 1 - q
    _, up, at, down, _ = around(ring, SLOTS, SLOT, r, rows)
    beside_back(s, scratch, at + OWN_G, q, taps[1, :, 0], n)
    between_back(s, scratch + 1, up + OTHER_G, down + OTHER_G, taps[1], r, rows, n)
    add(s, scratch, scratch + 1, f32(1), m)
    add(s, scratch, at + GREEN_H, taps[2, 2, 0], m)
    add(s, scratch, at + GREEN_V, taps[2, 2, 0], m)
    add(s, at + 4 + q, scratch, f32(1), m)
    add(s, scratch, scratch, f32(-2), m)
    a, b, c, d, e = around(kept, size, KEPT, r, rows)
    along, across = at + LINE_H, at + LINE_V
    by_way(s, along, across, scratch, c + WAY, f32(1), m)
    clear_half(s, along, q, n)
    if wants:
        count = (own + 1 - q) // 2
        dot(totals, LINE + 1, s, along, c + p, q - 1, h, count)
        dot(totals, LINE + 3, s, along, c + p, q, h, count)
        dot(totals, LINE + 1, s, across, b + q, 0, h, count)
        dot(totals, LINE + 3, s, across, d + q, 0, h, count)
        dot(totals, LINE + 2, s, scratch, c + q, 0, h, count)
        far_sums(totals, LINE, s, along, across, c + q, a + q, e + q, h, count)


@allocating
def mosaic_back(s, ring, r, rows, n, chroma, taps, scratch):
    """Row r of the gradient of the mosaic: its halves, the last two of its six."""
    q, m = chroma[r % 2], (n + 1) // 2
    a, b, at, d, e = around(ring, SLOTS, SLOT, r, rows)
    line, k = taps[0, :, 0], gathering(taps[0], r, rows)
    beside_back(s, scratch, at + LINE_H, 1 - q, line, n)
    between(s, scratch + 1, b + LINE_V, d + LINE_V, k[1, 0], k[3, 0], m)
    add_two(s, at + 5 - q, scratch, scratch + 1, m)
    three(s, scratch, at + LINE_H, line[4], line[2], line[0], m + 2)
    fold_half(s, scratch, q, n)
    sum3(s, scratch + 1, a + LINE_V, at + LINE_V, e + LINE_V, k[::2, 0], m)
    add_two(s, at + 4 + q, scratch, scratch + 1, m)


@allocating
def back(s, ring, kept, size, t, part, chroma, taps, scratch, totals, block, wanted):
    """All that can be done once row t of the gradients of colors is there; at last row t - DELAY.

    taps: (3, 5, 1), the kernels; wanted: whether their gradients are.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    first, own = part.first_column - part.left, part.last_column - part.first_column
    for stage, delay in enumerate((0, 1, 2, 3, 4, DELAY)):
        r = t - delay
        if not 0 <= r < rows:
            continue
        to = totals[block + (part.top + r) // BLOCK]
        wants = wanted and is_owned(part, r)
        if stage == 0:
            third_back(s, ring, kept, size, r, rows, n, chroma, to, wants, first, own)
        elif stage == 1:
            again_back(
                s, ring, kept, size, r, rows, n, chroma, taps, scratch, to, wants, first, own
            )
        elif stage == 2:
            refined_back(
                s, ring, kept, size, r, rows, n, chroma, taps, scratch, to, wants, first, own
            )
        elif stage == 3:
            greens_back(
                s, ring, kept, size, r, rows, n, chroma, taps, scratch, to, wants, first, own
            )
        elif stage == 4:
            first_back(
                s, ring, kept, size, r, rows, n, chroma, taps, scratch, to, wants, first, own
            )
        else:
            mosaic_back(s, ring, r, rows, n, chroma, taps, scratch)
