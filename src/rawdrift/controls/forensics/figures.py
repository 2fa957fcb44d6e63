"""Figures of the adversarial searches of a drift forensics run."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rawdrift.controls.forensics.axes import group
from rawdrift.controls.forensics.result import GRADIENT, FoldSearch, ForensicsResult, StagePair
from rawdrift.report import style
from rawdrift.report.figures import LETTER, grid, interval, key, plain_axes, rows, same_scale
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, RULE, SPREAD, WRONG, plain

# Lengths are inches, lines and fonts points.
_ROW = 0.3
_PER_LINE = 4
_NAMED = 0.25  # of the largest drop: groups that lose more are named
METHODS = {"gradient": ("o", WRONG), "random": ("s", SPREAD), "cma-es": ("D", ACCENT)}
PARTS = {"probes": MUTED, "ascents": WRONG, "cma-es": ACCENT, "refinement": INK}
_DASHED: Any = {"color": INK, "lw": 1, "ls": (0, (4, 3)), "zorder": 0}


def by_regularization(result: ForensicsResult) -> Figure:
    """Figure 3, left, of the paper: the metric after each search, by regularization and group."""
    names = result.groups
    labels = [plain(group(result.space, name)) for name in names]
    searches = {(search.group, search.regularization): search for search in result.searches}
    left = 0.3 + LETTER * max(map(len, labels))
    values = sorted(result.regularizations)
    figure, panels = _grid(len(values), len(names) * _ROW, left, bottom=0.6)
    height = figure.get_size_inches()[1]
    label = f"{style.metric(result.metric)} at the setting that the gradient search found"
    figure.text(left / style.WIDTH, 0.1 / height, label, fontsize=9)
    for i, (axes, regularization) in enumerate(zip(panels, values, strict=True)):
        axes.set_title(f"λ = {regularization:g}", loc="left", fontsize=10, weight="bold", pad=6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.axvline(result.baseline.metric.value, **_DASHED)
        for y, name in enumerate(names):
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            search = searches.get((name, regularization))
            if search is not None:
                interval(axes, y, search.metric, WRONG if search.is_drop else SPREAD)
        shown = labels if i % _PER_LINE == 0 else []
        axes.set_yticks(range(len(shown)), shown)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.xaxis.set_major_formatter(style.Ticks())
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    same_scale(panels, "x")
    return figure


def by_distance(result: ForensicsResult) -> Figure:
    """Figure 3, right: the metric after each search against the change of the views."""
    figure = style.sheet(style.WIDTH, 3.9)
    axes = figure.add_axes((0.075, 0.16, 0.62, 0.8))
    axes.axhline(result.baseline.metric.value, **_DASHED)
    first = result.groups[0]
    most = max(search.drop.value for search in result.searches)
    for name in result.groups:
        searches = sorted(
            (search for search in result.searches if search.group == name),
            key=lambda search: search.distance,
        )
        x, y = [s.distance for s in searches], [s.metric.value for s in searches]
        color = WRONG if name == first else SPREAD
        axes.plot(x, y, color=color, lw=1, alpha=0.6, zorder=1)
        axes.plot(x, y, "o", color=color, ms=7 if name == first else 5, mew=0, zorder=2)
        low = min(searches, key=lambda search: search.metric.value)
        if name != first and low.drop.value > _NAMED * most:
            beside: Any = {"xytext": (8, 0), "textcoords": "offset points", "fontsize": 8.5}
            at = (low.distance, low.metric.value)
            axes.annotate(group(result.space, name), at, color=MUTED, va="center", **beside)
    for search, marker, size in ((result.farthest, "s", 13), (result.lowest, "o", 15)):
        look: Any = {"mfc": "none", "mec": INK, "mew": 1.3, "ms": size, "zorder": 3}
        axes.plot(search.distance, search.metric.value, marker, **look)
    axes.set_xlabel(f"Distance from the default views, {distance(result)}")
    axes.set_ylabel(f"{style.metric(result.metric)} after the search")
    plain_axes(axes)
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    groups = [Line2D([], [], color=WRONG, marker="o", lw=1, label=group(result.space, first))]
    if len(result.groups) > 1:
        others = "each of the other groups"
        groups.append(Line2D([], [], color=SPREAD, marker="o", ms=5, lw=1, label=others))
    hollow: Any = {"mfc": "none", "mec": INK, "lw": 0}
    keys = [
        *groups,
        Line2D([], [], label="the camera's own setting", **_DASHED),
        Line2D([], [], marker="s", ms=9, label="largest change", **hollow),
        Line2D([], [], marker="o", ms=10, label="lowest metric", **hollow),
    ]
    key(figure, 0.72 * style.WIDTH, keys, columns=1)
    return figure


def distance(result: ForensicsResult) -> str:
    """The measure of distance between views, in words."""
    return {"l2": "root mean square", "ssim": "1 \N{MINUS SIGN} SSIM"}[result.distance]


def percent(confidence: float) -> str:
    """A confidence as a percentage."""
    return f"{100 * confidence:g}\N{NO-BREAK SPACE}%"


def methods(result: ForensicsResult) -> Figure:
    """The metric that gradient, random search and CMA-ES found, by regularization and fold."""
    lines = sorted(result.compared(), key=lambda line: (line[0].regularization, line[1].fold))
    labels = [
        f"λ = {search.regularization:g}" + (f", fold {one.fold + 1}" if result.models > 1 else "")
        for search, one in lines
    ]
    left = 0.35 + LETTER * max(map(len, labels))
    figure, (axes,) = rows(len(lines), left, 1, 0.35, 0.3)
    looks: dict[str, Any] = {
        name: {"marker": marker, "mfc": color if name == GRADIENT else PAPER, "mec": color}
        for name, (marker, color) in METHODS.items()
    }
    for y, (_, one) in enumerate(lines):
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        axes.plot([one.default] * 2, [y - 0.32, y + 0.32], color=INK, lw=1.4)
        for name, found in one.methods.items():
            size, order = (6.5, 3) if name == GRADIENT else (8, 2)
            axes.plot(found.metric, y, mew=1.6, ms=size, zorder=order, **looks[name])
        beside: Any = {"xytext": (7, 0), "textcoords": "offset points", "fontsize": 8.5}
        at = (max([one.default, *(found.metric for found in one.methods.values())]), y)
        axes.annotate(credit(one), at, color=MUTED, va="center", **beside)
    axes.set_yticks(range(len(lines)), labels)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.2 * (high - low))
    label = (
        f"{style.metric(result.metric)} at the setting that was found. Words: what found that of"
    )
    axes.set_xlabel(f"{label} the gradient search")
    keys = [
        Line2D([], [], lw=0, label=method(name), **looks[name])
        for name in METHODS
        if any(name in one.methods for _, one in lines)
    ]
    keys.append(Line2D([], [], marker="|", mec=INK, lw=0, ms=9, mew=1.4, label="own setting"))
    key(figure, left, keys)
    return figure


def method(name: str) -> str:
    """A method of search in words."""
    return {
        "gradient": "gradient search", "random": "random search", "cma-es": "CMA-ES"
    }.get(name, name)  # fmt: skip


def credit(search: FoldSearch) -> str:
    """The part of the gradient search that found its setting."""
    found = search.gradient
    part = found.part if found.metric < search.default else ""
    return {"cma-es": "CMA-ES", "": "nothing"}.get(part, part)


def trajectories(result: ForensicsResult) -> Figure:
    """The metric of every setting that the gradient search tried, in order, by part."""
    ordered = sorted(result.trajectories, key=lambda trajectory: trajectory.regularization)
    figure, panels = _grid(len(ordered), 1.7, 0.65, bottom=0.55, top=0.3)
    for i, (axes, trajectory) in enumerate(zip(panels, ordered, strict=True)):
        title = f"λ = {trajectory.regularization:g}"
        axes.set_title(title, loc="left", fontsize=10, weight="bold")
        axes.axhline(result.worst.search.default, **_DASHED)
        numbered = list(enumerate(trajectory.visits, start=1))
        for part, color in PARTS.items():
            of_part = [(n, visit.metric) for n, visit in numbered if visit.part == part]
            if of_part:
                axes.plot(*zip(*of_part, strict=True), ".", color=color, ms=6, mew=0)
        for start in sorted({visit.start for visit in trajectory.visits} - {-1}):
            line = [(n, visit.metric) for n, visit in numbered if visit.start == start]
            axes.plot(*zip(*line, strict=True), color=PARTS["ascents"], lw=1.2)
        n, lowest = min(numbered, key=lambda one: one[1].metric)
        if lowest.metric < result.worst.search.default:
            axes.plot(n, lowest.metric, "o", mfc="none", mec=INK, mew=1.2, ms=8)
        plain_axes(axes)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(labelleft=i % _PER_LINE == 0)
    same_scale(panels, "y")
    wide, tall = figure.get_size_inches()
    metric = style.metric(result.metric, inside=True)
    label = f"Settings in the order in which they were tried. Vertical: {metric}"
    figure.text(0.65 / wide, 0.08 / tall, label, fontsize=9)
    keys = [
        Line2D([], [], color=color, marker="o", ms=4, lw=0, label=method(part))
        for part, color in PARTS.items()
    ]
    keys.append(Line2D([], [], marker="o", mfc="none", mec=INK, lw=0, ms=8, label="lowest"))
    key(figure, 0.65, keys)
    return figure


def leverage(stages: Sequence[StagePair]) -> Figure:
    """How strongly the loss depends on each stage."""
    names = [plain(stage.step.replace("_", " ")) for stage in stages]
    figure, (axes,) = rows(len(names), 0.35 + LETTER * max(map(len, names)), 1, 0.4, 0.4)
    for y, stage in enumerate(stages):
        axes.barh(y - 0.17, stage.default.leverage, 0.3, color=SPREAD)
        axes.barh(y + 0.17, stage.drifted.leverage, 0.3, color=WRONG)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(style.Ticks(0))
    axes.set_xlabel("Growth of the loss for 1 % of the stage's range, first order")
    keys = [
        Line2D([], [], color=SPREAD, lw=6, label="at the camera's own setting"),
        Line2D([], [], color=WRONG, lw=6, label="at the worst setting"),
    ]
    key(figure, axes.get_position().x0 * style.WIDTH, keys)
    return figure


def _grid(
    count: int, tall: float, left: float, bottom: float, top: float = 0.0
) -> tuple[Figure, list[Axes]]:
    layout = {"right": 0.15, "gap": 0.25, "head": 0.35, "between": 0.45}
    return grid(count, _PER_LINE, 5.0, tall, left=left, bottom=bottom, top=top, **layout)
