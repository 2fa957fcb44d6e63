"""Panels of colored cells: rows of training pipelines, columns of tests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from rawdrift.report import style
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, SPREAD, plain


class Cell(NamedTuple):
    """A model on a test. own: on the views that it was trained on. best: of its column."""

    value: float
    spread: float | None = None
    own: bool = False
    best: bool = False


class Panel(NamedTuple):
    """Cells by row and column, under a title. ranks: of the rows that are marked."""

    title: str
    columns: Sequence[str]
    cells: Mapping[tuple[int, int], Cell]
    ranks: Mapping[int, int]


class Scale(NamedTuple):
    """The colors of values. widest: spread of the thickest frame. label: what colors mean.

    sign: whether values are differences, shown with their sign.
    """

    colors: ScalarMappable
    widest: float | None
    label: str
    sign: bool = False


# Lengths are inches, frames and fonts points.
_LETTER = 0.078
_TITLE_LETTER = 0.085
_GAP = 0.042
_THINNEST, _THICKEST = 0.3, 2.6
_WIDEST, _ROW = 0.72, 0.36
_BETWEEN = 0.5  # room for the ranks of the panel on the right
_APART = 0.3  # lines of panels
_SLANT = 60  # degrees
_KEYS = 1.0
_LEAST_SPAN = 0.15
_DARK, _LIGHT = "#10151b", "#fafbfc"


def scale(values: Iterable[float], spreads: Iterable[float | None], label: str) -> Scale:
    """Make a scale for values such as accuracies.

    The colors span at least 0.15, and at least four times the median of the spreads, so that noise
    doesn't look like a drop. The label says so where they span more than the values.
    """
    known = [spread for spread in spreads if spread is not None and math.isfinite(spread)]
    least = max(_LEAST_SPAN, math.ceil(80 * float(np.median(known))) / 20 if known else 0.0)
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = math.floor(min(finite) * 20) / 20, math.ceil(max(finite) * 20) / 20
    if high - low < least - 1e-3:
        label += f"; colors span at least {least:.2f}"
        label += ", four times the usual spread" if least > _LEAST_SPAN else ""
    while high - low < least - 1e-3:
        low, high = (low - 0.05, high) if low > 0.01 else (low, high + 0.05)
    widest = max(0.02, math.ceil(max(known) * 50 - 1e-9) / 50) if known else None
    return Scale(ScalarMappable(Normalize(low, high), mpl.colormaps["viridis"]), widest, label)


def scale_of_differences(values: Iterable[float], label: str) -> Scale:
    """Make a scale for values around zero, which is white."""
    sizes = [abs(value) for value in values if math.isfinite(value)]
    most = max(0.05, math.ceil(max(sizes, default=0) * 20 - 1e-9) / 20)
    colors = ScalarMappable(Normalize(-most, most), mpl.colormaps["PuOr"])
    return Scale(colors, None, label, sign=True)


def draw(rows: Sequence[str], panels: Sequence[Panel], scale: Scale, note: str = "") -> Figure:
    """Draw panels, two in a line, with one key for all of them. note: what the ranks mean."""
    names = [plain(name, 20) for name in rows]
    left = 0.52 + _LETTER * max(len("Trained on"), *map(len, names))
    lines = [panels[first : first + 2] for first in range(0, len(panels), 2)]
    labels = [[[plain(c, 20) for c in panel.columns] for panel in line] for line in lines]
    most = max(sum(map(len, line)) for line in labels)
    letters = max(len(name) for line in labels for panel in line for name in panel)
    leaning = _LETTER * letters * math.cos(math.radians(_SLANT)) + 0.1
    room = style.WIDTH - left - (_BETWEEN if len(lines[0]) > 1 else 0) - leaning
    wide = min(_WIDEST, room / most)

    def width(panel: Panel) -> float:  # of its cells or of its title
        return max(wide * len(panel.columns), _TITLE_LETTER * len(panel.title))

    wide *= min(1, room / max(sum(map(width, line)) for line in lines))
    head = 0.55 + _LETTER * letters * math.sin(math.radians(_SLANT))
    tall = _ROW * len(rows)
    height = len(lines) * (head + tall) + (len(lines) - 1) * _APART + _KEYS
    figure = style.sheet(style.WIDTH, height)
    for i, line in enumerate(lines):
        x, bottom = left, height - (i + 1) * (head + tall) - i * _APART
        for j, panel in enumerate(line):
            axes = style.inches(figure, x, bottom, wide * len(panel.columns), tall)
            _draw_panel(axes, panel, labels[i][j], wide, len(rows), scale)
            axes.text(0.02, 0.2 - head, panel.title, weight="bold", fontsize=10)
            if j == 0:
                axes.text(-0.08, -0.07, "Trained on", color=MUTED, ha="right", fontsize=8)
                for row, name in enumerate(names):
                    where: dict[str, Any] = {"ha": "right", "va": "center_baseline"}
                    axes.text(-0.08, (row + 0.5) * _ROW, name, **where)
            for row, rank in panel.ranks.items():
                _draw_rank(axes, (0.2 - left) if j == 0 else -0.2, (row + 0.5) * _ROW, rank)
            x += width(panel) + _BETWEEN
    _draw_keys(figure, panels, scale, note)
    return figure


def _draw_panel(
    axes: Axes, panel: Panel, labels: Sequence[str], wide: float, rows: int, scale: Scale
) -> None:
    for j, name in enumerate(labels):
        turned: dict[str, Any] = {"ha": "left", "rotation": _SLANT, "rotation_mode": "anchor"}
        axes.text((j + 0.5) * wide, -0.06, name, fontsize=8.5, **turned)
    for (i, j), cell in panel.cells.items():
        box = (j * wide, i * _ROW, wide, _ROW)
        ink = _ink_on(_fill(scale, cell.value))
        _draw_cell(axes, box, cell, scale)
        if cell.own:
            _draw_corner(axes, box[0] + _GAP, box[1] + _GAP, ink)
        if cell.best:
            _draw_star(axes, box[0] + wide - _GAP - 0.055, box[1] + _GAP + 0.055, ink)


def _fill(scale: Scale, value: float) -> str:
    return to_hex(scale.colors.to_rgba(np.array([value]))[0]) if math.isfinite(value) else "#888888"


def _ink_on(color: str) -> str:
    """Return dark or light ink, whichever is easier to read on a color (WCAG 2 luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Both inks have the same contrast, the geometric mean, at 0.18.
    return _DARK if luminance > 0.18 else _LIGHT


def _draw_cell(axes: Axes, box: tuple[float, ...], cell: Cell, scale: Scale) -> None:
    x, y, wide, tall = box
    color = _fill(scale, cell.value)
    _draw_frame(axes, box, cell.spread, scale.widest)
    axes.add_patch(
        Rectangle((x + _GAP, y + _GAP), wide - 2 * _GAP, tall - 2 * _GAP, color=color, lw=0)
    )
    # As in tables of statistics: a value that is at most one needs no zero before the point.
    text = style.number(cell.value, 2)
    if wide < 0.5:
        text = "1.0" if text == "1.00" else text.replace("0.", ".")
    if scale.sign and cell.value > 0 and set(text) - set(".0"):
        text = f"+{text}"
    small = wide < 0.5
    axes.text(
        x + wide / 2,
        y + tall / 2 + 0.02,
        text,
        fontsize=7.5 if small else 9,
        ha="center",
        va="center_baseline",
        color=_ink_on(color),
    )


def _draw_frame(
    axes: Axes, box: tuple[float, ...], spread: float | None, widest: float | None
) -> None:
    if spread is None or widest is None or not math.isfinite(spread):
        return
    x, y, wide, tall = box
    line = _THINNEST + (_THICKEST - _THINNEST) * spread / widest
    # The frame grows outward from the cell, so that thick ones hide nothing.
    inset = _GAP - line / 72 / 2
    frame = Rectangle((x + inset, y + inset), wide - 2 * inset, tall - 2 * inset, fill=False)
    frame.set(ec=SPREAD, lw=line, joinstyle="miter")
    axes.add_patch(frame)


def _draw_corner(axes: Axes, x: float, y: float, color: str) -> None:
    axes.add_patch(Polygon([(x, y), (x + 0.09, y), (x, y + 0.09)], color=color, lw=0))


def _draw_star(axes: Axes, x: float, y: float, color: str) -> None:
    axes.plot(x, y, "*", color=color, ms=4.5, mew=0, clip_on=False)


def _draw_rank(axes: Axes, x: float, y: float, rank: int) -> None:
    axes.plot(x, y, "o", color=ACCENT, ms=13, mew=0, clip_on=False)
    look: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 8}
    axes.text(x, y, str(rank), color=PAPER, weight="bold", **look)


def _draw_keys(figure: Figure, panels: Sequence[Panel], scale: Scale, note: str) -> None:
    """Explain colors, frames and marks below the cells."""
    wide, tall = figure.get_size_inches()
    axes = style.inches(figure, 0, 0, wide, _KEYS)
    small: dict[str, Any] = {"fontsize": 8, "color": MUTED}
    head, middle, foot = 0.36, 0.57, 0.8

    left = 0.2
    for place, part in enumerate(reversed(scale.label.split("; "))):
        axes.text(left, head - 0.16 * place, part, **small)
    strip = figure.add_axes((left / wide, (_KEYS - middle - 0.07) / tall, 2.4 / wide, 0.14 / tall))
    bar = figure.colorbar(scale.colors, cax=strip, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, pad=3, labelsize=8, labelcolor=MUTED)
    bar.locator = MaxNLocator(4, steps=[1, 2, 5, 10])
    bar.formatter = style.Ticks()
    if scale.sign:
        return

    left = 3.7
    if scale.widest is None:
        axes.text(left, head, "No frames: one test of each image, no spread", **small)
    else:
        axes.text(left, head, "Frame: standard deviation over folds", **small)
        for i, spread in enumerate((0.0, scale.widest / 2, scale.widest)):
            x = left + 0.62 * i
            _draw_frame(axes, (x - 0.04, middle - 0.14, 0.4, 0.3), spread, scale.widest)
            axes.text(x + 0.16, foot, f"{spread:.2f}", ha="center", va="center", **small)

    cells = [cell for panel in panels for cell in panel.cells.values()]
    marks: list[tuple[Any, str]] = []
    if any(cell.own for cell in cells):
        marks.append((lambda x, y: _draw_corner(axes, x - 0.04, y - 0.05, INK), "own views"))
    if any(cell.best for cell in cells):
        marks.append((lambda x, y: _draw_star(axes, x, y, INK), "best in its column"))
    if any(panel.ranks for panel in panels):
        marks.append((lambda x, y: _draw_rank(axes, x, y, 1), note))
    for i, (mark, text) in enumerate(marks):
        x, y = 6.75, head - 0.03 + 0.235 * i
        mark(x, y)
        axes.text(x + 0.2, y, text, va="center", **small)
