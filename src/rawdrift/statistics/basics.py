"""Numbers with their uncertainty."""

from collections.abc import Sequence
from statistics import fmean, stdev

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
