"""The statistics of drift synthesis: from the answers of all models to the result."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from rawdrift.checks import InputError
from rawdrift.controls.experiment import common
from rawdrift.controls.material import Material, about
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.result import (
    AverageDrops,
    CaseDrop,
    Cell,
    Order,
    Ranked,
    Rankings,
    SameDistance,
    SynthesisRecord,
    SynthesisResult,
    Worst,
    WorstCases,
)
from rawdrift.controls.synthesis.severity import matched_drops
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.corruptions.declaration import find
from rawdrift.models.case import Case, Kind
from rawdrift.runs.store import Finished
from rawdrift.statistics.basics import Interval, Spread, spread
from rawdrift.statistics.estimates import Estimates
from rawdrift.statistics.rankings import agreement, order, rank_bounds, ratio


def analyze(
    spec: SynthesisSpec,
    material: Material,
    units: Iterable[Finished[SynthesisRecord]],
    failed: Mapping[str, str],
) -> SynthesisResult:
    """Compute the result, without pictures, from all finished units.

    Values are over all images, each tested once; standard deviations are over folds.

    units: iterated several times. failed: reasons by the label of a unit. A pipeline without all of
    its folds is left out. Raises InputError if none is left.
    """
    done = [unit.record.train for unit in units]
    trainings = len(material.splits) * spec.task.repeats
    trained = [name for name in spec.synthesis.train if done.count(name) == trainings]
    if not trained:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"no pipeline could be trained on all folds: {reasons}")
    records = (unit.record for unit in units)
    grid = Grid(material, spec.synthesis.cases, trained, records, spec.seed, spec.task.repeats)
    _check_defined(grid)
    cells = list(_cells(grid))
    kinds: list[Kind] = ["isp", "corruption"] if grid.where("corruption").any() else ["isp"]
    rows, table = range(len(trained)), spec.synthesis.severity_table
    by_fold = [float(value) for fold in grid.by_fold for value in fold[rows, grid.own]]
    return SynthesisResult(
        **common(spec, (unit for unit in units if unit.record.train in trained)),
        data=about(spec.data, material),
        metric=grid.metric,
        failed=dict(failed),
        trained_here=spec.task.checkpoint is None,
        train=trained,
        test=list(spec.synthesis.pipelines),
        corruptions=spec.synthesis.corruptions,
        severities=spec.synthesis.severities if spec.synthesis.corruptions else [],
        severity_table=table,
        folds=grid.folds,
        repeats=spec.task.repeats,
        cells=cells,
        rankings=Rankings(**{kind: _ranking(grid, kind) for kind in kinds}),
        orders=_orders(grid),
        agreement=_agreement(grid),
        average_drops=_average_drops(grid),
        case_drops=list(_case_drops(grid)),
        severity_matched={kind: _at_same_distance(grid, kind) for kind in grid.distance},
        matched=Spread(float(grid.values[rows, grid.own].mean()), spread(by_fold).std),
        worst=WorstCases(**{kind: _worst(grid, cells, kind, table) for kind in kinds}),
    )


def _check_defined(grid: Grid) -> None:
    """Raise InputError if the metric is 0 / 0 on a whole test."""
    undefined = np.argwhere(np.isnan(grid.values))
    if len(undefined):
        row, column = undefined[0]
        raise InputError(
            f"{grid.metric} of {grid.trained[row]} on {grid.cases[column].key} is not defined: no "
            f"image counts; check the masks or labels, or choose another metric"
        )


def _cells(grid: Grid) -> Iterator[Cell]:
    """List the cells by pipeline and case. A drop is claimed if its lower bound, which holds
    together with those of all cells, is above 0."""
    alone, corrected = grid.p_values()
    low, _ = grid.bounds
    further = grid.further()
    for row, train in enumerate(grid.trained):
        for column, case in enumerate(grid.cases):
            value = grid.levels[row, column].interval()
            cell = Cell(
                train=train,
                kind=case.kind,
                test=case.name,
                severity=case.severity,
                mean=value.value,
                std=spread(grid.by_fold[:, row, column].tolist()).std,
                folds=grid.folds,
                n=len(grid.truth),
                low=value.low,
                high=value.high,
                ssim=1 - float(grid.distance["dssim"][row, column]),
                psnr=_psnr(float(grid.distance["mse"][row, column])),
                further={name: float(values[row, column]) for name, values in further.items()},
            )
            if grid.tested[row, column]:
                drop = grid.drops[row, column].interval()
                cell = replace(
                    cell,
                    drop=drop.value,
                    drop_low=drop.low,
                    drop_high=drop.high,
                    p=float(alone[row, column]),
                    p_all=float(corrected[row, column]),
                    is_drop=bool(low[row, column] > 0),
                )
            yield cell


def _psnr(mse: float) -> float | None:
    """In dB, of values in [0, 1]; None for equal views."""
    return -10 * math.log10(mse) if mse > 0 else None


def _ranking(grid: Grid, kind: Kind) -> list[Ranked]:
    """Rank the pipelines by their mean over the cases of a kind, own views included (Table 5)."""
    chosen = [column for column, case in enumerate(grid.cases) if case.kind == kind]
    means = _means(grid, kind)
    low, high = rank_bounds(order(means, seed=grid.seed))
    ranking = []
    for rank, row in enumerate(np.argsort(-means.values, kind="stable").tolist(), start=1):
        others = np.flatnonzero(grid.where(kind)[row])
        worst = others[np.argmin(grid.values[row, others])]
        mean = means[row].interval()
        ranking.append(
            Ranked(
                rank=rank,
                rank_low=int(low[row]),
                rank_high=int(high[row]),
                train=grid.trained[row],
                mean=mean.value,
                low=mean.low,
                high=mean.high,
                std=spread(grid.by_fold[:, row, chosen].mean(1).tolist()).std,
                matched=float(grid.values[row, grid.own[row]]),
                drop=float(grid.drops.values[row, others].mean()),
                worst_test=grid.cases[worst].name,
                worst_severity=grid.cases[worst].severity,
                worst=float(grid.values[row, worst]),
            )
        )
    return ranking


def _means(grid: Grid, kind: Kind) -> Estimates:
    """The mean of each pipeline's models over the cases of a kind, own views included, (T,)."""
    chosen = [column for column, case in enumerate(grid.cases) if case.kind == kind]
    rows = np.arange(len(grid.trained))
    return grid.levels[rows, np.array(chosen)[:, None]].mean()


def _orders(grid: Grid) -> list[Order]:
    """For each case the pipelines, the best first (Tables 6 to 9); "identity" is own views."""
    own = grid.values[np.arange(len(grid.trained)), grid.own]
    tests = [(case, grid.values[:, column]) for column, case in enumerate(grid.cases)]
    return [
        Order(
            kind=case.kind,
            test=case.name,
            severity=case.severity,
            order=[grid.trained[row] for row in np.argsort(-values, kind="stable").tolist()],
        )
        for case, values in [*tests, (Case("corruption", "identity"), own)]
    ]


def _agreement(grid: Grid) -> Interval | None:
    """Kendall's tau between the rankings on pipelines and on corruptions; 1 is the same order."""
    if len(grid.trained) < 3 or not grid.where("corruption").any():
        return None
    return agreement(_means(grid, "isp"), _means(grid, "corruption"), seed=grid.seed)


def _average_drops(grid: Grid) -> AverageDrops:
    isp, corruption, over_pipelines = _mean_drop(grid, "isp"), None, None
    severities = dict.fromkeys(c.severity for c in grid.cases if c.kind == "corruption")
    if severities:
        drops = _mean_drop(grid, "corruption")
        corruption, over_pipelines = drops.interval(), ratio(drops, isp)
    return AverageDrops(
        isp=isp.interval(),
        corruption=corruption,
        severities={
            severity: _mean_drop(grid, "corruption", severity).interval() for severity in severities
        },
        ratio=over_pipelines,
    )


def _case_drops(grid: Grid) -> Iterator[CaseDrop]:
    """Average each case over the pipelines whose own views it isn't."""
    others = grid.where("isp") | grid.where("corruption")
    for column, (case, rows) in enumerate(zip(grid.cases, others.T, strict=True)):
        if rows.any():
            mean = grid.drops[rows, column].mean().interval()
            yield CaseDrop(
                kind=case.kind,
                test=case.name,
                severity=case.severity,
                value=mean.value,
                low=mean.low,
                high=mean.high,
            )


def _mean_drop(grid: Grid, kind: Kind, severity: int | None = None) -> Estimates:
    """Average over all pipelines and cases of a kind."""
    return grid.drops[grid.where(kind, severity)].mean()


def _at_same_distance(grid: Grid, kind: str) -> SameDistance | None:
    matched = matched_drops(grid, kind)
    if matched is None:
        return None
    isp, corruption, compared, pairs = matched
    return SameDistance(
        isp=isp.interval(),
        corruption=corruption.interval(),
        ratio=ratio(corruption, isp),
        compared=compared,
        pairs=pairs,
    )


def _worst(grid: Grid, cells: Sequence[Cell], kind: Kind, table: str) -> Worst:
    """The largest drop of a kind that is claimed; if none is, the largest that was measured."""
    drops = [(cell, cell.drop) for cell in cells if cell.kind == kind and cell.drop is not None]
    worst, drop = max(drops, key=lambda pair: (pair[0].is_drop, pair[1]))
    assert worst.p_all is not None  # it has a drop
    at = grid.trained.index(worst.train), grid.cases.index(worst.case)
    low, high = grid.bounds
    return Worst(
        train=worst.train,
        kind=kind,
        test=worst.test,
        severity=worst.severity,
        mean=worst.mean,
        matched=worst.mean + drop,
        drop=drop,
        low=float(low[at]),
        high=float(high[at]),
        most=float(high[grid.where(kind)].max()),
        p_all=worst.p_all,
        is_drop=worst.is_drop,
        strength=_strength(worst.test, table, worst.severity) if kind == "corruption" else {},
    )


def _strength(corruption: str, table: str, severity: int) -> dict[str, float]:
    constants = find(corruption).constants(table, severity)
    return {name: float(value) for name, value in constants.items()}
