"""Color filter arrays: which color each pixel measures, as a cell that repeats.

A pattern is a text: four letters for a cell of 2x2 ("RGGB", "RCCB"), "MONO", "XTRANS", or the rows
of a cell joined by "/" ("RRGG/RRGG/GGBB/GGBB"). Letters: R, G, B, Y yellow, C clear, W white.
"""

from collections.abc import Iterator, Sequence
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
    colors = {*"".join(rows)}
    is_square = (len(rows), len(rows[0])) == (2, 2)
    on_diagonal = rows[0][0] == rows[-1][-1] or rows[0][-1] == rows[-1][0]
    if is_square and len(colors) < 4 and not on_diagonal:
        raise InputError(
            f"unknown {name} {value!r}: the color that a cell of 2x2 measures twice lies on its "
            f"diagonal, as in {'; '.join(PATTERNS)}"
        )
    if not _planes(colors):
        raise InputError(
            f"{name} {value!r} has the colors {', '.join(sorted(colors))}; expected "
            f"three, or more with R, G and B among them"
        )
    return "".join(rows) if is_square else "/".join(rows)


def is_bayer(cfa: Pattern) -> bool:
    return cfa in PATTERNS


def has_quarters(cfa: Pattern) -> bool:
    """Whether the sites are the quarters of the cell, in a cell of 2x2 or of blocks of one color;
    else they are its colors."""
    return _quarters(_rows(cfa)).count("R") == 1


def _rows(cfa: Pattern) -> tuple[str, ...]:
    return _CELLS.get(cfa) or (tuple(cfa.split("/")) if "/" in cfa else _square(cfa))


@cache
def layout(cfa: Pattern) -> Layout:
    """Return what a pattern means.

    The sites of a cell of 2x2 with one red are that, its neighbors in the row and in the column,
    and the one across: for Bayer R, G in red rows, G in blue rows, B. So are those of cells of 2x2
    blocks of one color (quad-Bayer). In other cells a site is a color.
    """
    rows = _rows(cfa)
    height, width = len(rows), len(rows[0])
    colors = {*"".join(rows)}
    planes = _planes(colors)
    if has_quarters(cfa):
        quarters = _quarters(rows)
        red = quarters.index("R")
        order = [red, red ^ 1, red ^ 2, red ^ 3]
        names = _names([quarters[at] for at in order])
    else:
        order, names = [], (*planes, *sorted(colors - {*planes}))

    def site(row: int, column: int) -> int:
        if order:
            return order.index(2 * row // height * 2 + 2 * column // width)
        return names.index(rows[row][column])

    places = [
        Place(site(row, column), row, column, rows[row][column])
        for row in range(height)
        for column in range(width)
    ]
    return Layout(height, width, names, planes, tuple(sorted(places)))


def _quarters(rows: Sequence[str]) -> str:
    """Return the colors of a square cell of four blocks of one color, row by row, or ""."""
    half, rest = divmod(len(rows), 2)
    if rest or len(rows[0]) != len(rows):
        return ""
    blocks = [
        {*"".join(row[left : left + half] for row in rows[top : top + half])}
        for top in (0, half)
        for left in (0, half)
    ]
    return "".join(*zip(*blocks, strict=True)) if all(len(b) == 1 for b in blocks) else ""


def _names(letters: Sequence[str]) -> tuple[str, ...]:
    """Name the sites of a cell of 2x2 from red on."""
    if [*letters] == ["R", "G", "G", "B"]:
        return SITES
    rows = ("red", "red", "other", "other")
    return tuple(
        f"{letter} in {row} rows" if letters.count(letter) > 1 else letter
        for letter, row in zip(letters, rows, strict=True)
    )


def sites_of_cell(cfa: Pattern) -> list[list[int]]:
    """Return the site of each pixel of the pattern's cell, by row and column: which of the numbers
    of sites belongs to it."""
    height, width, _, _, places = layout(cfa)
    of = {(place.row, place.column): place.site for place in places}
    return [[of[row, column] for column in range(width)] for row in range(height)]


def sampled(mosaic: Any, cfa: Pattern) -> Iterator[tuple[int, Any]]:
    """Yield the site of each pixel of the cell, and a view of all such pixels of a mosaic
    (..., H, W), an array or a tensor."""
    height, width, _, _, places = layout(cfa)
    for site, row, column, _ in places:
        yield site, mosaic[..., row::height, column::width]


def lowest(levels: Any, cfa: Pattern) -> tuple[float, ...]:
    """Return the lowest value of each site of an array (..., H, W)."""
    values: list[list[float]] = [[] for _ in layout(cfa).sites]
    for site, pixels in sampled(levels, cfa):
        values[site].append(float(pixels.min()))
    return tuple(map(min, values))


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
