"""Figures of the settings that matter to a model, and of those that are safe for it."""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rawdrift.controls.forensics.axes import value
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.figures import percent
from rawdrift.controls.forensics.result import Envelope, Sensitivity
from rawdrift.report import style
from rawdrift.report.figures import LETTER, grid, key, plain_axes, rows, same_scale
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, RULE, SPREAD, plain

# Lengths are inches, lines and fonts points.
_ALONE, _TOGETHER = "#bcd3e6", ACCENT


def sobol(space: Sequence[Axis], sensitivity: Sensitivity) -> Figure:
    """First- and total-order Sobol indices of every axis, the largest first."""
    names = sensitivity.by_importance()
    labels = {axis.name: plain(axis.label, 32) for axis in space}
    shown = [labels[name] for name in names]
    figure, (axes,) = rows(len(names), 0.35 + LETTER * max(map(len, shown)), 1, 0.4, 0.3)
    for y, name in enumerate(names):
        indices = sensitivity.indices[name]
        for at, index, color in (
            (y - 0.17, indices.total, ACCENT),
            (y + 0.17, indices.first, SPREAD),
        ):
            axes.barh(at, max(0, index.value), 0.3, color=color)
            if index.low is not None and index.high is not None:
                axes.plot([index.low, index.high], [at, at], color=INK, lw=1)
    axes.axvline(0, color=INK, lw=1)
    low, high = axes.get_xlim()  # a share is from 0 to 1; intervals of few samples are beyond
    axes.set_xlim(max(low, -0.25), min(high, 1.25))
    axes.set_yticks(range(len(names)), shown)
    metric = style.metric(sensitivity.metric, inside=True)
    axes.set_xlabel(f"Share of the variance of {metric} over the space")
    keys = [
        Line2D([], [], color=ACCENT, lw=6, label="total order: alone and together with others"),
        Line2D([], [], color=SPREAD, lw=6, label="first order: alone"),
        Line2D([], [], color=INK, lw=1, label=f"{percent(sensitivity.confidence)} interval"),
    ]
    key(figure, axes.get_position().x0 * style.WIDTH, keys)
    return figure


def curves(space: Sequence[Axis], sensitivity: Sensitivity, safe: Envelope | None) -> Figure:
    """The metric along every axis, all others at their default, and the safe intervals."""
    layout = {"left": 0.6, "right": 0.1, "gap": 0.2, "head": 0.36, "between": 0.26}
    figure, panels = grid(len(space), 5, 3.2, 1.15, **layout, top=0.35, bottom=0.26)
    for i, (axes, axis) in enumerate(zip(panels, space, strict=True)):
        points = sensitivity.curves[axis.name]
        at = [point.at for point in points]
        values = [point.metric.value for point in points]
        lows = [_known(point.metric.low, point.metric.value) for point in points]
        highs = [_known(point.metric.high, point.metric.value) for point in points]
        if safe:
            alone = safe.tolerances[axis.name]
            axes.axvspan(alone.low, alone.high, color=_ALONE, alpha=0.45, lw=0, zorder=0)
            axes.plot(
                safe.box[axis.name],
                [0.0, 0.0],
                color=_TOGETHER,
                lw=5,
                transform=axes.get_xaxis_transform(),
                solid_capstyle="butt",
                clip_on=False,
            )
        axes.fill_between(at, lows, highs, color=SPREAD, alpha=0.3, lw=0)
        axes.plot(at, values, "-o", color=INK, lw=1.2, ms=2.6)
        axes.axvline(axis.default, color=INK, lw=0.8, ls=(0, (2, 2)))
        unit = f" ({axis.unit})" if 0 < len(axis.unit) < 8 else ""
        axes.set_title(f"{plain(axis.label, 28)}{unit}", loc="left", fontsize=8.5, pad=4)
        axes.set_xlim(axis.low, axis.high)
        plain_axes(axes)
        axes.tick_params(labelsize=8, labelleft=i % 5 == 0)
        ticks: dict[float, Literal["left", "center", "right"]]
        ticks = {axis.low: "left", axis.high: "right"}
        if 0.25 < (axis.default - axis.low) / (axis.high - axis.low) < 0.75:  # no number overlaps
            ticks[axis.default] = "center"
        axes.set_xticks(list(ticks), [value(tick, axis) for tick in ticks])
        for label, side in zip(axes.get_xticklabels(), ticks.values(), strict=True):
            label.set_horizontalalignment(side)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    same_scale(panels, "y")
    metric = style.metric(sensitivity.metric, inside=True)
    share = f"{percent(sensitivity.confidence)} interval"
    keys = [
        Line2D([], [], color=INK, marker="o", ms=3, lw=1.2, label=metric),
        Line2D([], [], color=SPREAD, alpha=0.4, lw=6, label=share),
    ]
    if safe:
        keys.append(Line2D([], [], color=_ALONE, alpha=0.6, lw=6, label="safe alone"))
        keys.append(Line2D([], [], color=_TOGETHER, lw=4, label="safe together"))
    keys.append(Line2D([], [], color=INK, lw=0.8, ls=(0, (2, 2)), label="the camera's own value"))
    key(figure, 0.6, keys)
    return figure


def _known(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound


def envelope(space: Sequence[Axis], safe: Envelope) -> Figure:
    """How far each axis may go alone, and all together, within the space that was searched."""
    shown = [plain(axis.label, 32) for axis in space]
    left, right, head, row, bottom = 0.35 + LETTER * max(map(len, shown)), 2.6, 0.45, 0.34, 0.2
    height = head + row * len(space) + bottom
    figure = style.sheet(style.WIDTH, height)
    wide = style.WIDTH - left - right
    axes = style.inches(figure, 0, 0, style.WIDTH, height)
    for i, (axis, name) in enumerate(zip(space, shown, strict=True)):
        y = head + row * (i + 0.5)

        def x(at: float, axis: Axis = axis) -> float:
            share = (at - axis.low) / (axis.high - axis.low)
            return left + 0.9 + (wide - 1.8) * share

        alone, (low, high) = safe.tolerances[axis.name], safe.box[axis.name]
        axes.text(left - 0.1, y, name, ha="right", va="center_baseline")
        _bar(axes, x(axis.low), x(axis.high), y, 0.16, RULE)
        _bar(axes, x(alone.low), x(alone.high), y, 0.16, _ALONE)
        _bar(axes, x(low), x(high), y, 0.08, _TOGETHER)
        own = x(axis.default)
        axes.plot([own, own], [y - 0.12, y + 0.12], color=INK, lw=1.6)
        small: Any = {"fontsize": 8, "color": MUTED, "va": "center_baseline"}
        axes.text(x(axis.low) - 0.08, y, value(axis.low, axis), ha="right", **small)
        axes.text(x(axis.high) + 0.08, y, value(axis.high, axis), **small)
        ends = f"{value(alone.low, axis)} to {value(alone.high, axis, unit=True)}"
        axes.text(style.WIDTH - right, y, ends, va="center_baseline", fontsize=8.5)
    axes.text(style.WIDTH - right, 0.25, "safe alone", color=MUTED, fontsize=8.5)
    keys: list[Any] = [
        Line2D([], [], color=RULE, lw=6, label="searched"),
        Line2D([], [], color=_ALONE, lw=6, label="safe alone"),
        Line2D([], [], color=_TOGETHER, lw=4, label="safe together"),
        Line2D([], [], color=INK, marker="|", lw=0, ms=10, mew=1.6, label="own value"),
    ]
    key(figure, left + 0.1, keys)
    return figure


def _bar(axes: Any, low: float, high: float, y: float, half: float, color: str) -> None:
    wide = max(high - low, 0.02)
    axes.add_patch(Rectangle((low, y - half / 2), wide, half, fc=color, ec=PAPER, lw=0))
