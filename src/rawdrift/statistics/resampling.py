"""Tests by permutation of images, or of the groups that they come in."""

from collections.abc import Sequence

import numpy as np

from rawdrift.statistics.estimates import Clusters, cluster_sums
from rawdrift.statistics.measures import Array, Measure

FLIPS = 9999
"""Draws of the permutation test, at least: the least p-value is then 1e-4."""
_FLIPPED = 2**24  # clusters of all draws in one step of a permutation test


def clusters(images: int, groups: Sequence[str] | None) -> Clusters:
    """Number the cluster of each image: its group, or the image itself."""
    if groups is None:
        return np.arange(images)
    numbers: Clusters = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers


def p_values(
    one: Array,
    other: Array,
    measure: Measure,
    clusters: Clusters,
    flips: int = FLIPS,
    seed: int = 0,
) -> Array:
    """Test whether a measure differs between two answers to the same images: p-values (...).

    The test is two-sided and by permutation: if there is no difference, the two answers to a
    cluster can be swapped (Fisher's randomization test; Edgington and Onghena, "Randomization
    Tests", 2007). The least p-value is 1 / (flips + 1).

    one, other: features (..., N, K). clusters: (N,). The same seed swaps the same clusters.
    """
    first, second = (cluster_sums(x, clusters) for x in (one, other))
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    rounding = 1e-12  # of sums in another order
    as_far = np.ones(first.shape[:-2])  # draws that differ as much, and the observed one
    count = first.shape[-2]
    step = max(1, _FLIPPED // count)
    for done in range(0, flips, step):
        keep = rng.integers(0, 2, (min(step, flips - done), count), dtype=np.int8)
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
