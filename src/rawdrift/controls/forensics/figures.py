"""Figures of what the adversarial searches of a drift forensics run found."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rawdrift.controls.forensics.axes import group as in_words
from rawdrift.report import style
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
_ROW = 0.3
_PER_LINE = 4
_NAMED = 0.25  # of the largest drop: groups that lose more are named
METHODS = {"gradient": ("o", WRONG), "random": ("s", SPREAD), "cma-es": ("D", ACCENT)}
_DASHED: Any = {"color": INK, "lw": 1, "ls": (0, (4, 3)), "zorder": 0}


def by_regularization(summary: dict[str, Any]) -> Figure:
    """The paper's Figure 3, left: the metric after each search, by regularization and group."""
    names = summary["groups"]
    of = {(s["group"], s["regularization"]): s for s in summary["searches"]}
    left = 0.3 + _LETTER * max(len(plain(in_words(name))) for name in names)
    values = sorted(summary["regularizations"])
    figure, panels = grid(len(values), len(names) * _ROW, left, summary)
    for i, (axes, regularization) in enumerate(zip(panels, values, strict=True)):
        axes.set_title(f"λ = {regularization:g}", loc="left", fontsize=10, weight="bold", pad=6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.axvline(summary["baseline"]["value"], **_DASHED)
        for y, name in enumerate(names):
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            if (name, regularization) in of:
                entry = of[name, regularization]
                color = WRONG if entry["drop_low"] is not None and entry["drop_low"] > 0 else SPREAD
                ends = {key: _known(entry[key]) for key in ("low", "high")}
                interval(axes, y, ends, entry["value"], color)
        shown = [plain(in_words(name)) for name in names] if i % _PER_LINE == 0 else []
        axes.set_yticks(range(len(names)) if shown else [], shown)
    _same_scale(panels)
    return figure


def by_distance(summary: dict[str, Any]) -> Figure:
    """The paper's Figure 3, right: the metric after each search against the change of the views."""
    figure = style.sheet(style.WIDTH, 3.9)
    axes = figure.add_axes((0.075, 0.16, 0.62, 0.8))
    axes.axhline(summary["baseline"]["value"], **_DASHED)
    first = summary["groups"][0]
    most = max(s["drop"] for s in summary["searches"])
    for name in summary["groups"]:
        found = [s for s in summary["searches"] if s["group"] == name]
        found.sort(key=lambda s: s["distance"])
        x, y = [s["distance"] for s in found], [s["value"] for s in found]
        color = WRONG if name == first else SPREAD
        axes.plot(x, y, color=color, lw=1, alpha=0.6, zorder=1)
        axes.plot(x, y, "o", color=color, ms=7 if name == first else 5, mew=0, zorder=2)
        low = min(found, key=lambda s: s["value"])
        if name != first and low["drop"] > _NAMED * most:
            beside: Any = {"xytext": (8, 0), "textcoords": "offset points", "fontsize": 8.5}
            at = (low["distance"], low["value"])
            axes.annotate(in_words(name), at, color=MUTED, va="center", **beside)
    marks = summary["largest"]
    for which, marker, size in (("largest", "s", 13), ("worst", "o", 15)):
        at = marks[which]
        look: Any = {"mfc": "none", "mec": INK, "mew": 1.3, "ms": size, "zorder": 3}
        axes.plot(at["distance"], at["value"], marker, **look)
    axes.set_xlabel(f"Distance from the default views, {distance(summary)}")
    axes.set_ylabel(f"{style.metric(summary)} after the search")
    _plain_axes(axes)
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    key(
        figure,
        (0.72, 0.96),
        [
            Line2D([], [], color=WRONG, marker="o", lw=1, label=in_words(first)),
            Line2D([], [], color=SPREAD, marker="o", ms=5, lw=1, label="each of the other groups"),
            Line2D([], [], label="the camera's own setting", **_DASHED),
            Line2D([], [], marker="s", mfc="none", mec=INK, lw=0, ms=9, label="largest change"),
            Line2D([], [], marker="o", mfc="none", mec=INK, lw=0, ms=10, label="lowest metric"),
        ][: 5 if len(summary["groups"]) > 1 else None],
    )
    return figure


def distance(summary: dict[str, Any]) -> str:
    """The measure of it, in words."""
    return {"l2": "root mean square", "ssim": "1 \N{MINUS SIGN} SSIM"}[summary["distance"]]


def methods(summary: dict[str, Any]) -> Figure:
    """What gradient, random search and CMA-ES found, by regularization and fold."""
    lines = sorted(summary["compared"], key=lambda c: (c["regularization"], c["fold"]))
    labels = [line_label(summary, line) for line in lines]
    left = 0.35 + _LETTER * max(map(len, labels))
    figure, (axes,) = rows(len(lines), left, 1, 0.35, 0.3)
    for y, line in enumerate(lines):
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        axes.plot([line["default"]] * 2, [y - 0.32, y + 0.32], color=INK, lw=1.4)
        for name, found in line["methods"].items():
            marker, color = METHODS[name]
            hollow = name != "gradient"
            look: Any = {"mfc": PAPER if hollow else color, "mec": color, "mew": 1.6}
            axes.plot(
                found["metric"], y, marker, ms=8 if hollow else 6.5, zorder=3 - hollow, **look
            )
    axes.set_yticks(range(len(lines)), labels)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"{style.metric(summary)} at the setting that was found")
    keys = [
        Line2D([], [], marker=METHODS[n][0], mfc=PAPER if n != "gradient" else METHODS[n][1],
               mec=METHODS[n][1], lw=0, label=method(n))
        for n in METHODS if any(n in line["methods"] for line in lines)
    ]  # fmt: skip
    keys.append(Line2D([], [], marker="|", mec=INK, lw=0, ms=9, mew=1.4, label="own setting"))
    tall = figure.get_size_inches()[1]
    key(figure, (left / style.WIDTH, 1 - 0.02 / tall), keys, columns=len(keys))
    return figure


def method(name: str) -> str:
    """Of a search, in words."""
    return {"gradient": "gradient", "random": "random search", "cma-es": "CMA-ES"}.get(name, name)


def line_label(summary: dict[str, Any], line: dict[str, Any]) -> str:
    fold = f", fold {line['fold'] + 1}" if summary["models"] > 1 else ""
    return f"λ = {line['regularization']:g}{fold}"


def trajectories(summary: dict[str, Any]) -> Figure:
    """The metric along every ascent of the gradient searches, a line for each restart."""
    found = sorted(summary["trajectories"], key=lambda t: t["regularization"])
    figure, panels = grid(len(found), 1.5, 0.65, summary, bottom=0.55)
    for i, (axes, of) in enumerate(zip(panels, found, strict=True)):
        axes.set_title(f"λ = {of['regularization']:g}", loc="left", fontsize=10, weight="bold")
        axes.axhline(summary["worst"]["default"], **_DASHED)
        starts = sorted({visit["start"] for visit in of["visits"]} - {-1})
        for start in starts:
            y = [visit["metric"] for visit in of["visits"] if visit["start"] == start]
            color = WRONG if start == 0 else ACCENT if start == 1 else SPREAD
            axes.plot(range(len(y)), y, color=color, lw=1.3, alpha=0.9)
        _plain_axes(axes)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelleft=i % _PER_LINE == 0)
    limits = [limit for axes in panels for limit in axes.get_ylim()]
    for axes in panels:
        axes.set_ylim(min(limits), max(limits))
    wide, tall = figure.get_size_inches()
    figure.text(
        0.65 / wide, 0.08 / tall, f"Step of a restart. Vertical: {style.metric(summary, True)}",
        fontsize=9,
    )  # fmt: skip
    return figure


def leverage(summary: dict[str, Any]) -> Figure:
    """Stage by stage, how strongly the loss depends on it."""
    told = summary["pictures"]["stages"]
    names = [plain(entry["step"].replace("_", " ")) for entry in told]
    figure, (axes,) = rows(len(names), 0.35 + _LETTER * max(map(len, names)), 1, 0.4, 0.4)
    for y, entry in enumerate(told):
        for shift, which, color in ((-0.17, "default", SPREAD), (0.17, "drifted", WRONG)):
            axes.barh(y + shift, entry[which]["leverage"], 0.3, color=color)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set_xlabel("Growth of the loss for 1 % of the stage's range, first order")
    keys = [
        Line2D([], [], color=SPREAD, lw=6, label="at the camera's own setting"),
        Line2D([], [], color=WRONG, lw=6, label="at the worst setting"),
    ]
    tall = figure.get_size_inches()[1]
    key(figure, (axes.get_position().x0, 1 - 0.02 / tall), keys, columns=2)
    return figure


def _known(number: float | None) -> float:
    return math.nan if number is None else number


def grid(
    count: int, tall: float, left: float, summary: dict[str, Any], bottom: float = 0.6
) -> tuple[Figure, list[Axes]]:
    """So many panels of one height, four in a line."""
    columns = min(count, _PER_LINE)
    lines = -(-count // columns)
    head, right, gap, between = 0.35, 0.15, 0.25, 0.45
    wide = min(5.0, (style.WIDTH - left - right - gap * (columns - 1)) / columns)
    height = lines * (head + tall) + (lines - 1) * between + bottom
    figure = style.sheet(style.WIDTH, height)
    found = []
    for i in range(count):
        line, column = divmod(i, columns)
        x = left + column * (wide + gap)
        y = height - (line + 1) * (head + tall) - line * between
        box = (x / style.WIDTH, y / height, wide / style.WIDTH, tall / height)
        axes = figure.add_axes(box)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: style.number(v, 2)))
        found.append(axes)
    text = f"{style.metric(summary)} at the setting that the gradient search found"
    if bottom == 0.6:
        figure.text(left / style.WIDTH, 0.1 / height, text, fontsize=9)
    return figure, found


def _same_scale(panels: Sequence[Axes]) -> None:
    limits = [limit for axes in panels for limit in axes.get_xlim()]
    for axes in panels:
        axes.set_xlim(min(limits), max(limits))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _plain_axes(axes: Axes) -> None:
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: style.number(v, 2)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def key(figure: Figure, at: tuple[float, float], keys: Sequence[Line2D], columns: int = 1) -> None:
    """The legend, from its top left corner on."""
    figure.legend(
        handles=list(keys), loc="upper left", bbox_to_anchor=at, borderaxespad=0, fontsize=8.5,
        frameon=False, labelcolor=MUTED, ncols=columns,
    )  # fmt: skip
