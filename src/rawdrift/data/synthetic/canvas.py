"""A piece of an aerial photograph while it is drawn."""

import math
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from rawdrift.data.synthetic import shapes
from rawdrift.data.synthetic.daylight import Daylight
from rawdrift.data.synthetic.ground import Ground
from rawdrift.data.synthetic.shapes import Point, Points, Window
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.things import Building, Car, Pole, Tree
from rawdrift.data.synthetic.town import Town

ALTITUDE = 250.0  # of the camera, meters

_Thing = TypeVar("_Thing", Building, Car, Pole, Tree)


class Canvas:
    """`pixels` x `pixels` of ground from (x, y) on, all lengths in meters.

    sun, sky: how much of their light gets to the ground. picture: light that comes up, (3, H, W).
    car: cover of what is seen of cars. noise, grain: the ground's, for all that has a texture.
    """

    def __init__(
        self, x: float, y: float, pixels: int, gsd: float, town: Town, light: Daylight, rng: Rng
    ):
        self.left, self.top, self.pixels, self.gsd, self.light = x, y, pixels, gsd, light
        at = ((np.arange(pixels) + 0.5) * gsd).astype(np.float32)
        self.x, self.y = at[None, :] + np.float32(x), at[:, None] + np.float32(y)
        self.ground = Ground(*town.frame.along(self.x, self.y), gsd, rng)
        self.noise, self.grain = self.ground.noise, self.ground.grain
        self.sun, self.sky = np.ones((2, pixels, pixels), np.float32)
        self.car = np.zeros((pixels, pixels), np.float32)
        self.picture = self.ground.albedo

    # Where things are.

    def near(self, things: Iterable[_Thing], reach: float) -> list[_Thing]:
        """What of things may be seen here if they reach that far."""
        side = self.pixels * self.gsd + reach
        left, right, top, bottom = (
            end for start in (self.left, self.top) for end in (start - reach, start + side)
        )
        return [thing for thing in things if left < thing.x < right and top < thing.y < bottom]

    def window(self, points: Points) -> Window | None:
        """Rows and columns about points, or None where that is elsewhere."""
        x, y = zip(*points, strict=True)
        rows, columns = self._pixels(y, self.top), self._pixels(x, self.left)
        return (rows, columns) if rows and columns else None

    def _pixels(self, ats: tuple[float, ...], start: float) -> slice | None:
        begin = max(int((min(ats) - start) / self.gsd - 2), 0)
        end = min(int((max(ats) - start) / self.gsd + 3), self.pixels)
        # Two pixels at least, so that there is a slope.
        return slice(begin, end) if end - begin > 1 else None

    def at(self, window: Window) -> tuple[Array, Array]:
        """x (1, w) and y (h, 1) of a window."""
        return self.x[:, window[1]], self.y[window[0], :]

    def local(self, window: Window, x: float, y: float, heading: float) -> tuple[Array, Array]:
        """Coordinates (h, w) along and across something at (x, y)."""
        dx, dy = (
            at - np.float32(center) for at, center in zip(self.at(window), (x, y), strict=True)
        )
        c, s = math.cos(heading), math.sin(heading)
        return c * dx + s * dy, c * dy - s * dx

    def inside(self, distance: Array) -> Array:
        """Cover of pixels by what a signed distance is inside of."""
        return shapes.inside(distance, self.gsd)

    def hull(self, points: Points) -> tuple[Window, Array] | None:
        """The convex hull of points: where, and its cover (h, w)."""
        window = self.window(points)
        if window is None:
            return None
        return window, self.inside(shapes.hull(points, *self.at(window)))

    # What is drawn.

    def textured(
        self, window: Window, color: tuple[float, ...], contrast: tuple[float, float, float, float]
    ) -> Array:
        """Reflectance (3, h, w) of that color with broad, mid, fine texture and grain."""
        layers = zip(contrast, (*self.noise, self.grain), strict=True)
        factor = 1 + sum(amount * layer[window] for amount, layer in layers)
        textured: Array = np.array(color, np.float32)[:, None, None] * np.clip(factor, 0.1, None)
        return textured

    def shade(self, points: Points) -> None:
        """Cut off the sun within the convex hull of points."""
        found = self.hull(points)
        if found is not None:
            window, cover = found
            self.sun[window] *= 1 - cover

    def light_ground(self) -> None:
        """Begin the picture with the ground in its light."""
        self.picture = self.light.on(self.ground.albedo, self.sun, self.sky)

    def put(self, window: Window, cover: Array, picture: Array) -> None:
        """Put something over what is seen, and over cars."""
        below = self.picture[:, *window]
        below += cover * (picture - below)
        self.car[window] *= 1 - cover


def raised(points: Points, height: float) -> list[Point]:
    """Points at that height as the camera over (0, 0) sees them: farther out."""
    out = 1 + height / ALTITUDE
    return [(x * out, y * out) for x, y in points]
