"""The heatmaps of a drift synthesis run, as the paper's Figures 2 and 7 to 11."""

from typing import Any

from matplotlib.figure import Figure

from rawdrift.controls.synthesis.summary import Case, by_case, cases
from rawdrift.report import panels, style
from rawdrift.report.panels import Cell, Panel, Scale

_RANKED = 3
_NOTE = "rank by the mean over all such tests"


def heatmap(summary: dict[str, Any]) -> Figure:
    """Training pipelines by test pipelines, and by corruptions of the middle severity.

    A cell's color and number are its value over all images, the thickness of its frame the standard
    deviation over folds.
    """
    shown = [_panel(summary, "isp", "Pipelines (ISP)")]
    if summary["corruptions"]:
        shown.append(_severity(summary, middle(summary)))
    return panels.draw(summary["train"], shown, _scale(summary), _NOTE)


def severities(summary: dict[str, Any]) -> Figure:
    """Training pipelines by corruptions of the severities that `heatmap` does not show."""
    shown = [_severity(summary, severity) for severity in others(summary)]
    return panels.draw(summary["train"], shown, _scale(summary), _NOTE)


def middle(summary: dict[str, Any]) -> int:
    """The severity that stands for all."""
    levels = sorted(summary["severities"])
    return int(levels[len(levels) // 2])


def others(summary: dict[str, Any]) -> list[int]:
    """The severities that are not in the middle."""
    return sorted(set(summary["severities"]) - {middle(summary)}) if summary["severities"] else []


def _severity(summary: dict[str, Any], severity: int) -> Panel:
    return _panel(summary, "corruption", f"Corruptions, severity {severity}", severity)


def _panel(summary: dict[str, Any], kind: str, title: str, severity: int = 0) -> Panel:
    found = by_case(summary)
    columns: list[Case] = [case for case in cases(summary, kind) if case[2] == severity]
    train, several = summary["train"], len(summary["train"]) > 1
    best = {(o["kind"], o["test"], o["severity"]): o["order"][0] for o in summary["orders"]}
    labels = [style.case(name) for _, name, _ in columns]
    if kind == "corruption":
        labels = ["identity", *labels]
        columns = [("corruption", "identity", 0), *columns]
    values: dict[tuple[int, int], Cell] = {}
    for j, case in enumerate(columns):
        at = {row: ("isp", row, 0) if case[1] == "identity" else case for row in train}
        leader = best[case]
        top = found[leader, *at[leader]]["mean"]
        differ = any(found[row, *at[row]]["mean"] != top for row in train)
        for i, row in enumerate(train):
            cell, own = found[row, *at[row]], at[row] == ("isp", row, 0)
            # Equally good ones are all the best, but for where all rows are equal.
            is_best = differ and cell["mean"] == top
            values[i, j] = Cell(cell["mean"], cell["std"], own and kind == "isp", is_best)
    ranking = summary["rankings"].get(kind, []) if several else []
    ranks = {train.index(entry["train"]): entry["rank"] for entry in ranking[:_RANKED]}
    return Panel(title, labels, values, ranks)


def _scale(summary: dict[str, Any]) -> Scale:
    return panels.scale(
        [cell["mean"] for cell in summary["cells"]],
        [cell["std"] for cell in summary["cells"]],
        f"{style.metric(summary)} over all images, each tested once",
    )
