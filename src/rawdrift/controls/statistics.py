"""Numbers with their uncertainty."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple


class Spread(NamedTuple):
    """Mean, and sample standard deviation (None of a single value)."""

    mean: float
    std: float | None


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def wilson(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share that was seen in n independent trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22, 1927.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    center = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)
