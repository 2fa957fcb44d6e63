"""Figures of the gallery that `plot()` of rawdrift's results returns, outside of pyplot."""

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(block: Any, variables: Any, gallery: Any) -> str:
    """Return the figure that the last line of a block gives, as reStructuredText."""
    figure = variables["example_globals"].get("___")
    if not isinstance(figure, Figure) or hasattr(figure, "is_scraped"):
        return ""
    figure.is_scraped = True  # later blocks without a value still see it
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=160)
    return figure_rst([path], gallery["src_dir"])
