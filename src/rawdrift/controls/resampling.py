"""Intervals and tests of any measure by resampling images, or the groups that they come in.

A measure is a function of sums over images (accuracy of right answers and answers, IoU of the
intersections and the unions, and so on). So one matrix product gives it for all draws, pairs and
pipelines at once, and pairs of pipelines are compared on the same images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
Clusters = NDArray[np.int64]  # (N,) number of the group of each image; without groups, 0 .. N - 1

DRAWS = 2000  # of the bootstrap
FLIPS = 9999  # of the permutation test: p-values from 1e-4 on
_COLUMNS = 4096  # of a matrix product at a time


class Interval(NamedTuple):
    """A value and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measure:
    """A number of many images: `of` turns sums of their K features, (..., K), to values (...).

    It must not change if all sums are scaled alike.
    """

    name: str
    of: Callable[[Array], Array]


ACCURACY = Measure("accuracy", lambda sums: _ratio(sums[..., 0], sums[..., 1]))
BALANCED_ACCURACY = Measure("balanced_accuracy", lambda sums: _mean_recall(sums))
MACRO_F1 = Measure("macro_f1", lambda sums: _mean_f1(sums))
IOU = Measure("iou", lambda sums: _ratio(sums[..., 0], sums[..., 1]))


def right_features(predicted: NDArray[Any], labels: NDArray[Any]) -> Array:
    """Features (..., N, 2) of `ACCURACY`: 1 where right, and 1."""
    right = (predicted == labels).astype(np.float64)
    return np.stack([right, np.ones_like(right)], axis=-1)


def recall_features(predicted: NDArray[Any], labels: NDArray[Any], classes: int) -> Array:
    """Features (..., N, 2C) of `BALANCED_ACCURACY`: right of each class, and images of it."""
    own = _one_hot(np.broadcast_to(labels, predicted.shape), classes)
    return np.concatenate([own * (predicted == labels)[..., None], own], axis=-1)


def f1_features(predicted: NDArray[Any], labels: NDArray[Any], classes: int) -> Array:
    """Features (..., N, 2C) of `MACRO_F1`: true positives, and half of said plus half of true."""
    own = _one_hot(np.broadcast_to(labels, predicted.shape), classes)
    said = _one_hot(predicted, classes)
    return np.concatenate([own * said, (own + said) / 2], axis=-1)


def clusters(images: int, groups: Sequence[str] | None) -> Clusters:
    """Which cluster each image belongs to: its group, or itself."""
    if groups is None:
        return np.arange(images)
    found: Clusters = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return found


class Resampling:
    """Draws of clusters with replacement, the same for everything that is compared.

    clusters: (N,), see there. Draws are those of the seed.
    """

    def __init__(self, clusters: Clusters, seed: int = 0, draws: int = DRAWS):
        self.clusters = clusters
        self.count = int(clusters.max()) + 1
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        share = np.full(self.count, 1 / self.count)
        self.weights = rng.multinomial(self.count, share, size=draws).astype(np.float64)
        self._flips = np.random.SeedSequence([seed, 2])

    def sums(self, features: Array) -> Array:
        """Features (..., N, K) summed over each cluster: (..., G, K)."""
        order = np.argsort(self.clusters, kind="stable")
        first = np.searchsorted(self.clusters[order], np.arange(self.count))
        return np.asarray(np.add.reduceat(features[..., order, :], first, axis=-2))

    def bootstrap(self, features: Array, measure: Measure) -> Array:
        """The measure (..., draws) of features (..., N, K) for each draw of clusters."""
        return _values(self.weights, self.sums(features), measure)

    def interval(self, value: float, draws: Array, confidence: float = 0.95) -> Interval:
        """Percentiles of `draws` around a value, as wide as so few clusters need.

        Source: Hesterberg, "What teachers should know about the bootstrap", The American
        Statistician 69, 2015: percentiles of a normal distribution that reaches as far as Student's
        t does for G clusters, times sqrt(G / (G - 1)). With one cluster, nothing is known. Draws
        that are not numbers (a class that none of them holds) are left out.
        """
        draws = draws[np.isfinite(draws)]
        if self.count < 2 or len(draws) < 2:
            return Interval(value, float("-inf"), float("inf"))
        low, high = np.quantile(draws, self._tails(confidence))
        return Interval(value, min(float(low), value), max(float(high), value))

    def _tails(self, confidence: float) -> tuple[float, float]:
        n = self.count
        t = float(stdtrit(n - 1, 0.5 + confidence / 2)) * (n / (n - 1)) ** 0.5
        tail = NormalDist().cdf(-t)
        return tail, 1 - tail

    def p_value(self, one: Array, other: Array, measure: Measure, flips: int = FLIPS) -> float:
        """Two-sided p-value of a difference of a measure between two answers to the same images.

        one, other: features (N, K). By permutation: where the answers don't differ in kind, each
        cluster's may change places (Fisher's randomization test; Edgington and Onghena,
        "Randomization Tests", 2007). Never zero: the least is 1 / (flips + 1).
        """
        first, second = self.sums(one), self.sums(other)
        change = first - second
        moved = np.abs(change).sum(axis=-1) > 0
        if not moved.any():
            return 1.0
        change = change[moved]
        rng = np.random.default_rng(self._flips)
        keep = rng.integers(0, 2, (flips, len(change))).astype(np.float64)
        total, swapped = second.sum(0), first.sum(0)
        kept = keep @ change
        found = np.abs(measure.of(total + kept) - measure.of(swapped - kept))
        seen = abs(float(measure.of(swapped) - measure.of(total)))
        return float((np.sum(found >= seen - 1e-12) + 1) / (flips + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that all hold at once.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return [float(p) for p in corrected]


def ranks(values: Array) -> Array:
    """Ranks (..., M) from 1, the largest value, on; equal values share their mean rank."""
    above = (values[..., None, :] > values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return np.asarray(1 + above + (equal - 1) / 2)


def _values(weights: Array, sums: Array, measure: Measure) -> Array:
    """The measure (..., B) of cluster sums (..., G, K) under weights (B, G)."""
    leading, (g, k) = sums.shape[:-2], sums.shape[-2:]
    flat = sums.reshape(-1, g, k)
    found = np.empty((len(flat), len(weights)))
    step = max(1, _COLUMNS // k)
    for first in range(0, len(flat), step):
        part = flat[first : first + step]
        columns = np.moveaxis(part, 1, 0).reshape(g, -1)
        totals = (weights @ columns).reshape(len(weights), len(part), k)
        found[first : first + step] = measure.of(totals).T
    return found.reshape(*leading, len(weights))


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)


def _mean_recall(sums: Array) -> Array:
    """Over the classes that are there."""
    right, images = np.split(sums, 2, axis=-1)
    there = images > 0
    return _ratio(
        np.where(there, _ratio(right, np.where(there, images, 1)), 0).sum(-1), there.sum(-1)
    )


def _mean_f1(sums: Array) -> Array:
    """Over the classes that are there or were said."""
    hits, either = np.split(sums, 2, axis=-1)
    there = either > 0
    return _ratio(
        np.where(there, _ratio(hits, np.where(there, either, 1)), 0).sum(-1), there.sum(-1)
    )


def _one_hot(values: NDArray[Any], classes: int) -> Array:
    return np.asarray(values[..., None] == np.arange(classes), dtype=np.float64)
