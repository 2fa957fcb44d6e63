"""Cars from above."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rawdrift.data.synthetic.faces import CAR, Faces, faces, turned
from rawdrift.data.synthetic.texture import Array, Rng

APART = 5.0  # meters from car to car, except side by side
_GLASS, _FRONT_LAMP, _REAR_LAMP = (0.025, 0.03, 0.037), (0.55, 0.55, 0.57), (0.22, 0.03, 0.03)
_PAINTS = (  # and their share of all cars
    (0.84, 0.85, 0.86, 0.24),  # white
    (0.46, 0.47, 0.49, 0.17),  # silver
    (0.13, 0.135, 0.15, 0.19),  # gray
    (0.025, 0.026, 0.03, 0.17),  # black
    (0.035, 0.075, 0.22, 0.09),  # blue
    (0.36, 0.035, 0.03, 0.08),  # red
    (0.03, 0.12, 0.06, 0.02),  # green
    (0.38, 0.30, 0.20, 0.02),  # beige
    (0.55, 0.36, 0.03, 0.02),  # yellow
)
# Of each kind of car: its share of all, half its width, its height, and where from its middle
# towards its nose are the nose, the hood, the windshield, the roof, the rear window, the trunk and
# the tail.
_KINDS: tuple[tuple[Any, ...], ...] = (
    (0.36, 0.88, 1.48, (2.0, 1.7, 0.85, 0.20, -1.25, -1.72, -1.80, -2.0)),  # hatchback
    (0.24, 0.91, 1.45, (2.32, 2.02, 0.95, 0.25, -0.95, -1.55, -2.12, -2.32)),  # sedan
    (0.28, 0.92, 1.52, (2.3, 2.0, 1.0, 0.35, -1.65, -2.05, -2.1, -2.3)),  # wagon
    (0.12, 0.98, 1.95, (2.55, 2.25, 1.55, 0.95, -2.0, -2.3, -2.35, -2.55)),  # van
)


def parked(places: Any, rng: Rng) -> Array:
    """Return x, y and heading (N, 3) of cars near places (M, 4): x, y, heading, and how near.

    A car in the way of an earlier one, near it both along and beside it, is left out. heading:
    radians, from x towards y.
    """
    places = np.reshape(places, (-1, 4))
    near = places[:, 3]
    spread = np.stack([near, near / 2, np.full_like(near, 0.03)], axis=1)
    cars: Array = rng.normal(places[:, :3], spread).astype(np.float32)
    x, y, heading = cars.T
    place, way = x + 1j * y, np.exp(1j * heading)
    apart = (place[:, None] - place) / way
    beside = np.where(np.abs((way[:, None] / way).real) > 0.7, 2.2, APART)
    touch = (np.abs(apart.real) < APART) & (np.abs(apart.imag) < beside)
    return cars[~np.tril(touch, -1).any(axis=1)]  # type: ignore[no-any-return]


def bodies(cars: Array, rng: Rng) -> Faces:
    """Return the faces of cars (N, 3): x, y, heading."""
    count = len(cars)
    kind = rng.choice(len(_KINDS), count, p=[share for share, *_ in _KINDS])
    corners = np.array([_body(*shape) for _, *shape in _KINDS])[kind]
    heading = cars[:, 2, None, None, None]
    corners[..., :2] = turned(corners[..., :2], heading) + cars[:, None, None, None, :2]
    *paints, share = np.array(_PAINTS).T
    paint = np.array(paints).T[rng.choice(len(_PAINTS), count, p=share)]
    paint *= rng.uniform(0.8, 1.2, (count, 1))
    color = np.tile(paint[:, None, None], (1, 7, 5, 1))
    color[:, 2:5, 1:4], color[:, 3, 2] = _GLASS, paint
    color[:, 0, 1:4:2], color[:, 6, 1:4:2] = _FRONT_LAMP, _REAR_LAMP
    order = np.array([height for _, _, height, _ in _KINDS])[kind].repeat(35)
    return faces(corners.reshape(-1, 4, 3), color.reshape(-1, 3), kind=CAR, order=order)


def _body(half: float, height: float, stations: Sequence[float]) -> Array:
    """Return the faces (7, 5, 4, 3) of a body: between each two stations from nose to tail a side,
    a flank, the middle, a flank and a side."""
    x = np.array(stations)[:, None]
    side = half * np.array((0.7, 0.95, 1, 1, 1, 1, 0.93, 0.75))[:, None]
    top = np.array((0.6, 0.8, 1.0, height, height, 1.0, 0.9, 0.6))[:, None]
    y = side - (0, 0.08, 0.32)
    z = np.concatenate([0 * top + 0.15, np.minimum(top, 0.85), top], axis=1)
    y, z = np.concatenate([-y, y[:, ::-1]], axis=1), np.concatenate([z, z[:, ::-1]], axis=1)
    points = np.stack([np.broadcast_to(x, y.shape), y, z], axis=-1)
    ahead, behind = points[:-1], points[1:]
    return np.stack([behind[:, :-1], ahead[:, :-1], ahead[:, 1:], behind[:, 1:]], axis=2)
