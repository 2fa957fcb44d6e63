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


def paired_difference(lost: int, won: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the drop (lost - won) / n of a share that two answers to the same n images have.

    lost: images right the first time and wrong the second; won: the other way around.
    Source: Agresti and Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24, 2005: Wald's interval with half an image added to each
    of the four outcomes.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    a, b, total = lost + 0.5, won + 0.5, n + 2
    center = (a - b) / total
    half = z * math.sqrt(a + b - (a - b) ** 2 / total) / total
    return max(-1.0, center - half), min(1.0, center + half)
