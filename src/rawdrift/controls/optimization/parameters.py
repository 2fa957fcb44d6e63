"""Figures of the parameters of learned ISPs: over time, and the kernels at the end."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rawdrift.controls.optimization.figures import LOOKS
from rawdrift.controls.optimization.result import LearnedISP, OptimizationResult
from rawdrift.controls.optimization.tables import elements
from rawdrift.report import style
from rawdrift.report.figures import grid, key, plain_axes
from rawdrift.report.style import INK, MUTED, RULE, plain

# Lengths are inches, lines and fonts points.
_PER_LINE = 5
_FITS = 24  # letters above a panel
_COLORS = [LOOKS[name] for name in ("learned", "direct", "static-best", "neural")]


def cameras(result: OptimizationResult) -> list[str]:
    """Return the cameras whose ISP was learned."""
    return list(dict.fromkeys(isp.camera for isp in result.isps))


def _of_camera(result: OptimizationResult, camera: str) -> list[LearnedISP]:
    return [isp for isp in result.isps if isp.camera == camera]


def paths(result: OptimizationResult, camera: str) -> Figure:
    """Every number of a camera's ISP but its kernels, by step: a line for each training."""
    isps = _of_camera(result, camera)
    start = {
        element: number
        for name, value in isps[0].initial.items()
        for element, number in elements(result, name, value).items()
    }
    lights = [i for i in result.intensities if any(isp.intensity == i for isp in isps)]
    layout = {"left": 0.55, "right": 0.1, "gap": 0.55, "head": 0.3, "between": 0.28}
    figure, panels = grid(len(start), _PER_LINE, 3.0, 1.05, **layout, top=0.35, bottom=0.35)
    for i, (axes, (element, number)) in enumerate(zip(panels, start.items(), strict=True)):
        plain_axes(axes)
        axes.margins(x=0.02)
        axes.set_title(_title(result, element), loc="left", fontsize=9, pad=4)
        axes.axhline(number, color=INK, lw=1.1, ls=(0, (4, 3)), zorder=4)
        name = element.partition("[")[0]
        for isp in isps:
            look = _COLORS[lights.index(isp.intensity) % len(_COLORS)]
            steps = [0, *(at.step for at in isp.path)]
            values = [
                number,
                *(elements(result, name, at.values[name])[element] for at in isp.path),
            ]
            axes.plot(steps, values, color=look.color, ls=look.dashes, lw=1.1, alpha=0.9)
        _few_ticks(axes, number)
        axes.tick_params(labelsize=8, labelbottom=i + _PER_LINE >= len(start))
    keys = _keys(lights)
    key(figure, 0.55, keys, columns=min(4, len(keys)))
    height = figure.get_size_inches()[1]
    figure.text(0.55 / style.WIDTH, 0.06 / height, "Optimizer step", fontsize=9)
    return figure


def _title(result: OptimizationResult, element: str) -> str:
    """Return what readers call a number, with its unit if that fits."""
    label, unit = result.labels[element], result.units.get(element.partition("[")[0])
    with_unit = f"{label}, {unit}" if unit else label
    return plain(with_unit if len(with_unit) <= _FITS else label, 30)


def _few_ticks(axes: Axes, value: float) -> None:
    """Make an axis of values no narrower than 2 % of the camera's value, so that tiny changes look
    tiny."""
    low, high = axes.get_ylim()
    least = max(0.02 * abs(value), 1e-3)
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)
        high, low = axes.get_ylim()[::-1]
    digits = max(0, 2 - int(np.floor(np.log10(high - low)))) if high - low < 10 else 1
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: style.number(v, min(digits, 6) - 1)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def kernel_names(result: OptimizationResult) -> list[str]:
    """Return the parameters of the learned ISPs whose numbers have no names, such as filters."""
    return [name for name, value in _nameless(result).items() if not _is_curve(value)]


def curve_names(result: OptimizationResult) -> list[str]:
    """Return the parameters of the learned ISPs that are points of curves (K, 2)."""
    return [name for name, value in _nameless(result).items() if _is_curve(value)]


def _nameless(result: OptimizationResult) -> dict[str, Any]:
    initial = result.isps[0].initial if result.isps else {}
    return {name: v for name, v in initial.items() if not elements(result, name, v)}


def _is_curve(value: Any) -> bool:
    shape = np.shape(value)
    return len(shape) == 2 and shape[1] == 2


def curves(result: OptimizationResult, camera: str) -> Figure:
    """The curves of a camera's ISP as it begins and as learned: a line for each training."""
    isps = _of_camera(result, camera)
    names = curve_names(result)
    lights = list(dict.fromkeys(isp.intensity for isp in isps))
    layout = {"left": 0.6, "right": 0.15, "gap": 0.7, "head": 0.3, "between": 0.3}
    figure, panels = grid(len(names), 3, 3.0, 2.4, **layout, top=0.4, bottom=0.55)
    for axes, name in zip(panels, names, strict=True):
        plain_axes(axes)
        axes.set_title(plain(result.labels[name], 30), loc="left", fontsize=9, pad=4)
        for isp in isps:
            look = _COLORS[lights.index(isp.intensity) % len(_COLORS)]
            points = np.asarray(isp.final[name])
            points = points[points[:, 0].argsort()]
            axes.plot(*points.T, color=look.color, ls=look.dashes, lw=1.1, marker=".", ms=4)
        axes.plot(*np.asarray(isps[0].initial[name]).T, color=INK, lw=1.1, ls=(0, (4, 3)))
        axes.set_xlabel("in", fontsize=9)
        axes.set_ylabel("out", fontsize=9)
    key(figure, 0.6, _keys(lights), columns=min(4, len(lights) + 1))
    return figure


def _keys(lights: Sequence[float]) -> list[Line2D]:
    """The legend of lines of the start, and of trainings at each intensity."""
    keys = [Line2D([], [], color=INK, lw=1.1, ls=(0, (4, 3)), label="at the start")]
    for i, intensity in enumerate(lights):
        look = _COLORS[i % len(_COLORS)]
        label = f"learned at intensity {intensity:g}"
        keys.append(Line2D([], [], color=look.color, ls=look.dashes, lw=1.1, label=label))
    return keys


def kernels(result: OptimizationResult, camera: str) -> Figure:
    """The kernels of a camera's ISP as it begins, and what a training of each fold has changed."""
    by_fold: dict[tuple[float, int], LearnedISP] = {}
    for isp in _of_camera(result, camera):
        by_fold.setdefault((isp.intensity, isp.fold), isp)
    isps = list(by_fold.values())
    titles = ["at the start", *(f"{isp.intensity:g}\nfold {isp.fold + 1}" for isp in isps)]
    shown = [
        (
            result.labels[name] + (f" {'RGB'[i] if count == 3 else i + 1}" if count > 1 else ""),
            name,
            i,
        )
        for name in kernel_names(result)
        for count in [len(_squares(isps[0].initial[name]))]
        for i in range(count)
    ]
    left = 0.35 + 0.08 * max(len(label) for label, _, _ in shown)
    right = 1.3
    side = min(0.95, (style.WIDTH - left - right) / len(titles) - 0.1)
    head, bottom = 0.45, 0.1
    height = head + len(shown) * (side + 0.1) + bottom
    figure = style.sheet(style.WIDTH, height)
    for row, (label, name, index) in enumerate(shown):
        y = height - head - (row + 1) * (side + 0.1) + 0.1
        figure.text(
            (left - 0.12) / style.WIDTH, (y + side / 2) / height, plain(label, 32), fontsize=9,
            ha="right", va="center",
        )  # fmt: skip
        own = _squares(isps[0].initial[name])[index]
        squares = [own, *(_squares(isp.final[name])[index] - own for isp in isps)]
        whole = float(np.abs(own).max()) or 1.0
        change = max(float(np.abs(square).max()) for square in squares[1:]) or 1.0
        figure.text(
            (left + len(titles) * (side + 0.1) + 0.05) / style.WIDTH, (y + side / 2) / height,
            f"± {whole:.2g}; change\n± {change:.2g}", fontsize=8, color=MUTED, va="center",
        )  # fmt: skip
        for column, square in enumerate(squares):
            most = change if column else whole
            x = left + column * (side + 0.1)
            axes = figure.add_axes((x / style.WIDTH, y / height, side / style.WIDTH, side / height))
            axes.imshow(square, cmap=mpl.colormaps["PuOr"], norm=Normalize(-most, most))
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(RULE)
            if row == 0:
                axes.set_title(titles[column], fontsize=8.5, color=MUTED if column else INK, pad=4)
    return figure


def _squares(value: Any) -> Sequence[NDArray[np.floating]]:
    """Return one or several kernels, each a line or a square, as images."""
    numbers = np.asarray(value, dtype=float)
    if numbers.ndim == 1:
        return [numbers[None]]
    square = numbers.shape[-2] == numbers.shape[-1] or numbers.ndim > 2
    if not square:
        return [line[None] for line in numbers]
    return list(numbers.reshape(-1, *numbers.shape[-2:]))
