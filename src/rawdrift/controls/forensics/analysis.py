"""The statistics of a forensics run, from the records of its units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rawdrift import configurations
from rawdrift.checks import InputError
from rawdrift.controls.experiment import common
from rawdrift.controls.forensics.records import (
    EnvelopeRecord,
    ForensicsRecord,
    SearchRecord,
    SensitivityRecord,
)
from rawdrift.controls.forensics.result import (
    Baseline,
    ForensicsResult,
    Found,
    Search,
    Signed,
    Trajectory,
    Worst,
)
from rawdrift.controls.material import about
from rawdrift.runs.store import Finished
from rawdrift.statistics.basics import spread
from rawdrift.statistics.estimates import Estimates, estimate
from rawdrift.statistics.resampling import clusters

if TYPE_CHECKING:
    from rawdrift.controls.forensics.experiment import DriftForensics

SIGNATURE = "signature.json"


def analyze(
    experiment: "DriftForensics",
    units: Iterable[Finished[ForensicsRecord]],
    failed: Mapping[str, str],
) -> ForensicsResult:
    """Compute the result from all finished units.

    Numbers of a search are over the test images of all folds that are done, each with its own model
    and setting; standard deviations are over folds. Intervals are over images, or their groups.

    failed: reasons by the label of a unit. Raises InputError if no search is done.
    """
    spec, settings = experiment.spec, experiment.spec.forensics
    done = list(units)
    records = [unit.record for unit in done]
    searches = [record for record in records if isinstance(record, SearchRecord)]
    if not searches:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"no search could be done: {reasons}")
    # By group and regularization: the records of all folds that are done.
    series = [
        folds
        for group in experiment.groups
        for weight in settings.regularizations
        if (folds := [r for r in searches if (r.group, r.regularization) == (group, weight)])
    ]
    worst = _worst(experiment, series)
    sensitivity = next((r.sensitivity for r in records if isinstance(r, SensitivityRecord)), None)
    envelope = next((r for r in records if isinstance(r, EnvelopeRecord)), None)
    return ForensicsResult(
        **common(spec, done),
        trained_here=experiment.trained_here,
        data=about(spec.data, experiment.material),
        metric=experiment.metric,
        distance=settings.distance,
        isp=configurations.label(settings.isp),
        camera=experiment.camera.name,
        space=list(experiment.space.axes),
        groups=list(dict.fromkeys(folds[0].group for folds in series)),
        regularizations=settings.regularizations,
        models=len(experiment.tests),
        tested=[len(test) for test in experiment.tests],
        confidence=settings.confidence,
        failed=dict(failed),
        baseline=_baseline(experiment, searches),
        searches=[_search(experiment, folds) for folds in series],
        worst=worst,
        trajectories=[
            Trajectory(record.regularization, record.trajectory)
            for record in searches
            if (record.group, record.fold) == (worst.group, worst.search.fold)
        ],
        sensitivity=sensitivity,
        envelope=None if envelope is None else envelope.envelope,
        signature=None if envelope is None else _signed(envelope.signature),
        model_file=experiment.models[0].name,
    )


def _signed(content: Mapping[str, Any] | None) -> Signed | None:
    if content is None:
        return None
    return Signed(
        file=SIGNATURE,
        checksum=content["checksum"],
        model_sha256=content["model"]["sha256"],
        model_kind=content["model"]["kind"],
        model_parameters=content["model"]["parameters"],
        data_sha256=content["data"]["sha256"],
        bounds=content["method"]["bounds"],
    )


def _search(experiment: "DriftForensics", folds: Sequence[SearchRecord]) -> Search:
    """What the gradient search found over folds."""
    found = [record.search.gradient for record in folds]
    return Search(
        **_over_folds(experiment, folds, "gradient", found),
        distance=float(np.mean([setting.distance for setting in found])),
        folds=[record.search for record in folds],
    )


def _worst(experiment: "DriftForensics", series: Sequence[Sequence[SearchRecord]]) -> Worst:
    """The group and regularization whose settings, by whatever method, cost most over folds; and
    of these the fold that loses most."""
    most = max(map(len, series))
    candidates = []
    for folds in series:
        if len(folds) == most:
            searches = [record.search for record in folds]
            whole = _over_folds(experiment, folds, "worst", [s.worst for s in searches])
            search = max(searches, key=lambda search: search.default - search.worst.metric)
            candidates.append(Worst(**whole, folds=most, search=search))
    return max(candidates, key=lambda worst: (worst.drop.value, -worst.regularization))


def _over_folds(
    experiment: "DriftForensics",
    folds: Sequence[SearchRecord],
    which: Literal["gradient", "worst"],
    found: Sequence[Found],
) -> dict[str, Any]:
    """The fields of `Searched`. which: settings were `found`, of the features in the records."""
    before, after = (_estimate(experiment, folds, answers) for answers in ("default", which))
    confidence = experiment.spec.forensics.confidence
    return {
        "group": folds[0].group,
        "regularization": folds[0].regularization,
        "metric": after.interval(confidence),
        "std": spread([setting.metric for setting in found]).std,
        "drop": (before - after).interval(confidence),
    }


def _baseline(experiment: "DriftForensics", searches: Sequence[SearchRecord]) -> Baseline:
    """The metric of each model that was searched, with the camera's own setting."""
    by_fold = {record.fold: record for record in reversed(searches)}
    folds = [by_fold[fold] for fold in sorted(by_fold)]
    values = [record.search.default for record in folds]
    baseline = _estimate(experiment, folds, "default")
    interval = baseline.interval(experiment.spec.forensics.confidence)
    images = sum(len(experiment.tests[record.fold]) for record in folds)
    return Baseline(interval, spread(values).std, values, images)


def _estimate(
    experiment: "DriftForensics",
    folds: Sequence[SearchRecord],
    which: Literal["default", "gradient", "worst"],
) -> Estimates:
    """Estimate the metric over the test images of some folds together."""
    index = [i for record in folds for i in experiment.tests[record.fold]]
    groups = experiment.material.data.groups
    named = None if groups is None else [groups[i] for i in index]
    features = np.concatenate([np.array(getattr(record.features, which)) for record in folds])
    return estimate(experiment.measure_of_metric, features, clusters(len(index), named))
