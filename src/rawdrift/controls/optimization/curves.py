"""Learning curves of the settings at one intensity, and what resampling of images makes of them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.controls.material import Material
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import spread
from rawdrift.statistics.measures import Array, classification, segmentation
from rawdrift.statistics.resampling import FLIPS, Resampling, clusters, holm

CERTAIN = 0.05  # corrected p-values below it are called a difference
MOST = 0.9  # of the best value, at which a setting has learned most of what it will


class Curves:
    """Outcomes (E, N, ...) of each setting after each epoch, on images that each fold tests once.

    Of folds that have failed or diverged the images are left out: `there` (N,) says which remain.
    """

    def __init__(
        self, material: Material, settings: Sequence[str], records: Iterable[Record], seed: int
    ):
        data, targets, splits = material
        of_masks = targets.kind == "segmentation"
        self.measures = segmentation() if of_masks else classification(targets.outputs)
        self.metric = next(iter(self.measures))
        self.measure = self.measures[self.metric]
        self.truth = np.zeros(len(data)) if of_masks else targets.values.numpy()
        self.seed = seed
        self.groups = clusters(len(data), data.groups)
        self.outcomes: dict[str, NDArray[np.int64]] = {}
        self.there = {setting: np.zeros(len(data), dtype=bool) for setting in settings}
        self.folds: dict[str, list[int]] = {setting: [] for setting in settings}
        self.steps: dict[str, list[list[int]]] = {setting: [] for setting in settings}
        self.splits = splits
        for record in records:
            if record["diverged"]:
                continue
            setting, test = record["setting"], splits[record["fold"]].test
            found = np.array([entry["outcomes"] for entry in record["history"]])
            shape = (len(found), len(data), *found.shape[2:])
            held = self.outcomes.setdefault(setting, np.zeros(shape, dtype=np.int64))
            held[:, test] = found
            self.there[setting][test] = True
            self.folds[setting].append(record["fold"])
            self.steps[setting].append([entry["step"] for entry in record["history"]])
        self.settings = [setting for setting in settings if setting in self.outcomes]

    @cached_property
    def by_fold(self) -> dict[str, Array]:
        """(F, E) of each setting's folds."""
        found = {}
        for setting in self.settings:
            features = self.measure.features(self.outcomes[setting], self.truth)
            tests = [self.splits[fold].test for fold in self.folds[setting]]
            found[setting] = np.stack([self.measure.of(features[:, t].sum(1)) for t in tests])
        return found

    def table(self) -> Iterator[dict[str, Any]]:
        """Of each setting: Table 4 (mean and standard deviation over folds and steps), the final
        and the best value, and how soon it is learned."""
        best = max((float(v.mean(0).max()) for v in self.by_fold.values()), default=0.0)
        for setting in self.settings:
            values, steps = self.by_fold[setting], np.array(self.steps[setting])
            mean = values.mean(0)
            at = int(mean.argmax())
            folds = len(values)
            yield {
                "setting": setting,
                "folds": folds,
                "epochs": values.shape[1],
                "mean": float(values.mean()),
                "std": spread(values.flatten().tolist()).std,
                "std_over_folds": spread(values.mean(1).tolist()).std,
                "std_over_steps": spread(mean.tolist()).std,
                **self._interval(setting),
                "final": {
                    "mean": float(mean[-1]),
                    "std": spread(values[:, -1].tolist()).std,
                    "epoch": values.shape[1],
                    "step": int(steps[0, -1]),
                },
                "best": {
                    "mean": float(mean[at]),
                    "std": spread(values[:, at].tolist()).std,
                    "epoch": at + 1,
                    "step": int(steps[0, at]),
                },
                "steps_to_90": _reached(values, steps, MOST * values.max(1)),
                "steps_to_90_of_best": _reached(values, steps, np.full(folds, MOST * best)),
            }

    def _interval(self, setting: str) -> dict[str, float]:
        """95 % interval of the mean over epochs, of all images together."""
        there = self.there[setting]
        features = self.measure.features(self.outcomes[setting], self.truth)[:, there]
        resampling = self._resampling(there)
        draws = resampling.bootstrap(features, self.measure).mean(0)
        found = resampling.interval(float(self.by_fold[setting].mean()), draws)
        return {"low": found.low, "high": found.high}

    def _resampling(self, there: NDArray[np.bool_]) -> Resampling:
        return Resampling(np.unique(self.groups[there], return_inverse=True)[1], self.seed)

    def differences(self) -> Iterator[dict[str, Any]]:
        """Of every two settings: the first less the second, on the images that both answer, after
        the last epoch ("final") and over all epochs together ("mean"), with 95 % intervals;
        p-values by permutation, corrected for all pairs (Holm)."""
        pairs = list(combinations(self.settings, 2))
        for when in ("final", "mean"):
            tried = [self._difference(when, *pair) for pair in pairs]
            found = [difference for difference in tried if difference is not None]
            corrected = holm([difference["p"] for difference in found])
            for difference, p in zip(found, corrected, strict=True):
                yield {**difference, "p_holm": p, "is_difference": p < CERTAIN}

    def _difference(self, when: str, first: str, second: str) -> dict[str, Any] | None:
        there = self.there[first] & self.there[second]
        if not there.any():
            return None
        one, other = (
            self._features(when, self.outcomes[setting])[there] for setting in (first, second)
        )
        resampling = self._resampling(there)
        value = float(self.measure.of(one.sum(0)) - self.measure.of(other.sum(0)))
        draws = resampling.bootstrap(one, self.measure) - resampling.bootstrap(other, self.measure)
        interval = resampling.interval(value, draws)
        p = resampling.p_values(one[None], other[None], self.measure, FLIPS)
        return {
            "when": when,
            "first": first,
            "second": second,
            "n": int(there.sum()),
            **interval._asdict(),
            "p": float(p[0]),
        }

    def _features(self, when: str, outcomes: NDArray[np.int64]) -> Array:
        """(N, K), of the last epoch or the mean over epochs."""
        if when == "final":
            outcomes = outcomes[-1:]
        return np.asarray(self.measure.features(outcomes, self.truth).mean(0))


def _reached(values: Array, steps: NDArray[Any], wanted: Array) -> dict[str, Any]:
    """The step after which each fold (F, E) has first reached a value (F,), None where never; and
    their mean, where all have."""
    found = []
    for fold, at, least in zip(values, steps, wanted, strict=True):
        there = np.flatnonzero(fold >= least)
        found.append(int(at[there[0]]) if len(there) else None)
    reached = [step for step in found if step is not None]
    every = len(reached) == len(found)
    return {
        "mean": spread(reached).mean if every else None,
        "std": spread(reached).std if every else None,
        "reached": len(reached),
        "folds": found,
    }
