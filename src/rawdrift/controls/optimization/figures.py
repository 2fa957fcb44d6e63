"""Figures of how the settings of a drift optimization run learn, and of how they differ."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rawdrift.controls.optimization.found import gain, reference
from rawdrift.report import style
from rawdrift.report.figures import interval, rows
from rawdrift.report.style import (
    ACCENT,
    INK,
    MUTED,
    RULE,
    SPREAD,
    WRONG,
    plain,
)

# Lengths are inches, lines and fonts points.
_LETTER = 0.08
_TALL = 2.6
_PER_LINE = 3
_MARKED = 12  # points of a curve, up to which each is marked


class Look(NamedTuple):
    """Of a line. Colors differ in lightness, and dashes too, so that both survive gray print."""

    color: str
    dashes: Any


SOLID = "solid"
LOOKS = {
    "frozen": Look(INK, (0, (5, 2))),
    "learned": Look(ACCENT, SOLID),
    "direct": Look("#c9752b", (0, (1, 1.4))),
    "neural": Look("#8a5fb8", (0, (6, 1.5, 1, 1.5))),
    "static-best": Look("#4c9a6a", (0, (9, 2))),
    "frozen-matched": Look(SPREAD, (0, (2, 1))),
}
OTHER = Look(SPREAD, SOLID)


def learning(summary: dict[str, Any]) -> Figure:
    """The paper's Figure 4: the metric on test images by optimizer step, a panel an intensity."""
    figure = _curves(summary, "test", summary["metric"])
    majority = summary["data"].get("majority")
    if majority and summary["metric"] == "accuracy":
        for axes in figure.axes:
            axes.axhline(majority["share"], color=MUTED, lw=1, ls=(0, (2, 2)), zorder=0)
    return figure


def losses(summary: dict[str, Any]) -> Figure:
    """The training loss by optimizer step, a panel an intensity."""
    return _curves(summary, "train", "loss")


def _curves(summary: dict[str, Any], split: str, metric: str) -> Figure:
    of = {
        (c["intensity"], c["setting"]): c["points"]
        for c in summary["curves"]
        if (c["split"], c["metric"]) == (split, metric) and c["setting"] not in summary["same"]
    }
    names = [name for name in summary["settings"] if any(name == setting for _, setting in of)]
    longest = max((len(plain(name)) for name in names), default=0)
    figure, panels = _panels(summary, 0.35 + _LETTER * longest)
    for axes, intensity in zip(panels, summary["intensities"], strict=True):
        axes.set_title(f"Intensity {intensity:g}", loc="left", fontsize=10, weight="bold", pad=6)
        ends = []
        for name in names:
            points = [p for p in of.get((intensity, name), ()) if p["mean"] is not None]
            if points:
                _curve(axes, points, LOOKS.get(name, OTHER), summary, intensity, name)
                ends.append((points[-1]["step"], points[-1]["mean"], name))
        axes.set_ylabel(f"{style.words(metric)}, {split}" if axes is panels[0] else "")
        axes.ends = ends  # type: ignore[attr-defined]
    _same_scale(panels)
    for axes in panels:
        _label(axes, axes.ends)  # type: ignore[attr-defined]
    return figure


def _curve(
    axes: Axes, points: Sequence[dict[str, Any]], look: Look, summary: dict[str, Any],
    intensity: float, name: str,
) -> None:  # fmt: skip
    steps, mean = [p["step"] for p in points], [p["mean"] for p in points]
    std = [p["std"] or 0.0 for p in points]
    if any(std):
        low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, low, high, color=look.color, alpha=0.12, lw=0, zorder=1)
    width = 2.4 if name == "learned" else 1.6
    axes.plot(steps, mean, color=look.color, ls=look.dashes, lw=width, zorder=3)
    if len(points) <= _MARKED:
        axes.plot(steps, mean, "o", color=look.color, ms=3.2, mew=0, zorder=3)
    for lost in summary["diverged"]:
        if (lost["intensity"], lost["setting"]) != (intensity, name):
            continue
        last = [p for p in points if str(lost["fold"]) in p["folds"]]
        if last:
            at = last[-1]["folds"][str(lost["fold"])]
            if at is not None:
                look_of: Any = {"ms": 7, "mew": 1.8, "zorder": 4}
                axes.plot(last[-1]["step"], at, "x", color=WRONG, **look_of)


def _label(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Names at the ends of curves, pushed apart; a thin line leads to one that had to move."""
    low, high = axes.get_ylim()
    tall = axes.get_position().height * axes.figure.get_size_inches()[1]  # type: ignore[union-attr]
    apart = 0.16 / tall * (high - low)
    ordered = sorted(ends, key=lambda end: end[1])
    at = [y for _, y, _ in ordered]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + apart)
    above = max(0.0, at[-1] - high) if at else 0.0
    for i in range(len(at) - 1, -1, -1):
        ceiling = high if i == len(at) - 1 else at[i + 1] - apart
        at[i] = min(at[i], ceiling) if above else at[i]
    right = axes.get_xlim()[1]
    wide = right - axes.get_xlim()[0]
    for (x, y, name), height in zip(ordered, at, strict=True):
        look = LOOKS.get(name, OTHER)
        start, end = right + 0.01 * wide, right + 0.045 * wide
        line: Any = {"color": look.color, "lw": 0.8, "clip_on": False, "zorder": 2}
        axes.plot([x, start, end], [y, y, height], **line)
        text: Any = {"fontsize": 8.5, "color": look.color, "va": "center_baseline"}
        weight = "bold" if name == "learned" else "normal"
        axes.text(end + 0.01 * wide, height, plain(name), weight=weight, **text)


def differences(summary: dict[str, Any]) -> Figure:
    """Every setting less the reference, after the last epoch and over all epochs."""
    base = reference(summary)
    lines = [
        (intensity, name)
        for intensity in summary["intensities"]
        for name in summary["settings"]
        if name != base and gain(summary, intensity, name, base)
    ]
    labels = [f"{plain(name)}, intensity {intensity:g}" for intensity, name in lines]
    left = 0.35 + _LETTER * max(map(len, labels), default=0)
    figure, panels = rows(len(lines), left, 2, 0.5, 0.6)
    for axes, when, title in zip(
        panels, ("final", "mean"), ("In the end", "Over all epochs"), strict=True
    ):
        axes.set_title(title, loc="left", fontsize=10, weight="bold", pad=8)
        axes.axvline(0, color=INK, lw=1)
        for y, (intensity, name) in enumerate(lines):
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            found = gain(summary, intensity, name, base, when)
            if found is None:
                continue
            color = SPREAD if not found.certain else ACCENT if found.value > 0 else WRONG
            ends = {"low": _nan(found.low), "high": _nan(found.high)}
            interval(axes, y, ends, found.value, color)
        axes.set_xlabel(f"{style.metric(summary)} less that of {plain(base)}")
    panels[0].set_yticks(range(len(lines)), labels)
    limits = [limit for axes in panels for limit in axes.get_xlim()]
    for axes in panels:
        axes.set_xlim(min(limits), max(limits))
    return figure


def _panels(summary: dict[str, Any], right: float) -> tuple[Figure, list[Axes]]:
    """A panel an intensity, with room for labels on the right of each."""
    count = len(summary["intensities"])
    columns = count if count <= _PER_LINE else 2 if count == 4 else _PER_LINE
    lines = -(-count // columns)
    left, head, between, bottom = 0.7, 0.35, 0.55, 0.55
    wide = min(6.5, (style.WIDTH - left) / columns - right)
    height = lines * (head + _TALL) + (lines - 1) * between + bottom
    figure = style.sheet(style.WIDTH, height)
    found = []
    for i in range(count):
        line, column = divmod(i, columns)
        x = left + column * (wide + right)
        y = height - (line + 1) * (head + _TALL) - line * between
        box = (x / style.WIDTH, y / height, wide / style.WIDTH, _TALL / height)
        axes = figure.add_axes(box)
        plain_axes(axes)
        axes.tick_params(labelleft=column == 0)
        axes.set_xlabel("Optimizer step" if i + columns >= count else "")
        found.append(axes)
    return figure, found


def plain_axes(axes: Axes) -> None:
    """No frame, and a few light lines across."""
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    axes.yaxis.set_major_formatter(style.Ticks())


def _same_scale(panels: Sequence[Axes]) -> None:
    limits = [limit for axes in panels for limit in axes.get_ylim()]
    for axes in panels:
        axes.set_ylim(min(limits), max(limits))


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
