"""The tables of a drift forensics run."""

from rawdrift.controls.forensics.axes import digits, group
from rawdrift.controls.forensics.figures import credit, method, percent
from rawdrift.controls.forensics.result import Envelope, ForensicsResult, Sensitivity
from rawdrift.report import style
from rawdrift.report.tables import Column, Columns, Table, table


def tables(result: ForensicsResult) -> dict[str, Table]:
    """All tables of a run, by name."""
    contents = [_searches(result), _setting(result)]
    if result.compared():
        contents.append(_methods(result))
    if result.sensitivity:
        contents.append(_sensitivity(result, result.sensitivity))
    if result.envelope and not result.envelope.is_empty:
        contents.append(_envelope(result.envelope))
    return {table.name: table for table in contents}


def _searches(result: ForensicsResult) -> Table:
    metric, share = style.metric(result.metric), percent(result.confidence)
    columns: Columns = [
        (Column("group", ""), lambda search: search.group),
        (Column("label", "Parameters"), lambda search: group(result.space, search.group)),
        (Column("regularization", "λ"), lambda search: f"{search.regularization:g}"),
        (Column(result.metric, metric, 3), lambda search: search.metric.value),
        (Column(result.metric, share, 3), lambda search: (search.metric.low, search.metric.high)),
        *([(Column("std", "Std", 3), lambda search: search.std)] if result.models > 1 else []),
        (Column("drop", "Drop", 3), lambda search: search.drop.value),
        (
            Column("drop", f"{share}, all together", 3),
            lambda search: (search.drop.low, search.drop.high),
        ),
        (Column("distance", "Distance", 4), lambda search: search.distance),
    ]
    of = " of held-out images" if result.baseline.held_out else ""
    title = f"{metric}{of} after each gradient search"
    return table("searches", title, columns, result.searches)


def _setting(result: ForensicsResult) -> Table:
    setting = result.worst.setting.parameters
    columns: Columns = [
        (Column("label", "Parameter"), lambda axis: axis.label),
        (Column("default", "Own value", 4, True), lambda axis: axis.default),
        (Column("drifted", "Worst", 4, True), lambda axis: setting[axis.name]),
        (Column("searched", "Searched", 4, True), lambda axis: (axis.low, axis.high)),
        (Column("unit", "Unit"), lambda axis: axis.unit),
        (Column("parameter", "In forensics.space"), lambda axis: axis.name),
    ]
    axes = [axis for axis in result.space if axis.name in setting]
    title = "The worst setting that was found"
    return table("worst", title, columns, axes, [digits(axis) for axis in axes])


def _methods(result: ForensicsResult) -> Table:
    lines = result.compared()
    names = dict.fromkeys(name for _, fold in lines for name in fold.methods)
    columns: Columns = [
        (Column("fold", "Fold"), lambda line: line[1].fold + 1),
        (Column("regularization", "λ"), lambda line: f"{line[0].regularization:g}"),
        (Column("default", "Own setting", 3), lambda line: line[1].default),
        *(
            (
                Column(name.replace("-", "_"), method(name), 3),
                lambda line, name=name: line[1].methods[name].metric,
            )
            for name in names
        ),
        (Column("found_by", "Gradient search found it by"), lambda line: credit(line[1])),
        (Column("evaluations", "Evaluations each"), lambda line: line[1].gradient.evaluations),
    ]
    title = f"{style.metric(result.metric)} that each method found, of the images searched with"
    return table("methods", title, columns, lines)


def _sensitivity(result: ForensicsResult, sensitivity: Sensitivity) -> Table:
    share, indices = percent(sensitivity.confidence), sensitivity.indices
    columns: Columns = [
        (Column("parameter", ""), lambda name: name),
        (Column("label", "Parameter"), lambda name: group(result.space, name)),
        (Column("total_order", "Total order", 3), lambda name: indices[name].total.value),
        (
            Column("total_order", share, 3),
            lambda name: (indices[name].total.low, indices[name].total.high),
        ),
        (Column("first_order", "First order", 3), lambda name: indices[name].first.value),
        (
            Column("first_order", share, 3),
            lambda name: (indices[name].first.low, indices[name].first.high),
        ),
    ]
    return table("sensitivity", "Sobol indices", columns, sensitivity.by_importance())


def _envelope(safe: Envelope) -> Table:
    alone, box = safe.tolerances, safe.box
    columns: Columns = [
        (Column("parameter", ""), lambda axis: axis.name),
        (Column("label", "Parameter"), lambda axis: axis.label),
        (Column("default", "Own value", 4, True), lambda axis: axis.default),
        (
            Column("alone", "Safe alone", 4, True),
            lambda axis: (alone[axis.name].low, alone[axis.name].high),
        ),
        (
            Column("ends", "Ended by"),
            lambda axis: f"{alone[axis.name].by_low} / {alone[axis.name].by_high}",
        ),
        (Column("together", "Safe together", 4, True), lambda axis: box[axis.name]),
        (Column("searched", "Searched", 4, True), lambda axis: (axis.low, axis.high)),
        (Column("unit", "Unit"), lambda axis: axis.unit),
    ]
    decimals = [digits(axis) + 1 for axis in safe.axes]
    return table("envelope", "Safe settings", columns, safe.axes, decimals)
