"""The answers of models by class, as a figure and as a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rawdrift.report import style
from rawdrift.report.figures import LETTER
from rawdrift.report.style import ACCENT, INK, MUTED, PAPER, RULE, WRONG, plain
from rawdrift.report.tables import Column, Table, table

MOST = 40
"""Classes that are drawn; of more, those with the most wrong answers."""
_WIDEST, _GAP = 0.62, 0.012  # inches


def draw(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Draw a confusion matrix (C, C): rows are right classes, columns answers."""
    matrix = np.array(counts)
    order = np.arange(len(matrix))
    if len(matrix) > MOST:
        wrong = matrix.sum(1) + matrix.sum(0) - 2 * np.diag(matrix)
        order = np.sort(np.argsort(-wrong, kind="stable")[:MOST])
    matrix = matrix[np.ix_(order, order)]
    names = [plain(labels[i], 18) for i in order.tolist()]
    letters = LETTER * max(map(len, names))
    left, top = max(0.45 + letters, 1.1), 0.5 + 0.9 * letters
    side = min(_WIDEST, (style.WIDTH - left - 0.3 - letters / 2) / len(names))
    wide = side * len(names)
    figure = style.sheet(min(style.WIDTH, left + wide + 0.3 + letters), top + wide + 0.15)
    axes = style.inches(figure, left, 0.15, wide, wide)
    font: dict[str, Any] = {"fontsize": 9 if side > 0.35 else 6.5}
    for (row, column), count in np.ndenumerate(matrix):
        share = count / max(1, matrix[row].sum())
        color = ACCENT if row == column else WRONG
        look: dict[str, Any] = {"color": color if count else RULE, "lw": 0}
        look["alpha"] = max(0.1, share) if count else 0.35
        corner = (column * side + _GAP, row * side + _GAP)
        axes.add_patch(Rectangle(corner, side - 2 * _GAP, side - 2 * _GAP, **look))
        if count:
            x, y = (column + 0.5) * side, (row + 0.5) * side + 0.02
            look = {"ha": "center", "va": "center_baseline", "color": PAPER if share > 0.5 else INK}
            axes.text(x, y, f"{count}", **look, **font)
    for i, name in enumerate(names):
        axes.text(-0.1, (i + 0.5) * side, name, ha="right", va="center_baseline", **font)
        axes.text((i + 0.5) * side, -0.07, name, rotation=60, rotation_mode="anchor", **font)
    axes.text(-0.1, -0.12, "class / answer", ha="right", color=MUTED, fontsize=8)
    return figure


def classes(confusions: Sequence[Any]) -> Table:
    """Return recall and precision by class; see `controls.result.Confusion`."""
    several = len(confusions) > 1
    columns = [
        (Column("class", "Class"), lambda row: row[1].label),
        (Column("n", "Images", 0), lambda row: row[1].n),
        (Column("recall", "Recall", 3), lambda row: row[1].recall and row[1].recall.value),
        (Column("recall_interval", "95 % interval", 3), lambda row: row[1].recall or (None, None)),
        (Column("answered", "Answers", 0), lambda row: row[1].answered),
        (
            Column("precision", "Precision", 3),
            lambda row: row[1].precision and row[1].precision.value,
        ),
        (
            Column("precision_interval", "95 % interval", 3),
            lambda row: row[1].precision or (None, None),
        ),
    ]
    if several:
        columns.insert(0, (Column("model", "Model"), lambda row: row[0]))
    rows = [(one.model, score) for one in confusions for score in one.classes]
    return table("classes", "Answers by class", columns, rows)


def changes(number: int, flips: Any) -> list[Table]:
    """Return recall by class on two views, and the images that flip; see `controls.result.Flips`.

    number: of the flips in the result, from 1, which names the files.
    """
    matched, worst = (plain(name.removeprefix("the "), 24) for name in (flips.matched, flips.worst))
    by_class = [
        (Column("class", "Class"), lambda row: row.label),
        (Column("n", "Images", 0), lambda row: row.n),
        (Column("matched", f"Recall, {matched}", 3), lambda row: row.matched),
        (Column("worst", f"Recall, {worst}", 3), lambda row: row.worst),
        (Column("lost", "Lost", 0), lambda row: row.lost),
        (Column("gained", "Gained", 0), lambda row: row.gained),
    ]
    images = [
        (Column("image", "Image"), lambda row: row.image),
        (Column("class", "Class"), lambda row: row.label),
        (Column("answer", f"Answer, {worst}"), lambda row: row.answer),
    ]
    title = f"{flips.matched} and {flips.worst}"
    return [
        table(f"recall-{number}", f"Recall by class, {title}", by_class, flips.classes),
        table(f"flipped-{number}", f"Images that flip, {title}", images, flips.flipped),
    ]
