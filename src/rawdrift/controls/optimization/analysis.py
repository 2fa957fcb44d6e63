"""What drift optimization found, computed from the records of all trainings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from rawdrift.checks import InputError
from rawdrift.controls.experiment import common
from rawdrift.controls.forensics.quantities import labels
from rawdrift.controls.material import Material, about
from rawdrift.controls.optimization.curves import Curves, Pair
from rawdrift.controls.optimization.records import OptimizationRecord
from rawdrift.controls.optimization.result import (
    CERTAIN,
    Choice,
    Curve,
    Difference,
    Diverged,
    LearnedISP,
    OptimizationResult,
    Point,
    Row,
    Violation,
    key,
)
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.isp.step import Step
from rawdrift.runs.store import Finished
from rawdrift.statistics.basics import spread


def analyze(
    spec: OptimizationSpec,
    materials: Mapping[float, Material],
    steps: Mapping[str, type[Step]],
    units: Iterable[Finished[OptimizationRecord]],
    failed: Mapping[str, str],
) -> OptimizationResult:
    """Compute the result, intensity by intensity.

    materials: by intensity. steps: of the ISP. failed: reasons by the label of a unit.

    Raises InputError if no unit was finished.
    """
    what = spec.optimization
    computed = [setting for setting in what.settings if setting not in what.same]
    metric = ""
    table: list[Row] = []
    pairs: list[Pair] = []
    curves: list[Curve] = []
    isps: list[LearnedISP] = []
    violations: list[Violation] = []
    choices: list[Choice] = []
    diverged: list[Diverged] = []
    for intensity, material in materials.items():
        records = [unit.record for unit in units if unit.record.intensity == intensity]
        if not records:
            continue
        compared = Curves(material, intensity, computed, records, spec.seed, spec.task.repeats)
        metric = compared.metric
        rows = list(compared.table())
        copies = [
            structs.replace(row, setting=copy)
            for copy, original in what.same.items()
            for row in rows
            if row.setting == original
        ]
        table += [*rows, *copies]
        pairs += compared.pairs()
        curves += _curves(intensity, records)
        isps += [isp for record in records for isp in record.isps]
        violations += [violation for record in records for violation in record.violations]
        choices += [record.choice for record in records if record.choice]
        diverged += [record.diverged for record in records if record.diverged]
    if not metric:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"nothing could be trained: {reasons}")
    return OptimizationResult(
        **common(spec, units),
        data=about(spec.data, next(iter(materials.values()))),
        metric=metric,
        failed=dict(failed),
        settings=what.settings,
        same=what.same,
        intensities=list(materials),
        folds=len(next(iter(materials.values())).splits),
        repeats=spec.task.repeats,
        epochs=spec.task.epochs,
        table=table,
        differences=_differences(pairs),
        curves=curves,
        isps=isps,
        labels=labels(steps),
        units={
            f"{step}.{name}": number.unit
            for step, kind in steps.items()
            for name, number in kind.numbers.items()
            if number.unit
        },
        violations=violations,
        choices=choices,
        diverged=diverged,
    )


def _differences(pairs: Sequence[Pair]) -> list[Difference]:
    """Return the differences of pairs, the first less the second, corrected for their number
    (Bonferroni)."""
    differences = []
    for pair in pairs:
        one, other = pair.values
        change = one - other
        p = float(change.p_values()[0])
        interval = change.interval(1 - CERTAIN / len(pairs))
        low, high = interval.low or 0.0, interval.high or 0.0
        differences.append(
            Difference(
                intensity=pair.intensity,
                when=pair.when,
                first=pair.first,
                second=pair.second,
                of_first=float(one.values),
                of_second=float(other.values),
                value=interval.value,
                low=interval.low,
                high=interval.high,
                n=pair.n,
                of_seeds=change.freedom > 0,
                p=p,
                p_all=min(1.0, len(pairs) * p),
                is_difference=low > 0 or high < 0,
            )
        )
    return differences


def _curves(intensity: float, records: Sequence[OptimizationRecord]) -> Iterator[Curve]:
    """Yield the curve of each setting, split and metric, of the folds that got so far."""
    by_epoch: dict[tuple[str, Any, str], dict[int, list[dict[str, Any]]]] = {}
    for record in records:
        for row in record.rows:
            metric = row["metric"]
            if metric == "diverged" or metric.startswith("recall:"):
                continue
            curve = row["setting"], row["split"], metric
            by_epoch.setdefault(curve, {}).setdefault(row["epoch"], []).append(row)
    for (setting, split, metric), epochs in by_epoch.items():
        points = []
        for epoch, rows in sorted(epochs.items()):
            mean = spread([row["value"] for row in rows])
            folds = {key(row["fold"], row["repeat"]): row["value"] for row in rows}
            points.append(
                Point(epoch=epoch, step=rows[0]["step"], mean=mean.mean, std=mean.std, folds=folds)
            )
        yield Curve(intensity=intensity, setting=setting, split=split, metric=metric, points=points)
