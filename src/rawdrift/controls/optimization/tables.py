"""The tables of a drift optimization run."""

import math
from typing import Any

import numpy as np

from rawdrift.controls.forensics.axes import words
from rawdrift.controls.optimization.result import LearnedISP, OptimizationResult, Violation
from rawdrift.report import style
from rawdrift.report.tables import Column, Table

_INTENSITY = Column("intensity", "Intensity")
_SETTING = Column("setting", "Setting")
_FOLD = Column("fold", "Fold")
_PERCENT_95 = "95\N{NO-BREAK SPACE}%"
_PERCENT_90 = "90\N{NO-BREAK SPACE}%"


def tables(result: OptimizationResult) -> dict[str, Table]:
    """Return all tables of a run by name."""
    present = [_settings(result), _learning(result)]
    if result.differences:
        present.append(_differences(result))
    if result.isps:
        present.append(_parameters(result))
    if result.violations:
        present.append(_violations(result))
    if result.choices:
        present.append(_choices(result))
    return {table.name: table for table in present}


def _settings(result: OptimizationResult) -> Table:
    """The paper's Table 4."""
    metric = style.metric(result.metric)
    columns = [
        _INTENSITY,
        _SETTING,
        Column(result.metric, metric, 3),
        Column(result.metric, _PERCENT_95, 3),
        Column("std", "Std", 3),
        Column("std_over_folds", "over folds", 3),
        Column("std_over_steps", "over steps", 3),
        Column("folds", "Folds", 0),
    ]
    rows = [
        [
            f"{row.intensity:g}",
            row.setting,
            row.mean,
            _interval(row.low, row.high),
            row.std,
            row.std_over_folds,
            row.std_over_steps,
            row.folds,
        ]
        for row in result.table
    ]
    return Table("settings", f"{metric} over folds and steps", columns, rows)


def _learning(result: OptimizationResult) -> Table:
    columns = [
        _INTENSITY,
        _SETTING,
        Column("final", "Final", 3),
        Column("final_std", "Std", 3),
        Column("best", "Best", 3),
        Column("best_std", "Std", 3),
        Column("best_step", "at step", 0),
        Column("steps_to_90", f"{_PERCENT_90} of its best at step", 0),
        Column("steps_to_90_std", "Std", 0),
        Column("steps_to_90_of_best", f"{_PERCENT_90} of the highest at step", 0),
        Column("steps_to_90_of_best_folds", "reached in folds"),
    ]
    rows = [
        [
            f"{row.intensity:g}",
            row.setting,
            row.final.mean,
            row.final.std,
            row.best.mean,
            row.best.std,
            row.best.step,
            row.steps_to_90.mean,
            row.steps_to_90.std,
            row.steps_to_90_of_best.mean,
            f"{row.steps_to_90_of_best.reached} of {row.folds}",
        ]
        for row in result.table
    ]
    return Table("learning", "How far and how fast each setting learns", columns, rows)


def _differences(result: OptimizationResult) -> Table:
    columns = [
        _INTENSITY,
        Column("when", "When"),
        Column("first", "Setting"),
        Column("second", "less"),
        Column("difference", "Difference", 3),
        Column("difference", _PERCENT_95, 3),
        Column("p_value", "p", 3),
        Column("p_holm", "p, Holm", 3),
        Column("images", "Images", 0),
    ]
    when = {"final": "in the end", "mean": "over all epochs"}
    rows = [
        [
            f"{difference.intensity:g}",
            when[difference.when],
            difference.first,
            difference.second,
            difference.value,
            _interval(difference.low, difference.high),
            difference.p,
            difference.p_holm,
            difference.n,
        ]
        for difference in result.differences
    ]
    return Table("differences", "Paired differences between settings", columns, rows)


def elements(name: str, value: Any) -> dict[str, float]:
    """Return the numbers of a parameter by name, such as "white_balance.gains[0]"; none of a
    kernel."""
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


def _parameters(result: OptimizationResult) -> Table:
    columns = [
        _INTENSITY,
        _FOLD,
        *_camera_column(result),
        Column("parameter", "Parameter"),
        Column("initial", "Camera's value", 4, True),
        Column("final", "Learned", 4, True),
    ]
    rows = []
    for isp in result.isps:
        first = _training(result, isp)
        for name, value in isp.final.items():
            start = elements(name, isp.initial[name])
            for element, number in elements(name, value).items():
                rows.append([*first, words(element), start[element], number])
        end = isp.path[-1].clipped
        rows.append([*first, "share of black values", isp.clipped.black, end.black])
        rows.append([*first, "share of white values", isp.clipped.white, end.white])
    digits = [_decimals(row[-2], row[-1]) for row in rows]
    return Table("parameters", "Parameters of the learned ISPs", columns, rows, digits)


def _decimals(*values: float) -> int:
    """Return the number of decimals that shows four significant digits."""
    largest = max(abs(value) for value in values)
    return max(0, 3 - math.floor(math.log10(largest))) if largest > 0 else 0


def _violations(result: OptimizationResult) -> Table:
    columns = [
        _INTENSITY,
        _FOLD,
        *_camera_column(result),
        Column("parameter", "Parameter"),
        Column("step", "Since step"),
        Column("what", "What was wrong then"),
        Column("at_end", "At the end"),
    ]
    rows = [
        [
            *_training(result, violation),
            words(violation.parameter),
            violation.step,
            _signed(violation.what),
            _signed(violation.at_end) if violation.at_end else "back within physics",
        ]
        for violation in result.violations
    ]
    return Table("violations", "Parameters that left physics", columns, rows)


def _camera_column(result: OptimizationResult) -> list[Column]:
    return [Column("camera", "Camera")] if len(result.data.cameras) > 1 else []


def _training(result: OptimizationResult, of: LearnedISP | Violation) -> list[Any]:
    """Return the first values of a row: intensity, fold, and the camera if there are several."""
    camera = [of.camera] if len(result.data.cameras) > 1 else []
    return [f"{of.intensity:g}", of.fold + 1, *camera]


def _signed(text: str) -> str:
    """Put true minus signs before numbers."""
    words = text.split(" ")
    return " ".join(
        "\N{MINUS SIGN}" + w[1:] if w[:1] == "-" and w[1:2].isdigit() else w for w in words
    )


def _choices(result: OptimizationResult) -> Table:
    names = list(dict.fromkeys(name for choice in result.choices for name in choice.validation))
    columns = [
        _INTENSITY,
        _FOLD,
        Column("chosen", "Chosen"),
        Column("images", "Images", 0),
        *(Column(name, name, 2) for name in names),
    ]
    rows = [
        [
            f"{choice.intensity:g}",
            choice.fold + 1,
            choice.chosen,
            choice.images,
            *(choice.validation.get(name) for name in names),
        ]
        for choice in result.choices
    ]
    return Table("choices", "What static-best chose from", columns, rows)


def _interval(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
