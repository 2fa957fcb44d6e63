"""Statistics of the controls: metrics, intervals and tests. No torch, no files."""

from rawdrift.statistics.acceptance import Acceptance, accept
from rawdrift.statistics.basics import Interval, Spread, spread
from rawdrift.statistics.drops import drop, largest_drop
from rawdrift.statistics.estimates import Estimates, estimate
from rawdrift.statistics.guarantees import DropTest
from rawdrift.statistics.measures import Limits, Measure
from rawdrift.statistics.rankings import kendall_tau

__all__ = [
    "Acceptance",
    "DropTest",
    "Estimates",
    "Interval",
    "Limits",
    "Measure",
    "Spread",
    "accept",
    "drop",
    "estimate",
    "kendall_tau",
    "largest_drop",
    "spread",
]
