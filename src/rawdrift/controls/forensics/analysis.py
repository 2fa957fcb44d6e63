"""What a sweep of drift forensics found: the numbers and pictures that its report shows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import rawdrift
from rawdrift import configurations
from rawdrift.checks import InputError
from rawdrift.controls.evidence import Signature
from rawdrift.controls.experiment import HOW, environment
from rawdrift.controls.forensics.pictures import pictures
from rawdrift.controls.material import about
from rawdrift.runs.spec import to_dict
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import Interval, effective_size, spread, wilson
from rawdrift.statistics.measures import Array, Measure
from rawdrift.statistics.resampling import Resampling, clusters

if TYPE_CHECKING:
    from rawdrift.controls.forensics.experiment import DriftForensics

SIGNATURE = "signature.json"


def summarize(
    sweep: "DriftForensics", records: Iterable[Record], failed: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Everything that the report shows, from the records of all units; also samples/*.png and
    signature.json.

    Values of a search are over the test images of all folds that are done, each with its own model
    and setting; standard deviations over folds. Intervals are of images, or of their groups.

    failed: reasons by the label of a unit. InputError where no search is done.
    """
    done = list(records)
    searches = [record for record in done if record["kind"] == "search"]
    if not searches:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"no search could be done: {reasons}")
    found = [
        _search(sweep, group, regularization, here)
        for group in sweep.groups
        for regularization in sweep.spec.forensics.regularizations
        if (here := _of(searches, group, regularization))
    ]
    worst = _worst(sweep, searches, found)
    sensitivity = [r["sensitivity"] for r in done if r["kind"] == "sensitivity"]
    signature = [r["signature"] for r in done if r["kind"] == "envelope"]
    if signature:
        Signature(signature[0]).save(folder / SIGNATURE)
    summary = {
        "kind": "forensics",
        "version": rawdrift.__version__,
        "spec": to_dict(sweep.spec),
        "trained_here": sweep.trained_here,
        "data": about(sweep.spec.data, sweep.material),
        "metric": sweep.metric,
        "distance": sweep.spec.forensics.distance,
        "isp": configurations.label(sweep.spec.forensics.isp),
        "camera": sweep.camera.name,
        "space": sweep.space.to_dict()["axes"],
        "groups": [group for group in sweep.groups if any(s["group"] == group for s in found)],
        "regularizations": sweep.spec.forensics.regularizations,
        "models": len(sweep.tests),
        "tested": [len(test) for test in sweep.tests],
        "failed": dict(failed),
        "baseline": _baseline(sweep, searches),
        "searches": found,
        "largest": _largest(found),
        "compared": _compared(searches),
        "trajectories": _trajectories(searches, worst),
        "worst": worst,
        "pictures": pictures(sweep, searches, worst, folder),
        "sensitivity": sensitivity[0] if sensitivity else None,
        "signature": {"file": SIGNATURE, **signature[0]} if signature else None,
        "model_file": str(_model_file(sweep, folder)),
        **environment(
            [{key: record[key] for key in ("finished", "seconds", *HOW)} for record in done]
        ),
    }
    clean: dict[str, Any] = _without_infinity(summary)
    return clean


def headline(summary: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers by which runs are told apart."""
    metric = summary["metric"]
    found = {
        f"default {metric}": summary["baseline"]["value"],
        f"worst {metric}": summary["worst"]["value"],
    }
    if summary["signature"]:
        found["envelope scale"] = summary["signature"]["scale"]
    return found


def _of(searches: Sequence[Record], group: str, regularization: float) -> list[Record]:
    return [r for r in searches if (r["group"], r["regularization"]) == (group, regularization)]


def _search(
    sweep: "DriftForensics", group: str, regularization: float, here: Sequence[Record]
) -> dict[str, Any]:
    """What the gradient search found over folds, and what the worst of all methods."""
    pool = _Pool(sweep, [record["fold"] for record in here])
    entry: dict[str, Any] = {"group": group, "regularization": regularization}
    entry["folds"] = [record["fold"] for record in here]
    gradients = [record["methods"]["gradient"] for record in here]
    entry |= _with_drop(pool, here, "gradient", [found["metric"] for found in gradients])
    entry["distance"] = float(np.mean([found["distance"] for found in gradients]))
    entry["found"] = [
        {"fold": record["fold"], "default": record["baseline"], **found}
        for record, found in zip(here, gradients, strict=True)
    ]
    return entry


def _with_drop(
    pool: "_Pool", here: Sequence[Record], which: str, by_fold: Sequence[float]
) -> dict[str, Any]:
    before, after = (
        np.concatenate([np.array(record["features"][key]) for record in here])
        for key in ("default", which)
    )
    drop = pool.drop(before, after)
    return {
        **pool.interval(after)._asdict(),
        "std": spread(list(by_fold)).std,
        "drop": drop.value,
        "drop_low": drop.low,
        "drop_high": drop.high,
    }


def _baseline(sweep: "DriftForensics", searches: Sequence[Record]) -> dict[str, Any]:
    """Of the camera's own setting, of each model that was searched."""
    first = list({record["fold"]: record for record in reversed(searches)}.values())
    first.sort(key=lambda record: int(record["fold"]))
    features = np.concatenate([np.array(record["features"]["default"]) for record in first])
    values = [record["baseline"] for record in first]
    pool = _Pool(sweep, [record["fold"] for record in first])
    return {
        **pool.interval(features)._asdict(),
        "std": spread(values).std,
        "by_fold": values,
        "n": len(features),
    }


class _Pool:
    """The test images of some folds together: intervals of their metric."""

    def __init__(self, sweep: "DriftForensics", folds: Sequence[int]):
        index = [i for fold in folds for i in sweep.tests[fold]]
        groups = sweep.material.data.groups
        named = None if groups is None else [groups[i] for i in index]
        self.clusters = clusters(len(index), named)
        self.resampling = Resampling(self.clusters, sweep.spec.seed)
        self.measure: Measure = sweep.scores
        self.is_share = sweep.metric == "accuracy"
        self.confidence = sweep.spec.forensics.confidence

    def interval(self, features: Array) -> Interval:
        """Of the metric; Wilson's where every draw is the same."""
        value = float(self.measure.of(features.sum(0)))
        draws = self.resampling.bootstrap(features, self.measure)
        found = self.resampling.interval(value, draws, self.confidence)
        if self.is_share and found.low == found.high:
            n = min(effective_size(features[:, 0], self.clusters), self.resampling.count)
            return Interval(value, *wilson(value, n, self.confidence))
        return found

    def drop(self, before: Array, after: Array) -> Interval:
        """Of the metric, of the same images."""
        values = [float(self.measure.of(x.sum(0))) for x in (before, after)]
        draws = [self.resampling.bootstrap(x, self.measure) for x in (before, after)]
        return self.resampling.interval(values[0] - values[1], draws[0] - draws[1], self.confidence)


def _worst(
    sweep: "DriftForensics", searches: Sequence[Record], found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The group and regularization whose settings, by whatever method, cost most over folds; and
    of these the fold that loses most."""
    most = max(len(entry["folds"]) for entry in found)
    entries = []
    for entry in found:
        here = _of(searches, entry["group"], entry["regularization"])
        if len(here) == most:
            pool = _Pool(sweep, entry["folds"])
            by_fold = [record["methods"][record["worst"]]["metric"] for record in here]
            told = _with_drop(pool, here, "worst", by_fold)
            entries.append((told["drop"], -entry["regularization"], told, here))
    *_, told, here = max(entries, key=lambda e: e[:2])
    record = max(here, key=lambda r: r["baseline"] - r["methods"][r["worst"]]["metric"])
    setting = record["methods"][record["worst"]]
    return {
        "group": record["group"],
        "regularization": record["regularization"],
        **told,
        "folds": len(here),
        "fold": record["fold"],
        "default": record["baseline"],
        "setting": setting,
    }


def _largest(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of what the gradient searches found: the largest change of the views, and the worst one."""
    far = max(found, key=lambda entry: entry["distance"])
    low = min(found, key=lambda entry: (entry["value"], entry["distance"]))
    kept = ("group", "regularization", "distance", "value")
    return {
        "largest": {key: far[key] for key in kept},
        "worst": {key: low[key] for key in kept},
        "is_worst": far["value"] <= low["value"],
    }


def _compared(searches: Sequence[Record]) -> list[dict[str, Any]]:
    """The searches that other methods were set against."""
    return [
        {
            "fold": record["fold"],
            "group": record["group"],
            "regularization": record["regularization"],
            "default": record["baseline"],
            "methods": {
                name: {key: found[key] for key in ("metric", "distance", "evaluations")}
                for name, found in record["methods"].items()
            },
            "warnings": record["warnings"],
        }
        for record in searches
        if len(record["methods"]) > 1
    ]


def _trajectories(searches: Sequence[Record], worst: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the searches of the worst group in the worst fold tried, step by step."""
    return [
        {
            "regularization": record["regularization"],
            "visits": [
                dict(zip(("start", "loss", "metric", "distance"), visit, strict=True))
                for visit in record["trajectory"]
            ],
        }
        for record in searches
        if (record["group"], record["fold"]) == (worst["group"], worst["fold"])
    ]


def _model_file(sweep: "DriftForensics", folder: Path) -> Path:
    path = sweep.models[0].path(folder)
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _without_infinity(value: Any) -> Any:
    """Numbers that JSON lacks as null."""
    if isinstance(value, Mapping):
        return {key: _without_infinity(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
