"""Drops under corruptions that change the views as much as another pipeline does.

A ratio of average drops says little if corruptions change pictures more than pipelines do. So the
drop under each corruption is read at the distance between the other pipeline's view and the matched
one, by linear interpolation between the tested severities and severity 0, which costs nothing.
"""

import numpy as np

from rawdrift.controls.synthesis.grid import Grid
from rawdrift.statistics.measures import Array


def matched_drops(grid: Grid, kind: str) -> tuple[Array, Array, int, int] | None:
    """Average the drops on pipelines and under corruptions at the same distance between views.

    kind: "dssim" or "mse", which are 0 for equal views.
    Returns both averages, (1 + B,), of all images and of each resampled set; how many pairs of
    pipelines were compared; and how many there are. Pairs that no corruption reaches count in
    neither average. None if no pair was compared.
    """
    distance = grid.distance[kind]
    value, draws = grid.drops
    drops = np.concatenate([value[..., None], draws], axis=-1)  # (T, U, 1 + B)
    isp, corruption, pairs = [], [], 0
    for row in range(len(grid.trained)):
        curves = _curves(grid, row, distance, drops)
        for column in np.flatnonzero(grid.where("isp")[row]):
            pairs += 1
            at = distance[row, column]
            reached = [_read(curve, at) for curve in curves if at <= curve[0][-1]]
            if reached:
                isp.append(drops[row, column])
                corruption.append(np.mean(reached, axis=0))
    if not isp:
        return None
    return np.mean(isp, axis=0), np.mean(corruption, axis=0), len(isp), pairs


def _curves(grid: Grid, row: int, distance: Array, drops: Array) -> list[tuple[Array, Array]]:
    """For each corruption, its distances rising from 0, and the drops there, (S, 1 + B)."""
    by_name: dict[str, list[int]] = {}
    for column in np.flatnonzero(grid.where("corruption")[row]):
        by_name.setdefault(grid.cases[column].name, []).append(int(column))
    curves = []
    for columns in by_name.values():
        order = sorted(columns, key=lambda column: distance[row, column])
        at = np.array([0.0, *(distance[row, column] for column in order)])
        none = np.zeros((1, drops.shape[-1]))
        curves.append((at, np.concatenate([none, drops[row, order]])))
    return curves


def _read(curve: tuple[Array, Array], at: float) -> Array:
    """Interpolate the drops at a distance, (1 + B,)."""
    distances, drops = curve
    above = int(np.searchsorted(distances, at))
    if above == 0 or distances[above] == at:
        return np.asarray(drops[above])
    share = (at - distances[above - 1]) / (distances[above] - distances[above - 1])
    return np.asarray((1 - share) * drops[above - 1] + share * drops[above])
