"""What a run has found, in lines of text."""

from typing import Any

from rawdrift.report import style
from rawdrift.report.forensics.axes import group, value, words as axis_words


def words(summary: dict[str, Any]) -> list[str]:
    """For a terminal; nothing of a synthesis, whose page says it."""
    return _forensics(summary) if summary["kind"] == "forensics" else []


def _forensics(summary: dict[str, Any]) -> list[str]:
    worst, axes = summary["worst"], {axis["name"]: axis for axis in summary["space"]}
    moved = [
        f"{axis_words(name)} {value(at, axes[name])} instead of {value(axes[name]['default'], axes[name])}"
        for name, at in worst["setting"]["parameters"].items()
        if at != axes[name]["default"]
    ]
    metric = style.metric(summary, inside=True)
    if worst["drop"] > 0:
        lines = [
            f"{metric} falls from {worst['value'] + worst['drop']:.3f} to {worst['value']:.3f} "
            f"within the space of {group(worst['group'])}: {', '.join(moved)}"
        ]
    else:
        lines = [f"no setting was found that costs {metric}, {summary['baseline']['value']:.3f}"]
    signature = summary["signature"]
    if signature:
        widest = ", ".join(
            f"{axis_words(name)} {value(low, axes[name])} to {value(high, axes[name])}"
            for name, (low, high) in signature["box"].items()
        )
        lines.append(f"safe together, losing {signature['max_drop']:g} at most: {widest}")
    return lines
