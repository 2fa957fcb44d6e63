"""Statistics of the controls: metrics, intervals and tests. No torch, no files."""

from rawdrift.statistics.basics import (
    Interval,
    Spread,
    effective_size,
    paired_difference,
    spread,
    wilson,
)
from rawdrift.statistics.measures import Measure
from rawdrift.statistics.resampling import Resampling, holm, kendall_tau, ranks

__all__ = [
    "Interval",
    "Measure",
    "Resampling",
    "Spread",
    "effective_size",
    "holm",
    "kendall_tau",
    "paired_difference",
    "ranks",
    "spread",
    "wilson",
]
