"""Tests of whether a model's answers can be trusted at all, from its confusion matrix.

Rows are right classes, columns answers. Images of one group may be alike: with `size`, the share of
the images that would tell as much if they were independent, tests count only so many.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.basics import Interval

Counts = NDArray[np.int64]

CERTAIN = 0.05
"""The p-value below which answers are better than guesses."""
REORDERED = 0.002
"""The p-value below which another order of the outputs fits better; for all orders together."""
_DRAWS = 2000


def confusion(truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> Counts:
    """Count images by right class and answer, (C, C)."""
    counts = np.bincount(truth * classes + answers, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def independent_share(
    truth: NDArray[np.int64], answers: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> float:
    """Return the `size` of answers to grouped images, by how alike their errors are.

    The inverse of the design effect: the variance of the share of right answers in clustered images
    over that in independent ones (Kish, "Survey Sampling", 1965).
    """
    right = (truth == answers).astype(np.float64)
    independent = float(right.var()) / len(right)
    if groups is None or independent == 0:
        return 1.0
    sums = np.bincount(groups, weights=right - right.mean())
    if len(sums) < 2:
        return 1 / len(right)
    clustered = len(sums) / (len(sums) - 1) * float((sums**2).sum()) / len(right) ** 2
    return 1 / max(1.0, clustered / independent)


def p_guessing(counts: Counts, size: float = 1.0, seed: int = 0) -> float:
    """Test whether answers are guesses, which don't depend on the image: the p-value.

    By permutation: as many images would be right if the same answers were given to the images in
    any order. For an answer that is always the same that is certain.
    """
    return _p_of_hits(counts, np.arange(len(counts)), np.ones(len(counts)), size, seed)


def better_order(counts: Counts, size: float = 1.0, seed: int = 0) -> tuple[int, ...] | None:
    """Return the order of the outputs that fits the right classes better than the present one.

    Entry k is the class that output k seems to mean. None unless the evidence is clear: the order
    is the one with the highest mean recall; each class that moves is recognized more often; among
    its images, answers by the new order are more than those by the present one (exact binomial
    test, corrected for all orders that move as many classes), and they depend on the images
    (permutation test), so that neither chance nor a preference for a class can give it.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binom

    present = np.flatnonzero(counts.sum(1))
    recalls = counts[present] / counts[present].sum(1, keepdims=True)
    _, best = linear_sum_assignment(-recalls)
    moved = best != present
    rows = np.arange(len(present))
    if not moved.any() or np.any(recalls[rows, best][moved] <= recalls[rows, present][moved]):
        return None
    new, old = (int(counts[present, columns][moved].sum()) for columns in (best, present))
    m = int(moved.sum())
    orders = math.comb(len(present), m) * math.perm(len(counts) - len(present) + m, m)
    p = float(binom.sf(math.floor(new * size) - 1, math.floor((new + old) * size), 0.5))
    # Of classes that only changed places, by their images and outputs alone.
    part, hits = counts[np.ix_(present[moved], best[moved])], np.arange(m)
    weights = 1 / part.sum(1)
    if m == 1:  # to the output of a class without images
        part, hits, weights = counts[present], best, moved / counts[present].sum(1)
    if p * orders >= REORDERED or _p_of_hits(part, hits, weights, size, seed) >= REORDERED:
        return None
    meaning = np.full(len(counts), -1)
    meaning[best] = present
    # Outputs of classes without images keep their meaning, or get one that is left.
    left = [c for c in range(len(counts)) if c not in present]
    for output in np.flatnonzero(meaning < 0).tolist():
        meaning[output] = output if output in left else next(c for c in left if meaning[c] >= 0)
        left.remove(int(meaning[output]))
    return tuple(meaning.tolist())


def recall_and_precision(
    counts: Counts, size: float = 1.0
) -> list[tuple[Interval | None, Interval | None]]:
    """Return recall and precision of each class with 95 % intervals (Wilson).

    None for a class without images, and for one that is never answered.
    """

    def share(right: int, of: int) -> Interval | None:
        """Wilson's score interval (JASA 22, 1927)."""
        if not of:
            return None
        p, n, z = right / of, max(1.0, of * size), NormalDist().inv_cdf(0.975)
        center, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        scale = 1 + z**2 / n
        low, high = (center - half) / scale, (center + half) / scale
        return Interval(p, max(0.0, min(p, low)), min(1.0, max(p, high)))

    return [
        (share(right, images), share(right, answered))
        for right, images, answered in zip(
            np.diag(counts).tolist(), counts.sum(1).tolist(), counts.sum(0).tolist(), strict=True
        )
    ]


def never_recognized(counts: Counts, least: int = 10) -> list[int]:
    """Return the classes of many images none of which is recognized.

    Many: `least`, and half of what each class had if all were as frequent.
    """
    images = counts.sum(1)
    many = images >= max(least, counts.sum() / (2 * np.count_nonzero(images)))
    return np.flatnonzero(many & (np.diag(counts) == 0)).tolist()


def _p_of_hits(
    counts: Counts,
    hits: NDArray[np.int64],
    weights: NDArray[np.float64],
    size: float,
    seed: int,
) -> float:
    """Test whether the sum over rows of weights[c] * counts[c, hits[c]] is larger than by chance.

    By permutation: rows and columns keep their sums (Patefield, "Algorithm AS 159", Applied
    Statistics 30, 1981).
    """
    from scipy.stats import norm, random_table

    rows, columns = counts.sum(1), counts.sum(0)
    if np.count_nonzero(rows) < 2 or np.count_nonzero(columns) < 2:
        return 1.0
    drawn = random_table(rows, columns).rvs(_DRAWS, random_state=seed)
    at = np.arange(len(counts)), hits
    values = drawn[:, *at] @ weights
    observed = counts[at] @ weights
    if size < 1:  # draws alone reach no further than 1 / _DRAWS, however clear the images are
        apart = (observed - values.mean()) / max(float(values.std()), 1e-12)
        return float(norm.sf(apart * math.sqrt(size)))
    return float((1 + np.count_nonzero(values >= observed - 1e-12)) / (_DRAWS + 1))
