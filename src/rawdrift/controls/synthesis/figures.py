"""The smaller figures of a drift synthesis run: means, drops, and drops by severity."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rawdrift.controls.synthesis.summary import by_case, cases, own
from rawdrift.report import pictures, style
from rawdrift.report.figures import interval, rows
from rawdrift.report.style import (
    ACCENT,
    INK,
    MUTED,
    PAPER,
    RULE,
    SPREAD,
    WRONG,
    plain,
)

# Lengths are inches, lines and fonts points.
_LETTER = 0.08
_KINDS = {"isp": "Pipelines (ISP)", "corruption": "Corruptions, all severities"}
DISTANCES = {"dssim": "SSIM", "mse": "PSNR"}
"""What a measure of distance between views is better known by."""


def ranking(summary: dict[str, Any]) -> Figure:
    """The training pipelines: means over pipelines and over corruptions with 95 % intervals."""
    rankings = summary["rankings"]
    names = [entry["train"] for entry in rankings["isp"]]
    left, head = 0.35 + _LETTER * max(len(plain(name)) for name in names), 0.5
    figure, panels = rows(len(names), left, len(rankings), head, 0.25)
    for axes, (kind, entries) in zip(panels, rankings.items(), strict=True):
        axes.set_title(_KINDS[kind], loc="left", fontsize=10, weight="bold", pad=8)
        for entry in entries:
            y = names.index(entry["train"])
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            axes.plot(entry["matched"], y, "o", mfc=PAPER, mec=INK, mew=1.2, ms=6, zorder=2)
            interval(axes, y, entry, entry["mean"], ACCENT)
            _beside(axes, y, str(entry["rank"]))
        majority = summary["data"].get("majority")
        if majority:
            axes.axvline(majority["share"], color=MUTED, lw=1.2, ls=(0, (4, 3)), zorder=0)
        axes.set_xlabel(f"{style.metric(summary)}: mean ●, matched ○")
    panels[0].set_yticks(range(len(names)), [plain(name) for name in names])
    limits = [limit for axes in panels for limit in axes.get_xlim()]
    for axes in panels:  # one scale: what costs more is further left
        axes.set_xlim(min(limits), max(limits))
    return figure


def losses(summary: dict[str, Any]) -> Figure:
    """The drops of the first training pipeline on all others, the largest first."""
    train = summary["train"][0]
    found = by_case(summary)
    drifted = [found[train, *case] for case in cases(summary, "isp") if case[1] != train]
    drifted.sort(key=lambda cell: -cell["drop"])
    names = [plain(cell["test"]) for cell in drifted]
    figure, (axes,) = rows(len(names), 0.35 + _LETTER * max(map(len, names)), 1, 0.15, 0.75)
    for y, cell in enumerate(drifted):
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        drop = {"low": cell["drop_low"], "high": cell["drop_high"]}
        interval(axes, y, drop, cell["drop"], WRONG if cell["is_drop"] else SPREAD)
        _beside(axes, y, f"{style.number(cell['mean'], 3)}")
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(names)), names)
    matched = style.number(own(summary, train)["mean"], 3)
    axes.set_xlabel(
        f"Drop from the matched {style.metric(summary, inside=True)}, {matched}; "
        f"right: {style.metric(summary, inside=True)} there"
    )
    return figure


def drops(summary: dict[str, Any]) -> Figure:
    """Average drops with intervals: as tested, and at the same distance between views."""
    lines = comparisons(summary)
    figure, (axes,) = rows(len(lines), 3.5, 1, 0.15, 1.6)
    labels = []
    for y, (label, level, found) in enumerate(lines):
        labels.append(label)
        if found is None:
            continue
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        color = ACCENT if level == "isp" else WRONG if level == "corruption" else SPREAD
        interval(axes, y, found, found["value"], color)
        _beside(axes, y, _in_words(found))
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(lines)), labels)
    for tick, (_, _, found) in zip(axes.get_yticklabels(), lines, strict=True):
        if found is None:
            tick.set(color=MUTED, weight="bold")
    axes.set_xlabel(f"Average drop in {style.metric(summary, inside=True)}")
    return figure


Line = tuple[str, str, Mapping[str, float] | None]


def comparisons(summary: dict[str, Any]) -> list[Line]:
    """Label, kind and interval of each average drop; None for a heading."""
    average = summary["average_drops"]
    lines: list[Line] = [("As tested", "", None), ("Other pipelines (ISP)", "isp", average["isp"])]
    if average.get("corruption"):
        lines.append(("Corruptions", "corruption", average["corruption"]))
        for severity, found in average["severities"].items():
            lines.append((f"of severity {severity}", "severity", found))
    for kind, name in DISTANCES.items():
        matched = summary["severity_matched"].get(kind)
        if matched:
            lines.append((f"At the same {name} between views", "", None))
            lines.append(("Other pipelines (ISP)", "isp", matched["isp"]))
            lines.append(("Corruptions", "corruption", matched["corruption"]))
    return lines


def severity_lines(summary: dict[str, Any]) -> Figure:
    """For each corruption the drop by severity: of each pipeline, and of their mean."""
    names, levels = summary["corruptions"], sorted(summary["severities"])
    found = by_case(summary)
    mean = {(d["test"], d["severity"]): d for d in summary["case_drops"]}
    columns = min(6, len(names))
    lines = -(-len(names) // columns)
    left, bottom, right, top, gap, head = 0.6, 0.5, 0.15, 0.5, 0.16, 0.34
    wide = min(2.4, (style.WIDTH - left - right + gap) / columns - gap)
    tall = 1.35
    height = top + lines * (head + tall) + bottom
    figure = style.sheet(style.WIDTH, height)
    first: Axes | None = None
    for i, name in enumerate(names):
        line, column = divmod(i, columns)
        x, y = left + column * (wide + gap), height - top - (line + 1) * (head + tall) + 0.08
        box = (x / style.WIDTH, y / height, wide / style.WIDTH, tall / height)
        axes = figure.add_axes(box, sharex=first, sharey=first)
        first = first or axes
        if len(summary["train"]) > 1:
            for train in summary["train"]:
                values = [found[train, "corruption", name, level]["drop"] for level in levels]
                axes.plot([0, *levels], [0, *values], color=SPREAD, lw=0.7, alpha=0.55)
        at = [mean[name, level] for level in levels]
        axes.plot([0, *levels], [0, *(d["value"] for d in at)], color=WRONG, lw=1.8)
        for level, d in zip(levels, at, strict=True):
            _upright(axes, level, d)
        axes.axhline(0, color=INK, lw=0.8)
        isp = summary["average_drops"]["isp"]["value"]
        axes.axhline(isp, color=ACCENT, lw=1.2, ls=(0, (4, 3)))
        axes.set_title(plain(style.case(name), 22), loc="left", fontsize=9, pad=4)
        axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
        axes.grid(axis="y", color=RULE, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=8)
        axes.tick_params(labelleft=column == 0, labelbottom=i + columns >= len(names))
        axes.set_xticks([0, *levels])
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(style.Ticks())
    keys = [Line2D([], [], color=WRONG, lw=1.8, label="drop with 95 % interval")]
    if len(summary["train"]) > 1:
        keys[0].set_label("mean of the training pipelines, with 95 % interval")
        keys.append(Line2D([], [], color=SPREAD, lw=0.7, label="each of them"))
    dash: dict[str, Any] = {"color": ACCENT, "lw": 1.2, "ls": (0, (4, 3))}
    keys.append(Line2D([], [], label="average drop on other pipelines", **dash))
    figure.legend(
        handles=keys,
        loc="upper left",
        bbox_to_anchor=(left / style.WIDTH, 1),
        borderaxespad=0.2,
        fontsize=8,
        frameon=False,
        labelcolor=MUTED,
        ncols=len(keys),
    )
    text = (
        f"Severity; 0 is the matched view. Vertical: drop in {style.metric(summary, inside=True)}"
    )
    figure.text(left / style.WIDTH, 0.1 / height, text, fontsize=9)
    return figure


def _upright(axes: Axes, x: float, found: Mapping[str, float]) -> None:
    if math.isfinite(found["low"]) and math.isfinite(found["high"]):
        axes.plot([x, x], [found["low"], found["high"]], color=WRONG, lw=1.6)
    axes.plot(x, found["value"], "o", color=WRONG, ms=4, mew=0)


def _beside(axes: Axes, y: float, text: str) -> None:
    where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center_baseline"}
    axes.text(1.01, y, text, fontsize=8.5, **where)


def _in_words(found: Mapping[str, float]) -> str:
    value, low, high = (style.number(found[key], 3) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def worst_case(summary: dict[str, Any], kind: str, run: Path) -> Figure:
    """Images of the worst case of a kind: as in training, as in the test, and what changed."""
    worst = summary["worst"][kind]
    tested = plain(style.case(worst["test"], worst["severity"]), 40)
    before, after = f"As trained on: {plain(worst['train'])}", f"As tested on: {tested}"
    return pictures.compared(summary, worst["images"], before, after, worst["amplified"], run)
