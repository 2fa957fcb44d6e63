"""Figures of the gallery that `plot()` of rawdrift's results returns, outside of pyplot."""

from textwrap import indent
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_WIDE = 8.0  # inches; on a phone, wider figures scroll


def scrape(block: Any, variables: Any, gallery: Any) -> str:
    """Return the figure that the last line of a block gives, as reStructuredText."""
    figure = variables["example_globals"].get("___")
    if not isinstance(figure, Figure) or hasattr(figure, "is_scraped"):
        return ""
    figure.is_scraped = True  # later blocks without a value still see it
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=160)
    shown: str = figure_rst([path], gallery["src_dir"])
    if figure.get_size_inches()[0] < _WIDE:
        return shown
    return f".. container:: wide\n\n{indent(shown, '    ')}\n"
