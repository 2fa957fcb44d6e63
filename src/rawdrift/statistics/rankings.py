"""What the data say about the order of several estimates, all statements together."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import Estimates
from rawdrift.statistics.measures import Array

Order = NDArray[np.int64]
"""(M, M): 1 where the first of two is surely larger than the second, -1 where it is surely smaller,
0 where the data don't tell."""


def order(estimates: Estimates, confidence: float = 0.95, seed: int = 0) -> Order:
    """Compare every two of M estimates (M,); all comparisons hold together."""
    count = len(estimates.values)
    signs = np.zeros((count, count), np.int64)
    if count > 1:
        first, second = np.array([*combinations(range(count), 2)]).T
        low, high = (estimates[first] - estimates[second]).simultaneous(confidence, seed)
        signs[first, second] = np.where(low > 0, 1, np.where(high < 0, -1, 0))
    return signs - signs.T


def rank_bounds(signs: Order) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the largest rank (M,) of each; 1 is the rank of the largest value.

    The bounds hold together for all ranks (Mogstad, Romano, Shaikh and Wilhelm, "Inference for
    ranks with applications to mobility across neighborhoods", Review of Economic Studies 91, 2024).
    """
    return 1 + (signs < 0).sum(1), len(signs) - (signs > 0).sum(1)


def agreement(
    one: Estimates, other: Estimates, confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """Return Kendall's tau between two rankings of M, with the values that the data leave possible.

    None if all values of one ranking are equal. Each ranking gets half of the error.
    """
    value = float(kendall_tau(one.values, other.values))
    if np.isnan(value):
        return None
    each = 1 - (1 - confidence) / 2
    product = (order(one, each, seed) * order(other, each, seed))[
        np.triu_indices(len(one.values), 1)
    ]
    low, high = np.where(product, product, -1).mean(), np.where(product, product, 1).mean()
    return Interval(value, min(float(low), value), max(float(high), value))


def ratio(above: Estimates, below: Estimates, confidence: float = 0.95) -> Interval | None:
    """Return the ratio of two estimates, each a single one, of the same clusters.

    Its interval has the ratios r for which that of `above` - r * `below` holds 0
    (Fieller, "Some problems in interval estimation", JRSS B 16, 1954). None unless the below
    is surely above 0.
    """
    low = below.interval(confidence).low
    if low is None or low <= 0:
        return None
    from scipy.optimize import brentq  # not for commands that compute nothing

    both = above.stack(below)

    def bound(side: int) -> float | None:
        def at(angle: float) -> float:
            difference = both.combined([np.cos(angle), -np.sin(angle)])
            return float(difference.bounds(difference.critical(0.5 + confidence / 2))[side])

        value = float(np.arctan2(above.values, below.values))
        end = np.pi / 2 if side else -np.pi / 2
        if at(value) * at(end) > 0:  # together with `above`, the below may be 0
            return None
        return float(np.tan(brentq(at, value, end)))

    low, high = bound(0), bound(1)
    if low is None or high is None:
        return None
    return Interval(float(above.values / below.values), low, high)


def kendall_tau(one: Array, other: Array) -> Array:
    """Return Kendall's tau-b of two rankings (..., M): (...), NaN if all values of one are equal.

    Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    """
    first, second = (np.sign(x[..., :, None] - x[..., None, :]) for x in (one, other))
    alike = (first * second).sum((-2, -1))
    untied = np.sqrt((first**2).sum((-2, -1)) * (second**2).sum((-2, -1)))
    return np.asarray(np.divide(alike, untied, out=np.full_like(untied, np.nan), where=untied > 0))
