"""Estimates from trainings that were repeated with other seeds.

What a network answers varies with the images and with its training. The images' part is that of
`estimates`. The trainings' part comes from folds that were trained again with other seeds. If folds
still differ by more than that, training images matter too; folds share most of these, so this
counts as much more as Nadeau and Bengio say ("Inference for the generalization error", Machine
Learning 52, 2003). The trainings' part is by Student's t, with the degrees of freedom of
Satterthwaite ("An approximate distribution of estimates of variance components", Biometrics
Bulletin 2, 1946). Both parts are added in squares at each end of an interval (Zou and Donner,
"Construction of confidence limits about effect measures: a general approach", Statistics in
Medicine 27, 2008). Two folds do not tell how much training images matter: intervals then cover
other seeds alone.

If each fold was trained once, nothing is known of other seeds, and the images' part is all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.estimates import Clusters, Estimates, cluster_sums, estimate
from rawdrift.statistics.measures import Array, Measure

_STEP = 1e-3  # of a numerical derivative


@dataclass(frozen=True, kw_only=True)
class Trainings(Estimates):
    """Quantities (...) that are estimated from G clusters of images in F folds, trained R times.

    slopes: by how much the answers of a repeat to a cluster move the values, (..., G, R).
    member: (F, G), 1 where a fold tests a cluster. sizes: of clusters, as shares of the images.
    trained: (F, R), which folds each repeat has trained; slopes of others are 0.
    """

    slopes: Array
    member: Array
    sizes: Array
    trained: NDArray[np.bool_]

    def __sub__(self, other: Self) -> Self:
        """Return the differences of settings that were trained on the same folds."""
        return replace(super().__sub__(other), slopes=self.slopes - other.slopes)

    def stack(self, *others: Self) -> Self:
        slopes = np.stack([one.slopes for one in (self, *others)])
        return replace(super().stack(*others), slopes=slopes)

    def _each(self, function: Callable[[Array], Any]) -> Self:
        return replace(super()._each(function), slopes=np.asarray(function(self.slopes)))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the seeds' part: trainings beyond the first of each fold."""
        return int((self.trained.sum(1) - 1).sum())

    def variance(self) -> Array:
        """Return the variance (...) by seeds and training images, beyond that of images."""
        return np.asarray(self._parts().sum(0))

    def _parts(self) -> Array:
        """Return the variance by seeds, and that by training images, (2, ...)."""
        member, folds = self.member, len(self.member)
        repeats, shares = self.trained.sum(1), member @ self.sizes
        mean = self.slopes.sum(-1) / (repeats @ member)
        trained = (member.T @ self.trained) > 0  # (G, R)
        moved = np.where(trained, self.slopes - mean[..., None], 0)
        by_seed = (member @ moved) / shares[:, None]  # (..., F, R)
        seeds = (by_seed**2).sum((-2, -1)) / self.freedom * (shares**2 / repeats).sum()
        # What a training makes of single images is part of the images' variance already.
        alone = moved - self.sizes[:, None] * (member.T @ by_seed)
        clusters = member.sum(1)
        counts = (clusters - 1) * (repeats - 1) * repeats
        known = (alone**2).sum(-1) @ member.T @ (clusters / counts.clip(1) * (counts > 0))
        seeds = np.maximum(0, seeds - known)
        last = folds / (folds - 1) if folds > 1 else 0  # one fold tells nothing of others
        by_fold = ((mean @ member.T) ** 2).sum(-1) * last
        left = np.maximum(0, by_fold - (self.influence**2).sum(-1) - seeds)
        return np.stack([seeds, left * (1 + last)])

    def bounds(self, t: float | Array) -> tuple[Array, Array]:
        """Return lower and upper bounds (...) for a critical value of images, see `critical`."""
        low, high = super().bounds(t)
        if not (self.freedom and np.isfinite(t).all()):
            return low, high
        from scipy.special import stdtr, stdtrit  # not for commands that compute nothing

        parts, folds = self._parts(), max(1, len(self.member) - 1)
        variance = parts.sum(0)
        weights = (parts / np.maximum(variance, 1e-300)) ** 2
        freedom = 1 / np.maximum(weights[0] / self.freedom + weights[1] / folds, 1 / self.freedom)
        groups = int(self.influence.shape[-1]) - 1
        of_trainings = -stdtrit(freedom, stdtr(groups, -np.asarray(t)))
        error = np.minimum(of_trainings, 1e300) * np.sqrt(variance)
        at = self.values
        low, high = at - np.hypot(at - low, error), at + np.hypot(high - at, error)
        if self.bounded:
            low, high = np.maximum(low, self.least), np.minimum(high, self.most)
        return low, high

    def _largest(self, two_sided: bool, seed: int) -> Array | None:
        """Return None where trainings vary: how they do so together is hardly known."""
        return None if self.freedom else super()._largest(two_sided, seed)


def repeated(
    measure: Measure,
    repeats: Sequence[Array],
    clusters: Clusters,
    folds: NDArray[np.int64],
    trained: NDArray[np.bool_] | None = None,
) -> Trainings:
    """Estimate a metric of answers to N images, by networks that were trained R times.

    repeats: features (..., N, K) of the answers of each. clusters, folds: (N,) the numbers of the
    group and of the fold of each image. trained: (F, R), which folds each repeat has trained, at
    least one of each; all by default. Answers of others are ignored.
    """
    sizes = np.bincount(clusters)
    fold_of = np.zeros(len(sizes), np.int64)
    fold_of[clusters] = folds
    member = (np.arange(fold_of.max() + 1)[:, None] == fold_of).astype(float)
    there = np.ones((len(member), len(repeats)), bool) if trained is None else trained
    mean = mean_answers(repeats, there[folds])
    total = mean.sum(-2)[..., None, :]
    slopes = np.empty((*mean.shape[:-2], len(sizes), len(repeats)))
    for repeat, features in enumerate(repeats):
        sums = _STEP * cluster_sums(features, clusters)
        moved = (measure.of(total + sums) - measure.of(total - sums)) / (2 * _STEP)
        slopes[..., repeat] = moved * there[fold_of, repeat]
    images = estimate(measure, mean, clusters)
    values = {field.name: getattr(images, field.name) for field in fields(images)}
    return Trainings(
        **values, slopes=slopes, member=member, sizes=sizes / len(folds), trained=there
    )


def mean_answers(repeats: Sequence[Array], there: NDArray[np.bool_]) -> Array:
    """Return the mean of features (..., N, K) over the repeats that there are, (N, R)."""
    weights = there / there.sum(1, keepdims=True)
    mean = np.zeros(repeats[0].shape)
    for features, weight in zip(repeats, weights.T, strict=True):
        mean += features * weight[:, None]
    return mean
