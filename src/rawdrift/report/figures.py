"""Parts of figures that several pages use."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rawdrift.report import style
from rawdrift.statistics import Interval

_ROW = 0.3  # inches


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


def key(figure: Figure, at: tuple[float, float], keys: Sequence[Line2D], columns: int = 1) -> None:
    """Draw the legend with its top left corner `at` a place of the figure."""
    figure.legend(
        handles=list(keys),
        loc="upper left",
        bbox_to_anchor=at,
        borderaxespad=0,
        fontsize=8.5,
        frameon=False,
        labelcolor=style.MUTED,
        ncols=columns,
    )
