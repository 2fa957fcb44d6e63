"""Figures of how the settings of a drift optimization run learn, and of how they differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rawdrift.controls.optimization.findings import gain, reference
from rawdrift.controls.optimization.result import OptimizationResult, Point, Sample
from rawdrift.controls.optimization.result import key as training
from rawdrift.report import pictures, style
from rawdrift.report.figures import LETTER, grid, interval, plain_axes, rows, same_scale
from rawdrift.report.style import ACCENT, INK, MUTED, RULE, SPREAD, WRONG, plain

# Lengths are inches, lines and fonts points.
_TALL = 2.6
_PER_LINE = 3
_MARKED = 12  # points of a curve, up to which each is marked


class Look(NamedTuple):
    """The look of a line. Colors differ in lightness, and lines in dashes, for print in gray."""

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


def learning(result: OptimizationResult) -> Figure:
    """The paper's Figure 4: the metric on test images by optimizer step, a panel an intensity."""
    figure = _curves(result, "test", result.metric)
    majority = result.data.majority
    if majority and result.metric == "accuracy":
        for axes in figure.axes:
            axes.axhline(majority.share, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=0)
    return figure


def losses(result: OptimizationResult) -> Figure:
    """The training loss by optimizer step, a panel an intensity."""
    return _curves(result, "train", "loss")


def _curves(result: OptimizationResult, split: str, metric: str) -> Figure:
    curves = {
        (curve.intensity, curve.setting): curve.points
        for curve in result.curves
        if (curve.split, curve.metric) == (split, metric) and curve.setting not in result.same
    }
    names = [name for name in result.settings if any(name == setting for _, setting in curves)]
    longest = max((len(plain(name)) for name in names), default=0)
    figure, panels = _panels(result.intensities, 0.35 + LETTER * longest)
    ends: list[list[tuple[float, float, str]]] = []
    for axes, intensity in zip(panels, result.intensities, strict=True):
        axes.set_title(f"Intensity {intensity:g}", loc="left", fontsize=10, weight="bold", pad=6)
        ends.append([])
        for name in names:
            points = curves.get((intensity, name))
            if points:
                _curve(axes, points, name)
                _crosses(axes, points, result, intensity, name)
                ends[-1].append((points[-1].step, points[-1].mean, name))
        axes.set_ylabel(f"{style.metric(metric)}, {split}" if axes is panels[0] else "")
    same_scale(panels, "y")
    for axes, of_panel in zip(panels, ends, strict=True):
        _label(axes, of_panel)
    return figure


def _curve(axes: Axes, points: Sequence[Point], name: str) -> None:
    """Draw means in a band of one standard deviation."""
    look = LOOKS.get(name, OTHER)
    steps, mean = [p.step for p in points], [p.mean for p in points]
    std = [p.std or 0.0 for p in points]
    if any(std):
        low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, low, high, color=look.color, alpha=0.12, lw=0, zorder=1)
    width = 2.4 if name == "learned" else 1.6
    axes.plot(steps, mean, color=look.color, ls=look.dashes, lw=width, zorder=3)
    if len(points) <= _MARKED:
        axes.plot(steps, mean, "o", color=look.color, ms=3.2, mew=0, zorder=3)


def _crosses(
    axes: Axes, points: Sequence[Point], result: OptimizationResult, intensity: float, name: str
) -> None:
    """Mark where trainings diverged."""
    for lost in result.diverged:
        if (lost.intensity, lost.setting) != (intensity, name):
            continue
        which = training(lost.fold, lost.repeat)
        last = [p for p in points if which in p.folds]
        if last:
            value = last[-1].folds[which]
            axes.plot(last[-1].step, value, "x", color=WRONG, ms=7, mew=1.8, zorder=4)


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


def differences(result: OptimizationResult) -> Figure:
    """Every setting less the reference, after the last epoch and over all epochs."""
    base = reference(result)
    lines = [
        (intensity, name)
        for intensity in result.intensities
        for name in result.settings
        if name != base and gain(result, intensity, name, base)
    ]
    labels = [f"{plain(name)}, intensity {intensity:g}" for intensity, name in lines]
    left = 0.35 + LETTER * max(map(len, labels), default=0)
    figure, panels = rows(len(lines), left, 2, 0.5, 0.6)
    for axes, when, title in zip(
        panels, ("final", "mean"), ("In the end", "Over all epochs"), strict=True
    ):
        axes.set_title(title, loc="left", fontsize=10, weight="bold", pad=8)
        axes.axvline(0, color=INK, lw=1)
        for y, (intensity, name) in enumerate(lines):
            axes.axhline(y, color=RULE, lw=0.8, zorder=0)
            change = gain(result, intensity, name, base, when)
            if change is not None:
                color = SPREAD if not change.certain else ACCENT if change.value > 0 else WRONG
                interval(axes, y, change.interval, color)
        axes.set_xlabel(f"{style.metric(result.metric)} minus that of {plain(base)}")
    panels[0].set_yticks(range(len(lines)), labels)
    same_scale(panels, "x")
    return figure


def _panels(intensities: Sequence[float], right: float) -> tuple[Figure, list[Axes]]:
    """A panel for each intensity, with room for labels on its right."""
    count = len(intensities)
    columns = 2 if count == 4 else min(count, _PER_LINE)
    layout = {"left": 0.7, "right": right, "gap": right, "head": 0.35, "between": 0.55}
    figure, panels = grid(count, columns, 6.5, _TALL, **layout, bottom=0.55)
    for i, axes in enumerate(panels):
        plain_axes(axes)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelleft=i % columns == 0)
        axes.set_xlabel("Optimizer step" if i + columns >= count else "")
    return figure, panels


def masks(result: OptimizationResult, samples: Sequence[Sample], run: Path) -> Figure:
    """Draw the right masks of samples, and each setting's after the first and after the last epoch
    (Table 3 of the paper)."""
    names = [name for name in result.settings if all(name in sample.masks for sample in samples)]
    right = [pictures.Shown(sample.image, str(sample.truth)) for sample in samples]
    views = [pictures.Shown("", sample.views[names[0]].before, sample.truth) for sample in samples]
    bands = [{"Right masks": right, f"The views of {names[0]} before the training": views}]
    for name in names:
        answers = [sample.masks[name] for sample in samples]
        first = [pictures.Shown("", answer.first) for answer in answers]
        last = [pictures.Shown("", answer.last) for answer in answers]
        bands.append({f"{name}, after epoch 1": first, f"after epoch {result.epochs}": last})
    return pictures.album(run, bands, 2 * len(samples))


def intensities(result: OptimizationResult, run: Path) -> Figure:
    """Draw the raw colors of an image at each intensity, in one scale and stretched (Figure 14b of
    the paper)."""
    shown = result.less_light
    in_scale = [pictures.Shown(f"intensity {one.intensity:g}", one.view) for one in shown]
    stretched = [pictures.Shown(f"intensity {one.intensity:g}", one.stretched) for one in shown]
    bands = {"In one scale": in_scale, "Each from its own minimum to its maximum": stretched}
    return pictures.album(run, [bands], max(8, 2 * len(shown)))
