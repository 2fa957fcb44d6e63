"""What tests ask of pages."""

import re
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path

HOSTILE = ("<script>alert(1)</script>", "$\\frac{a_1}$ & \"b'", "白血球\n\x07", "_x")
"""Names that a page must show as they are."""


def text_of(page: str) -> str:
    """What a reader sees: no tags, no style, entities resolved, white space collapsed."""
    page = re.sub(r"<(style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", page)))


def no_figures(figures, folder):
    """Stands in for `rawdrift.report.page.draw`, which takes time."""
    return dict.fromkeys(figures, "")


def svg_texts(path: Path) -> list[str]:
    """The texts in a figure."""
    elements = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return [element.text for element in elements]
