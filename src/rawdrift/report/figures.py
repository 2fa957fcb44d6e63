"""The smaller figures of a drift synthesis run: the ranking, and pictures of the worst pair."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rawdrift.report import style
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, RULE, WRONG, plain
from rawdrift.report.summary import damaged, picture

# Lengths are inches, lines and fonts points.
_LETTER = 0.082
_ROW = 0.34
_SIDE, _BETWEEN, _LEFT = 1.42, 0.14, 0.12


def ranking(summary: dict[str, Any]) -> Figure:
    """The training pipelines, best first: mean over all tests, matched and worst value."""
    entries = summary["ranking"]
    names = [plain(entry["train"]) for entry in entries]
    left, right, bottom, top = 0.35 + _LETTER * max(map(len, names)), 0.3, 0.55, 0.45
    wide, tall = style.WIDTH, bottom + top + _ROW * len(entries)
    figure = style.sheet(wide, tall)
    axes = figure.add_axes(
        (left / wide, bottom / tall, 1 - (left + right) / wide, 1 - (bottom + top) / tall)
    )
    for y, entry in enumerate(entries):
        axes.axhline(y, color=RULE, lw=0.8, zorder=0)
        axes.plot(entry["worst"], y, "|", color=WRONG, ms=11, mew=2)
        if entry["matched"] is not None:
            axes.plot(entry["matched"], y, "o", mfc=PAPER, mec=INK, mew=1.3, ms=7, zorder=3)
        if entry["std"] is not None:
            axes.errorbar(entry["mean"], y, xerr=entry["std"], color=ACCENT, lw=1.8, capsize=3)
        axes.plot(entry["mean"], y, "o", color=ACCENT, ms=7, mew=0, zorder=4)
    axes.set_yticks(range(len(entries)), names)
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel(style.metric(summary))
    majority = summary["data"].get("majority")
    if majority:
        axes.axvline(majority["share"], color=MUTED, lw=1.2, ls=(0, (4, 3)), zorder=0)
    axes.margins(x=0.04)
    spread = any(entry["std"] is not None for entry in entries)
    _explain(axes, spread=spread, majority=bool(majority))
    return figure


def worst_pair(summary: dict[str, Any], run: Path) -> Figure:
    """Images of the worst pair: developed as in training above, as in the test below."""
    worst = summary["worst"]
    images = worst["images"]
    rows = (
        (f"Trained and tested on {plain(worst['train'])}", "matched_view", "matched_prediction"),
        (f"The same model, tested on {plain(worst['test'])}", "view", "prediction"),
    )
    views = [[read_picture(run, image[view]) for image in images] for _, view, _ in rows]
    slimmest = max(view.shape[0] / view.shape[1] for row in views for view in row)
    tall = _SIDE * min(slimmest, 1.5)
    head, caption = 0.36, 0.44
    wide, height = style.WIDTH, 2 * (head + tall + caption) + 0.1
    figure = style.sheet(wide, height)
    for i, (title, _, prediction) in enumerate(rows):
        top = height - i * (head + tall + caption)
        figure.text(_LEFT / wide, (top - 0.25) / height, title, color=MUTED)
        for j, (view, image) in enumerate(zip(views[i], images, strict=True)):
            x, y = _LEFT + j * (_SIDE + _BETWEEN), top - head - tall
            right = image[prediction] == image["label"]
            axes = figure.add_axes((x / wide, y / height, _SIDE / wide, tall / height))
            axes.imshow(view, interpolation="nearest")
            axes.set(xticks=[], yticks=[], anchor="N")
            axes.spines[:].set(color=RULE if right else WRONG, linewidth=0.8 if right else 2.4)
            figure.text(
                x / wide,
                (y - 0.17) / height,
                f"{'✓' if right else '✗'} {plain(image[prediction], 18)}",
                fontsize=8,
                color=INK if right else WRONG,
                weight="normal" if right else "bold",
            )
            if not right:
                label = f"is {plain(image['label'], 18)}"
                figure.text(x / wide, (y - 0.33) / height, label, fontsize=8, color=MUTED)
    return figure


def read_picture(run: Path, name: str) -> NDArray[np.floating]:
    """A picture of a run as (H, W, 3) in [0, 1]."""
    path = picture(run, name)
    try:
        view = np.asarray(imread(path), dtype=float)
    except (OSError, ValueError, SyntaxError):  # Pillow's, for a picture that is none
        raise damaged(run / "summary.json", f"its picture {name} can't be read") from None
    return view[..., :3] if view.ndim == 3 else np.stack([view] * 3, axis=-1)


def _explain(axes: Axes, spread: bool, majority: bool) -> None:
    """The key of the ranking, in one line above it."""
    dot: dict[str, Any] = {"marker": "o", "ls": "", "ms": 7}
    mean = "mean over all tests" + (" ± standard deviation over folds" if spread else "")
    keys = [
        Line2D([], [], color=ACCENT, mew=0, label=mean, **dot),
        Line2D([], [], mfc=PAPER, mec=INK, mew=1.3, label="matched", **dot),
        Line2D([], [], color=WRONG, marker="|", ls="", ms=11, mew=2, label="worst test"),
    ]
    if majority:
        keys.append(Line2D([], [], color=MUTED, lw=1.2, ls=(0, (4, 3)), label="largest class"))
    axes.legend(
        handles=keys,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.4,
        borderpad=0,
        columnspacing=1.8,
        fontsize=8,
        frameon=False,
        handletextpad=0.5,
        labelcolor=MUTED,
        ncols=len(keys),
    )
