"""The answers of all models to all tests, with intervals and p-values by resampling."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rawdrift.controls.material import Material
from rawdrift.controls.synthesis.result import SynthesisRecord
from rawdrift.imports import is_import
from rawdrift.models.case import Case, Kind
from rawdrift.statistics.basics import Interval, effective_size, wilson
from rawdrift.statistics.measures import Array, Measure, Outcomes
from rawdrift.statistics.resampling import FLIPS, Resampling, clusters


class Grid:
    """Answers of T training pipelines' models on U cases, to each of N images, in R repeats.

    trained: names of the T pipelines, all of whose folds are done; records of others are skipped.
    outcomes: (R, T, U, N, ...), see `measures.Outcomes`. truth: (N,) labels; zeros for masks.
    distance: between views, by its measure: (T, U), means over trainings.
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
        data, targets, splits = material
        self.cases, self.trained, self.folds = list(cases), list(trained), len(splits)
        self.measures, self.truth = targets.measures, targets.truth
        shape = (len(trained), len(cases))
        of_image = targets.right_outcomes().shape[1:]
        self.outcomes: Outcomes = np.empty((repeats, *shape, len(data), *of_image), dtype=np.int64)
        self.distance = {kind: np.zeros(shape) for kind in ("dssim", "mse")}
        self.fold = np.empty(len(data), dtype=np.int64)
        for number, split in enumerate(splits):
            self.fold[split.test] = number
        for record in records:
            if record.train not in self.trained:
                continue
            row = self.trained.index(record.train)
            of_repeat, test = self.outcomes[record.repeat, row], splits[record.fold].test
            for column, case in enumerate(self.cases):
                of_repeat[column, test] = record.outcomes[case.key]
                for kind, values in self.distance.items():
                    distance = record.distance[case.key][kind]
                    values[row, column] += distance / (self.folds * repeats)
        self.groups = None if data.groups is None else clusters(len(data), data.groups)
        images = np.arange(len(data))
        self.resampling = Resampling(images if self.groups is None else self.groups, seed)

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

    @cached_property
    def values(self) -> Array:
        """The measure over all images, (T, U)."""
        return self.measure.of(self.features.sum(-2))

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
    def draws(self) -> Array:
        """The measure over each of B resampled sets of images, (T, U, B)."""
        return self.resampling.bootstrap(self.features, self.measure)

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """The number of the case that is each pipeline's own views, (T,)."""
        return np.array([self.cases.index(Case("isp", name)) for name in self.trained])

    @cached_property
    def drops(self) -> tuple[Array, Array]:
        """The matched value minus the value, (T, U), and in each resampled set, (T, U, B)."""
        rows = np.arange(len(self.trained))
        return (
            self.values[rows, self.own][:, None] - self.values,
            self.draws[rows, self.own][:, None] - self.draws,
        )

    def per_image(self, row: int, column: int) -> Array:
        """The measure of each image alone, (N,); NaN where it is not defined."""
        return self.measure.of(self.features[row, column])

    def where(self, kind: Kind, severity: int | None = None) -> NDArray[np.bool_]:
        """Which cases are of a kind and not the pipeline's own views, (T, U)."""
        chosen = np.array(
            [c.kind == kind and severity in (None, c.severity) for c in self.cases], dtype=bool
        )
        others = np.tile(chosen, (len(self.trained), 1))
        others[np.arange(len(self.trained)), self.own] = False
        return others

    def interval(self, value: float, draws: Array) -> Interval:
        """The interval of a difference, from its values in resampled sets (B,)."""
        bounds = None if is_import(self.metric) else (-1.0, 1.0)  # users' own take any value
        return self.resampling.interval(value, draws, bounds=bounds)

    def value_interval(self, value: float, draws: Array) -> Interval:
        """The interval of a value, from its values in resampled sets (B,)."""
        bounds = None if is_import(self.metric) else (0.0, 1.0)
        return self.resampling.interval(value, draws, bounds=bounds)

    def cell_interval(self, row: int, column: int) -> Interval:
        """The value of a cell, with Wilson's interval if all draws are equal."""
        found = self.value_interval(float(self.values[row, column]), self.draws[row, column])
        if self.metric == "accuracy" and found.low == found.high:
            right = self.features[row, column, :, 0]
            n = effective_size(right, self.groups)
            return Interval(found.value, *wilson(found.value, min(n, self.resampling.count)))
        return found

    def p_values(self) -> Array:
        """P-values of the difference from the matched value, (T, U); NaN for the own views."""
        found = np.full(self.values.shape, np.nan)
        # The least p-value must stay small when it is corrected for all comparisons.
        flips = max(FLIPS, 100 * found.size)
        for row, own in enumerate(self.own):
            others = np.arange(len(self.cases)) != own
            matched = np.broadcast_to(self.features[row, own], self.features[row, others].shape)
            found[row, others] = self.resampling.p_values(
                matched, self.features[row, others], self.measure, flips
            )
        return found

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
