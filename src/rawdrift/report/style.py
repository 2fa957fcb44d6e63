"""The look of all figures, and how they are written."""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from rawdrift import files

INK = "#1c2530"
MUTED = "#5d6875"
RULE = "#d3d9df"
PAPER = "#ffffff"
ACCENT = "#2b5c8a"
SPREAD = "#77838f"
WRONG = "#b0352b"
TRUTH, ANSWER = "#56b4e9", "#d55e00"
"""Outlines of right masks and of answers: sky blue and vermilion, which color-blind readers tell
apart (Okabe and Ito 2008)."""

_THEME = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    ACCENT: "accent",
    SPREAD: "spread",
    WRONG: "wrong",
}
"""Colors that follow the scheme of the page, light or dark, in figures on a page."""

_RC: Any = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5_a"
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}

WIDTH = 11.0
"""Width of the figures of a page, in inches."""

_DPI = 200


@contextmanager
def drawing(name: str = "rawdrift") -> Iterator[None]:
    """Give Matplotlib our look inside the context, whatever the user's own settings.

    name: of the figure; it makes the ids in its SVG, which would be random, reproducible.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        # The SVG is right even if the font lacks a label's script.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        mpl.rcParams["svg.hashsalt"] = name
        yield


def sheet(width: float, height: float) -> Figure:
    """Make an empty figure; lengths are inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def inches(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add bare axes whose coordinates are inches from their top left corner."""
    wide, tall = figure.get_size_inches()
    axes = figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def save(figure: Figure, stem: Path) -> str:
    """Write a figure as `stem`.svg and `stem`.png; return the SVG, the same bytes each time."""
    svg, png = BytesIO(), BytesIO()
    nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(svg, format="svg", metadata=nothing)
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    files.write(stem.with_suffix(".svg"), svg.getvalue())
    files.write(stem.with_suffix(".png"), png.getvalue())
    return svg.getvalue().decode()


def inline(svg: str, name: str) -> str:
    """Turn an SVG file into an element of an HTML page.

    Its colors follow the page's, and its ids begin with `name`, so that they differ by figure.
    """
    # Labels are escaped, so everything between < and > is a tag, and ours.
    page = re.sub(r"<[^>]*>", lambda tag: _of_page(tag[0], name), svg[svg.index("<svg") :])
    width = re.search(r'<svg[^>]* width="([\d.]+)pt"', page)
    share = float(width[1]) / (72 * WIDTH) if width else 1.0
    return page if share > 0.99 else page.replace("<svg", f'<svg style="--share: {share:.3f}"', 1)


def _of_page(tag: str, name: str) -> str:
    tag = re.sub(r' xmlns(:xlink)?="[^"]*"', "", tag).replace("xlink:href", "href")
    tag = re.sub(r'(\bid="|\bhref="#|url\(#)', rf"\g<1>{name}-", tag)
    for color, variable in _THEME.items():
        tag = tag.replace(color, f"var(--{variable})")
    return tag


def plain(text: object, longest: int = 24) -> str:
    """Return a label as one line of printable text, shortened in the middle if it is too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) <= longest:
        return line
    tail = longest // 3
    return f"{line[: longest - tail - 1]}…{line[-tail:]}"


_METRICS = {"iou": "IoU", "macro_f1": "Macro F1"}


def metric(name: str, inside: bool = False) -> str:
    """Return the name of a metric as it begins a sentence, or as it stands `inside` one.

    The user's own, "import:package.module.name", is called by its last part.
    """
    words = _METRICS.get(name) or plain(name.rpartition(".")[2].replace("_", " "))
    words = words[:1].upper() + words[1:]
    return words[:1].lower() + words[1:] if inside and words != "IoU" else words


def case(name: str, severity: int = 0) -> str:
    """Name a pipeline, or a corruption with its severity; the user's own by its last part, with
    its options."""
    words = name
    if name.startswith("import:"):
        own, colon, options = name.removeprefix("import:").partition(":")
        words = own.rpartition(".")[2] + colon + options
    words = words if "," in name else words.replace("_", " ")
    return f"{words} {severity}" if severity else words


def number(value: float | None, digits: int) -> str:
    """Write a number with a true minus sign; None and NaN are a dash."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def p_value(p: float) -> str:
    """Write a p-value as "p = 0.012", or that it is below 0.001."""
    text = f"p = {number(p, 3)}" if p >= 0.001 else "p < 0.001"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def at_most(value: float, digits: int = 3) -> str:
    """Write an upper bound, rounded up so that it still holds."""
    if not math.isfinite(value):
        return number(value, digits)
    return number(math.ceil(10**digits * value - 1e-6) / 10**digits, digits)


def apart(one: float, other: float, digits: int = 2) -> tuple[str, str]:
    """Write two numbers with `digits` decimals, or with up to 3 more if they read alike."""
    texts = [(number(one, n), number(other, n)) for n in range(digits, digits + 4)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def ticks(values: Sequence[float], least: int = 2) -> list[str]:
    """Write the numbers at the ticks of an axis, distinct ones distinctly.

    With as many decimals as they need, the same for all, and at least `least`.
    """
    places = sorted({float(x) for x in values if math.isfinite(x)})
    step = min((b - a for a, b in pairwise(places)), default=max(map(abs, places), default=1.0))
    largest = max(map(abs, places), default=1.0)
    if largest < 1e7 and (step >= 1e-9 or not step):
        for digits in range(least, 13):
            if all(abs(round(x, digits) - x) < 1e-3 * (step or 1.0) for x in places):
                return [number(x, digits) for x in values]
    for digits in range(3, 18):
        texts = [f"{x:.{digits}g}".replace("-", "\N{MINUS SIGN}") for x in values]
        if len({*texts}) >= len(places):
            break
    return texts


class Ticks(Formatter):
    """Numbers at the ticks of an axis, see `ticks`."""

    def __init__(self, least: int = 2):
        self.least = least

    def __call__(self, x: float, pos: int | None = None) -> str:
        del pos
        return ticks([x], self.least)[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return ticks(values, self.least)
