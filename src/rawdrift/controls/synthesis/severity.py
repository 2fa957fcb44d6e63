"""Drops under corruptions that change the views as much as another pipeline does.

A ratio of average drops says little if corruptions change pictures more than pipelines do. So the
drop under each corruption is read at the distance between the other pipeline's view and the matched
one, by linear interpolation between the tested severities and severity 0, which costs nothing.
"""

import numpy as np

from rawdrift.controls.synthesis.grid import Grid
from rawdrift.statistics.estimates import Estimates
from rawdrift.statistics.measures import Array


def matched_drops(grid: Grid, kind: str) -> tuple[Estimates, Estimates, int, int] | None:
    """Average the drops on pipelines and under corruptions at the same distance between views.

    kind: "dssim" or "mse", which are 0 for equal views.
    Returns both averages; how many pairs of pipelines were compared; and how many there are. Pairs
    that no corruption reaches count in neither average. None if no pair was compared.
    """
    distance = grid.distance[kind]
    isp, corruption = np.zeros((2, *distance.shape))  # how much each drop counts
    compared = pairs = 0
    for row in range(len(grid.trained)):
        curves = _curves(grid, row, distance)
        for column in np.flatnonzero(grid.where("isp")[row]):
            pairs += 1
            at = distance[row, column]
            reached = [curve for curve in curves if at <= distance[row, curve[-1]]]
            compared += bool(reached)
            isp[row, column] += bool(reached)
            for curve in reached:
                corruption[row, curve] += _shares(distance[row, curve], at) / len(reached)
    if not compared:
        return None
    averages = [grid.drops.combined(counts / compared) for counts in (isp, corruption)]
    return averages[0], averages[1], compared, pairs


def _curves(grid: Grid, row: int, distance: Array) -> list[list[int]]:
    """List the columns of each corruption, by rising distance."""
    by_name: dict[str, list[int]] = {}
    for column in np.flatnonzero(grid.where("corruption")[row]):
        by_name.setdefault(grid.cases[column].name, []).append(int(column))
    return [
        sorted(columns, key=lambda column: distance[row, column]) for columns in by_name.values()
    ]


def _shares(distances: Array, at: float) -> Array:
    """Return how much each of the drops at rising distances counts at another one, linearly.

    At distance 0, nothing is lost.
    """
    shares = np.zeros(len(distances))
    above = int(np.searchsorted(distances, at))
    below = distances[above - 1] if above else 0.0
    span = distances[above] - below
    shares[above] = (at - below) / span if span > 0 else 0.0
    if above:
        shares[above - 1] = 1 - shares[above]
    return shares
