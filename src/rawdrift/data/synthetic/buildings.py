"""Houses and halls from above: roofs with what is on them, and the walls that the camera sees."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.canvas import Canvas, Color, Point, inside, moved, raised, rectangle
from rawdrift.data.synthetic.texture import Rng

_EAVES = 0.4  # meters that a roof is longer and wider than its walls
_PITCH = 0.6  # rise over run of a gable
_PARAPET, _CHIMNEY = (0.36, 0.35, 0.33), (0.18, 0.13, 0.11)
_SKYLIGHT, _SOLAR = (0.05, 0.065, 0.085), (0.017, 0.021, 0.033)
_TILES, _FELT = (0.06, 0.10, 0.14, 0.6), (0.10, 0.10, 0.10, 0.8)  # contrast of their texture


class Building(NamedTuple):
    """A building about (x, y), whose walls are `height` meters high.

    gable: two slopes, the ridge along its length; otherwise the roof is flat. seed: of what is on
    the roof.
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
    seed: int

    def shade(self, canvas: Canvas) -> None:
        """Cast the building's shadow, and hide the sky from the ground beside it."""
        foot = self._quad(0, 0, self.length, self.width)
        eaves = self._quad(0, 0, self.length + _EAVES, self.width + _EAVES)
        canvas.shade(foot, eaves, self.height)
        if self.gable:
            ridge = self._quad(0, 0, self.length, 1e-3)
            canvas.shade(foot, ridge, self.height + _PITCH * self.width / 2)
        canvas.hide_sky(foot, 0.4, 1.2)

    def draw(self, canvas: Canvas) -> None:
        """Draw walls and roof."""
        corners = self._quad(0, 0, self.length, self.width)
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            out = x - self.x, y - self.y
            if (out[0] * x + out[1] * y) / math.hypot(*out) * self.height < -75:  # seen well
                sun = canvas.light.toward(math.atan2(out[1], out[0]))
                wall = [start, end, *raised([start, end], self.height)]
                canvas.paint(wall, self.wall, max(sun[0], 0) / sun[2], 0.6, (0.04, 0.05, 0.04, 0.1))
        draw_roof = self._gable if self.gable else self._flat
        draw_roof(canvas, np.random.default_rng(self.seed))

    def _quad(self, a: float, b: float, length: float, width: float) -> list[Point]:
        """Return the corners of a rectangle about the point (a, b) along and across."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        x, y = self.x + cos * a - sin * b, self.y + sin * a + cos * b
        return rectangle(x, y, self.heading, length, width)

    def _gable(self, canvas: Canvas, rng: Rng) -> None:
        """Draw two slopes of tiles, with skylights, solar cells and a chimney."""
        length, width = self.length + _EAVES, self.width + _EAVES
        sun = canvas.light.toward(self.heading)

        def on_roof(a: float, b: float, length: float, width: float) -> list[Point]:
            points = self._quad(a, b, length, width)
            offsets = [b + side * width / 2 for side in (1, -1, -1, 1)]
            rises = [_PITCH * max(self.width / 2 - abs(offset), 0) for offset in offsets]
            return [
                raised([point], self.height + rise)[0]
                for point, rise in zip(points, rises, strict=True)
            ]

        def lit(side: float) -> float:
            return max(sun[2] + side * _PITCH * sun[1], 0) / math.hypot(1, _PITCH) / sun[2]

        ridge = on_roof(0, 0, length, 0.1)
        canvas.paint(on_roof(0, 0, length, width) + ridge, self.roof, lit(-1), contrast=_TILES)
        canvas.paint(on_roof(0, width / 4, length, width / 2), self.roof, lit(1), contrast=_TILES)
        canvas.paint(on_roof(0, 0, length, 0.25), [1.35 * value for value in self.roof])
        side = float(rng.choice([-1, 1]))
        for a in self.length * rng.uniform(-0.4, 0.4, rng.integers(0, 4)):
            canvas.paint(on_roof(a, side * 0.22 * width, 0.8, 1.1), _SKYLIGHT, lit(side))
        if rng.random() < 0.3:
            panel = self.length * rng.uniform(0.3, 0.8), 0.33 * width
            canvas.paint(on_roof(0, -side * 0.25 * width, *panel), _SOLAR, lit(-side))
        if rng.random() < 0.7:
            a, b = self.length * rng.uniform(-0.3, 0.3), self.width * rng.uniform(-0.12, 0.12)
            _box(canvas, on_roof(a, b, 0.7, 0.7), 0.8, _CHIMNEY)

    def _flat(self, canvas: Canvas, rng: Rng) -> None:
        """Draw a parapet with its shadow, and machines within it."""
        length, width = self.length - 0.2, self.width - 0.2

        def on_roof(a: float, b: float, length: float, width: float) -> list[Point]:
            return raised(self._quad(a, b, length, width), self.height)

        canvas.paint(on_roof(0, 0, length + 0.6, width + 0.6), _PARAPET, contrast=_FELT)
        canvas.paint(on_roof(0, 0, length, width), self.roof, 0.05, contrast=_FELT)
        sun = canvas.light.toward(self.heading)
        da, db = -0.6 * sun[0] / sun[2], -0.6 * sun[1] / sun[2]
        lit = on_roof(da / 2, db / 2, length - abs(da), width - abs(db))
        canvas.paint(lit, self.roof, contrast=_FELT)
        for _ in range(int(length * width / 60)):
            a, b = length * rng.uniform(-0.4, 0.4), width * rng.uniform(-0.4, 0.4)
            foot = on_roof(a, b, rng.uniform(0.8, 2.4), rng.uniform(0.8, 1.8))
            _box(canvas, foot, rng.uniform(0.3, 1.2), [rng.uniform(0.15, 0.55)] * 3)


def _box(canvas: Canvas, foot: list[Point], height: float, color: Color) -> None:
    """Draw a box on a roof with its shadow."""
    light = canvas.light
    if hull := canvas.hull(foot + moved(foot, light.shadow, height)):
        window, distance = hull
        share = light.direct / (light.direct + light.around)
        canvas.picture[:, *window] *= 1 - 0.95 * inside(distance) * share
    canvas.paint(foot + raised(foot, height), [0.6 * value for value in color])
    canvas.paint(raised(foot, height), color)
