"""How many images, or groups of images, the decision of a release takes."""

from math import ceil, sqrt
from typing import NamedTuple

from rawdrift.statistics.guarantees import lost_and_won

POWER = 0.8
"""The chance of a decision with the images that are said to be needed."""
_QUANTILE = 0.8416  # of the normal distribution at POWER
_MOST = 10_000_000


class Need(NamedTuple):
    """images: needed for a decision with chance `POWER`; None if no number is enough.

    drop: expected, of the metric. other: the share of images whose answers change beside those that
    the drop takes, lost as often as won.
    """

    drop: float
    other: float
    images: int | None


def needs(margin: float, alpha: float) -> list[Need]:
    """Tabulate the images needed to rule out a drop of accuracy of `margin`, at several expected
    drops."""
    return [
        Need(drop, other, _images(margin, alpha, drop, other))
        for drop in (0.0, margin / 4, margin / 2)
        for other in (0.0, 0.05, 0.1)
    ]


def _images(margin: float, alpha: float, drop: float, other: float) -> int | None:
    def decides(n: int) -> bool:
        changed = drop + other
        unlucky = _QUANTILE * sqrt(max(0.0, n * (changed - drop**2)))
        lost = ceil((n * (changed + drop) + unlucky) / 2)
        won = int(max(0.0, n * (changed - drop) - unlucky) / 2)
        if lost + won > n:
            return False
        return lost_and_won(lost, won, n, margin) <= alpha

    high = 8
    while not decides(high):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
