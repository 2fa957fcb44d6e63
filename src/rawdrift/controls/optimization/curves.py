"""Learning curves of the settings at one intensity, compared on the same images."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rawdrift.checks import InputError
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import OptimizationRecord
from rawdrift.controls.optimization.result import Difference, Moment, Reached, Row
from rawdrift.statistics.basics import Interval, spread
from rawdrift.statistics.estimates import Clusters, estimate
from rawdrift.statistics.measures import Array
from rawdrift.statistics.resampling import clusters, holm, p_values

CERTAIN = 0.05  # corrected p-values below it are called a difference
MOST = 0.9  # of the best value, at which a setting has learned most of what it will


class Curves:
    """Outcomes (E, N, ...) of each setting after each of E epochs, on N images, which each fold
    tests once.

    Images of folds that failed or diverged are left out: `answered` (N,) says which remain.
    """

    def __init__(
        self,
        material: Material,
        intensity: float,
        settings: Sequence[str],
        records: Iterable[OptimizationRecord],
        seed: int,
    ):
        data, targets, splits = material
        self.intensity = intensity
        self.metric, self.measure = next(iter(targets.measures.items()))
        self.truth = targets.truth
        self.seed = seed
        self.groups = clusters(len(data), data.groups)
        self.outcomes: dict[str, NDArray[np.int64]] = {}
        self.answered = {setting: np.zeros(len(data), dtype=bool) for setting in settings}
        self.folds: dict[str, list[int]] = {setting: [] for setting in settings}
        self.steps: dict[str, list[list[int]]] = {setting: [] for setting in settings}
        self.splits = splits
        for record in records:
            if record.diverged:
                continue
            setting, test = record.setting, splits[record.fold].test
            answers = np.array([epoch.outcomes for epoch in record.history])
            shape = (len(answers), len(data), *answers.shape[2:])
            of_setting = self.outcomes.setdefault(setting, np.zeros(shape, dtype=np.int64))
            of_setting[:, test] = answers
            self.answered[setting][test] = True
            self.folds[setting].append(record.fold)
            self.steps[setting].append([epoch.step for epoch in record.history])
        self.settings = [setting for setting in settings if setting in self.outcomes]

    @cached_property
    def by_fold(self) -> dict[str, Array]:
        """The metric (F, E) of the F folds of each setting after each epoch."""
        values = {}
        for setting in self.settings:
            features = self.measure.features(self.outcomes[setting], self.truth)
            tests = [self.splits[fold].test for fold in self.folds[setting]]
            values[setting] = np.stack([self.measure.of(features[:, t].sum(1)) for t in tests])
            if np.isnan(values[setting]).any():
                raise InputError(
                    f"{self.metric} of {setting} at intensity {self.intensity:g} is not defined in "
                    f"every fold: no image counts; check the masks or labels, or choose another "
                    f"metric"
                )
        return values

    def table(self) -> Iterator[Row]:
        """Yield the row of each setting."""
        best = max((float(v.mean(0).max()) for v in self.by_fold.values()), default=0.0)
        for setting in self.settings:
            values, steps = self.by_fold[setting], np.array(self.steps[setting])
            mean = values.mean(0)
            interval = self._interval(setting)

            def moment(at: int, values: Array = values, steps: NDArray[Any] = steps) -> Moment:
                of_folds = spread(values[:, at].tolist())
                return Moment(
                    mean=float(values[:, at].mean()),
                    std=of_folds.std,
                    epoch=at + 1,
                    step=int(steps[0, at]),
                )

            yield Row(
                intensity=self.intensity,
                setting=setting,
                folds=len(values),
                epochs=values.shape[1],
                mean=float(values.mean()),
                std=spread(values.flatten().tolist()).std,
                std_over_folds=spread(values.mean(1).tolist()).std,
                std_over_steps=spread(mean.tolist()).std,
                low=interval.low,
                high=interval.high,
                final=moment(values.shape[1] - 1),
                best=moment(int(mean.argmax())),
                steps_to_90=_reached(values, steps, MOST * values.max(1)),
                steps_to_90_of_best=_reached(values, steps, np.full(len(values), MOST * best)),
            )

    def _interval(self, setting: str) -> Interval:
        """Return the 95 % interval of the mean over epochs, of all images together."""
        answered = self.answered[setting]
        features = self.measure.features(self.outcomes[setting], self.truth)[:, answered]
        return estimate(self.measure, features, self._clusters(answered)).mean().interval()

    def _clusters(self, answered: NDArray[np.bool_]) -> Clusters:
        return np.unique(self.groups[answered], return_inverse=True)[1]

    def differences(self) -> Iterator[Difference]:
        """Yield the differences of every two settings, the first less the second."""
        whens: tuple[Literal["final", "mean"], ...] = ("final", "mean")
        for when in whens:
            tried = [self._difference(when, *pair) for pair in combinations(self.settings, 2)]
            differences = [difference for difference in tried if difference is not None]
            corrected = holm([difference.p for difference in differences])
            for difference, p in zip(differences, corrected, strict=True):
                yield structs.replace(difference, p_holm=p, is_difference=p < CERTAIN)

    def _difference(
        self, when: Literal["final", "mean"], first: str, second: str
    ) -> Difference | None:
        """Return the difference with its p-value not yet corrected; None if no image has both."""
        answered = self.answered[first] & self.answered[second]
        if not answered.any():
            return None
        one, other = (
            self._features(when, self.outcomes[setting])[answered] for setting in (first, second)
        )
        groups = self._clusters(answered)
        both = estimate(self.measure, np.stack([one, other]), groups)
        interval = (both[0] - both[1]).interval()
        p = float(p_values(one, other, self.measure, groups, seed=self.seed))
        return Difference(
            intensity=self.intensity,
            when=when,
            first=first,
            second=second,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=int(answered.sum()),
            p=p,
            p_holm=p,
            is_difference=False,
        )

    def _features(self, when: str, outcomes: NDArray[np.int64]) -> Array:
        """Return features (N, K) of the last epoch, or their mean over epochs."""
        if when == "final":
            outcomes = outcomes[-1:]
        return np.asarray(self.measure.features(outcomes, self.truth).mean(0))


def _reached(values: Array, steps: NDArray[Any], levels: Array) -> Reached:
    """Return when each fold's values (F, E) first reached its level (F,)."""
    folds: list[int | None] = []
    for of_fold, at, level in zip(values, steps, levels, strict=True):
        above = np.flatnonzero(of_fold >= level)
        folds.append(int(at[above[0]]) if len(above) else None)
    reached = [step for step in folds if step is not None]
    over_folds = spread(reached) if len(reached) == len(folds) else None
    return Reached(
        mean=over_folds.mean if over_folds else None,
        std=over_folds.std if over_folds else None,
        reached=len(reached),
        folds=folds,
    )
