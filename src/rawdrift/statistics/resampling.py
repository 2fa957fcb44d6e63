"""Intervals and tests of any measure by resampling images, or the groups that they come in.

The same draws serve all pipelines and tests, which are therefore compared on the same images.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import Clusters, cluster_sums
from rawdrift.statistics.measures import Array, Measure

DRAWS = 2000
"""Draws of the bootstrap."""
FLIPS = 9999
"""Draws of the permutation test, at least: the least p-value is then 1e-4."""
_COLUMNS = 4096  # in one matrix product
_FLIPPED = 2**24  # clusters of all draws in one step of a permutation test


def clusters(images: int, groups: Sequence[str] | None) -> Clusters:
    """Number the cluster of each image: its group, or the image itself."""
    if groups is None:
        return np.arange(images)
    numbers: Clusters = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers


class Resampling:
    """Draws of clusters with replacement, the same for everything that is compared.

    clusters: (N,). seed: of the draws.
    """

    def __init__(self, clusters: Clusters, seed: int = 0, draws: int = DRAWS):
        self.clusters = clusters
        self.count = int(clusters.max()) + 1
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        share = np.full(self.count, 1 / self.count)
        self.weights = rng.multinomial(self.count, share, size=draws).astype(np.float64)
        self._flips = np.random.SeedSequence([seed, 2])

    def bootstrap(self, features: Array, measure: Measure) -> Array:
        """Compute the measure of features (..., N, K) for each draw of clusters: (..., draws)."""
        return _values(self.weights, cluster_sums(features, self.clusters), measure)

    def interval(
        self,
        value: float,
        draws: Array,
        confidence: float = 0.95,
        bounds: tuple[float, float] | None = (-1.0, 1.0),
    ) -> Interval:
        """Return a value with the percentiles of its draws (draws,), widened for few clusters.

        The tails are those of a normal distribution beyond Student's t for G clusters times
        sqrt(G / (G - 1)) (Hesterberg, "What teachers should know about the bootstrap", The American
        Statistician 69, 2015). Draws that are not numbers, such as the recall of a class that a
        draw doesn't hold, are left out.

        bounds: the interval if there is one cluster, from which nothing can be concluded: all
            values that are possible, or None if that is any value.
        """
        draws = draws[np.isfinite(draws)]
        if self.count < 2 or len(draws) < 2:
            return Interval(value, *(bounds or (None, None)))
        low, high = np.quantile(draws, self._tails(confidence))
        return Interval(value, min(float(low), value), max(float(high), value))

    def _tails(self, confidence: float) -> tuple[float, float]:
        n = self.count
        from scipy.special import stdtrit  # not for commands that compute nothing

        t = float(stdtrit(n - 1, 0.5 + confidence / 2)) * (n / (n - 1)) ** 0.5
        tail = NormalDist().cdf(-t)
        return tail, 1 - tail

    def p_values(self, one: Array, other: Array, measure: Measure, flips: int = FLIPS) -> Array:
        """Test whether a measure differs between two answers to the same images: p-values (...).

        The test is two-sided and by permutation: if there is no difference, the two answers to a
        cluster can be swapped (Fisher's randomization test; Edgington and Onghena, "Randomization
        Tests", 2007). The least p-value is 1 / (flips + 1).

        one, other: features (..., N, K).
        """
        first, second = (cluster_sums(x, self.clusters) for x in (one, other))
        rng = np.random.default_rng(self._flips)
        rounding = 1e-12  # of sums in another order
        as_far = np.ones(first.shape[:-2])  # draws that differ as much, and the observed one
        step = max(1, _FLIPPED // self.count)
        for done in range(0, flips, step):
            size = (min(step, flips - done), self.count)
            keep = rng.integers(0, 2, size, dtype=np.int8)
            for at in np.ndindex(as_far.shape):
                change, total, swapped = first[at] - second[at], second[at].sum(0), first[at].sum(0)
                moved = np.abs(change).sum(axis=-1) > 0
                kept = keep[:, moved].astype(np.float64) @ change[moved]
                drawn = np.abs(measure.of(total + kept) - measure.of(swapped - kept))
                observed = np.abs(measure.of(swapped) - measure.of(total))
                as_far[at] += np.sum(drawn >= observed - rounding)
        return as_far / (flips + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, so that all statements hold at once.

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


def _values(weights: Array, sums: Array, measure: Measure) -> Array:
    """Compute the measure of cluster sums (..., G, K) under weights (B, G): (..., B)."""
    leading, (g, k) = sums.shape[:-2], sums.shape[-2:]
    flat = sums.reshape(-1, g, k)
    values = np.empty((len(flat), len(weights)))
    step = max(1, _COLUMNS // k)
    for first in range(0, len(flat), step):
        part = flat[first : first + step]
        columns = np.moveaxis(part, 1, 0).reshape(g, -1)
        totals = (weights @ columns).reshape(len(weights), len(part), k)
        values[first : first + step] = measure.of(totals).T
    return values.reshape(*leading, len(weights))
