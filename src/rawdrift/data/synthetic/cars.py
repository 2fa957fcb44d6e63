"""Cars from above."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.faces import CAR, Color, Faces, faces, turned
from rawdrift.data.synthetic.texture import Array

_GLASS, _FRONT_LAMP, _REAR_LAMP = (0.025, 0.03, 0.037), (0.55, 0.55, 0.57), (0.22, 0.03, 0.03)


# Of each kind of car: half its width and height, and where from its middle towards its
# nose are the nose, the hood, the windshield, the roof, the rear window, the trunk and the tail.
_KINDS = {
    "hatchback": (0.88, 1.48, (2.0, 1.7, 0.85, 0.20, -1.25, -1.72, -1.80, -2.0)),
    "sedan": (0.91, 1.45, (2.32, 2.02, 0.95, 0.25, -0.95, -1.55, -2.12, -2.32)),
    "wagon": (0.92, 1.52, (2.3, 2.0, 1.0, 0.35, -1.65, -2.05, -2.1, -2.3)),
    "van": (0.98, 1.95, (2.55, 2.25, 1.55, 0.95, -2.0, -2.3, -2.35, -2.55)),
}
KINDS = {"hatchback": 0.36, "sedan": 0.24, "wagon": 0.28, "van": 0.12}  # share of all cars


class Car(NamedTuple):
    """A car with its center at (x, y). heading: radians, from x towards y."""

    x: float
    y: float
    heading: float
    kind: str
    paint: Color


def bodies(cars: Sequence[Car]) -> Faces:
    """Return the faces of cars."""
    models = {kind: _body(*shape) for kind, shape in _KINDS.items()}
    x, y, heading = np.array([car[:3] for car in cars]).reshape(-1, 3, 1, 1, 1).swapaxes(0, 1)
    corners = np.array([models[car.kind] for car in cars]).reshape(-1, 7, 5, 4, 3)
    corners = turned(corners, heading) + np.stack([x, y, 0 * x], axis=-1)
    paint = np.array([car.paint for car in cars]).reshape(-1, 1, 1, 3)
    color = np.tile(paint, (1, 7, 5, 1))
    color[:, 2:5, 1:4], color[:, 3, 2] = _GLASS, paint[:, 0, 0]
    color[:, 0, 1:4:2], color[:, 6, 1:4:2] = _FRONT_LAMP, _REAR_LAMP
    order = np.repeat([_KINDS[car.kind][1] for car in cars], 35)
    return faces(corners, color.reshape(-1, 3), kind=CAR, order=order)


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
