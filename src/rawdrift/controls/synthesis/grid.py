"""The answers of all models to all tests, and what resampling makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.controls.material import Material
from rawdrift.models.evaluate import Case
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import Interval, effective_size, wilson
from rawdrift.statistics.measures import Array, Measure, Outcomes, classification, segmentation
from rawdrift.statistics.resampling import FLIPS, Resampling, clusters


class Grid:
    """Outcomes of T training pipelines on U cases, of each image once.

    trained: the T names of pipelines all of whose folds are done; records of others are left out.
    outcomes: (T, U, N, ...), see `measures.Outcomes`. truth: (N,) labels; unused for masks.
    distance: name of a measure of distance between views -> (T, U), mean over folds.
    """

    def __init__(
        self,
        material: Material,
        cases: Sequence[Case],
        trained: Sequence[str],
        records: Iterable[Record],
        seed: int,
    ):
        data, targets, splits = material
        self.cases, self.trained = list(cases), list(trained)
        of_masks = targets.kind == "segmentation"
        self.measures = segmentation() if of_masks else classification(targets.outputs)
        self.truth = np.zeros(len(data)) if of_masks else targets.values.numpy()
        self.fold = np.empty(len(data), dtype=np.int64)
        shape = (len(trained), len(cases), len(data), *((targets.outputs, 3) if of_masks else ()))
        self.outcomes: Outcomes = np.empty(shape, dtype=np.int64)
        self.distance = {kind: np.zeros(shape[:2]) for kind in ("dssim", "mse")}
        for number, split in enumerate(splits):
            self.fold[split.test] = number
        self.folds = len(splits)
        for record in records:
            if record["train"] not in self.trained:
                continue
            row = self.trained.index(record["train"])
            for column, case in enumerate(self.cases):
                found = np.asarray(record["outcomes"][case.key])
                self.outcomes[row, column, splits[record["fold"]].test] = found
                for kind, values in self.distance.items():
                    values[row, column] += record["distance"][case.key][kind] / self.folds
        self.groups = None if data.groups is None else clusters(len(data), data.groups)
        images = np.arange(len(data))
        self.resampling = Resampling(images if self.groups is None else self.groups, seed)

    @property
    def metric(self) -> str:
        """The measure that claims are made of."""
        return next(iter(self.measures))

    @property
    def measure(self) -> Measure:
        return self.measures[self.metric]

    @cached_property
    def features(self) -> Array:
        """(T, U, N, K) of the measure."""
        return self.measure.features(self.outcomes, self.truth)

    @cached_property
    def values(self) -> Array:
        """(T, U) over all images."""
        return self.measure.of(self.features.sum(-2))

    @cached_property
    def by_fold(self) -> Array:
        """(F, T, U) over the images of each fold."""
        return np.stack(
            [
                self.measure.of(self.features[:, :, self.fold == number].sum(-2))
                for number in range(self.folds)
            ]
        )

    @cached_property
    def draws(self) -> Array:
        """(T, U, B) of the bootstrap."""
        return self.resampling.bootstrap(self.features, self.measure)

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """(T,) the case of each pipeline's own views."""
        keys = [case.key for case in self.cases]
        return np.array([keys.index(Case("isp", name).key) for name in self.trained])

    @cached_property
    def drops(self) -> tuple[Array, Array]:
        """(T, U) and (T, U, B): the matched value minus the value."""
        rows = np.arange(len(self.trained))
        return (
            self.values[rows, self.own][:, None] - self.values,
            self.draws[rows, self.own][:, None] - self.draws,
        )

    def where(self, kind: str, severity: int | None = None) -> NDArray[np.bool_]:
        """(T, U) cases of a kind that are not the pipeline's own views."""
        chosen = np.array(
            [c.kind == kind and severity in (None, c.severity) for c in self.cases], dtype=bool
        )
        found = np.tile(chosen, (len(self.trained), 1))
        found[np.arange(len(self.trained)), self.own] = False
        return found

    def interval(self, value: float, draws: Array) -> Interval:
        """Of a difference."""
        return self.resampling.interval(value, draws)

    def value_interval(self, value: float, draws: Array) -> Interval:
        return self.resampling.interval(value, draws, bounds=(0.0, 1.0))

    def cell_interval(self, row: int, column: int) -> Interval:
        """Of a value. Wilson's where every draw is the same, as where all answers are right."""
        found = self.value_interval(float(self.values[row, column]), self.draws[row, column])
        if self.metric == "accuracy" and found.low == found.high:
            right = self.features[row, column, :, 0]
            n = effective_size(right, self.groups)
            return Interval(found.value, *wilson(found.value, min(n, self.resampling.count)))
        return found

    def p_values(self) -> NDArray[Any]:
        """(T, U) of the difference from the matched value; NaN for the own views."""
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

    def others(self) -> Mapping[str, Array]:
        """(T, U) of the measures beside the first."""
        names = list(self.measures)[1:]
        return {  # one pipeline at a time: features take more memory than outcomes
            name: np.stack([self.measures[name].value(row, self.truth) for row in self.outcomes])
            for name in names
        }
