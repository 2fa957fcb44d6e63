"""The heatmap of a drift synthesis run, as the paper's Figure 2."""

import math
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from rawdrift.report import style
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, SPREAD, plain
from rawdrift.report.summary import by_pair

# Lengths are inches, frames and fonts points.
_LETTER = 0.082
_GAP = 0.09
_THINNEST, _THICKEST = 0.4, 4.2
_KEYS = 1.05
_DARK, _LIGHT = "#10151b", "#fafbfc"


def heatmap(summary: dict[str, Any]) -> Figure:
    """Training pipelines (rows) by test pipelines (columns).

    A cell's color and number are its mean, the thickness of its frame the standard deviation over
    the folds. 1 to 3: the best rows. Star: the best row of a column. Corner: trained and tested on
    the same pipeline.
    """
    train, test, cells = summary["train"], summary["test"], by_pair(summary)
    rows, columns = [plain(name) for name in train], [plain(name) for name in test]
    left = 0.5 + _LETTER * max(len("Trained on"), *map(len, rows))
    wide = min(0.95, (style.WIDTH - left - 0.15) / len(test))
    tall = min(wide, 0.56)
    letters = max(map(len, columns))
    upright = letters * _LETTER < wide
    top = 0.48 if upright else 0.5 + 0.06 * letters
    figure = style.sheet(style.WIDTH, top + tall * len(train) + _KEYS)
    axes = _inches(figure, left, _KEYS, wide * len(test), tall * len(train))
    colors = _colors(cell["mean"] for cell in cells.values())
    widest = _widest(cell["std"] for cell in cells.values())

    for i, row in enumerate(train):
        for j, column in enumerate(test):
            cell, x, y = cells[row, column], j * wide, i * tall
            ink = _ink_on(_fill(colors, cell))
            _draw_cell(axes, (x, y, wide, tall), cell, colors, widest)
            if row == column:
                _draw_corner(axes, x + _GAP, y + _GAP, ink)
            if len(train) > 1 and summary["best"].get(column) == row:
                _draw_star(axes, x + wide - _GAP - 0.075, y + _GAP + 0.08, ink)

    for i, name in enumerate(rows):
        axes.text(-0.08, (i + 0.5) * tall, name, ha="right", va="center_baseline")
    turned = {"ha": "left", "rotation": 45, "rotation_mode": "anchor"}
    for j, name in enumerate(columns):
        axes.text((j + 0.5) * wide, -0.06, name, **({"ha": "center"} if upright else turned))
    axes.text(0.06, 0.16 - top, "Tested on", color=MUTED)
    axes.text(-0.08, -0.06, "Trained on", color=MUTED, ha="right")
    if len(train) > 1:
        for entry in summary["ranking"][:3]:
            y = (train.index(entry["train"]) + 0.5) * tall
            _draw_rank(axes, 0.16 - left, y, entry["rank"])
    _draw_keys(figure, summary, colors, widest)
    return figure


def _inches(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Bare axes whose coordinates are inches from their top left corner."""
    wide, tall = figure.get_size_inches()
    axes = figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def _colors(means: Iterable[float]) -> ScalarMappable:
    """Mean -> color. A narrow range is widened to 0.15, lest noise look like a drop."""
    means = list(means)
    low, high = math.floor(min(means) * 20) / 20, math.ceil(max(means) * 20) / 20
    while high - low < 0.149:
        low, high = (low - 0.05, high) if low > 0.01 else (low, high + 0.05)
    return ScalarMappable(Normalize(low, high), mpl.colormaps["viridis"])


def _widest(spreads: Iterable[float | None]) -> float | None:
    """The standard deviation of the thickest frame; None where no cell has one."""
    known = [spread for spread in spreads if spread is not None]
    return max(0.02, math.ceil(max(known) * 50 - 1e-9) / 50) if known else None


def _fill(colors: ScalarMappable, cell: dict[str, Any]) -> str:
    return to_hex(colors.to_rgba(np.array([cell["mean"]]))[0])


def _ink_on(color: str) -> str:
    """Dark or light, whichever is read better on a color (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Both inks have the same contrast, the geometric mean, at 0.18.
    return _DARK if luminance > 0.18 else _LIGHT


def _draw_cell(
    axes: Axes,
    box: tuple[float, float, float, float],
    cell: dict[str, Any],
    colors: ScalarMappable,
    widest: float | None,
) -> None:
    x, y, wide, tall = box
    color = _fill(colors, cell)
    _draw_frame(axes, box, cell["std"], widest)
    axes.add_patch(
        Rectangle((x + _GAP, y + _GAP), wide - 2 * _GAP, tall - 2 * _GAP, color=color, lw=0)
    )
    axes.text(
        x + wide / 2,
        y + tall / 2,
        f"{cell['mean']:.2f}",
        ha="center",
        va="center_baseline",
        color=_ink_on(color),
    )


def _draw_frame(
    axes: Axes,
    box: tuple[float, float, float, float],
    spread: float | None,
    widest: float | None,
) -> None:
    if spread is None or widest is None:
        return
    x, y, wide, tall = box
    line = _THINNEST + (_THICKEST - _THINNEST) * spread / widest
    # The frame grows outward from the cell, so that thick ones hide nothing.
    inset = _GAP - 0.015 - line / 72 / 2
    axes.add_patch(
        Rectangle(
            (x + inset, y + inset),
            wide - 2 * inset,
            tall - 2 * inset,
            fill=False,
            ec=SPREAD,
            lw=line,
            joinstyle="miter",
        )
    )


def _draw_corner(axes: Axes, x: float, y: float, color: str) -> None:
    axes.add_patch(Polygon([(x, y), (x + 0.1, y), (x, y + 0.1)], color=color, lw=0))


def _draw_star(axes: Axes, x: float, y: float, color: str) -> None:
    axes.plot(x, y, "*", color=color, ms=5.5, mew=0, clip_on=False)


def _draw_rank(axes: Axes, x: float, y: float, rank: int) -> None:
    axes.plot(x, y, "o", color=ACCENT, ms=14, mew=0, clip_on=False)
    axes.text(x, y, str(rank), color=PAPER, weight="bold", ha="center", va="center_baseline")


def _draw_keys(
    figure: Figure, summary: dict[str, Any], colors: ScalarMappable, widest: float | None
) -> None:
    """What color, frame and marks mean, below the cells."""
    wide, tall = figure.get_size_inches()
    axes = _inches(figure, 0, 0, wide, _KEYS)
    small: dict[str, Any] = {"fontsize": 8, "color": MUTED}
    head, middle, foot = 0.36, 0.57, 0.82

    left = 0.2
    mean = ", mean over folds" if summary["folds"] > 1 else ""
    axes.text(left, head, style.metric(summary) + mean, **small)
    strip = figure.add_axes((left / wide, (_KEYS - middle - 0.07) / tall, 2.4 / wide, 0.14 / tall))
    bar = figure.colorbar(colors, cax=strip, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, pad=3, labelsize=8, labelcolor=MUTED)
    bar.locator = MaxNLocator(4, steps=[1, 2, 5, 10])
    bar.formatter = FormatStrFormatter("%.2f")

    left = 3.2
    if widest is None:
        axes.text(left, head, "One fold: no spread is known", **small)
    else:
        axes.text(left, head, "Standard deviation over folds", **small)
        for i, spread in enumerate((0.0, widest / 2, widest)):
            x = left + 0.62 * i
            _draw_frame(axes, (x - 0.09, middle - 0.14, 0.48, 0.3), spread, widest)
            axes.text(x + 0.15, foot, f"{spread:.2f}", ha="center", va="center", **small)

    left = 5.75
    axes.text(left, head, "Marks", **small)
    marks = ["Trained and tested on the same pipeline"]
    _draw_corner(axes, left + 0.02, middle - 0.05, INK)
    if len(summary["train"]) > 1:
        marks.append("Best training pipeline for this test")
        _draw_star(axes, left + 0.07, foot - 0.01, INK)
    for y, text in zip((middle, foot), marks, strict=False):
        axes.text(left + 0.22, y, text, va="center", **small)
