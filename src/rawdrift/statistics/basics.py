"""Numbers with their uncertainty."""

from collections.abc import Sequence
from statistics import fmean, stdev

import msgspec

from rawdrift.text import Shown, brief, html


class Interval(msgspec.Struct, Shown, frozen=True):
    """A value and its confidence interval. low, high: None if they are not known."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return brief(self)

    def _repr_html_(self) -> str:
        return html(
            "",
            ("value", "low", "high"),
            [[brief(x) or "?" for x in (self.value, self.low, self.high)]],
        )


class Spread(msgspec.Struct, frozen=True):
    """A mean and the sample standard deviation, None for a single value."""

    mean: float
    std: float | None


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of one value or more."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)
