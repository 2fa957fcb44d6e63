"""Names that a reader takes for the same, but a program does not."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

_MOST = 5  # of names that look alike are shown

# Letters, digits, dashes and quotes with the shape of another sign (Unicode Technical Standard 39).
_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοναγıɑɡ01"  # noqa: RUF001
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2018\u2019\u02bc",
    "ABESIJKMHOPCTYXaesijopcyxqwhABEZHIKMNOPTYXovayiagOl-------'''",
)


def look_alike(names: Iterable[str]) -> list[list[str]]:
    """Return sets of names that differ only in case, white space, or signs that look the same."""
    by_look = defaultdict(set)
    for name in names:
        by_look[_look(name)].add(name)
    return sorted(sorted(alike) for alike in by_look.values() if len(alike) > 1)


def shown(names: Sequence[str]) -> str:
    """Return names with the signs that set them apart written out."""
    return ", ".join(ascii(name) for name in names[:_MOST]) + ", ..." * (len(names) > _MOST)


def _look(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).translate(_LATIN)
    visible = "".join(sign for sign in plain if unicodedata.category(sign) not in ("Cf", "Cc"))
    return "".join(visible.split()).casefold()
