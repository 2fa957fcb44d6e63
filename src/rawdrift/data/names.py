"""Names that a reader takes for the same, but a program does not."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

# Cyrillic and Greek letters with the shape of a Latin one (Unicode Technical Standard 39).
_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοναγıɑɡ",  # noqa: RUF001
    "ABESIJKMHOPCTYXaesijopcyxqwhABEZHIKMNOPTYXovayiag",
)


def look_alike(names: Iterable[str]) -> list[list[str]]:
    """Return sets of names that differ only in case, white space, or signs that look the same."""
    by_look = defaultdict(set)
    for name in names:
        by_look[_look(name)].add(name)
    return sorted(sorted(alike) for alike in by_look.values() if len(alike) > 1)


def _look(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name.translate(_LATIN))
    visible = "".join(sign for sign in plain if unicodedata.category(sign) not in ("Cf", "Cc"))
    return "".join(visible.split()).casefold()
