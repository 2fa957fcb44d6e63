"""What a run has found, in lines of text."""

from pathlib import Path
from typing import Any

from rawdrift.report import style
from rawdrift.report.caveats import doubt
from rawdrift.report.forensics.axes import moved, value
from rawdrift.report.forensics.axes import words as named
from rawdrift.report.optimization.found import terminal
from rawdrift.report.tables import span

_MOST = 4  # settings that are told


def words(summary: dict[str, Any], run: Path) -> list[str]:
    """For a terminal, of the run in a folder."""
    if summary["kind"] == "optimization":
        return list(terminal(summary))
    return _forensics(summary, run) if summary["kind"] == "forensics" else _synthesis(summary)


def _synthesis(summary: dict[str, Any]) -> list[str]:
    metric, told = style.metric(summary, inside=True), []
    for kind, others in (("isp", "on other pipelines"), ("corruption", "under corruptions")):
        worst, mean = summary["worst"].get(kind), summary["average_drops"].get(kind)
        if not worst or not mean:
            continue
        name = f"{style.case(worst['test'])} {worst['severity'] or ''}".strip()
        told.append(
            f"{others}, {metric} drops by {mean['value']:.3f} "
            f"({span(mean['low'], mean['high'], 3)}) on average; the largest drop, from "
            f"{worst['matched']:.3f} to {worst['mean']:.3f}, is that of a model of "
            f"{worst['train']} on {name}" + ("" if worst["is_drop"] else f", {doubt(summary)}")
        )
    return told


def _forensics(summary: dict[str, Any], run: Path) -> list[str]:
    metric, worst = style.metric(summary, inside=True), summary["worst"]
    if worst["drop"] <= 0:
        found = f"no setting was found that costs {metric}, {summary['baseline']['value']:.3f}"
    else:
        fold = f" (fold {worst['fold'] + 1})" if summary["models"] > 1 else ""
        found = (
            f"worst that was found: {metric} falls from {worst['value'] + worst['drop']:.3f} to "
            f"{worst['value']:.3f} at {_some(moved(summary))}{fold}"
        )
    signature = summary["signature"]
    if signature is None:
        return [found]
    box = [
        f"{named(axis['name'])} {value(low, axis)} to {value(high, axis)}"
        for axis in summary["space"]
        for low, high in [signature["box"][axis["name"]]]
    ]
    path = run / signature["file"]
    return [
        found,
        f"safe together, with a drop of {signature['max_drop']:g} at most: {_some(box)}",
        f"is another camera inside? rawdrift check {path} --camera CAMERA",
    ]


def _some(told: list[str]) -> str:
    more = f", and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return ", ".join(told[:_MOST]) + more
