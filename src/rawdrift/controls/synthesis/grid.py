"""The answers of all models to all tests, with estimates of all values and drops."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rawdrift.controls.material import Material
from rawdrift.controls.synthesis.result import MaskPair, SynthesisRecord
from rawdrift.models.case import Case, Kind
from rawdrift.statistics.measures import Array, Measure, Outcomes
from rawdrift.statistics.trainings import Trainings, repeated


class Grid:
    """Answers of T training pipelines' models on U cases, to each of N tested images, in R repeats.

    images: their numbers in the dataset, (N,), all of them with folds.
    trained: names of the T pipelines, all of whose folds are done; records of others are skipped.
    outcomes: (R, T, U, N, ...), see `measures.Outcomes`. truth: (N,) labels; zeros for masks.
    distance: between views, by its measure: (T, U), means over trainings.
    masks: of the images that lose most, by training pipeline, `Case.key` and number of the image.
    """

    def __init__(
        self,
        material: Material,
        cases: Sequence[Case],
        trained: Sequence[str],
        records: Iterable[SynthesisRecord],
        seed: int,
        repeats: int = 1,
    ):
        targets, splits = material.targets, material.splits
        self.cases, self.trained, self.folds = list(cases), list(trained), len(splits)
        self.images = material.tested
        self.measures, self.truth = targets.measures, targets.truth[self.images]
        shape = (len(trained), len(cases))
        of_image = targets.right_outcomes().shape[1:]
        self.outcomes: Outcomes = np.empty(
            (repeats, *shape, len(self.images), *of_image), dtype=np.int64
        )
        self.distance = {kind: np.zeros(shape) for kind in ("dssim", "mse")}
        self.masks: dict[tuple[str, str], dict[int, MaskPair]] = {}
        self.fold = np.empty(len(self.images), dtype=np.int64)
        places = [np.searchsorted(self.images, split.test) for split in splits]
        for number, place in enumerate(places):
            self.fold[place] = number
        for record in records:
            if record.train not in self.trained:
                continue
            row = self.trained.index(record.train)
            of_repeat, test = self.outcomes[record.repeat, row], places[record.fold]
            for column, case in enumerate(self.cases):
                of_repeat[column, test] = record.outcomes[case.key]
                for kind, values in self.distance.items():
                    distance = record.distance[case.key][kind]
                    values[row, column] += distance / (self.folds * repeats)
            for key, masks in record.masks.items():  # of several repeats, the first one's
                self.masks[record.train, key] = masks | self.masks.get((record.train, key), {})
        self.clusters, self.seed = material.clusters(self.images), seed

    @property
    def metric(self) -> str:
        """The name of the measure that claims are made about."""
        return next(iter(self.measures))

    @property
    def measure(self) -> Measure:
        return self.measures[self.metric]

    @cached_property
    def features(self) -> Array:
        """Features of the measure, (T, U, N, K), means over repeats."""
        total = sum(self.measure.features(outcomes, self.truth) for outcomes in self.outcomes)
        return np.asarray(total) / len(self.outcomes)

    @property
    def values(self) -> Array:
        """The measure over all images, (T, U)."""
        return self.levels.values

    @cached_property
    def by_fold(self) -> Array:
        """The measure over the test images of each training, (F R, T, U)."""
        return np.stack(
            [
                self.measure.value(outcomes[:, :, tested], self.truth[tested])
                for tested in (self.fold == number for number in range(self.folds))
                for outcomes in self.outcomes
            ]
        )

    @cached_property
    def levels(self) -> Trainings:
        """The measure, with its uncertainty by images and, if trainings repeat, seeds, (T, U)."""
        features = [self.measure.features(outcomes, self.truth) for outcomes in self.outcomes]
        return repeated(self.measure, features, self.clusters, self.fold)

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """The number of the case that is each pipeline's own views, (T,)."""
        return np.array([self.cases.index(Case("isp", name)) for name in self.trained])

    @cached_property
    def drops(self) -> Trainings:
        """The matched value minus the value, (T, U)."""
        matched = self.levels[np.arange(len(self.trained)), self.own]
        return matched[:, None] - self.levels

    def where(self, kind: Kind, severity: int | None = None) -> NDArray[np.bool_]:
        """Which cases are of a kind and not the pipeline's own views, (T, U)."""
        chosen = np.array(
            [c.kind == kind and severity in (None, c.severity) for c in self.cases], dtype=bool
        )
        others = np.tile(chosen, (len(self.trained), 1))
        others[np.arange(len(self.trained)), self.own] = False
        return others

    @cached_property
    def tested(self) -> NDArray[np.bool_]:
        """Which cases are not the pipeline's own views, (T, U)."""
        columns = np.arange(len(self.cases))
        return np.asarray(columns != self.own[:, None])

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds (T, U) of all tested drops that hold together."""
        return self._of_tested(*self.drops[self.tested].simultaneous(seed=self.seed))

    def p_values(self) -> tuple[Array, Array]:
        """P-values of the drops, and these corrected for all, (T, U); NaN for the own views."""
        return self._of_tested(*self.drops[self.tested].p_values(self.seed))

    def _of_tested(self, *values: Array) -> tuple[Array, Array]:
        one, other = np.full((2, *self.tested.shape), np.nan)
        one[self.tested], other[self.tested] = values
        return one, other

    def further(self) -> Mapping[str, Array]:
        """The other measures over all images by name, (T, U)."""
        names = list(self.measures)[1:]
        return {  # one pipeline at a time: features take more memory than outcomes
            name: np.stack([self._value(name, row) for row in range(len(self.trained))])
            for name in names
        }

    def _value(self, name: str, row: int) -> Array:
        """A measure of a pipeline over all images and repeats, (U,)."""
        measure, answers = self.measures[name], self.outcomes[:, row]
        return measure.of(sum(measure.features(of, self.truth).sum(-2) for of in answers))
