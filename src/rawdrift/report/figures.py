"""Parts of figures that several pages use."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rawdrift.report import style
from rawdrift.statistics import Interval

_ROW = 0.3  # inches
LETTER = 0.08
"""Room for a letter of a label, in inches."""


def rows(
    count: int, left: float, panels: int, head: float, right: float
) -> tuple[Figure, list[Axes]]:
    """Make a figure with `count` rows and `panels` axes side by side, each with its own scale.

    left, head, right: margins in inches, for labels.
    """
    gap, bottom = 0.45, 0.55
    height = head + _ROW * count + bottom
    figure = style.sheet(style.WIDTH, height)
    wide = (style.WIDTH - left - right - gap * (panels - 1)) / panels
    found = []
    for i in range(panels):
        x = left + i * (wide + gap)
        box = (x / style.WIDTH, bottom / height, wide / style.WIDTH, _ROW * count / height)
        axes = figure.add_axes(box)
        axes.set_yticks([])
        axes.set_ylim(count - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.xaxis.set_major_formatter(style.Ticks())
        axes.margins(x=0.05)
        found.append(axes)
    return figure, found


def interval(axes: Axes, y: float, found: Interval, color: str) -> None:
    """Draw a value as a dot and its interval, if it is known, as a horizontal line."""
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [y, y], color=color, lw=2, solid_capstyle="butt")
    axes.plot(found.value, y, "o", color=color, ms=6.5, mew=0, zorder=3)


def grid(
    count: int,
    columns: int,
    widest: float,
    tall: float,
    *,
    left: float,
    right: float,
    gap: float,
    head: float,
    bottom: float,
    top: float = 0.0,
    between: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Make a figure with `count` axes of one size, at most `columns` in a line.

    widest, tall: size of the axes; they get narrower to fit. gap: between the axes of a line.
    head: above each line, for titles. between: lines. left, right, top, bottom: margins of the
    figure. All are inches.
    """
    columns = max(1, min(count, columns))
    lines = -(-count // columns)
    wide = min(widest, (style.WIDTH - left - right - gap * (columns - 1)) / columns)
    height = top + lines * (head + tall) + max(0, lines - 1) * between + bottom
    figure = style.sheet(style.WIDTH, height)
    panels = []
    for i in range(count):
        line, column = divmod(i, columns)
        x = left + column * (wide + gap)
        y = height - top - (line + 1) * (head + tall) - line * between
        box = (x / style.WIDTH, y / height, wide / style.WIDTH, tall / height)
        panels.append(figure.add_axes(box))
    return figure, panels


def plain_axes(axes: Axes) -> None:
    """Draw axes without a frame, with a few light lines across."""
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.grid(axis="y", color=style.RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    axes.yaxis.set_major_formatter(style.Ticks())
    axes.xaxis.set_major_formatter(style.Ticks(0))


def same_scale(panels: Sequence[Axes], axis: Literal["x", "y"]) -> None:
    """Give all panels the limits that hold everything, so that they can be compared."""
    limits = [limit for axes in panels for limit in getattr(axes, f"get_{axis}lim")()]
    for axes in panels:
        getattr(axes, f"set_{axis}lim")(min(limits), max(limits))


def key(figure: Figure, left: float, keys: Sequence[Line2D], columns: int = 0) -> None:
    """Draw the legend at the top of the figure, `left` inches from its edge.

    columns: of the legend, by default one for each key.
    """
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=list(keys),
        loc="upper left",
        bbox_to_anchor=(left / style.WIDTH, 1 - 0.02 / height),
        borderaxespad=0,
        fontsize=8.5,
        frameon=False,
        labelcolor=style.MUTED,
        ncols=columns or len(keys),
    )
