"""The tables of a drift optimization run."""

import math
from functools import partial
from typing import Any

import numpy as np

from rawdrift.controls.optimization.result import Choice, Difference, OptimizationResult, Row
from rawdrift.report import style
from rawdrift.report.tables import Column, Columns, Table, table

_INTENSITY = (Column("intensity", "Intensity"), lambda item: f"{item.intensity:g}")
_SETTING = (Column("setting", "Setting"), lambda item: item.setting)
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
    columns: Columns = [
        _INTENSITY,
        _SETTING,
        (Column(result.metric, metric, 3), lambda row: row.mean),
        (Column(result.metric, _PERCENT_95, 3), _interval),
        (Column("std", "Std", 3), lambda row: row.std),
        (Column("std_over_folds", "over folds", 3), lambda row: row.std_over_folds),
        (Column("std_over_steps", "over steps", 3), lambda row: row.std_over_steps),
        (Column("trainings", "Trainings", 0), lambda row: row.trainings),
    ]
    return table("settings", f"{metric} over folds and steps", columns, result.table)


def _learning(result: OptimizationResult) -> Table:
    own, best = f"{_PERCENT_90} of its best at step", f"{_PERCENT_90} of the highest at step"
    columns: Columns = [
        _INTENSITY,
        _SETTING,
        (Column("final", "Final", 3), lambda row: row.final.mean),
        (Column("final_std", "Std", 3), lambda row: row.final.std),
        (Column("best", "Best", 3), lambda row: row.best.mean),
        (Column("best_std", "Std", 3), lambda row: row.best.std),
        (Column("best_step", "at step", 0), lambda row: row.best.step),
        (Column("steps_to_90", own, 0), lambda row: row.steps_to_90.mean),
        (Column("steps_to_90_std", "Std", 0), lambda row: row.steps_to_90.std),
        (Column("steps_to_90_of_best", best, 0), lambda row: row.steps_to_90_of_best.mean),
        (
            Column("steps_to_90_of_best_folds", "reached in trainings"),
            lambda row: f"{row.steps_to_90_of_best.reached} of {row.trainings}",
        ),
    ]
    return table("learning", "How far and how fast each setting learns", columns, result.table)


def _differences(result: OptimizationResult) -> Table:
    when = {"final": "in the end", "mean": "over all epochs"}
    columns: Columns = [
        _INTENSITY,
        (Column("when", "When"), lambda difference: when[difference.when]),
        (Column("first", "Setting"), lambda difference: difference.first),
        (Column("second", "less"), lambda difference: difference.second),
        (Column("difference", "Difference", 3), lambda difference: difference.value),
        (Column("difference", _PERCENT_95, 3), _interval),
        (Column("p_value", "p", 3), lambda difference: difference.p),
        (Column("p_all", "p, corrected", 3), lambda difference: difference.p_all),
        (Column("images", "Images", 0), lambda difference: difference.n),
    ]
    return table("differences", "Paired differences between settings", columns, result.differences)


def elements(result: OptimizationResult, name: str, value: Any) -> dict[str, float]:
    """Return the numbers of a parameter that have names, by name, such as "white_balance.gains[0]".

    The numbers of a kernel have none.
    """
    numbers = np.asarray(value, dtype=float)
    if numbers.ndim == 0:
        return {name: float(numbers)}
    by_name = {
        f"{name}[{','.join(map(str, index))}]": float(numbers[index])
        for index in np.ndindex(numbers.shape)
    }
    return {name: number for name, number in by_name.items() if name in result.labels}


def _parameters(result: OptimizationResult) -> Table:
    training = _training(result)
    columns = [
        *(column for column, _ in training),
        Column("parameter", "Parameter"),
        Column("unit", "Unit"),
        Column("initial", "At the start", 4, True),
        Column("final", "Learned", 4, True),
    ]
    rows = []
    for isp in result.isps:
        first = [value(isp) for _, value in training]
        for name, value in isp.final.items():
            start = elements(result, name, isp.initial[name])
            for element, number in elements(result, name, value).items():
                unit = result.units.get(name, "")
                rows.append([*first, result.labels[element], unit, start[element], number])
        end = isp.path[-1].clipped
        rows.append([*first, "share of black values", "", isp.clipped.black, end.black])
        rows.append([*first, "share of white values", "", isp.clipped.white, end.white])
    digits = [_decimals(row[-2], row[-1]) for row in rows]
    return Table("parameters", "Parameters of the learned ISPs", columns, rows, digits)


def _decimals(*values: float) -> int:
    """Return the number of decimals that shows four significant digits."""
    largest = max(abs(value) for value in values)
    return max(0, 3 - math.floor(math.log10(largest))) if largest > 0 else 0


def _violations(result: OptimizationResult) -> Table:
    columns: Columns = [
        *_training(result),
        (Column("parameter", "Parameter"), lambda violation: result.labels[violation.parameter]),
        (Column("step", "Since step"), lambda violation: violation.step),
        (Column("what", "What was wrong then"), lambda violation: _signed(violation.what)),
        (
            Column("at_end", "At the end"),
            lambda violation: _signed(violation.at_end or "back within physics"),
        ),
    ]
    return table("violations", "Parameters that left physics", columns, result.violations)


def _training(result: OptimizationResult) -> Columns:
    """Return the columns that name a training, and the camera if there are several."""
    camera = (Column("camera", "Camera"), lambda item: item.camera)
    return [*_fold(result), *([camera] if len(result.data.cameras) > 1 else [])]


def _fold(result: OptimizationResult) -> Columns:
    """Return the columns of intensity and fold, and of the repeat if there are several."""
    fold = (Column("fold", "Fold"), lambda item: item.fold + 1)
    repeat = (Column("repeat", "Repeat"), lambda item: item.repeat + 1)
    return [_INTENSITY, fold, *([repeat] if result.repeats > 1 else [])]


def _signed(text: str) -> str:
    """Put true minus signs before numbers."""
    words = text.split(" ")
    return " ".join(
        "\N{MINUS SIGN}" + w[1:] if w[:1] == "-" and w[1:2].isdigit() else w for w in words
    )


def _choices(result: OptimizationResult) -> Table:
    names = dict.fromkeys(name for choice in result.choices for name in choice.validation)
    columns: Columns = [
        *_fold(result),
        (Column("chosen", "Chosen"), lambda choice: choice.chosen),
        (Column("images", "Images", 0), lambda choice: choice.images),
        *((Column(name, name, 2), partial(_score, name)) for name in names),
    ]
    return table("choices", "What static-best chose from", columns, result.choices)


def _score(name: str, choice: Choice) -> float | None:
    return choice.validation.get(name)


def _interval(of: Row | Difference) -> tuple[float | None, float | None] | None:
    return None if of.low is None else (of.low, of.high)
