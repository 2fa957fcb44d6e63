"""Tests of the drop of a metric that hold for any number of images: no resampling, no normality.

Each test is of the hypothesis that the metric drops by `margin` or more in the population from
which the images, or their groups, were drawn; its p-value is at most a with a chance of at most a
if that is so. What is drawn is a cluster: an image, or a group of images.

- Accuracy of independent images: an exact test of the images lost and won (`lost_and_won`).
- Everything else is a mean of contributions of clusters that are bounded. Whoever bets against the
  hypothesis on each cluster seldom gets rich if it is true: 1 / capital is a p-value (Waudby-Smith
  and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024). A bet is
  a constant share of the largest possible one, so clusters may differ, as those of different
  classes do: E prod (1 + b (m - x)) <= exp(b sum (m - E x)) <= 1.

A metric is the mean over K classes of sums of parts over sums of wholes (`Measure`): p / w before,
p' / w' after. Its drop is the mean over clusters and classes of
((p - p') - c (w - w')) / E w' with c = E p / E w, which is 0 for a cluster whose answers stay.
"""

from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from rawdrift.checks import InputError
from rawdrift.statistics.estimates import Clusters, cluster_sums
from rawdrift.statistics.measures import Array, Measure

_SHARES = np.array([1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])  # of the largest bet
_STAKES = np.array([0.5, *np.full(9, 0.5 / 9)])  # of the capital; half on "no answer changes"
_SPENT = 1e-4  # chance that what is not of interest lies outside the region that it is sought in
_GRID = 33  # values of it that are tried
_ROUNDING = 1e-9  # of p-values


@final
class DropTest:
    """A test of how much a metric drops, for any answers `after` to the same images.

    measure: with limits. before: features (N, 2 K) of the answers before. least: (N, K) the
    smallest wholes that any answers to these images could have. clusters: (N,) the group of each
    image; none is taken to be larger than the largest.

    Raises InputError if the measure states no limits, or is beyond them.
    """

    def __init__(
        self,
        measure: Measure,
        before: Array,
        least: Array | None,
        clusters: Clusters,
    ):
        if measure.limits is None or least is None:
            raise InputError(
                "no bound that holds for any number of images is known for this metric; give a "
                "rawdrift.statistics.Measure with limits, or a function with values from 0 to 1"
            )
        self.limits, self.clusters = measure.limits, clusters
        self.count = int(clusters.max()) + 1
        self._largest = int(np.bincount(clusters).max())
        self._present = least.sum(0) > 0
        self._before, self._least = _checked(before), least
        self._independent = self.count == len(before)

    def take(self, images: NDArray[np.int64]) -> "DropTest":
        """Return the test on some of the images (n,), for all classes that the whole has."""
        part = copy(self)
        part.clusters = np.unique(self.clusters[images], return_inverse=True)[1]
        part.count = int(part.clusters.max()) + 1
        part._before, part._least = self._before[images], self._least[images]
        return part

    def p_value(self, after: Array, margin: float) -> float:
        """Return the p-value of "the metric drops by `margin` or more". after: like before."""
        _checked(after)
        if self.limits.is_share and self._independent:
            right, still = self._before[:, 0] > 0, after[:, 0] > 0
            lost, won = int((right & ~still).sum()), int((still & ~right).sum())
            return lost_and_won(lost, won, self.count, margin)
        changed = self._before != after
        before, after = (
            cluster_sums(self._before, self.clusters),
            cluster_sums(after, self.clusters),
        )
        return self._p(before, after, bool(changed.any()), margin, 1.0)

    def least_p(self, after: Array, seen: NDArray[np.bool_], margin: float) -> float:
        """Return what the p-value is at least, whatever the answers to the images not `seen` (N,);
        0 where that is not known, since wholes depend on the answers. after: like before."""
        if seen.all():
            return self.p_value(after, margin)
        if not self.limits.is_fixed:
            return 0.0
        if not (self.limits.is_share and self._independent):
            wholes = np.split(self._before, 2, axis=-1)[1]
            best = np.tile(wholes, 2)
            return self.p_value(np.where(seen[:, None], after, best), margin) - _ROUNDING
        right, still = self._before[:, 0] > 0, after[:, 0] > 0
        lost, won = (int((change & seen).sum()) for change in (right & ~still, still & ~right))
        most = won + int((~right & ~seen).sum())
        least = min(lost_and_won(lost, n, self.count, margin) for n in range(won, most + 1))
        return least - _ROUNDING

    def bet(self, after: Array, margin: float) -> "Wager":
        """Return the bets on these answers, for a metric with fixed wholes, or with one class; else
        what their p-value stands for."""
        before, after = (cluster_sums(_checked(x), self.clusters) for x in (self._before, after))
        (p, w), (q, _) = (np.split(x, 2, axis=-1) for x in (before, after))
        if self.limits.is_fixed:
            least = cluster_sums(self._least, self.clusters)[:, self._present]
            if not least.any(0).all() or w[:, ~self._present].any():
                return Wager.none()
            gains, most = self._fixed(p, w, q, least, margin)
            return Wager(_growth(gains, most))
        changed = bool((before != after).any())
        return Wager.of(self._p(before, after, changed, margin, 1.0))

    def _fixed(
        self, p: Array, w: Array, q: Array, least: Array, margin: float
    ) -> tuple[Array, float]:
        """Return the gains (G,) of fixed wholes, and the largest possible loss."""
        present = self._present
        weights = self.count / least.sum(0) / least.shape[1]
        share, loss = w[:, present] @ weights, (p - q)[:, present] @ weights
        return margin * share - loss, (1 - margin) * float(share.max())

    def needed(self, margin: float, level: float) -> int:
        """Return how many clusters like these have a p-value of at most `level` if no answer
        changes."""
        if self.limits.is_share and self._independent:
            n = int(np.ceil(np.log(level) / np.log1p(-margin)))
            while lost_and_won(0, 0, n, margin) > level:
                n += 1
            return n
        sums = cluster_sums(self._before, self.clusters)
        low, high = 0.0, 1.0
        while self._p(sums, sums, False, margin, high) > level:
            low, high = high, 2 * high
            if high > 1e9:
                raise InputError(f"no number of images rules out a drop of {margin:g}")
        while (high - low) * self.count > 0.5:
            middle = (low + high) / 2
            if self._p(sums, sums, False, margin, middle) > level:
                low = middle
            else:
                high = middle
        return int(np.ceil(high * self.count))

    def _p(self, before: Array, after: Array, changed: bool, margin: float, copies: float) -> float:
        (p, w), (q, v) = (np.split(x, 2, axis=-1) for x in (before, after))
        if p.shape[1] == 1 and not self.limits.is_fixed:
            return _of_ratio(p - q, w - v, v, margin, self.limits.most * self._largest, copies)
        present, least = self._present, cluster_sums(self._least, self.clusters)
        if not least.any() or not least[:, present].any(0).all() or (w + v)[:, ~present].any():
            return 1.0  # of a class without any right answer nothing is known
        if self.limits.is_fixed:
            return _p_of(*self._fixed(p, w, q, least[:, present], margin), copies)
        p, w, q, v, least = (x[:, present] for x in (p, w, q, v, least))
        classes = p.shape[1]
        largest = self.count / least.sum(0)  # 1 / E w' at most
        most = self.limits.most * self._largest
        bound = self.limits.touched * most * float(largest.max()) / classes
        if not changed:
            return min(1.0, _SPENT + _p_of(np.full(len(p), margin), bound - margin, copies))
        loss = _largest_losses(p, w, q, v, largest, most).mean(axis=-1)
        return min(1.0, _SPENT + _p_of(margin - loss, bound - margin, copies))


def _checked(features: Array) -> Array:
    """Raise InputError if a part (..., 2 K) is negative or more than its whole."""
    parts, wholes = np.split(features, 2, axis=-1)
    if (parts < 0).any() or (parts > wholes).any():
        raise InputError(
            f"the metric has values from {np.min(parts):g} to {np.max(parts):g}; bounds that hold "
            f"for any number of images need values from 0 to 1"
        )
    return features


class Wager(NamedTuple):
    """Bets that go on. growth: of the logarithm of the capital, for each share that is bet."""

    growth: Array

    @classmethod
    def none(cls) -> "Wager":
        return cls(np.zeros(len(_SHARES)))

    @classmethod
    def of(cls, p: float) -> "Wager":
        """Return what has this p-value."""
        return cls(np.full(len(_SHARES), -np.log(p)))

    def then(self, other: "Wager") -> "Wager":
        """Return both, one after the other."""
        return Wager(self.growth + other.growth)

    @property
    def p(self) -> float:
        capital = float(np.logaddexp.reduce(self.growth + np.log(_STAKES)))
        return float(np.exp(-max(0.0, capital)))


def _growth(gains: Array, most: float) -> Array:
    """Return how much log capital grows by gains (..., G), for each share that is bet, (S, ...)."""
    with np.errstate(divide="ignore"):
        growth = [np.log1p(share * np.maximum(gains / most, -1)) for share in _SHARES]
    return np.asarray(np.stack(growth).sum(axis=-1))


def _p_of(gains: Array, most: float, copies: float = 1.0) -> float:
    """Return the p-value of "the mean of gains (..., G) is at most 0", from the capital of bets.

    most: the largest possible loss, -gain. copies: of each cluster. Leading axes of gains are
    values of something unknown between which gains are linear: log capital is concave there, so
    it is at least that of the poorer end of each interval.
    """
    stakes = np.log(_STAKES).reshape(-1, *[1] * (gains.ndim - 1))
    with np.errstate(invalid="ignore"):
        capital = copies * _growth(gains, most) + stakes
    if gains.ndim > 1:
        capital = np.minimum(capital[:, :-1], capital[:, 1:])
    poorest = float(np.min(np.logaddexp.reduce(capital, axis=0)))
    return float(np.exp(-max(0.0, poorest)))


def _of_ratio(
    lost: Array, shrunk: Array, after: Array, margin: float, most: float, copies: float
) -> float:
    """Test one ratio. lost: p - p', shrunk: w - w', after: w', (G, 1); the metric before, c, is
    unknown: from `margin`, since the metric after is not negative, to 1."""
    unknown = np.linspace(max(margin, 0.0), 1, _GRID if shrunk.any() else 1)[:, None]
    gains = margin * after[:, 0] - lost[:, 0] + unknown * shrunk[:, 0]
    return _p_of(gains if len(gains) > 1 else gains[0], (1 - margin) * most, copies)


def _largest_losses(p: Array, w: Array, q: Array, v: Array, largest: Array, most: float) -> Array:
    """Bound the contributions (G, K) to the drop of each class from above.

    Weights 1 / E w' and ratios E p / E w are unknown: in all of their intervals at once with a
    chance of 1 - _SPENT.
    """
    level = _SPENT / (4 * p.shape[1])
    weight_low = 1 / (most - _least_mean(most - v, level))
    weight_high = np.minimum(largest, 1 / np.maximum(_least_mean(v, level), 1e-300))
    ratio_low = _least_mean(p, level) / (most - _least_mean(most - w, level))
    loss = (p - q) - np.where(w > v, ratio_low, 1.0) * (w - v)
    return np.asarray(loss * np.where(loss > 0, weight_high, weight_low))


def _least_mean(values: Array, level: float) -> Array:
    """Return lower confidence bounds (K,) of means of values (G, K) >= 0, wrong with chance
    `level`: the least mean for which bets on values above it do not win 1 / level."""
    low, high = np.zeros(values.shape[1]), np.maximum(values.mean(0), 1e-300)
    for _ in range(24):
        middle = (low + high) / 2
        ratio = values / np.maximum(middle, 1e-300)
        with np.errstate(divide="ignore"):
            growth = np.stack([np.log1p(share * (ratio - 1)).sum(0) for share in _SHARES])
        rich = np.logaddexp.reduce(growth + np.log(_STAKES)[:, None], axis=0) >= -np.log(level)
        low, high = np.where(rich, middle, low), np.where(rich, high, middle)
    return low


@lru_cache(maxsize=100_000)
def lost_and_won(lost: int, won: int, n: int, margin: float) -> float:
    """Return the exact p-value of "accuracy drops by `margin` or more" for n independent images.

    Of them, `lost` are right before and wrong after, and `won` the reverse. Outcomes are ordered by
    their likelihood ratio. The p-value is the chance of such an outcome or a more extreme one for
    the worst share of won images within its interval, on a grid (Berger and Boos, "P values
    maximized over a confidence set for the nuisance parameter", JASA 89, 1994).
    """
    from scipy.special import bdtr, betaincinv, gammaln, xlogy

    if lost - won >= margin * n:
        return 1.0

    def ratio(lost: NDArray[Any], won: NDArray[Any]) -> Array:
        """The log likelihood of any drop over that of `margin`; 0 for a larger drop than that."""
        b = lost * (1 + margin) + won * (1 - margin) - 2 * margin * n
        q = (b + np.sqrt(np.maximum(b**2 + 8 * n * won * margin * (1 - margin), 0))) / (4 * n)
        counts = np.stack([lost, won, n - lost - won])
        shares = np.clip([q + margin, q, 1 - 2 * q - margin], 0, 1)
        found = (xlogy(counts, counts / n) - xlogy(counts, shares)).sum(0)
        return np.where(lost - won < margin * n, found, 0.0)

    tail = _SPENT / 2
    low = betaincinv(won, n - won + 1, tail) if won else 0.0
    high = betaincinv(won + 1, n - won, 1 - tail) if won < n else 1.0
    low, high = max(low, -margin), min(high, (1 - margin) / 2)
    q = low + (max(high, low) - low) * np.linspace(0, 1, _GRID)[:, None] ** 2
    differ = margin + 2 * q  # the share of images whose answer changes between right and wrong
    most = float(differ.max())
    changed = np.arange(min(n, int(n * most + 9 * np.sqrt(n * most) + 20)) + 1)
    # For each number of changed images: the most lost that are as extreme, -1 for none.
    least = ratio(np.array(lost), np.array(won)) - 1e-9
    extreme, beyond = np.full(len(changed), -1), changed + 1
    while (beyond - extreme > 1).any():
        middle = (extreme + beyond) // 2
        inside = np.clip(middle, 0, changed)
        is_extreme = ratio(inside, changed - inside) >= least
        extreme, beyond = (
            np.where(is_extreme, middle, extreme),
            np.where(is_extreme, beyond, middle),
        )
    choices = gammaln(n + 1) - gammaln(changed + 1) - gammaln(n - changed + 1)
    chance = np.exp(choices + xlogy(changed, differ) + xlogy(n - changed, 1 - differ))
    share = np.divide(margin + q, differ, out=np.zeros_like(q), where=differ > 0)
    below = np.where(extreme >= 0, bdtr(np.maximum(extreme, 0), changed, share), 0.0)
    return min(1.0, _SPENT + float((chance * below).sum(axis=-1).max()))


def largest_share(count: int, n: int, level: float) -> float:
    """Return the upper bound of a share of which `count` of n independent trials are; the share is
    above it with a chance of at most `level` (Clopper and Pearson, Biometrika 26, 1934)."""
    from scipy.special import betaincinv

    return 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - level))
