"""The smaller figures of a drift synthesis run: means, drops, and drops by severity."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rawdrift.controls.synthesis.result import SynthesisResult, Views, Worst
from rawdrift.models.case import Case
from rawdrift.report import pictures, style
from rawdrift.report.figures import LETTER, grid, interval, key, plain_axes, rows, same_scale
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, RULE, SPREAD, WRONG, plain
from rawdrift.report.tables import span
from rawdrift.statistics.basics import Interval

# Lengths are inches, lines and fonts points.
_KINDS = {"isp": "Pipelines (ISP)", "corruption": "Corruptions, all severities"}
DISTANCES = {"dssim": "SSIM", "mse": "PSNR"}
"""Measures of distance between views, and the names they are known by."""


def ranking(result: SynthesisResult) -> Figure:
    """Draw means over pipelines and over corruptions by training pipeline, with intervals."""
    names = [entry.train for entry in result.rankings.isp]
    rankings = result.rankings.items()
    left, head = 0.35 + LETTER * max(len(plain(name)) for name in names), 0.5
    figure, panels = rows(len(names), left, len(rankings), head, 0.25)
    for axes, (kind, entries) in zip(panels, rankings, strict=True):
        axes.set_title(_KINDS[kind], loc="left", fontsize=10, weight="bold", pad=8)
        for entry in entries:
            y = names.index(entry.train)
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            axes.plot(entry.matched, y, "o", mfc=PAPER, mec=INK, mew=1.2, ms=6, zorder=2)
            interval(axes, y, entry.value, ACCENT)
            _beside(axes, y, str(entry.rank))
        if result.data.majority:
            dash: Any = {"color": MUTED, "lw": 1.2, "ls": (0, (4, 3)), "zorder": 0}
            axes.axvline(result.data.majority.share, **dash)
        axes.set_xlabel(f"{style.metric(result.metric)}: mean ●, matched ○")
    panels[0].set_yticks(range(len(names)), [plain(name) for name in names])
    same_scale(panels, "x")
    return figure


def losses(result: SynthesisResult) -> Figure:
    """Draw the drops of the first training pipeline on all others, the largest first."""
    train, metric = result.train[0], style.metric(result.metric, inside=True)
    cells = [result.cell(train, case) for case in result.cases("isp")]
    drops = [(cell, cell.loss) for cell in cells if cell.loss is not None]
    drops.sort(key=lambda pair: -pair[1].value)
    names = [plain(cell.test) for cell, _ in drops]
    figure, (axes,) = rows(len(names), 0.35 + LETTER * max(map(len, names)), 1, 0.15, 0.75)
    for y, (cell, drop) in enumerate(drops):
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        interval(axes, y, drop, WRONG if cell.is_drop else SPREAD)
        _beside(axes, y, style.number(cell.mean, 3))
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(names)), names)
    matched = style.number(result.own(train).mean, 3)
    axes.set_xlabel(f"Drop from the matched {metric}, {matched}; right: {metric} on that pipeline")
    return figure


def drops(result: SynthesisResult) -> Figure:
    """Draw average drops with intervals: as tested, and at the same distance between views."""
    lines = comparisons(result)
    figure, (axes,) = rows(len(lines), 3.5, 1, 0.15, 1.6)
    for y, (_, level, drop) in enumerate(lines):
        if drop is None:
            continue
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        color = ACCENT if level == "isp" else WRONG if level == "corruption" else SPREAD
        interval(axes, y, drop, color)
        _beside(axes, y, f"{style.number(drop.value, 3)} ({span(drop.low, drop.high, 3)})")
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(lines)), [label for label, _, _ in lines])
    for tick, (_, _, drop) in zip(axes.get_yticklabels(), lines, strict=True):
        if drop is None:
            tick.set(color=MUTED, weight="bold")
    axes.set_xlabel(f"Average drop in {style.metric(result.metric, inside=True)}")
    return figure


def comparisons(result: SynthesisResult) -> list[tuple[str, str, Interval | None]]:
    """List each average drop: its label, its level and its interval, None for a heading."""
    average = result.average_drops
    lines: list[tuple[str, str, Interval | None]] = [
        ("As tested", "", None),
        ("Other pipelines (ISP)", "isp", average.isp),
    ]
    if average.corruption:
        lines.append(("Corruptions", "corruption", average.corruption))
        for severity, drop in average.severities.items():
            lines.append((f"of severity {severity}", "severity", drop))
    for kind, name in DISTANCES.items():
        matched = result.severity_matched.get(kind)
        if matched:
            lines.append((f"At the same {name} between views", "", None))
            lines.append(("Other pipelines (ISP)", "isp", matched.isp))
            lines.append(("Corruptions", "corruption", matched.corruption))
    return lines


def severity_lines(result: SynthesisResult) -> Figure:
    """Draw the drop by severity for each corruption: of each pipeline, and of their mean."""
    names, levels = result.corruptions, sorted(result.severities)
    mean = {(drop.test, drop.severity): drop.interval for drop in result.case_drops}
    several = len(result.train) > 1
    layout = {"left": 0.6, "right": 0.15, "gap": 0.16, "head": 0.26, "between": 0.08}
    figure, panels = grid(len(names), 6, 2.4, 1.35, **layout, top=0.5, bottom=0.58)
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        for train in result.train if several else ():
            cells = [result.cell(train, Case("corruption", name, level)) for level in levels]
            values = [0, *(cell.drop or 0 for cell in cells)]
            axes.plot([0, *levels], values, color=SPREAD, lw=0.7, alpha=0.55)
        at = [mean[name, level] for level in levels]
        axes.plot([0, *levels], [0, *(drop.value for drop in at)], color=WRONG, lw=1.8)
        for level, drop in zip(levels, at, strict=True):
            _upright(axes, level, drop)
        axes.axhline(0, color=INK, lw=0.8)
        isp = result.average_drops.isp.value
        axes.axhline(isp, color=ACCENT, lw=1.2, ls=(0, (4, 3)))
        axes.set_title(plain(style.case(name), 22), loc="left", fontsize=9, pad=4)
        plain_axes(axes)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(labelsize=8, labelleft=i % 6 == 0, labelbottom=i + 6 >= len(names))
        axes.set_xticks([0, *levels])
        axes.yaxis.set_major_locator(MaxNLocator(4))
    same_scale(panels, "y")
    keys = [Line2D([], [], color=WRONG, lw=1.8, label="drop with 95 % interval")]
    if several:
        keys[0].set_label("mean of the training pipelines, with 95 % interval")
        keys.append(Line2D([], [], color=SPREAD, lw=0.7, label="each of them"))
    dash: dict[str, Any] = {"color": ACCENT, "lw": 1.2, "ls": (0, (4, 3))}
    keys.append(Line2D([], [], label="average drop on other pipelines", **dash))
    key(figure, 0.6, keys)
    metric = style.metric(result.metric, inside=True)
    text = f"Severity; 0 is the matched view. Vertical: drop in {metric}"
    figure.text(0.6 / style.WIDTH, 0.1 / figure.get_size_inches()[1], text, fontsize=9)
    return figure


def _upright(axes: Axes, x: float, drop: Interval) -> None:
    if drop.low is not None and drop.high is not None:
        axes.plot([x, x], [drop.low, drop.high], color=WRONG, lw=1.6)
    axes.plot(x, drop.value, "o", color=WRONG, ms=4, mew=0)


def _beside(axes: Axes, y: float, text: str) -> None:
    where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center_baseline"}
    axes.text(1.01, y, text, fontsize=8.5, **where)


def views(shown: Views, run: Path) -> Figure:
    """Draw one image as all pipelines develop it beside its corruptions, those that were tested and
    the others (Figure 12 of the paper)."""
    blocks = {
        title: [pictures.Shown(style.case(name), path) for name, path in block.items()]
        for title, block in shown.blocks().items()
    }
    beside = dict(list(blocks.items())[:2])
    below = dict(list(blocks.items())[2:])
    return pictures.album(run, [band for band in (beside, below) if band])


def worst_case(result: SynthesisResult, worst: Worst, run: Path) -> Figure:
    """Draw images of a worst case: as in training, as in the test, and what changed."""
    tested = plain(style.case(worst.test, worst.severity), 40)
    before, after = f"As trained on: {plain(worst.train)}", f"As tested on: {tested}"
    return pictures.compared(run, result.metric, worst.images, before, after, worst.amplified)
