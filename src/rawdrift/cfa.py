"""Color filter arrays: which color each pixel measures, as a cell that repeats.

A pattern is a text: four letters for a cell of 2x2 ("RGGB", "RCCB"), "MONO", "XTRANS", or the rows
of a cell joined by "/" ("RRGG/RRGG/GGBB/GGBB"). Letters: R, G, B, Y yellow, C clear, W white.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

from rawdrift.checks import InputError

Bayer = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
PATTERNS: tuple[Bayer, ...] = get_args(Bayer)
"""The Bayer patterns, which all of demosaicing takes."""

Pattern = str
MONO = "MONO"
_CELLS = {
    MONO: ("M",),
    "XTRANS": ("GBGGRG", "RGRBGB", "GBGGRG", "GRGGBG", "BGBRGR", "GRGGBG"),
}
_LETTERS = "RYCWGB"  # in the order of planes
_MOST = 16  # rows and columns of a cell

# The four sites of a Bayer cell, in the order in which per-site numbers are given everywhere.
SITES = ("R", "G in red rows", "G in blue rows", "B")


class Place(NamedTuple):
    """A pixel of the cell: the number of its site, its row and column, and its letter."""

    site: int
    row: int
    column: int
    color: str


class Layout(NamedTuple):
    """What a pattern means.

    height, width: of the cell. sites: names of the up to four sites that share a black level.
    planes: the colors of the planes that demosaicing gives; one for a monochrome sensor.
    places: of all pixels of the cell, by site.
    """

    height: int
    width: int
    sites: tuple[str, ...]
    planes: tuple[str, ...]
    places: tuple[Place, ...]


def pattern(value: object, name: str = "cfa pattern") -> Pattern:
    """Return a pattern in its own way of writing it, of a text or of rows ["RRGG", ...].

    Raises InputError for rows of several lengths, other letters, and colors that give no picture.
    """
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(row, str) for row in parts):
        raise InputError(f"{name} must be a text or rows of a cell, got {value!r}")
    text = "/".join(parts)
    for known, cell in _CELLS.items():
        if text in (known, "/".join(cell)):
            return known
    rows = tuple(text.split("/")) if "/" in text else _square(text)
    if not rows or len({*map(len, rows)}) != 1 or not {*"".join(rows)} <= {*_LETTERS}:
        raise InputError(
            f"unknown {name} {value!r}; expected {'; '.join((*PATTERNS, *_CELLS))}; "
            f"another cell of 2x2 such as RCCB, or the rows of a larger one such as "
            f'["RRGG", "RRGG", "GGBB", "GGBB"]; letters are {", ".join(_LETTERS)}'
        )
    if max(len(rows), len(rows[0])) > _MOST:
        raise InputError(f"{name} must have a cell of at most {_MOST}x{_MOST}, got {value!r}")
    across = len(rows) == len(rows[0]) == 2 and (
        rows[0][0] == rows[1][1] or rows[0][1] == rows[1][0]
    )
    if (len(rows), len(rows[0])) == (2, 2) and len({*"".join(rows)}) < 4 and not across:
        raise InputError(
            f"unknown {name} {value!r}: the color that a cell of 2x2 measures twice lies on its "
            f"diagonal, as in {'; '.join(PATTERNS)}"
        )
    if not _planes({*"".join(rows)}):
        raise InputError(
            f"{name} {value!r} has the colors {', '.join(sorted({*''.join(rows)}))}; expected "
            f"three, or more with R, G and B among them"
        )
    return "".join(rows) if (len(rows), len(rows[0])) == (2, 2) else "/".join(rows)


def is_bayer(cfa: Pattern) -> bool:
    return cfa in PATTERNS


@cache
def layout(cfa: Pattern) -> Layout:
    """Return what a pattern means.

    The sites of a cell of 2x2 with one red are that, its neighbors in the row and in the column,
    and the one across: for Bayer R, G in red rows, G in blue rows, B. So are those of cells of 2x2
    blocks of one color (quad-Bayer). In other cells a site is a color.
    """
    rows = _CELLS.get(cfa) or (tuple(cfa.split("/")) if "/" in cfa else _square(cfa))
    height, width = len(rows), len(rows[0])
    planes = _planes({*"".join(rows)})
    block = height // 2, width // 2
    quarters = [rows[i * block[0]][j * block[1]] for i in (0, 1) for j in (0, 1)]
    is_blocks = height == width and height % 2 == 0 and quarters.count("R") == 1 and all(
        rows[i][j] == quarters[i // block[0] * 2 + j // block[1]]
        for i in range(height)
        for j in range(width)
    )  # fmt: skip
    others = tuple(sorted({*"".join(rows)} - {*planes}))
    names: tuple[str, ...] = (*planes, *others)
    if is_blocks:
        red = quarters.index("R")
        order = [red, red ^ 1, red ^ 2, red ^ 3]
        letters = [quarters[at] for at in order]
        names = tuple(
            f"{letter} in {'red' if at < 2 else 'other'} rows"
            if letters.count(letter) > 1
            else letter
            for at, letter in enumerate(letters)
        )
        if is_bayer("".join(quarters)):
            names = SITES
    places = []
    for row in range(height):
        for column in range(width):
            site = (
                names.index(rows[row][column])
                if not is_blocks
                else order.index(row // block[0] * 2 + column // block[1])
            )
            places.append(Place(site, row, column, rows[row][column]))
    return Layout(height, width, names, planes, tuple(sorted(places)))


def sampled(mosaic: Any, cfa: Pattern) -> Iterator[tuple[int, Any]]:
    """Yield the site of each pixel of the cell, and a view of all such pixels of a mosaic
    (..., H, W), an array or a tensor."""
    height, width, _, _, places = layout(cfa)
    for site, row, column, _ in places:
        yield site, mosaic[..., row::height, column::width]


def offsets(cfa: Pattern) -> tuple[tuple[int, int], ...]:
    """Return (row, column) in the cell of each of `SITES` of a Bayer pattern."""
    row, column = divmod(cfa.index("R"), 2)
    return (row, column), (row, 1 - column), (1 - row, column), (1 - row, 1 - column)


def quad(cfa: Pattern) -> Bayer | None:
    """Return the Bayer pattern whose every pixel is a block of 2x2 in this one, if there is one."""
    return next((bayer for bayer in PATTERNS if "/".join(_quad(bayer)) == cfa), None)


def _quad(bayer: Bayer) -> list[str]:
    return [letter[0] * 2 + letter[1] * 2 for letter in (bayer[:2], bayer[2:]) for _ in (0, 1)]


def _square(text: str) -> tuple[str, ...]:
    return (text[:2], text[2:]) if len(text) == 4 else ()


def _planes(colors: set[str]) -> tuple[str, ...]:
    if colors == {"M"}:
        return ("M",)
    if {"R", "G", "B"} <= colors:
        return ("R", "G", "B")
    return tuple(sorted(colors, key=_LETTERS.index)) if len(colors) == 3 else ()
