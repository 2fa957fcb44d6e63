"""Confidence intervals of metrics, their drops and averages, from images or groups of images.

A score interval: a value differs from what was observed by an error e that satisfies

    e**2 <= t**2 * V(e),   V(e) = V * (1 - k e / M) + k w (M e - e**2).

V is the variance that the clusters show. The rest is the variance that they need not have shown: to
shift the mean by e, a share e / M of the clusters, each with weight w, changes by as much as can
be. For the share of right images among n, w = 1 / n and k = 1, this is Wilson's interval; for
paired answers it is close to Tango's ("Equivalence test and confidence interval for the difference
in proportions for the paired-sample design", Statistics in Medicine 17, 1998). It is never empty,
so answers that don't change give about 4 / n, like the rule of three.

An image of masks may weigh more than those that were seen: all of its pixels may be taken for an
object. An interval that does not exclude "no change" allows for as many such images as may be
unseen. With objects that fill a twentieth of each image, a single one counts for 20.
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
_HALVINGS = 48  # of the range in which a p-value is searched
TOWARD = 0.52
"""k where the value moves toward its reference, by changes that were not seen or by fewer of those
that were. An interval of 95 % then excludes 0 from 6 lost images on if none is won, as the exact
sign test does. Its coverage is at least 0.94 for all shares of lost and won images from n = 30 on;
with 0 it would be 0.90."""


@dataclass(frozen=True)
class Estimates:
    """Quantities (...) that are estimated from the same G clusters of images.

    values: (...). influence: by how much the value would rise if a cluster counted twice, (..., G),
        with the correction of HC2 (MacKinnon and White, "Some heteroskedasticity-
        consistent covariance matrix estimators", Journal of Econometrics 29, 1985).
    weight: w, the share of the value that one cluster has, (...): 1 / n, n being Kish's effective
        number of clusters; of C classes, 1 / (C n) of the class with fewest, if that is more.
    unseen: the largest w that a cluster could have which was not seen, (..., C) for each class of
        masks, 0 for those that are nowhere; else `weight`, (..., 1).
    least, most: between which the quantities lie. bounded: whether that is for certain.
    reference: 0 for differences, which are of no cluster if nothing changes; beside it, and for
        metrics alone, all clusters may be alike at `least` and `most`.
    """

    values: Array
    influence: Array
    weight: Array
    unseen: Array
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
            weight=np.maximum(self.weight, other.weight),
            unseen=np.maximum(self.unseen, other.unseen),
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
            weight=np.stack([one.weight for one in each]),
            unseen=np.stack([one.unseen for one in each]),
            least=min(one.least for one in each),
            most=max(one.most for one in each),
        )

    def combined(self, weights: Sequence[float] | Array) -> Self:
        """Return the weighted sum over the first axes, which have the shape of `weights`."""
        factors = np.asarray(weights, dtype=np.float64)
        sums = self._each(lambda x: np.tensordot(factors, x, factors.ndim))
        up, down = factors.clip(min=0).sum(), factors.clip(max=0).sum()
        axes = tuple(range(factors.ndim))
        return replace(
            sums,
            weight=self.weight.max(axis=axes),
            unseen=self.unseen.max(axis=axes),
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
        alpha = (1 - confidence) / (2 if two_sided else 1)
        bonferroni = self.critical(1 - alpha / max(1, self.values.size))
        largest = self._largest(two_sided, seed)
        if largest is None:
            return bonferroni
        return min(
            bonferroni, max(self.critical(1 - alpha), float(np.quantile(largest, confidence)))
        )

    def p_values(self, seed: int = 0) -> tuple[Array, Array]:
        """Return two-sided p-values (...) of being zero, and these corrected for all estimates.

        The chance of errors for which an interval, or one of all intervals together, would just
        reach zero.
        """
        from scipy.special import stdtr

        least, most = np.full(self.values.shape, 1e-3), np.full(self.values.shape, 1e6)
        for _ in range(_HALVINGS):
            middle = np.sqrt(least * most)
            low, high = self.bounds(middle)
            beyond = (low > 0) | (high < 0)
            least, most = np.where(beyond, middle, least), np.where(beyond, most, middle)
        clusters = self.influence.shape[-1]
        p = 2 * stdtr(clusters - 1, -least) if clusters > 1 else np.ones(self.values.shape)
        p = np.where(least > 1e-3, p, 1.0)
        corrected = np.minimum(1.0, max(1, p.size) * p)
        largest = self._largest(True, seed)
        if largest is not None:
            as_far = (largest >= least[..., None]).mean(-1)
            corrected = np.minimum(corrected, np.maximum(p, as_far))
        return np.asarray(p), np.asarray(corrected)

    def _largest(self, two_sided: bool, seed: int) -> Array | None:
        """Draw the largest of all errors, in units of t; None if Bonferroni's bound must do."""
        clusters = self.influence.shape[-1]
        influence = self.influence.reshape(-1, clusters)
        count = len(influence)
        if count == 1 or clusters == 1:
            return None
        rng = np.random.default_rng(seed)
        size = np.sqrt((influence**2).sum(-1))
        varies = size > 0
        z = rng.standard_normal((DRAWS, count))
        unit = influence[varies] / size[varies, None]
        z[:, varies] = rng.standard_normal((DRAWS, clusters)) @ unit.T
        largest = (np.abs(z) if two_sided else z).max(1)
        return np.asarray(largest / np.sqrt(rng.chisquare(clusters - 1, DRAWS) / (clusters - 1)))

    def bounds(self, t: float | Array) -> tuple[Array, Array]:
        """Return lower and upper bounds (...) for a critical value, of all or of each (...)."""
        at, span, square = self.values, self.most - self.least, np.square(t)
        ends = [self.least, self.most]
        if self.reference is not None:
            ends, span = [self.least, self.reference, self.most], span / 2
        nearest = np.array(ends)[np.stack([np.abs(at - end) for end in ends]).argmin(0)]
        if not np.isfinite(square).all():
            return np.full_like(at, self.least), np.full_like(at, self.most)
        variance = (self.influence**2).sum(-1)
        unseen = square * self._unseen(square)
        fewer = TOWARD * square
        alike = fewer * self.weight  # as many changes of the clusters' own weight
        heavy = np.maximum(alike, unseen - square * self.weight)

        def error(most: Array, k: Any, u: Array) -> Array:
            """Solve for e, (...). most: M, how far the value could move. k, u: t**2 k (w)."""
            most = np.maximum(most, 1e-12)
            a, b = 1 + u, u * most - k * variance / most
            return np.asarray((b + np.sqrt(b**2 + 4 * a * square * variance)) / (2 * a))

        def bound(most: Array, sign: int) -> Array:
            away = at + sign * error(most, square, unseen)
            toward = at + sign * error(most, fewer, alike)
            beyond = at + sign * error(most, fewer, heavy)
            if self.reference is not None:
                beyond = np.where(sign * (self.reference - toward) > 0, toward, beyond)
            return np.where(sign * (nearest - at) > 0, beyond, away)

        low = bound(np.where(nearest == self.least, span, at - self.least), -1)
        high = bound(np.where(nearest == self.most, span, self.most - at), 1)
        if self.bounded:
            low, high = np.maximum(low, self.least), np.minimum(high, self.most)
        return np.minimum(low, at), np.maximum(high, at)

    def _unseen(self, square: Any) -> Array:
        """Return the weight of one class that changes the value as much as all of `unseen`, (...).

        A share of the clusters that changes moves class c by x / (1 + x), x = t**2 w_c.
        """
        classes = np.maximum((self.unseen > 0).sum(-1), 1)
        x = np.asarray(square)[..., None] * self.unseen
        moved = np.minimum((x / (1 + x)).sum(-1) / classes, 1 - 1e-12)
        return np.asarray(moved / (1 - moved) / np.maximum(square, 1e-300))

    def _each(self, function: Callable[[Array], Any]) -> Self:
        return replace(
            self,
            values=np.asarray(function(self.values)),
            influence=np.asarray(function(self.influence)),
            weight=np.asarray(function(self.weight)),
            unseen=np.asarray(function(self.unseen)),
        )


def estimate(measure: Measure, features: Array, clusters: Clusters) -> Estimates:
    """Estimate a metric of the answers with these features (..., N, K) to N images.

    clusters: (N,) the number of the group of each image.
    """
    leading = features.shape[:-2]
    sizes = np.bincount(clusters)
    values, weight = measure.of(features.sum(-2)), np.empty(leading)
    influence = np.empty((*leading, len(sizes)))
    of_classes = measure.limits is not None and measure.limits.wrong is not None
    unseen = np.empty((*leading, features.shape[-1] // 2 if of_classes else 1))
    least, most = 0.0, 1.0
    for at in np.ndindex(leading):  # one by one: features may take much memory
        sums = cluster_sums(features[at], clusters)
        # Half of a cluster is taken away, twice: this corrects the variance like HC2, and no class
        # loses its last image.
        influence[at] = 2 * (values[at] - measure.of(sums.sum(0) - sums / 2))
        weight[at] = _weight(measure, sums, sizes)
        unseen[at] = _unseen(measure, sums, sizes, float(weight[at]))
        if not measure.bounded:
            own = measure.of(sums)
            least, most = np.nanmin(own, initial=least), np.nanmax(own, initial=most)
    return Estimates(values, influence, weight, unseen, float(least), float(most), measure.bounded)


def can_show(clusters: int, count: int, confidence: float = 0.95) -> bool:
    """Return whether so many clusters can show one of `count` drops at all: if all answers of all
    clusters are lost, and none was lost in the other tests."""
    from scipy.special import stdtrit  # not for commands that compute nothing

    if clusters < 2:
        return False
    t = stdtrit(clusters - 1, 1 - (1 - confidence) / (2 * max(1, count)))
    return bool(TOWARD * t**2 < clusters)


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


def _unseen(measure: Measure, sums: Array, sizes: NDArray[Any], weight: float) -> Array:
    """Return the largest weight of a cluster that was not seen; see `Estimates.unseen`."""
    if measure.limits is None or measure.limits.wrong is None:
        return np.array([weight])
    totals = sums[:, sums.shape[1] // 2 :].sum(0)
    heaviest = measure.limits.wrong * sizes.max()
    x = np.divide(heaviest, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.where(totals > 0, np.maximum(x, weight), 0.0)
