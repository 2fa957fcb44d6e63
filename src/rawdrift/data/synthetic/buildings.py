"""Houses and halls from above: walls, and roofs with what is on them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.faces import Color, Faces, box, faces, joined, rectangle, turned
from rawdrift.data.synthetic.light import Daylight
from rawdrift.data.synthetic.texture import Array, Rng

_EAVES = 0.4  # meters that a roof is longer and wider than its walls
_PITCH = 0.6  # rise over run of a gable
_PARAPET, _CHIMNEY = (0.36, 0.35, 0.33), (0.18, 0.13, 0.11)
_SKYLIGHT, _SOLAR = (0.05, 0.065, 0.085), (0.017, 0.021, 0.033)
_TILES, _FELT = (0.06, 0.10, 0.14, 0.6), (0.10, 0.10, 0.10, 0.8)  # contrast of their texture


class Building(NamedTuple):
    """A building about (x, y), whose walls are `height` meters high.

    gable: two slopes, the ridge along its length; otherwise the roof is flat.
    """

    x: float
    y: float
    height: float
    heading: float
    length: float
    width: float
    gable: bool
    roof: Color
    wall: Color

    def faces(self, light: Daylight, rng: Rng) -> Faces:
        """Return walls and roof, in their order."""
        walls = box(rectangle(0, 0, self.length, self.width), self.height)
        parts = [faces(walls, self.wall, (0.04, 0.05, 0.04, 0.1))]
        parts += self._gable(rng) if self.gable else self._flat(light, rng)
        building = joined(parts)
        return building._replace(
            corners=turned(building.corners, self.heading) + np.array((self.x, self.y, 0)),
            order=np.full(len(building.order), self.height),
        )

    def _gable(self, rng: Rng) -> Iterator[Faces]:
        """Yield two slopes of tiles with their ends, skylights, solar cells and a chimney."""
        length, width = self.length + _EAVES, self.width + _EAVES

        def on_roof(a: float, b: float, length: float, width: float) -> Array:
            corners = rectangle(a, b, length, width, self.height)
            corners[:, 2] += _PITCH * (self.width / 2 - np.abs(corners[:, 1]))
            return corners

        slopes = [on_roof(0, side * width / 4, length, width / 2) for side in (-1, 1)]
        yield faces(slopes, self.roof, _TILES)
        yield faces(on_roof(0, 0, length, 0.25), [1.35 * value for value in self.roof])
        side = rng.choice((-1, 1))
        for a in self.length * rng.uniform(-0.4, 0.4, rng.integers(0, 4)):
            yield faces(on_roof(a, side * 0.22 * width, 0.8, 1.1), _SKYLIGHT)
        if rng.random() < 0.3:
            panel = self.length * rng.uniform(0.3, 0.8), 0.33 * width
            yield faces(on_roof(0, -side * 0.25 * width, *panel), _SOLAR)
        if rng.random() < 0.7:
            place = self.length * rng.uniform(-0.3, 0.3), self.width * rng.uniform(-0.12, 0.12)
            yield faces(box(on_roof(*place, 0.7, 0.7), 0.8), _CHIMNEY)

    def _flat(self, light: Daylight, rng: Rng) -> Iterator[Faces]:
        """Yield a parapet and machines within it, with their shadows."""
        length, width = self.length - 0.4, self.width - 0.4
        shadow = turned(light.shadow, -self.heading)
        black = [0.3 * value for value in self.roof]
        yield faces(rectangle(0, 0, length + 0.8, width + 0.8, self.height), _PARAPET, _FELT)
        yield faces(rectangle(0, 0, length, width, self.height), black, _FELT)
        lit = length - abs(0.6 * shadow[0]), width - abs(0.6 * shadow[1])
        yield faces(
            rectangle(0.3 * shadow[0], 0.3 * shadow[1], *lit, self.height), self.roof, _FELT
        )
        for _ in range(int(length * width / 60)):
            a, b, *sides = rng.uniform((-0.35, -0.35, 0.8, 0.8), (0.35, 0.35, 2.2, 2.2))
            foot = rectangle(a * length, b * width, sides[0], sides[1], self.height)
            machine = box(foot, rng.uniform(0.3, 1.0))
            cast = machine - (0, 0, self.height)
            cast[..., :2] += cast[..., 2:] * shadow
            yield faces(cast * (1, 1, 0) + (0, 0, self.height), black, _FELT)
            yield faces(machine, [rng.uniform(0.15, 0.55)] * 3)
