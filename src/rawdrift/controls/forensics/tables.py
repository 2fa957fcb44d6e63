"""The tables of a drift forensics run."""

from collections.abc import Sequence
from typing import Any

from rawdrift.controls.forensics.axes import digits
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.figures import method, percent
from rawdrift.controls.forensics.result import GRADIENT, Envelope, ForensicsResult, Sensitivity
from rawdrift.report import style
from rawdrift.report.tables import Column, Table


def tables(result: ForensicsResult) -> dict[str, Table]:
    """All tables of a run, by name."""
    contents = [_searches(result), _setting(result)]
    if result.compared:
        contents.append(_compared(result))
    if result.sensitivity:
        contents.append(_sensitivity(result.sensitivity))
    if result.envelope:
        contents.append(_envelope(result.space, result.envelope))
    return {table.name: table for table in contents}


def _searches(result: ForensicsResult) -> Table:
    metric, share = style.metric(result.metric), percent(result.confidence)
    spread = [Column("std", "Std", 3)] if result.models > 1 else []
    columns = [
        Column("group", "Parameters"),
        Column("regularization", "λ"),
        Column(result.metric, metric, 3),
        Column(result.metric, share, 3),
        *spread,
        Column("drop", "Drop", 3),
        Column("drop", share, 3),
        Column("distance", "Distance", 4),
    ]
    rows = [
        [
            search.group,
            f"{search.regularization:g}",
            search.metric.value,
            (search.metric.low, search.metric.high),
            *(search.std for _ in spread),
            search.drop.value,
            (search.drop.low, search.drop.high),
            search.distance,
        ]
        for search in result.searches
    ]
    return Table("searches", f"{metric} after each gradient search", columns, rows)


def _setting(result: ForensicsResult) -> Table:
    columns = [
        Column("parameter", "Parameter"),
        Column("default", "Own value", 4, True),
        Column("drifted", "Worst", 4, True),
        Column("searched", "Searched", 4, True),
        Column("unit", "Unit"),
    ]
    setting = result.worst.setting.parameters
    axes = [axis for axis in result.space if axis.name in setting]
    rows = [
        [axis.name, axis.default, setting[axis.name], (axis.low, axis.high), axis.unit]
        for axis in axes
    ]
    return Table(
        "worst", "The worst setting that was found", columns, rows, list(map(digits, axes))
    )


def _compared(result: ForensicsResult) -> Table:
    names = list(dict.fromkeys(name for line in result.compared for name in line.methods))
    columns = [
        Column("fold", "Fold"),
        Column("regularization", "λ"),
        Column("default", "Own setting", 3),
        *(Column(name.replace("-", "_"), method(name), 3) for name in names),
        Column("evaluations", "Evaluations each"),
    ]
    rows = [
        [
            line.fold + 1,
            f"{line.regularization:g}",
            line.default,
            *(line.methods[name].metric for name in names),
            line.methods[GRADIENT].evaluations,
        ]
        for line in result.compared
    ]
    title = f"{style.metric(result.metric)} that each method found"
    return Table("methods", title, columns, rows)


def _sensitivity(sensitivity: Sensitivity) -> Table:
    share = percent(sensitivity.confidence)
    columns = [
        Column("parameter", "Parameter"),
        Column("total_order", "Total order", 3),
        Column("total_order", share, 3),
        Column("first_order", "First order", 3),
        Column("first_order", share, 3),
    ]
    rows = []
    for name in sensitivity.by_importance():
        row: list[Any] = [name]
        for index in (sensitivity.indices[name].total, sensitivity.indices[name].first):
            row += [index.value, (index.low, index.high)]
        rows.append(row)
    return Table("sensitivity", "Sobol indices", columns, rows)


def _envelope(space: Sequence[Axis], envelope: Envelope) -> Table:
    columns = [
        Column("parameter", "Parameter"),
        Column("default", "Own value", 4, True),
        Column("alone", "Safe alone", 4, True),
        Column("ends", "Ended by"),
        Column("together", "Safe together", 4, True),
        Column("searched", "Searched", 4, True),
        Column("unit", "Unit"),
    ]
    rows = []
    for axis in space:
        alone = envelope.tolerances[axis.name]
        rows.append(
            [
                axis.name,
                axis.default,
                (alone.low, alone.high),
                f"{alone.by_low} / {alone.by_high}",
                envelope.box[axis.name],
                (axis.low, axis.high),
                axis.unit,
            ]
        )
    decimals = [digits(axis) + 1 for axis in space]
    return Table("envelope", "Safe settings", columns, rows, decimals)
