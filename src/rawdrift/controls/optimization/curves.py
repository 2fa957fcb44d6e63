"""Learning curves of the settings at one intensity, and what they differ by."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.checks import InputError
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import OptimizationRecord
from rawdrift.controls.optimization.result import Moment, Reached, Row
from rawdrift.statistics.basics import spread
from rawdrift.statistics.measures import Array
from rawdrift.statistics.trainings import Trainings, repeated

MOST = 0.9  # of the best value, at which a setting has learned most of what it will
When = Literal["final", "mean"]


class Pair(NamedTuple):
    """Two settings on the n images that both have answered, after trainings with the same seeds."""

    intensity: float
    when: When
    first: str
    second: str
    n: int
    values: tuple[Trainings, Trainings]


class Curves:
    """Answers of each setting after each of E epochs to N images, which each fold tests in turn.

    images: their numbers in the dataset, (N,), all of them with folds.
    outcomes: (E, N, ...) of each of R repeats. trained: (F, R), which trainings came to an end;
    answers of others are missing.
    """

    def __init__(
        self,
        material: Material,
        intensity: float,
        settings: Sequence[str],
        records: Iterable[OptimizationRecord],
        seed: int,
        repeats: int,
    ):
        targets, splits = material.targets, material.splits
        self.intensity = intensity
        self.metric, self.measure = next(iter(targets.measures.items()))
        self.images = material.tested
        self.truth = targets.truth[self.images]
        self.seed = seed
        self.groups = material.clusters(self.images)
        self.tests = [np.searchsorted(self.images, split.test) for split in splits]
        self.fold = np.empty(len(self.images), np.int64)
        for number, test in enumerate(self.tests):
            self.fold[test] = number
        self.outcomes: dict[str, list[NDArray[np.int64]]] = {}
        self.trained: dict[str, NDArray[np.bool_]] = {}
        self.steps: dict[str, dict[tuple[int, int], list[int]]] = {}
        for record in records:
            if record.diverged:
                continue
            answers = np.array([epoch.outcomes for epoch in record.history])
            if record.setting not in self.outcomes:
                shape = (len(answers), len(self.images), *answers.shape[2:])
                self.outcomes[record.setting] = [np.zeros(shape, np.int64) for _ in range(repeats)]
                self.trained[record.setting] = np.zeros((len(splits), repeats), bool)
            self.outcomes[record.setting][record.repeat][:, self.tests[record.fold]] = answers
            self.trained[record.setting][record.fold, record.repeat] = True
            steps = self.steps.setdefault(record.setting, {})
            steps[record.fold, record.repeat] = [epoch.step for epoch in record.history]
        self.settings = [setting for setting in settings if setting in self.outcomes]

    @cached_property
    def by_training(self) -> dict[str, Array]:
        """The metric (J, E) of the J trainings of each setting after each epoch."""
        values = {}
        for setting in self.settings:
            values[setting] = np.stack(
                [
                    self.measure.value(self.outcomes[setting][repeat][:, test], self.truth[test])
                    for fold, repeat in sorted(self.steps[setting])
                    for test in [self.tests[fold]]
                ]
            )
            if np.isnan(values[setting]).any():
                raise InputError(
                    f"{self.metric} of {setting} at intensity {self.intensity:g} is not defined in "
                    f"every fold: no image counts; check the masks or labels, or choose another "
                    f"metric"
                )
        return values

    def table(self) -> Iterator[Row]:
        """Yield the row of each setting."""
        best = max((float(v.mean(0).max()) for v in self.by_training.values()), default=0.0)
        for setting in self.settings:
            values, trained = self.by_training[setting], self.trained[setting]
            steps = np.array([at for _, at in sorted(self.steps[setting].items())])
            interval = self._trainings(slice(None), setting).interval()
            last, best_epoch = values.shape[1] - 1, int(values.mean(0).argmax())
            final, at_best = (
                self._moment(epoch, setting, values, steps) for epoch in (last, best_epoch)
            )
            yield Row(
                intensity=self.intensity,
                setting=setting,
                folds=int(trained.any(1).sum()),
                trainings=len(values),
                epochs=values.shape[1],
                mean=interval.value,
                std=spread(values.flatten().tolist()).std,
                std_over_folds=spread(values.mean(1).tolist()).std,
                std_over_steps=spread(values.mean(0).tolist()).std,
                low=interval.low,
                high=interval.high,
                final=final,
                best=at_best,
                steps_to_90=_reached(values, steps, MOST * values.max(1)),
                steps_to_90_of_best=_reached(values, steps, np.full(len(values), MOST * best)),
            )

    def pairs(self) -> Iterator[Pair]:
        """Yield every two settings that have answered the same images."""
        whens: dict[When, slice] = {"final": slice(-1, None), "mean": slice(None)}
        for when, epochs in whens.items():
            for first, second in combinations(self.settings, 2):
                both = self.trained[first] & self.trained[second]
                if not both.any():
                    continue
                answers = _Answers(self, epochs, both)
                one, other = (answers.estimate(setting) for setting in (first, second))
                n = len(answers.images)
                yield Pair(self.intensity, when, first, second, n, (one, other))

    def _moment(self, epoch: int, setting: str, values: Array, steps: NDArray[Any]) -> Moment:
        """Summarize the values (J, E) of all trainings after an epoch, from 0."""
        of_epoch = self._trainings(slice(epoch, epoch + 1), setting)
        std = spread(values[:, epoch].tolist()).std
        mean, step = float(of_epoch.values), int(steps[0, epoch])
        return Moment(mean=mean, std=std, epoch=epoch + 1, step=step)

    def _trainings(self, epochs: slice, setting: str) -> Trainings:
        """Estimate the metric of a setting, the mean over some epochs."""
        return _Answers(self, epochs, self.trained[setting]).estimate(setting)


class _Answers:
    """Answers after some epochs, of these trainings (F, R)."""

    def __init__(self, curves: Curves, epochs: slice, trained: NDArray[np.bool_]):
        tested = np.asarray(trained.any(1))
        self.curves, self.epochs, self.trained = curves, epochs, trained[tested]
        self.images = np.flatnonzero(tested[curves.fold])
        self.groups, self.folds = (
            np.unique(numbers[self.images], return_inverse=True)[1]
            for numbers in (curves.groups, curves.fold)
        )

    def estimate(self, setting: str) -> Trainings:
        """Estimate the metric, the mean over epochs."""
        features, measure = self._features(setting), self.curves.measure
        return repeated(measure, features, self.groups, self.folds, self.trained)

    def _features(self, setting: str) -> list[Array]:
        """Return features (n, K) of each repeat, means over epochs."""
        measure, truth = self.curves.measure, self.curves.truth[self.images]
        return [
            np.asarray(measure.features(outcomes[self.epochs, self.images], truth).mean(0))
            for outcomes in self.curves.outcomes[setting]
        ]


def _reached(values: Array, steps: NDArray[Any], levels: Array) -> Reached:
    """Return when the values (J, E) of each training first reached its level (J,)."""
    each: list[int | None] = []
    for of_training, at, level in zip(values, steps, levels, strict=True):
        above = np.flatnonzero(of_training >= level)
        each.append(int(at[above[0]]) if len(above) else None)
    reached = [step for step in each if step is not None]
    over_all = spread(reached) if len(reached) == len(each) else None
    return Reached(
        mean=over_all.mean if over_all else None,
        std=over_all.std if over_all else None,
        reached=len(reached),
        folds=each,
    )
