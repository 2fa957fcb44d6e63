"""The figures of a comparison."""

from matplotlib.figure import Figure

from rawdrift.controls.comparison.result import ComparisonResult
from rawdrift.report import style
from rawdrift.report.figures import LETTER, interval, rows
from rawdrift.report.style import ACCENT, INK, MUTED, RULE, WRONG, plain


def decision(result: ComparisonResult) -> Figure:
    """Draw the drop beside the margin, and below it the blame of each stage."""
    names = ["whole drop", *(plain(one.stage, 30) for one in result.blame)]
    found = [result.drop, *(one.interval for one in result.blame)]
    figure, (axes,) = rows(len(names), 0.35 + LETTER * max(map(len, names)), 1, 0.45, 0.4)
    axes.axvline(0, color=RULE, lw=0.8, zorder=0)
    axes.axvline(result.margin, color=WRONG, lw=1.2, ls=(0, (4, 3)), zorder=0)
    axes.text(result.margin, -0.75, "margin", color=WRONG, ha="center", fontsize=8.5)
    for y, one in enumerate(found):
        is_above = one.low is not None and one.low > 0
        interval(axes, y, one, INK if y == 0 else WRONG if is_above else ACCENT)
    axes.axhline(0.5, color=MUTED, lw=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"Drop of {style.metric(result.metric, inside=True)}")
    return figure
