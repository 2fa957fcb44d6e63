"""Confidence intervals of metrics, their drops and averages, from images or groups of images.

A score interval: a value differs from what was observed by an error e that satisfies

    e**2 <= t**2 * V(e),   V(e) = V * (1 - k e / M) + k w q * (M e - e**2).

V is the variance that the clusters show. The rest is the variance that they need not have shown: to
shift the mean by e, a share e / M of the clusters, each with weight w, changes by as much as can
be. For the share of right images among n, w = 1 / n and q = k = 1, this is Wilson's interval; for
paired answers it is close to Tango's ("Equivalence test and confidence interval for the difference
in proportions for the paired-sample design", Statistics in Medicine 17, 1998). It is never empty,
so answers that don't change give about 4 / n, like the rule of three.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.basics import Interval
from rawdrift.statistics.measures import Array, Measure

Clusters = NDArray[np.int64]
"""The number of the group of each image, (N,); without groups, 0 to N - 1."""

DRAWS = 4000
"""Draws of the distribution of the largest of several errors."""
TOWARD = 2.0
"""k t**2 where the value moves toward its reference, by changes that were not seen or by fewer of
those that were. An interval of 95 % then excludes 0 from 6 lost images on if none is won, as the
exact sign test does. Its coverage is at least 0.94 for all shares of lost and won images from n =
30 on; with 0 it would be 0.90."""


@dataclass(frozen=True)
class Estimates:
    """Quantities (...) that are estimated from the same G clusters of images.

    values: (...). influence: by how much the value would rise if a cluster counted twice, (..., G),
        with the correction of HC2 (MacKinnon and White, "Some heteroskedasticity-
        consistent covariance matrix estimators", Journal of Econometrics 29, 1985).
    own: of each cluster alone, (..., G).
    weight: w, the share of the value that one cluster has, (...): 1 / n, n being Kish's effective
        number of clusters; of C classes, 1 / (C n) of the class with fewest, if that is more.
    least, most: between which the quantities lie. bounded: whether that is for certain.
    reference: 0 for differences, which are of no cluster if nothing changes; beside it, and for
        metrics alone, all clusters may be alike at `least` and `most`.
    """

    values: Array
    influence: Array
    own: Array
    weight: Array
    least: float
    most: float
    bounded: bool
    reference: float | None = None

    def __getitem__(self, index: Any) -> Self:
        """Return some of the estimates."""
        return self._each(lambda x: x[index])

    def __sub__(self, other: Self) -> Self:
        """Return the differences of metrics, or of drops."""
        return replace(
            self,
            values=self.values - other.values,
            influence=self.influence - other.influence,
            own=self.own - other.own,
            weight=np.maximum(self.weight, other.weight),
            least=self.least - other.most,
            most=self.most - other.least,
            reference=0.0,
        )

    def stack(self, *others: Self) -> Self:
        """Return these and others of the same clusters along a new first axis."""
        each = (self, *others)
        return replace(
            self,
            values=np.stack([one.values for one in each]),
            influence=np.stack([one.influence for one in each]),
            own=np.stack([one.own for one in each]),
            weight=np.stack([one.weight for one in each]),
            least=min(one.least for one in each),
            most=max(one.most for one in each),
        )

    def combined(self, weights: Sequence[float] | Array) -> Self:
        """Return the weighted sum over the first axes, which have the shape of `weights`."""
        factors = np.asarray(weights, dtype=np.float64)
        sums = self._each(lambda x: np.tensordot(factors, x, factors.ndim))
        up, down = factors.clip(min=0).sum(), factors.clip(max=0).sum()
        return replace(
            sums,
            weight=self.weight.max(axis=tuple(range(factors.ndim))),
            least=up * self.least + down * self.most,
            most=up * self.most + down * self.least,
        )

    def mean(self) -> Self:
        """Return the mean over the first axis."""
        return self.combined(np.full(len(self.values), 1 / len(self.values)))

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the two-sided interval of a single estimate."""
        low, high = self.bounds(self.critical(0.5 + confidence / 2))
        return Interval(float(self.values), float(low), float(high))

    def simultaneous(self, confidence: float = 0.95, seed: int = 0) -> tuple[Array, Array]:
        """Return lower and upper bounds (...) that hold all together with this confidence."""
        return self.bounds(self.critical_of_all(confidence, seed=seed))

    def largest(self, confidence: float = 0.95, seed: int = 0) -> tuple[int, Interval]:
        """Return which of M estimates (M,) is the largest, and an interval of the largest value.

        The interval accounts for the choice. The true largest is at least every lower bound, if all
        of these hold together, and at most the largest upper bound, if that of the truly largest
        holds.
        """
        tail = (1 - confidence) / 2
        low, _ = self.bounds(self.critical_of_all(1 - tail, two_sided=False, seed=seed))
        _, high = self.bounds(self.critical(1 - tail))
        index = int(np.argmax(self.values))
        return index, Interval(float(self.values[index]), float(low.max()), float(high.max()))

    def critical(self, confidence: float) -> float:
        """Return Student's one-sided t for G clusters; infinite for one."""
        from scipy.special import stdtrit  # not for commands that compute nothing

        freedom = self.influence.shape[-1] - 1
        return float(stdtrit(freedom, confidence)) if freedom else np.inf

    def critical_of_all(self, confidence: float, two_sided: bool = True, seed: int = 0) -> float:
        """Return the t that the largest of all errors exceeds with chance 1 - confidence.

        At most Bonferroni's. Estimates for which nothing varies count as independent.
        """
        clusters = self.influence.shape[-1]
        influence = self.influence.reshape(-1, clusters)
        alpha, count = (1 - confidence) / (2 if two_sided else 1), len(influence)
        bonferroni = self.critical(1 - alpha / count)
        if count == 1 or clusters == 1:
            return bonferroni
        rng = np.random.default_rng(seed)
        size = np.sqrt((influence**2).sum(-1))
        varies = size > 0
        z = rng.standard_normal((DRAWS, count))
        unit = influence[varies] / size[varies, None]
        z[:, varies] = rng.standard_normal((DRAWS, clusters)) @ unit.T
        largest = (np.abs(z) if two_sided else z).max(1)
        largest /= np.sqrt(rng.chisquare(clusters - 1, DRAWS) / (clusters - 1))
        simulated = float(np.quantile(largest, confidence))
        return min(bonferroni, max(self.critical(1 - alpha), simulated))

    def bounds(self, t: float) -> tuple[Array, Array]:
        """Return lower and upper bounds (...) for a critical value."""
        at, span = self.values, self.most - self.least
        ends = [self.least, self.most]
        if self.reference is not None:
            ends, span = [self.least, self.reference, self.most], span / 2
        distance = np.stack([np.abs(at - end) for end in ends])
        nearest = np.array(ends)[distance.argmin(0)]
        if not np.isfinite(t):
            return np.full_like(at, self.least), np.full_like(at, self.most)
        variance, weight = (self.influence**2).sum(-1), self.weight * self._quantum(span)

        def error(most: Any, toward: Any) -> Any:
            """Solve for e, (...). most: M, how far the value could move."""
            most = np.maximum(most, 1e-12)
            k = np.where(toward, min(1.0, TOWARD / t**2), 1.0)
            a = 1 + t**2 * k * weight
            b = t**2 * k * (weight * most - variance / most)
            return (b + np.sqrt(b**2 + 4 * a * t**2 * variance)) / (2 * a)

        low = at - error(np.where(nearest == self.least, span, at - self.least), at > nearest)
        high = at + error(np.where(nearest == self.most, span, self.most - at), at < nearest)
        if self.bounded:
            low, high = np.maximum(low, self.least), np.minimum(high, self.most)
        return np.minimum(low, at), np.maximum(high, at)

    def _quantum(self, span: float) -> Array:
        """Return q, by how much of `span` the clusters that change do so, (...).

        The mean size of changes, weighted by size, of the clusters and of one more, which changes
        by all that is possible: 1 if clusters change wholly or not at all, less if all of them
        change a little.
        """
        middle = np.stack([np.quantile(self.own, 0.5, axis=-1, method=m) for m in _MEDIANS])
        nearest = np.take_along_axis(middle, np.abs(middle).argmin(0)[None], 0)[0]
        change = np.minimum(np.abs(self.own - nearest[..., None]) / max(span, 1e-12), 1)
        return np.asarray(((change**2).sum(-1) + 1) / (change.sum(-1) + 1))

    def _each(self, function: Callable[[Array], Any]) -> Self:
        return replace(
            self,
            values=np.asarray(function(self.values)),
            influence=np.asarray(function(self.influence)),
            own=np.asarray(function(self.own)),
            weight=np.asarray(function(self.weight)),
        )


_MEDIANS: Sequence[Any] = ("lower", "higher")


def estimate(measure: Measure, features: Array, clusters: Clusters) -> Estimates:
    """Estimate a metric of the answers with these features (..., N, K) to N images.

    clusters: (N,) the number of the group of each image.
    """
    leading = features.shape[:-2]
    sizes = np.bincount(clusters)
    shape = (*leading, len(sizes))
    values, weight = measure.of(features.sum(-2)), np.empty(leading)
    influence, own = np.empty(shape), np.empty(shape)
    for at in np.ndindex(leading):  # one by one: features may take much memory
        sums = cluster_sums(features[at], clusters)
        # Half of a cluster is taken away, twice: this corrects the variance like HC2, and no class
        # loses its last image.
        influence[at] = 2 * (values[at] - measure.of(sums.sum(0) - sums / 2))
        own[at] = measure.of(sums)
        weight[at] = _weight(measure, sums, sizes)
    least, most = (
        (0.0, 1.0)
        if measure.bounded
        else (np.nanmin(own, initial=0.0), np.nanmax(own, initial=1.0))
    )
    own = np.where(np.isnan(own), most, own)  # nothing to find, and nothing missed
    return Estimates(values, influence, own, weight, float(least), float(most), measure.bounded)


def cluster_sums(features: Array, clusters: Clusters) -> Array:
    """Sum features (..., N, K) over each of G clusters: (..., G, K)."""
    order = np.argsort(clusters, kind="stable")
    first = np.searchsorted(clusters[order], np.arange(clusters.max() + 1))
    return np.asarray(np.add.reduceat(features[..., order, :], first, axis=-2))


def _weight(measure: Measure, sums: Array, sizes: NDArray[Any]) -> float:
    """Return the weight of clusters with sums (G, K); see `Estimates.weight`."""
    of_classes = measure.wholes(sums) if measure.wholes else sizes[:, None]
    totals = of_classes.sum(0)
    shares = of_classes[:, totals > 0] / totals[totals > 0]
    count = max(1, shares.shape[1])
    of_one_class, of_all = (shares**2).sum(0) / count, ((shares.sum(1) / count) ** 2).sum()
    return float(of_one_class.max(initial=of_all))
