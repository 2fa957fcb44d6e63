"""What adjoints of correlations share: margins, and taps near the first and last row.

Under mirrored borders, the adjoint of a correlation correlates with the flipped kernel, with zeros
around the image, and adds what comes to lie in the margins to the samples that they mirror.
"""

import numpy as np

from rawdrift.isp.fused.compiled import allocating, exact
from rawdrift.isp.fused.rows import PAD, f32, reflect


@exact
def clear(s, row, n, reach):
    """Zeros to both sides of a row of n columns."""
    for d in range(1, reach + 1):
        s[row, PAD - d] = 0
        s[row, PAD + n - 1 + d] = 0


@exact
def zero(s, row, n):
    """A row of zeros, margins too."""
    for j in range((n + 2 * PAD + 63) // 64 * 64):
        s[row, j] = 0


@exact
def fold(s, row, n, reach):
    """Add the margins to what they mirror."""
    for d in range(1, reach + 1):
        s[row, PAD + reflect(-d, n)] += s[row, PAD - d]
        s[row, PAD + reflect(n - 1 + d, n)] += s[row, PAD + n - 1 + d]


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


@allocating
def gathering(taps, r, rows):
    """The taps (K, L), float32, by which row r is gathered from rows r - K // 2 to r + K // 2.

    taps: (K, L) of the correlation. What rows above the first and below the last one would give is
    in the taps of the rows that they mirror; the taps of rows outside are zero.
    """
    reach, width = taps.shape[0] // 2, taps.shape[1]
    found = np.zeros(taps.shape, f32)
    for row in range(max(0, r - reach), min(rows, r + reach + 1)):
        for d in range(-reach, reach + 1):
            if reflect(row + d, rows) == r:
                for j in range(width):
                    found[row - r + reach, j] += taps[d + reach, width - 1 - j]
    return found
