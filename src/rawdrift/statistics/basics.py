"""Numbers with their uncertainty, and closed-form intervals."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class Interval(msgspec.Struct, frozen=True):
    """A value and its confidence interval. low, high: None if they are not known."""

    value: float
    low: float | None
    high: float | None


class Spread(msgspec.Struct, frozen=True):
    """A mean and the sample standard deviation, None for a single value."""

    mean: float
    std: float | None


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of one value or more."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def wilson(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a share observed in n independent trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22, 1927.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    center = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)


def paired_difference(
    lost: float, won: float, n: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the drop in accuracy between two answers to the same n images.

    The drop is (lost - won) / n. lost: images right before and wrong after; won: the reverse.
    Source: Agresti and Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24, 2005: Wald's interval with half an image added to each
    of the four outcomes.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    a, b, total = lost + 0.5, won + 0.5, n + 2
    center = (a - b) / total
    half = z * math.sqrt(a + b - (a - b) ** 2 / total) / total
    return max(-1.0, center - half), min(1.0, center + half)


def effective_size(values: NDArray[Any], groups: NDArray[np.int64] | None = None) -> float:
    """Return how many independent values would tell as much about the mean as these, at most n.

    The size is n divided by the design effect: the variance of the mean of clustered values over
    that of independent ones (Kish, "Survey Sampling", 1965; with the linearized variance of cluster
    sampling).

    values: (n,). groups: (n,) number of the group of each; values of one group may be alike.
    """
    n = len(values)
    independent = float(np.var(values)) / n
    if groups is None or independent == 0:
        return float(n)
    sums = np.bincount(groups, weights=values - values.mean())
    sums = sums[np.bincount(groups) > 0]
    if len(sums) < 2:
        return 1.0
    clustered = len(sums) / (len(sums) - 1) * float((sums**2).sum()) / n**2
    return n / max(1.0, clustered / independent)
