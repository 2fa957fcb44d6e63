"""Numbers with their uncertainty, and closed-form intervals."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

import msgspec


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
