"""What stands in the tables of a drift forensics run."""

from typing import Any

from rawdrift.controls.forensics.axes import digits
from rawdrift.controls.forensics.figures import method
from rawdrift.report import style
from rawdrift.report.tables import Column, Table


def tables(summary: dict[str, Any]) -> dict[str, Table]:
    """All tables of a run, by name."""
    found = [_searches(summary), _setting(summary)]
    if summary["compared"]:
        found.append(_compared(summary))
    if summary["sensitivity"]:
        found.append(_sensitivity(summary))
    if summary["signature"]:
        found.append(_envelope(summary))
    return {table.name: table for table in found}


def _share(confidence: float) -> str:
    return f"{100 * confidence:g}\N{NO-BREAK SPACE}%"


def _of_spec(summary: dict[str, Any]) -> str:
    return _share(summary["spec"].get("forensics", {}).get("confidence", 0.95))


def _searches(summary: dict[str, Any]) -> Table:
    metric, share = style.metric(summary), _of_spec(summary)
    spread = [Column("std", "Std", 3)] if summary["models"] > 1 else []
    columns = [
        Column("group", "Parameters"),
        Column("regularization", "λ"),
        Column(summary["metric"], metric, 3),
        Column(summary["metric"], share, 3),
        *spread,
        Column("drop", "Drop", 3),
        Column("drop", share, 3),
        Column("distance", "Distance", 4),
    ]
    rows = [
        [
            entry["group"],
            f"{entry['regularization']:g}",
            float(entry["value"]),
            (entry["low"], entry["high"]),
            *(entry["std"] for _ in spread),
            float(entry["drop"]),
            (entry["drop_low"], entry["drop_high"]),
            float(entry["distance"]),
        ]
        for entry in summary["searches"]
    ]
    return Table("searches", f"{metric} after each gradient search", columns, rows)


def _setting(summary: dict[str, Any]) -> Table:
    axes = {axis["name"]: axis for axis in summary["space"]}
    columns = [
        Column("parameter", "Parameter"),
        Column("default", "Own value", 4, True),
        Column("drifted", "Worst", 4, True),
        Column("searched", "Searched", 4, True),
        Column("unit", "Unit"),
    ]
    parameters = summary["worst"]["setting"]["parameters"]
    shown, rows = [], []
    for name, at in parameters.items():
        axis = axes[name]
        searched = (axis["low"], axis["high"])
        rows.append([name, float(axis["default"]), float(at), searched, axis["unit"]])
        shown.append(digits(axis))
    return Table("worst", "The worst setting that was found", columns, rows, shown)


def _compared(summary: dict[str, Any]) -> Table:
    metric = style.metric(summary)
    names = list(dict.fromkeys(n for line in summary["compared"] for n in line["methods"]))
    columns = [
        Column("fold", "Fold"),
        Column("regularization", "λ"),
        Column("default", "Own setting", 3),
        *(Column(name.replace("-", "_"), method(name), 3) for name in names),
        Column("evaluations", "Evaluations each"),
    ]  # fmt: skip
    rows = [
        [
            line["fold"] + 1,
            f"{line['regularization']:g}",
            float(line["default"]),
            *(float(line["methods"][name]["metric"]) for name in names),
            line["methods"]["gradient"]["evaluations"],
        ]
        for line in summary["compared"]
    ]
    return Table("methods", f"{metric} that each method found", columns, rows)


def _sensitivity(summary: dict[str, Any]) -> Table:
    share = _share(summary["sensitivity"]["confidence"])
    indices = summary["sensitivity"]["indices"]
    columns = [
        Column("parameter", "Parameter"),
        Column("total_order", "Total order", 3),
        Column("total_order", share, 3),
        Column("first_order", "First order", 3),
        Column("first_order", share, 3),
    ]
    rows = []
    for name in sorted(indices, key=lambda name: -indices[name]["total"]["value"]):
        row: list[Any] = [name]
        for kind in ("total", "first"):
            found = indices[name][kind]
            row += [float(found["value"]), (found["low"], found["high"])]
        rows.append(row)
    return Table("sensitivity", "Sobol indices", columns, rows)


def _envelope(summary: dict[str, Any]) -> Table:
    signature = summary["signature"]
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
    for axis in summary["space"]:
        alone, box = signature["tolerances"][axis["name"]], signature["box"][axis["name"]]
        ends = " / ".join(
            {"space": "space", "drop": "drop"}[alone[e]] for e in ("by_low", "by_high")
        )
        rows.append(
            [axis["name"], float(axis["default"]), (alone["low"], alone["high"]), ends,
             tuple(box), (axis["low"], axis["high"]), axis["unit"]]
        )  # fmt: skip
    shown = [digits(axis) + 1 for axis in summary["space"]]
    return Table("envelope", "Safe settings", columns, rows, shown)
