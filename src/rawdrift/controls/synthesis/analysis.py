"""What drift synthesis found: the numbers and pictures that its report shows."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rawdrift
from rawdrift.checks import InputError
from rawdrift.controls.experiment import HOW, environment
from rawdrift.controls.material import Material, about
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.samples import AMPLIFIED, every_view, samples
from rawdrift.controls.synthesis.severity import matched_drops
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.evaluate import Case
from rawdrift.runs.spec import to_dict
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import Interval, spread
from rawdrift.statistics.measures import Array
from rawdrift.statistics.resampling import holm, kendall_tau, ranks

CERTAIN = 0.05  # corrected p-values below it are called a difference


def summarize(
    spec: SynthesisSpec,
    material: Material,
    cases: Sequence[Case],
    records: Iterable[Record],
    failed: Mapping[str, str],
    folder: Path,
    isps: Mapping[str, Pipeline] | None = None,
) -> dict[str, Any]:
    """Everything that the report shows, from the records of all units; also samples/*.png.

    Values are over all images, each tested once; standard deviations over folds. Intervals and
    p-values are of images, or of their groups.

    records: they are gone through twice; one at a time need be in memory.
    failed: reasons by the label of a unit. A pipeline without all of its folds is left out.
    isps: pipelines by name, beside the configurations.
    """
    kept = ("train", "finished", "seconds", *HOW)
    how = [{key: record[key] for key in kept} for record in records]
    done = [unit["train"] for unit in how]
    trained = [name for name in spec.synthesis.train if done.count(name) == len(material.splits)]
    if not trained:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"no pipeline could be trained on all folds: {reasons}")
    how = [unit for unit in how if unit["train"] in trained]
    grid = Grid(material, cases, trained, records, spec.seed)
    cells = list(_cells(grid))
    return {
        "kind": "synthesis",
        "version": rawdrift.__version__,
        "spec": to_dict(spec),
        "trained_here": spec.task.checkpoint is None,
        "data": about(spec.data, material),
        "metric": grid.metric,
        "train": trained,
        "failed": dict(failed),
        "test": [case.name for case in cases if case.kind == "isp"],
        "corruptions": spec.synthesis.corruptions,
        "severities": spec.synthesis.severities if spec.synthesis.corruptions else [],
        "severity_table": spec.synthesis.severity_table,
        "folds": grid.folds,
        "cells": cells,
        "rankings": {kind: _ranking(grid, kind) for kind in _kinds(grid)},
        "orders": _orders(grid),
        "agreement": _agreement(grid),
        "average_drops": _average_drops(grid),
        "case_drops": list(_case_drops(grid)),
        "severity_matched": {kind: _at_same_distance(grid, kind) for kind in grid.distance},
        "matched": {
            "mean": float(grid.values[range(len(trained)), grid.own].mean()),
            "std": spread(
                [float(v) for f in grid.by_fold for v in f[range(len(trained)), grid.own]]
            ).std,
        },
        "worst": {
            kind: _worst(spec, material, grid, cells, kind, folder, isps or {})
            for kind in _kinds(grid)
        },
        "views": every_view(spec, material, 0, folder, isps or {}),
        **environment(how),
    }


def headline(summary: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers by which runs are told apart."""
    found = {f"matched {summary['metric']}": summary["matched"]["mean"]}
    for kind, drop in summary["average_drops"].items():
        if drop is not None and "value" in drop:
            found[f"average drop {kind}"] = drop["value"]
    return found


def _kinds(grid: Grid) -> list[str]:
    """Of cases that are there beside the own views."""
    return [kind for kind in ("isp", "corruption") if grid.where(kind).any()]


def _cells(grid: Grid) -> Iterator[dict[str, Any]]:
    """By pipeline and case: the value and the drop from the matched one, with 95 % intervals; and
    p-values of the drops, corrected for all of them (Holm)."""
    value, draws = grid.drops
    raw = grid.p_values()
    tested = ~np.isnan(raw)
    corrected = np.full(raw.shape, np.nan)
    corrected[tested] = holm(raw[tested].tolist())
    others = grid.others()
    for row, train in enumerate(grid.trained):
        for column, case in enumerate(grid.cases):
            found = grid.cell_interval(row, column)
            cell: dict[str, Any] = {
                "train": train,
                "kind": case.kind,
                "test": case.name,
                "severity": case.severity,
                "mean": found.value,
                "std": spread(grid.by_fold[:, row, column].tolist()).std,
                "folds": grid.folds,
                "n": len(grid.truth),
                "low": found.low,
                "high": found.high,
                "ssim": 1 - float(grid.distance["dssim"][row, column]),
                "psnr": _psnr(float(grid.distance["mse"][row, column])),
                **{name: float(values[row, column]) for name, values in others.items()},
            }
            if tested[row, column]:
                drop = grid.interval(float(value[row, column]), draws[row, column])
                cell |= {"drop": drop.value, "drop_low": drop.low, "drop_high": drop.high}
                cell |= {"p": float(raw[row, column]), "p_holm": float(corrected[row, column])}
                cell["is_drop"] = _is_drop(cell)
            yield cell


def _psnr(mse: float) -> float | None:
    """In dB, of values in [0, 1]; None for equal views."""
    return -10 * math.log10(mse) if mse > 0 else None


def _ranking(grid: Grid, kind: str) -> list[dict[str, Any]]:
    """Pipelines by their mean over the cases of a kind, own views among pipelines (Table 5)."""
    chosen = [column for column, case in enumerate(grid.cases) if case.kind == kind]
    means, draws = grid.values[:, chosen].mean(1), grid.draws[:, chosen].mean(1)
    drawn = ranks(draws.T)
    drops = grid.drops[0]
    rows = []
    for rank, row in enumerate(np.argsort(-means, kind="stable").tolist(), start=1):
        others = np.flatnonzero(grid.where(kind)[row])
        worst = others[np.argmin(grid.values[row, others])]
        found = grid.value_interval(float(means[row]), draws[row])
        low, high = np.quantile(drawn[:, row], [0.025, 0.975])
        rows.append(
            {
                "rank": rank,
                "rank_low": float(low),
                "rank_high": float(high),
                "train": grid.trained[row],
                "mean": found.value,
                "low": found.low,
                "high": found.high,
                "std": spread(grid.by_fold[:, row, chosen].mean(1).tolist()).std,
                "matched": float(grid.values[row, grid.own[row]]),
                "drop": float(drops[row, others].mean()),
                "worst_test": grid.cases[worst].name,
                "worst_severity": grid.cases[worst].severity,
                "worst": float(grid.values[row, worst]),
            }
        )
    return rows


def _orders(grid: Grid) -> list[dict[str, Any]]:
    """For each case the pipelines from the best on (Tables 6 to 9); "identity" is own views."""
    found = [
        {
            "kind": case.kind,
            "test": case.name,
            "severity": case.severity,
            "order": _best_first(grid, grid.values[:, column]),
        }
        for column, case in enumerate(grid.cases)
    ]
    own = grid.values[np.arange(len(grid.trained)), grid.own]
    identity = {"kind": "corruption", "test": "identity", "severity": 0}
    return [*found, {**identity, "order": _best_first(grid, own)}]


def _best_first(grid: Grid, values: Array) -> list[str]:
    return [grid.trained[row] for row in np.argsort(-values, kind="stable").tolist()]


def _agreement(grid: Grid) -> dict[str, float] | None:
    """Kendall's tau between the rankings on pipelines and on corruptions; 1 is the same order."""
    if len(grid.trained) < 3 or _kinds(grid) != ["isp", "corruption"]:
        return None
    chosen = [[c.kind == kind for c in grid.cases] for kind in _kinds(grid)]
    value = kendall_tau(*(grid.values[:, columns].mean(1) for columns in chosen))
    draws = kendall_tau(*(grid.draws[:, columns].mean(1).T for columns in chosen))
    return None if np.isnan(value) else _interval(grid.interval(float(value), draws))


def _average_drops(grid: Grid) -> dict[str, Any]:
    """By kind, and for corruptions by severity; and how many times the first the second is."""
    kinds = _kinds(grid)
    found: dict[str, Any] = {kind: _interval(_average(grid, kind)) for kind in kinds}
    found["severities"] = {
        severity: _interval(_average(grid, "corruption", severity))
        for severity in dict.fromkeys(c.severity for c in grid.cases if c.kind == "corruption")
    }
    found["ratio"] = None
    if kinds == ["isp", "corruption"]:
        means = [_mean_drops(grid, kind) for kind in kinds]
        found["ratio"] = _ratio(grid, *means)
    return found


def _case_drops(grid: Grid) -> Iterator[dict[str, Any]]:
    """Of each case, the mean over the pipelines whose own views it does not show."""
    value, draws = grid.drops
    others = grid.where("isp") | grid.where("corruption")
    for case, rows, drop, drawn in zip(
        grid.cases, others.T, value.T, draws.swapaxes(0, 1), strict=True
    ):
        if rows.any():
            found = grid.interval(float(drop[rows].mean()), drawn[rows].mean(0))
            yield {
                "kind": case.kind,
                "test": case.name,
                "severity": case.severity,
                **_interval(found),
            }


def _average(grid: Grid, kind: str, severity: int | None = None) -> Interval:
    drops = _mean_drops(grid, kind, severity)
    return grid.interval(float(drops[0]), drops[1:])


def _mean_drops(grid: Grid, kind: str, severity: int | None = None) -> Array:
    """(1 + B,): over all pipelines and cases of a kind, of all images and then of the draws."""
    where = grid.where(kind, severity)
    value, draws = grid.drops
    return np.concatenate([[value[where].mean()], draws[where].mean(0)])


def _ratio(grid: Grid, isp: Array, corruption: Array) -> dict[str, float] | None:
    """Corruptions over pipelines; None unless the drop of the pipelines is clearly above zero, for
    else the ratio can be anything."""
    if grid.interval(float(isp[0]), isp[1:]).low <= 0:
        return None
    ratio = np.divide(corruption, isp, out=np.full_like(isp, np.nan), where=isp > 0)
    return _interval(grid.interval(float(ratio[0]), ratio[1:]))


def _at_same_distance(grid: Grid, kind: str) -> dict[str, Any] | None:
    found = matched_drops(grid, kind)
    if found is None:
        return None
    isp, corruption, compared, pairs = found
    return {
        "isp": _interval(grid.interval(float(isp[0]), isp[1:])),
        "corruption": _interval(grid.interval(float(corruption[0]), corruption[1:])),
        "ratio": _ratio(grid, isp, corruption),
        "compared": compared,
        "pairs": pairs,
    }


def _interval(found: Interval) -> dict[str, float]:
    return found._asdict()


def _worst(
    spec: SynthesisSpec,
    material: Material,
    grid: Grid,
    cells: Sequence[Mapping[str, Any]],
    kind: str,
    folder: Path,
    isps: Mapping[str, Pipeline],
) -> dict[str, Any]:
    """The largest drop of a kind; one that is clearly a drop goes before all that are not."""
    drifted = [cell for cell in cells if cell["kind"] == kind and "drop" in cell]
    worst = max(drifted, key=lambda cell: (cell["is_drop"], cell["drop"]))
    row = grid.trained.index(worst["train"])
    case = Case(worst["kind"], worst["test"], worst["severity"])
    return {
        "train": worst["train"],
        "kind": kind,
        "test": worst["test"],
        "severity": worst["severity"],
        "mean": worst["mean"],
        "matched": worst["mean"] + worst["drop"],
        "drop": worst["drop"],
        "low": worst["drop_low"],
        "high": worst["drop_high"],
        "p_holm": worst["p_holm"],
        "is_drop": worst["is_drop"],
        "recall": _recalls(material, grid, row, case),
        "amplified": AMPLIFIED,
        "images": samples(spec, material, grid, row, case, folder, isps),
    }


def _is_drop(cell: Mapping[str, Any]) -> bool:
    return bool(cell["drop"] > 0 and cell["p_holm"] < CERTAIN)


def _recalls(material: Material, grid: Grid, row: int, case: Case) -> list[dict[str, Any]]:
    """Of each class, matched and drifted."""
    if material.targets.kind != "classification":
        return []
    found = []
    for index, label in enumerate(material.targets.names):
        of_class = grid.truth == index
        if of_class.any():
            matched, drifted = (
                float((grid.outcomes[row, column][of_class] == index).mean())
                for column in (grid.own[row], grid.cases.index(case))
            )
            found.append({"label": label, "matched": matched, "drifted": drifted})
    return found
