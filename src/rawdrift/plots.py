"""Plots of numbers, for notebooks: plain Matplotlib figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

_COLUMNS = 4


def panels(title: str, values: Mapping[str, "ArrayLike"]) -> "Figure":
    """Draw arrays by name: numbers and vectors as bars, all others as matrices with colors."""
    import numpy as np
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, max(1, len(values)))
    lines = max(1, -(-len(values) // columns))
    figure = Figure(figsize=(2.8 * columns, 0.5 + 2.3 * lines), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(values) :]:
        axes.set_axis_off()
    for axes, (name, value) in zip(grid, values.items(), strict=False):
        array = np.atleast_1d(np.asarray(value, dtype=float))
        axes.set_title(name, fontsize=9)
        if array.ndim == 1:
            axes.bar(range(len(array)), array)
            axes.set_xticks(range(len(array)) if len(array) < 9 else [])
            axes.axhline(0, color="0.5", lw=0.8)
            continue
        matrix = array.reshape(-1, array.shape[-1])
        most = float(abs(matrix).max()) or 1.0
        axes.imshow(matrix, cmap="PuOr_r", vmin=-most, vmax=most)
        axes.set_xticks([])
        axes.set_yticks([])
        if matrix.size <= 16:
            for (row, column), number in np.ndenumerate(matrix):
                color = "white" if abs(number) > 0.7 * most else "black"
                place = {"ha": "center", "va": "center", "fontsize": 8}
                axes.text(column, row, f"{number:.3g}", color=color, **place)
    return figure


def intervals(
    label: str,
    names: Sequence[str],
    values: Sequence[float],
    ends: Sequence[tuple[float | None, float | None]] = (),
) -> "Figure":
    """Draw a value for each name, the first on top, with its interval where it is known.

    label: of the values.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.8 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots()
    for place, (low, high) in enumerate(ends):
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color="0.6", lw=2)
    axes.plot(values, range(len(names)), "o")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return figure


def course(label: str, parts: Sequence[tuple[str, float]], start: float) -> "Figure":
    """Draw values in the order in which they were found. label: of the values.

    parts: of each value, what found it, and the value. start: that of the ISP as it is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(name for name, _ in parts):
        found = [(n, value) for n, (part, value) in enumerate(parts, 1) if part == name]
        axes.plot(*zip(*found, strict=True), ".", label=name)
    axes.axhline(start, color="0.4", lw=1, ls="--", label="the ISP as it is")
    if parts:
        n, (_, lowest) = min(enumerate(parts, 1), key=lambda one: one[1][1])
        axes.plot(n, lowest, "o", mfc="none", mec="black", ms=9, label="lowest")
    axes.set_xlabel("setting, in the order in which they were tried")
    axes.set_ylabel(label)
    figure.legend(loc="outside upper left", ncols=6, fontsize=8, frameon=False)
    return figure
