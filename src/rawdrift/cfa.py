"""Bayer color filter arrays: which color each pixel of the 2x2 cell measures."""

from typing import Literal, get_args

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

PERIOD = 2
"""Rows and columns after which a pattern repeats."""

# The four sites of a cell, in the order in which per-site numbers are given everywhere.
SITES = ("R", "G in red rows", "G in blue rows", "B")


def offsets(pattern: Pattern) -> tuple[tuple[int, int], ...]:
    """Return (row, column) in the 2x2 cell of each of `SITES`."""
    cell = {(i // 2, i % 2): color for i, color in enumerate(pattern)}
    red = next(at for at, color in cell.items() if color == "R")
    row, column = red
    return red, (row, 1 - column), (1 - row, column), (1 - row, 1 - column)
