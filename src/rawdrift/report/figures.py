"""What figures of several pages share."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rawdrift.report import style

_ROW = 0.3  # inches


def rows(
    count: int, left: float, panels: int, head: float, right: float
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` rows and so many panels side by side, each with its own scale."""
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


def interval(axes: Axes, y: float, found: Mapping[str, float], value: float, color: str) -> None:
    """A value with its interval, where that is known."""
    if math.isfinite(found["low"]) and math.isfinite(found["high"]):
        axes.plot([found["low"], found["high"]], [y, y], color=color, lw=2, solid_capstyle="butt")
    axes.plot(value, y, "o", color=color, ms=6.5, mew=0, zorder=3)
