"""What stands in the tables of a drift optimization run."""

import math
from typing import Any

import numpy as np

from rawdrift.controls.forensics.axes import words
from rawdrift.report import style
from rawdrift.report.tables import Column, Table

_INTENSITY = Column("intensity", "Intensity")
_SHARE = "95\N{NO-BREAK SPACE}%"


def tables(summary: dict[str, Any]) -> dict[str, Table]:
    """All tables of a run, by name."""
    found = [_settings(summary), _learning(summary)]
    if summary["differences"]:
        found.append(_differences(summary))
    if summary["isps"]:
        found.append(_parameters(summary))
    if summary["violations"]:
        found.append(_violations(summary))
    if summary["choices"]:
        found.append(_choices(summary))
    return {table.name: table for table in found}


def _settings(summary: dict[str, Any]) -> Table:
    """The paper's Table 4."""
    metric = style.metric(summary)
    columns = [
        _INTENSITY,
        Column("setting", "Setting"),
        Column(summary["metric"], metric, 3),
        Column(summary["metric"], _SHARE, 3),
        Column("std", "Std", 3),
        Column("std_over_folds", "over folds", 3),
        Column("std_over_steps", "over steps", 3),
        Column("folds", "Folds", 0),
    ]
    rows = [
        [
            f"{row['intensity']:g}",
            row["setting"],
            row["mean"],
            _known(row["low"], row["high"]),
            row["std"],
            row["std_over_folds"],
            row["std_over_steps"],
            row["folds"],
        ]
        for row in summary["table"]
    ]
    return Table("settings", f"{metric} over folds and steps", columns, rows)


def _learning(summary: dict[str, Any]) -> Table:
    columns = [
        _INTENSITY,
        Column("setting", "Setting"),
        Column("final", "Final", 3),
        Column("final_std", "Std", 3),
        Column("best", "Best", 3),
        Column("best_std", "Std", 3),
        Column("best_step", "at step", 0),
        Column("steps_to_90", "90\N{NO-BREAK SPACE}% of its best at step", 0),
        Column("steps_to_90_std", "Std", 0),
        Column("steps_to_90_of_best", "90\N{NO-BREAK SPACE}% of the highest at step", 0),
        Column("steps_to_90_of_best_folds", "reached in folds"),
    ]
    rows = []
    for row in summary["table"]:
        own, best = row["steps_to_90"], row["steps_to_90_of_best"]
        rows.append(
            [
                f"{row['intensity']:g}", row["setting"],
                row["final"]["mean"], row["final"]["std"],
                row["best"]["mean"], row["best"]["std"], row["best"]["step"],
                own["mean"], own["std"], best["mean"],
                f"{best['reached']} of {row['folds']}",
            ]
        )  # fmt: skip
    return Table("learning", "How far and how fast each setting learns", columns, rows)


def _differences(summary: dict[str, Any]) -> Table:
    columns = [
        _INTENSITY,
        Column("when", "When"),
        Column("first", "Setting"),
        Column("second", "less"),
        Column("difference", "Difference", 3),
        Column("difference", _SHARE, 3),
        Column("p_value", "p", 3),
        Column("p_holm", "p, Holm", 3),
        Column("images", "Images", 0),
    ]
    rows = [
        [
            f"{found['intensity']:g}",
            WHEN.get(found["when"], found["when"]),
            found["first"],
            found["second"],
            float(found["value"]),
            _known(found["low"], found["high"]),
            float(found["p"]),
            float(found["p_holm"]),
            found["n"],
        ]
        for found in summary["differences"]
    ]
    return Table("differences", "Paired differences between settings", columns, rows)


WHEN = {"final": "in the end", "mean": "over all epochs"}


def elements(name: str, value: Any) -> dict[str, float]:
    """The numbers of a parameter by their names, such as "white_balance.gains[0]"; of a kernel
    none."""
    numbers = np.asarray(value, dtype=float)
    if is_kernel(name):
        return {}
    if numbers.ndim == 0:
        return {name: float(numbers)}
    return {
        f"{name}[{','.join(map(str, index))}]": float(numbers[index])
        for index in np.ndindex(numbers.shape)
    }


def is_kernel(name: str) -> bool:
    """Whether a parameter is the weights of a filter."""
    return name.partition(".")[2].startswith("kernel")


def _parameters(summary: dict[str, Any]) -> Table:
    several = len(summary["data"]["cameras"] or ()) > 1
    columns = [
        _INTENSITY,
        Column("fold", "Fold"),
        *([Column("camera", "Camera")] if several else []),
        Column("parameter", "Parameter"),
        Column("initial", "Camera's value", 4, True),
        Column("final", "Learned", 4, True),
    ]
    rows = []
    for isp in summary["isps"]:
        for name, value in isp["final"].items():
            start = elements(name, isp["initial"][name])
            for element, number in elements(name, value).items():
                camera = [isp["camera"]] if several else []
                rows.append(
                    [f"{isp['intensity']:g}", isp["fold"] + 1, *camera, words(element),
                     start[element], number]
                )  # fmt: skip
        for end, share in isp["path"][-1]["clipped"].items():
            camera = [isp["camera"]] if several else []
            rows.append(
                [f"{isp['intensity']:g}", isp["fold"] + 1, *camera, f"share of {end} values",
                 isp["clipped"][end], share]
            )  # fmt: skip
    digits = [_behind(row[-2], row[-1]) for row in rows]
    return Table("parameters", "Parameters of the learned ISPs", columns, rows, digits)


def _behind(*values: float) -> int:
    """Digits behind the point that show four that count."""
    largest = max(abs(value) for value in values)
    return max(0, 3 - math.floor(math.log10(largest))) if largest > 0 else 0


def _violations(summary: dict[str, Any]) -> Table:
    several = len(summary["data"]["cameras"] or ()) > 1
    columns = [
        _INTENSITY,
        Column("fold", "Fold"),
        *([Column("camera", "Camera")] if several else []),
        Column("parameter", "Parameter"),
        Column("step", "Since step"),
        Column("what", "What was wrong then"),
        Column("at_end", "At the end"),
    ]
    rows = [
        [
            f"{found['intensity']:g}",
            found["fold"] + 1,
            *([found["camera"]] if several else []),
            words(found["parameter"]),
            found["step"],
            signed(found["what"]),
            signed(found["at_end"]) if found["at_end"] else "back within physics",
        ]
        for found in summary["violations"]
    ]
    return Table("violations", "Parameters that left physics", columns, rows)


def signed(text: str) -> str:
    """With true minus signs before numbers."""
    words = text.split(" ")
    return " ".join(
        "\N{MINUS SIGN}" + w[1:] if w[:1] == "-" and w[1:2].isdigit() else w for w in words
    )


def _choices(summary: dict[str, Any]) -> Table:
    names = list(dict.fromkeys(n for choice in summary["choices"] for n in choice["validation"]))
    columns = [
        _INTENSITY,
        Column("fold", "Fold"),
        Column("chosen", "Chosen"),
        Column("images", "Images", 0),
        *(Column(name, name, 2) for name in names),
    ]
    rows = [
        [
            f"{choice['intensity']:g}",
            choice["fold"] + 1,
            choice["chosen"],
            choice["images"],
            *(choice["validation"].get(name) for name in names),
        ]
        for choice in summary["choices"]
    ]
    return Table("choices", "What static-best chose from", columns, rows)


def _known(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
