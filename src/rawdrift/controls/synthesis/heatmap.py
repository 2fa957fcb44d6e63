"""The heat maps of a drift synthesis run (Figures 2 and 7 to 11 of the paper)."""

from matplotlib.figure import Figure

from rawdrift.controls.synthesis.result import SynthesisResult
from rawdrift.corruptions import table
from rawdrift.models.case import Case, Kind
from rawdrift.report import panels, style
from rawdrift.report.panels import Cell, Panel, Scale

_RANKED = 3
_NOTE = "rank by the mean over all such tests"


def heatmap(result: SynthesisResult) -> Figure:
    """Draw training pipelines by test pipelines, and by corruptions of the middle severity.

    A cell's color and number are its value over all images, the thickness of its frame the standard
    deviation over folds.
    """
    shown = [_panel(result, "isp", "Pipelines (ISP)")]
    if result.corruptions:
        shown.append(_severity(result, middle(result)))
    return panels.draw(result.train, shown, _scale(result), _NOTE)


def severities(result: SynthesisResult) -> Figure:
    """Draw training pipelines by corruptions of the severities that `heatmap` leaves out."""
    shown = [_severity(result, severity) for severity in others(result)]
    return panels.draw(result.train, shown, _scale(result), _NOTE)


def middle(result: SynthesisResult) -> int:
    """Return the severity that `heatmap` shows."""
    return table.middle(result.severities)


def others(result: SynthesisResult) -> list[int]:
    """Return the other severities."""
    return sorted(set(result.severities) - {middle(result)}) if result.severities else []


def _severity(result: SynthesisResult, severity: int) -> Panel:
    return _panel(result, "corruption", f"Corruptions, severity {severity}", severity)


def _panel(result: SynthesisResult, kind: Kind, title: str, severity: int = 0) -> Panel:
    columns = [case for case in result.cases(kind) if case.severity == severity]
    if kind == "corruption":
        columns = [Case("corruption", "identity"), *columns]
    cells: dict[tuple[int, int], Cell] = {}
    for j, case in enumerate(columns):
        column = [
            result.own(name) if case.name == "identity" else result.cell(name, case)
            for name in result.train
        ]
        values = {cell.mean for cell in column}
        for i, cell in enumerate(column):
            # Equal ones are all the best, unless the whole column is equal.
            best = len(values) > 1 and cell.mean == max(values)
            own = case == Case("isp", cell.train)
            cells[i, j] = Cell(cell.mean, cell.std, own, best)
    ranking = dict(result.rankings.items()).get(kind, []) if len(result.train) > 1 else []
    ranks = {result.train.index(entry.train): entry.rank for entry in ranking[:_RANKED]}
    return Panel(title, [style.case(case.name) for case in columns], cells, ranks)


def _scale(result: SynthesisResult) -> Scale:
    return panels.scale(
        [cell.mean for cell in result.cells],
        [cell.std for cell in result.cells],
        f"{style.metric(result.metric)} over all images, each tested once",
    )
