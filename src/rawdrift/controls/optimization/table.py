"""Table 4 as text."""

from collections.abc import Mapping
from typing import Any


def text(summary: Mapping[str, Any]) -> str:
    """The settings at each intensity, and the differences that are certain, for a terminal."""
    metric = summary["metric"]
    over = f"{metric} over folds and steps"
    head = ("setting", "intensity", over, "final", "best", "90 % at step")
    rows = [head]
    for row in summary["table"]:
        steps = row["steps_to_90"]["mean"]
        rows.append(
            (
                row["setting"],
                f"{row['intensity']:g}",
                _spread(row),
                _spread(row["final"]),
                _spread(row["best"]),
                "" if steps is None else f"{steps:.0f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    for found in summary["differences"]:
        if found["is_difference"]:
            lines.append(
                f"{found['first']} less {found['second']} at {found['intensity']:g}, "
                f"{found['when']}: {found['value']:+.3f} ({found['low']:.3f} to "
                f"{found['high']:.3f}), p = {found['p_holm']:.2g}"
            )
    return "\n".join(line.rstrip() for line in lines)


def _spread(found: Mapping[str, Any]) -> str:
    spread = "" if found["std"] is None else f" ± {found['std']:.3f}"
    return f"{found['mean']:.3f}{spread}"
