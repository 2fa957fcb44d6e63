"""Rows of scratch memory: rings of them, margins, halves, and totals of gradients.

The rows are those of an array `s` (float32, C order), and a function takes their numbers: column j
of row i is s[i, PAD + j], and the margins around are filled by mirror reflection. With one row to
write, few to read and columns counted from zero, LLVM makes SIMD loops of these functions; that is
why they are so small. They may write up to 63 samples of nonsense behind the last column.
"""

import math
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from rawdrift.compiled import LINE, allocating, exact, fast, summing

Array = np.ndarray[Any, Any]
f32 = np.float32
i32 = np.int32
PAD = 16  # columns: beyond the reach of every filter
SURE = 0xFFFFFFFF  # masks what is known not to be negative: LLVM then makes a loop with SIMD


class Part(NamedTuple):
    """A rectangle of one mosaic that a task works on, and the one inside that it writes.

    A part is an image of its own with mirrored borders, so it must be larger than what is written
    by the pipeline's reach, or by twice that on the way back, except where the mosaic ends. Its
    first row and column are even. Ends are exclusive.
    """

    image: int
    block: int  # the first row of its totals
    top: int
    bottom: int
    left: int
    right: int
    first_row: int
    last_row: int
    first_column: int
    last_column: int


@exact
def part_at(parts, i):
    """Part i of a table (n, 10) int64 of them."""
    return Part(
        parts[i, 0],
        parts[i, 1],
        parts[i, 2],
        parts[i, 3],
        parts[i, 4],
        parts[i, 5],
        parts[i, 6],
        parts[i, 7],
        parts[i, 8],
        parts[i, 9],
    )


@exact
def is_owned(part, r):
    """Whether row r of the part is one that it writes and adds up."""
    return part.first_row <= part.top + r < part.last_row


# Rings


@allocating
def scratch(n, count):
    """Rows of zeros for n columns, whose columns 0 begin lines of the cache."""
    columns = 2 * PAD + (n + 63) // 64 * 64 + 64
    memory = np.zeros(count * columns + LINE, f32)
    first = -(memory.ctypes.data // 4) % LINE
    return memory[first : first + count * columns].reshape(count, columns)


class Ring(NamedTuple):
    """Where the last `size` rows of an image are kept, each in `each` rows of scratch."""

    first: int
    size: int
    each: int


@exact
def reflect(i, n):
    """The index in [0, n) that mirror reflection finds at i, for n >= 2."""
    while i < 0 or i >= n:
        i = -i if i < 0 else 2 * (n - 1) - i
    return i


@exact
def end(ring):
    """The first row of scratch behind a ring."""
    return ring.first + ring.size * ring.each


@exact
def place(ring, r):
    """The first row of scratch of row r."""
    return ring.first + r % ring.size * ring.each


@exact
def mirrored(ring, r, rows):
    """The first row of scratch of row r, mirrored at the borders of an image of so many rows."""
    return ring.first + reflect(r, rows) % ring.size * ring.each


@exact
def five(ring, r, rows):
    """The places of rows r - 2 to r + 2."""
    return (
        mirrored(ring, r - 2, rows),
        mirrored(ring, r - 1, rows),
        place(ring, r),
        mirrored(ring, r + 1, rows),
        mirrored(ring, r + 2, rows),
    )


# Margins


@exact
def mirror(s, row, n, reach):
    """Fill `reach` columns to both sides of a row of n columns."""
    for d in range(1, reach + 1):
        s[row, PAD - d] = s[row, PAD + reflect(-d, n)]
        s[row, PAD + n - 1 + d] = s[row, PAD + reflect(n - 1 + d, n)]


@exact
def clear(s, row, n, reach):
    """Zeros to both sides of a row of n columns."""
    for d in range(1, reach + 1):
        s[row, PAD - d] = 0
        s[row, PAD + n - 1 + d] = 0


@exact
def fold(s, row, n, reach):
    """Add the margins to what they mirror: the adjoint of `mirror`."""
    for d in range(1, reach + 1):
        s[row, PAD + reflect(-d, n)] += s[row, PAD - d]
        s[row, PAD + reflect(n - 1 + d, n)] += s[row, PAD + n - 1 + d]


@allocating
def gatherings(kernels, rows):
    """The taps by which rows of gradients are gathered from those around, for each of the kernels
    (n, K, L), float32: (n, C, K, L), where row r takes those at `gathering`.

    The adjoint of a correlation with taps (K, L) under mirrored borders correlates with the flipped
    taps, with zeros around the image, and adds what comes to lie in the margins to the samples that
    they mirror. For columns `fold` does that; for rows, these taps do: those of rows outside are
    zero, and what these would give is in the taps of the rows that they mirror. Far from both
    borders all rows have the same.
    """
    n, size, width = kernels.shape
    reach = size // 2
    count = min(rows, 2 * reach + 3)
    gathered = np.zeros((n, count, size, width), f32)
    for i in range(count):
        r = i if i < count // 2 + 1 else rows - count + i
        for row in range(max(0, r - reach), min(rows, r + reach + 1)):
            for d in range(-reach, reach + 1):
                if reflect(row + d, rows) == r:
                    for k in range(n):
                        for j in range(width):
                            tap = kernels[k, d + reach, width - 1 - j]
                            gathered[k, i, row - r + reach, j] += tap
    return gathered


@exact
def gathering(taps, r, rows):
    """Where the taps of row r are in those (C, K, L) of `gatherings`."""
    count = len(taps)
    if r < count // 2:
        return r
    return count - (rows - r) if rows - r <= count // 2 else count // 2


# Weighted sums of rows


@fast
def sum3(s, out, a, b, c, weights, n):
    """Three rows weighted with (3,)."""
    u, v, w = weights[0], weights[1], weights[2]
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] = u * s[a, PAD + j] + v * s[b, PAD + j] + w * s[c, PAD + j]


@fast
def add_scaled(s, out, row, weight, n):
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] += weight * s[row, PAD + j]


@exact
def copy(s, out, row, n):
    """A row of n columns, margins too."""
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        s[out, j] = s[row, j]


@exact
def zero(s, row, n):
    """A row of zeros, margins too."""
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        s[row, j] = 0


@fast
def line5(s, out, row, taps, first, n):
    """Correlation along the row with taps (5,), of n columns from `first`."""
    left = (PAD - 2 + first) & SURE
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range((n + 63) // 64 * 64):
        t = a * s[row, left + j] + b * s[row, left + 1 + j] + c * s[row, left + 2 + j]
        s[out, left + 2 + j] = t + d * s[row, left + 3 + j] + e * s[row, left + 4 + j]


# Halves

# A row of the mosaic is kept as its even and its odd columns, two rows of an array of its own.
# Left of column j of the half of parity q lies column j + q - 1 of the other half, and right of it
# column j + q.


class Halves(NamedTuple):
    """Rings of halves: of the mosaic, and what demosaicing keeps beside them. Empty if not used."""

    mosaic: Ring
    kept: Ring  # what the way back needs
    gradients: Ring
    out: int  # two rows: a row of the mosaic's gradient
    work: int  # two rows that any function may use


@exact
def mirror_halves(s, even, n, reach):
    """Fill `reach` columns to both sides of two halves of n columns together."""
    odd = even + 1
    for d in range(1, reach + 1):
        s[even, PAD - d] = s[even, PAD + reflect(-2 * d, n) // 2]
        s[odd, PAD - d] = s[odd, PAD + reflect(1 - 2 * d, n) // 2]
    for j in range(n // 2, n // 2 + 1 + reach):
        s[even, PAD + j] = s[even, PAD + reflect(2 * j, n) // 2]
        s[odd, PAD + j] = s[odd, PAD + reflect(2 * j + 1, n) // 2]


@exact
def mirror_half(s, row, parity, n):
    """Fill one sample before a half of the columns of a row of n, and two behind."""
    s[row, PAD - 1] = s[row, PAD + reflect(parity - 2, n) // 2]
    for j in range((n + 1 - parity) // 2, (n + 1) // 2 + 1):
        s[row, PAD + j] = s[row, PAD + reflect(2 * j + parity, n) // 2]


@exact
def clear_half(s, row, parity, n):
    """Three zeros to both sides of the columns of one parity of n."""
    for d in range(3):
        s[row, PAD - 1 - d] = 0
        s[row, PAD + (n + 1 - parity) // 2 + d] = 0


@exact
def fold_half(s, row, parity, n):
    """Add margins of one of the columns of one parity of n to what they mirror."""
    last = (n + 1 - parity) // 2
    s[row, PAD + reflect(parity - 2, n) // 2] += s[row, PAD - 1]
    s[row, PAD + reflect(parity + 2 * last, n) // 2] += s[row, PAD + last]


@exact
def weave(s, out, halves, even, odd, n):
    """Even and odd columns, two rows of the array `halves`, to a row of n.

    In one array LLVM doesn't see that rows read and written at another pace don't overlap.
    """
    for j in range((n + 63) // 64 * 32):
        s[out, PAD + 2 * j] = halves[even, PAD + j]
        s[out, PAD + 2 * j + 1] = halves[odd, PAD + j]


@exact
def unweave(halves, even, odd, s, row, n):
    """A row of n columns to its even and odd ones, with zeros around."""
    for j in range((n + 63) // 64 * 32):
        halves[even, PAD + j] = s[row, PAD + 2 * j]
        halves[odd, PAD + j] = s[row, PAD + 2 * j + 1]
    clear_half(halves, even, 0, n)
    clear_half(halves, odd, 1, n)


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


@fast
def add(s, out, row, weight, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] += weight * s[row, PAD + j]


@fast
def add_two(s, out, a, b, n):
    for j in range((n + 31) // 32 * 32):
        s[out, PAD + j] += s[a, PAD + j] + s[b, PAD + j]


# Totals: the gradients of numbers

# A sum of products over one row is made in float32, some lanes at a time, and added to a total in
# float64. There is one row of totals for each block of rows of the mosaic, so that the order of
# summation never depends on the parts that tasks work on.

BLOCK = 64  # rows of the mosaic

# What a row of totals holds, and in which shape.
SHAPES = {
    "exponent": (1,),
    "color": (3, 3),
    "sharpen": (3, 3),
    "blur": (9,),  # taps of the unsharp mask, center and one side
    "keep": (1,),  # of what the unsharp mask keeps
    "denoise": (5, 5),
    "black": (2, 2, 2),  # by row and column: gradients, and their products with the mosaic
    "kernels": (4, 5, 5),  # of demosaicing, which may use less
}
EXPONENT, COLOR, SHARPEN, BLUR, KEEP, DENOISE, BLACK, KERNELS, TOTALS = accumulate(
    (math.prod(shape) for shape in SHAPES.values()), initial=0
)


@exact
def block_of(part, r):
    """Where the totals of row r of a part are."""
    return part.block + (part.top + r) // BLOCK


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
