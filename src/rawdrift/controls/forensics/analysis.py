"""The statistics of a forensics run, from the records of its units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from rawdrift import configurations
from rawdrift.checks import InputError
from rawdrift.controls.experiment import common
from rawdrift.controls.forensics.held_out import FEWEST_GROUPS, FEWEST_IMAGES
from rawdrift.controls.forensics.records import (
    EnvelopeRecord,
    ForensicsRecord,
    SearchRecord,
    SensitivityRecord,
)
from rawdrift.controls.forensics.result import (
    Baseline,
    ForensicsResult,
    Search,
    Signed,
    Trajectory,
    Worst,
)
from rawdrift.controls.forensics.setup import Setup
from rawdrift.controls.material import about
from rawdrift.runs.store import Finished
from rawdrift.statistics.basics import Interval, spread
from rawdrift.statistics.estimates import Estimates, estimate
from rawdrift.statistics.measures import Array

SIGNATURE = "signature.json"
Which = Literal["default", "gradient", "worst"]


def analyze(
    setup: Setup,
    units: Iterable[Finished[ForensicsRecord]],
    failed: Mapping[str, str],
) -> ForensicsResult:
    """Compute the result from all finished units.

    Numbers of a search are over the held-out test images of all folds that are done, each with its
    own model and setting; standard deviations are over folds. Intervals are over images, or their
    groups. Those of all searches' drops hold together; the worst search is chosen without the
    held-out images, so that its interval holds by itself.

    failed: reasons by the label of a unit. Raises InputError if no search is done.
    """
    spec, settings = setup.spec, setup.spec.forensics
    done = list(units)
    records = [unit.record for unit in done]
    searches = [record for record in records if isinstance(record, SearchRecord)]
    if not searches:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"no search could be done: {reasons}")
    # By group and regularization: the records of all folds that are done.
    series = [
        folds
        for group in setup.groups
        for weight in settings.regularizations
        if (folds := [r for r in searches if (r.group, r.regularization) == (group, weight)])
    ]
    pool = Pool(setup, searches)
    worst = _worst(pool, series)
    sensitivity = next((r.sensitivity for r in records if isinstance(r, SensitivityRecord)), None)
    envelope = next((r for r in records if isinstance(r, EnvelopeRecord)), None)
    return ForensicsResult(
        **common(spec, done),
        trained_here=setup.trained_here,
        data=about(spec.data, setup.material),
        metric=setup.metric,
        distance=settings.distance,
        isp=configurations.label(settings.isp),
        camera=setup.camera.name,
        space=list(setup.space.axes),
        groups=list(dict.fromkeys(folds[0].group for folds in series)),
        regularizations=settings.regularizations,
        models=len(setup.tests),
        tested=[len(test) for test in setup.tests],
        confidence=settings.confidence,
        failed=dict(failed),
        baseline=pool.baseline,
        searches=_searches(pool, series),
        worst=worst,
        trajectories=[
            Trajectory(record.regularization, record.trajectory)
            for record in searches
            if (record.group, record.fold) == (worst.group, worst.search.fold)
        ],
        sensitivity=sensitivity,
        envelope=None if envelope is None else envelope.envelope,
        signature=None if envelope is None else _signed(envelope.signature),
        model_file=setup.models[0].name,
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


class Pool:
    """The images of all folds that were searched, of which some are held out."""

    def __init__(self, setup: Setup, searches: Sequence[SearchRecord]):
        self.setup = setup
        self.confidence = setup.spec.forensics.confidence
        by_fold = {record.fold: record for record in reversed(searches)}
        self.folds = [by_fold[fold] for fold in sorted(by_fold)]
        held, first = [], 0
        for record in self.folds:
            held.append(first + setup.halves[record.fold].held_out)
            first += len(setup.tests[record.fold])
        self.held = np.concatenate(held)
        clusters = setup.material.clusters([i for r in self.folds for i in setup.tests[r.fold]])
        few = len(self.held) < FEWEST_IMAGES
        self.is_held_out = not (few or len(np.unique(clusters[self.held])) < FEWEST_GROUPS)
        if not self.is_held_out:
            self.held = np.arange(first)
        self.searched = np.setdiff1d(np.arange(first), self.held)
        self.clusters = np.unique(clusters[self.held], return_inverse=True)[1]

    def features(self, folds: Sequence[SearchRecord], which: Which) -> Array:
        """Features (N, K) of the answers to all images; 0 for those of folds that are missing."""
        by_fold = {record.fold: record for record in folds}
        return np.concatenate(
            [
                np.array(getattr(by_fold.get(own.fold, own).features, which))
                * (own.fold in by_fold)
                for own in self.folds
            ]
        )

    def estimate(self, features: Array) -> Estimates:
        """The metric of held-out images, from features (..., N, K) of all."""
        return estimate(self.setup.measure, features[..., self.held, :], self.clusters)

    def interval(self, of: Estimates, bounds: tuple[Array, Array] | None = None) -> Interval:
        """A value and its interval, or the bounds in its place; none without held-out images."""
        if not self.is_held_out:
            return Interval(float(of.values), None, None)
        if bounds is not None:
            return Interval(float(of.values), *map(float, bounds))
        return of.interval(self.confidence)

    def searched_drop(self, folds: Sequence[SearchRecord], which: Which) -> float:
        """The drop of the metric of the images that were searched with."""
        images = self.searched if len(self.searched) else self.held
        before, after = (
            float(self.setup.measure.of(self.features(folds, one)[images].sum(0)))
            for one in ("default", which)
        )
        return before - after

    def by_fold(self, folds: Sequence[SearchRecord], which: Which) -> list[float | None]:
        """The metric of each fold's images that are held out, None where it is not defined."""
        values = []
        for record in folds:
            features = np.array(getattr(record.features, which))
            held = self.setup.halves[record.fold].held_out
            taken = features[held] if self.is_held_out and len(held) else features
            value = float(self.setup.measure.of(taken.sum(0)))
            values.append(None if np.isnan(value) else value)
        return values

    def std(self, folds: Sequence[SearchRecord], which: Which) -> float | None:
        """The standard deviation of the metric over folds."""
        values = [value for value in self.by_fold(folds, which) if value is not None]
        return spread(values).std if values else None

    @property
    def baseline(self) -> Baseline:
        """The metric of each model that was searched, with the camera's own setting."""
        return Baseline(
            metric=self.interval(self.estimate(self.features(self.folds, "default"))),
            std=self.std(self.folds, "default"),
            by_fold=self.by_fold(self.folds, "default"),
            n=len(self.held),
            held_out=self.is_held_out,
        )


def _searches(pool: Pool, series: Sequence[Sequence[SearchRecord]]) -> list[Search]:
    """What the gradient search found over folds, with bounds of all drops that hold together."""
    before = pool.estimate(np.stack([pool.features(folds, "default") for folds in series]))
    after = pool.estimate(np.stack([pool.features(folds, "gradient") for folds in series]))
    drops = before - after
    low, high = drops.simultaneous(pool.confidence, pool.setup.spec.seed)
    return [
        Search(
            group=folds[0].group,
            regularization=folds[0].regularization,
            metric=pool.interval(after[i]),
            std=pool.std(folds, "gradient"),
            drop=pool.interval(drops[i], (low[i], high[i])),
            distance=float(np.mean([record.search.gradient.distance for record in folds])),
            folds=[record.search for record in folds],
        )
        for i, folds in enumerate(series)
    ]


def _worst(pool: Pool, series: Sequence[Sequence[SearchRecord]]) -> Worst:
    """The group and regularization whose settings, by whatever method, cost the images searched
    with most over folds; and of these the fold that loses most."""
    most = max(map(len, series))
    candidates = [folds for folds in series if len(folds) == most]
    folds = max(candidates, key=lambda f: (pool.searched_drop(f, "worst"), -f[0].regularization))
    before, after = (pool.estimate(pool.features(folds, w)) for w in ("default", "worst"))
    return Worst(
        group=folds[0].group,
        regularization=folds[0].regularization,
        metric=pool.interval(after),
        std=pool.std(folds, "worst"),
        drop=pool.interval(before - after),
        folds=most,
        search=max(
            (record.search for record in folds),
            key=lambda search: search.default - search.worst.metric,
        ),
    )
