"""Settings compared by trainings that were repeated with other seeds.

What one setting gains over another varies with the images and with the trainings. The images' part
is an interval of `estimates`. The trainings' part comes from folds that were trained again with
other seeds, by Student's t. If folds still differ by more than that, training images matter too;
folds share most of these, so this part counts as much more as Nadeau and Bengio say ("Inference for
the generalization error", Machine Learning 52, 2003). Both parts are added in squares at each end
(Zou and Donner, "Construction of confidence limits about effect measures: a general approach",
Statistics in Medicine 27, 2008).

If each fold was trained once, nothing is known of other seeds, and the images' part is all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import Clusters, Estimates, cluster_sums, estimate
from rawdrift.statistics.measures import Array, Measure

_STEP = 1e-3  # of a numerical derivative
_LEAST_P = 1e-12
_HALVINGS = 32  # of the interval in which a p-value is searched


@dataclass(frozen=True)
class Trainings:
    """Quantities (...) that are estimated from G clusters of images in F folds, trained R times.

    images: the values, and how they vary with images and with what trainings make of each.
    slopes: by how much the answers of a repeat to a cluster move the values, (..., G, R).
    member: which clusters each fold tests, (F, G). sizes: of clusters, as shares of the images.
    trained: which folds each repeat has trained, (F, R); slopes of others are 0.
    """

    images: Estimates
    slopes: Array
    member: Array
    sizes: Array
    trained: NDArray[np.bool_]

    def __getitem__(self, index: Any) -> Self:
        """Return some of the quantities."""
        return replace(self, images=self.images[index], slopes=self.slopes[index])

    def __sub__(self, other: Self) -> Self:
        """Return the differences of settings that were trained on the same folds."""
        images, slopes = self.images - other.images, self.slopes - other.slopes
        return replace(self, images=images, slopes=slopes)

    def mean(self) -> Self:
        """Return the mean over the first axis."""
        return replace(self, images=self.images.mean(), slopes=self.slopes.mean(axis=0))

    @property
    def values(self) -> Array:
        return self.images.values

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the seeds' part: trainings beyond the first of each fold."""
        return int((self.trained.sum(1) - 1).sum())

    def variance(self) -> Array:
        """Return the variance (...) by seeds and training images, beyond that of `images`."""
        member, folds = self.member, len(self.member)
        repeats, shares = self.trained.sum(1), member @ self.sizes
        mean = self.slopes.sum(-1) / (repeats @ member)
        trained = (member.T @ self.trained) > 0  # (G, R)
        moved = np.where(trained, self.slopes - mean[..., None], 0)
        by_seed = (member @ moved) / shares[:, None]  # (..., F, R)
        alone = moved - self.sizes[:, None] * (member.T @ by_seed)
        seed = (by_seed**2).sum((-2, -1)) / self.freedom * (shares**2 / repeats).sum()
        clusters = member.sum(1)
        counts = (clusters - 1) * (repeats - 1) * repeats
        noise = (alone**2).sum(-1) @ member.T @ (clusters / counts.clip(1) * (counts > 0))
        seed = np.maximum(0, seed - noise)
        last = folds / (folds - 1)
        by_fold = ((mean @ member.T) ** 2).sum(-1) * last
        left = np.maximum(0, by_fold - (self.images.influence**2).sum(-1) - seed)
        return np.asarray(seed + left * (1 + last))

    def bounds(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Return lower and upper bounds (...), of each quantity alone."""
        from scipy.special import stdtrit  # not for commands that compute nothing

        tail = 0.5 + confidence / 2
        low, high = self.images.bounds(self.images.critical(tail))
        if not self.freedom:
            return low, high
        values, least, most = self.values, self.images.least, self.images.most
        trained = float(stdtrit(self.freedom, tail)) * np.sqrt(self.variance())
        low = values - np.hypot(values - low, trained)
        high = values + np.hypot(high - values, trained)
        return (low.clip(least), high.clip(None, most)) if self.images.bounded else (low, high)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the two-sided interval of a single quantity."""
        low, high = self.bounds(confidence)
        return Interval(float(self.values), float(low), float(high))

    def p_value(self) -> float:
        """Return the p-value of a single quantity: 1 - confidence where its interval ends at 0."""
        least, most = math.log(_LEAST_P), 0.0
        for _ in range(_HALVINGS):
            middle = (least + most) / 2
            low, high = self.bounds(1 - math.exp(middle))
            least, most = (middle, most) if low <= 0 <= high else (least, middle)
        return math.exp(most)


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
    weights = (there / there.sum(1, keepdims=True))[folds]  # (N, R)
    mean = np.zeros(repeats[0].shape)
    for features, weight in zip(repeats, weights.T, strict=True):
        mean += features * weight[:, None]
    total = mean.sum(-2)[..., None, :]
    slopes = np.empty((*mean.shape[:-2], len(sizes), len(repeats)))
    for repeat, features in enumerate(repeats):
        sums = _STEP * cluster_sums(features, clusters)
        moved = (measure.of(total + sums) - measure.of(total - sums)) / (2 * _STEP)
        slopes[..., repeat] = moved * there[fold_of, repeat]
    images = estimate(measure, mean, clusters)
    return Trainings(images, slopes, member, sizes / len(folds), there)
