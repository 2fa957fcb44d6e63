"""A piece of an aerial photograph while it is drawn."""

import math
from collections.abc import Iterable
from functools import reduce
from typing import Protocol, TypeVar

import numpy as np

from rawdrift.data.synthetic import shapes
from rawdrift.data.synthetic.daylight import Daylight
from rawdrift.data.synthetic.floats import remainder
from rawdrift.data.synthetic.materials import MATERIALS
from rawdrift.data.synthetic.shapes import Point, Points
from rawdrift.data.synthetic.texture import Array, Rng, texture
from rawdrift.data.synthetic.things import Patch
from rawdrift.data.synthetic.town import Town

Window = tuple[slice, slice]

ALTITUDE = 250.0  # of the camera, meters
_STEP = 8  # pixels between those that tell where a patch may be
_SCALES = (6.0, 1.5, 0.4)  # of broad, mid and fine texture, meters


class _Placed(Protocol):
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


_Thing = TypeVar("_Thing", bound=_Placed)


class Canvas:
    """`pixels` x `pixels` of ground from (x, y) on, all lengths in meters.

    albedo: reflectance of the ground (3, H, W). sun, sky: how much of their light gets there.
    picture: light that comes up, (3, H, W). car: cover of what is seen of cars. noise: broad, mid
    and fine texture, and grain: from pixel to pixel.
    """

    def __init__(
        self, x: float, y: float, pixels: int, gsd: float, town: Town, light: Daylight, rng: Rng
    ):
        self.left, self.top, self.pixels, self.gsd, self.light = x, y, pixels, gsd, light
        at = ((np.arange(pixels) + 0.5) * gsd).astype(np.float32)
        self.x, self.y = at[None, :] + np.float32(x), at[:, None] + np.float32(y)
        self.u, self.v = town.frame.along(self.x, self.y)
        self.noise = [texture(rng, at, at, scale) for scale in _SCALES]
        self.grain = rng.standard_normal((pixels, pixels), dtype=np.float32)
        self.sun, self.sky = np.ones((2, pixels, pixels), np.float32)
        broad, mid, fine = self.noise
        self.turns = np.clip(0.5 + 0.5 * mid + 0.4 * broad, 0, 1)
        self.strays = float((0.7 * mid + 0.5 * fine).min())  # ragged edges, outwards at most
        self.car = np.zeros((pixels, pixels), np.float32)
        self.reach = [(float(at.min()) - 1, float(at.max()) + 1) for at in (self.u, self.v)]
        self.materials: dict[str, Array] = {}  # as far as there are any here
        self.albedo = self.picture = self.material("meadow").copy()

    # Where things are.

    def near(self, things: Iterable[_Thing], reach: float) -> list[_Thing]:
        """What of things may be seen here if they reach that far."""
        side = self.pixels * self.gsd + reach
        left, right, top, bottom = (
            end for start in (self.left, self.top) for end in (start - reach, start + side)
        )
        return [
            thing for thing in things if left < thing.x < right and top < thing.y < bottom
        ]

    def window(self, points: Points) -> Window | None:
        """Rows and columns about points, or None where that is elsewhere."""
        columns, rows = (
            self._pixels(ats, start)
            for ats, start in zip(zip(*points, strict=True), (self.left, self.top), strict=True)
        )
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
        cover: Array = np.clip(0.5 - distance / self.gsd, 0, 1)
        return cover

    def hull(self, points: Points) -> tuple[Window, Array] | None:
        """The convex hull of points: where, and its cover (h, w)."""
        window = self.window(points)
        if window is None:
            return None
        return window, self.inside(shapes.hull(points, *self.at(window)))

    # What is drawn.

    def material(self, name: str) -> Array:
        """Reflectance (3, H, W) of ground that is all of one material."""
        if name not in self.materials:
            kind = MATERIALS[name]
            broad, mid, fine = self.noise
            contrast = 1 + kind.broad * broad + kind.mid * mid + kind.fine * fine
            contrast += kind.grain * self.grain
            if kind.rows:
                period, depth = kind.rows
                contrast += depth * np.sin((2 * np.pi / period) * (self.v + 0.05 * mid))
            np.maximum(contrast, 0.05, out=contrast)
            made = np.empty((3, *contrast.shape), np.float32)
            for plane, color, other in zip(made, kind.color, kind.other, strict=True):
                np.multiply(self.turns, other - color, out=plane)
                plane += color
                plane *= contrast
            self.materials[name] = made
        return self.materials[name]

    def textured(
        self, window: Window, color: tuple[float, ...], contrast: tuple[float, float, float, float]
    ) -> Array:
        """Reflectance (3, h, w) of that color with broad, mid, fine texture and grain."""
        layers = zip(contrast, (*self.noise, self.grain), strict=True)
        factor = 1 + sum(amount * layer[window] for amount, layer in layers)
        textured: Array = np.array(color, np.float32)[:, None, None] * np.clip(factor, 0.1, None)
        return textured

    def lay(self, patch: Patch) -> None:
        """Put a patch on the ground."""
        window = self.about(patch)
        if window is None:
            return
        distance = self.outside(patch, window)
        if patch.dash:
            period, long = patch.dash
            along = remainder(self.u[window] - patch.u[0], period)
            np.maximum(distance, np.abs(along - long / 2) - long / 2, out=distance)
        _, mid, fine = (layer[window] for layer in self.noise)
        if patch.ragged:
            distance += patch.ragged * (0.7 * mid + 0.5 * fine)
        cover = self.inside(distance)
        if patch.material == "paint":  # worn
            cover *= np.clip(0.75 + 0.25 * mid + 0.2 * fine, 0.1, 1)
        rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
        if len(rows):
            there = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            below = self.albedo[:, *window][:, *there]
            material = self.material(patch.material)[:, *window][:, *there]
            below += cover[there] * (patch.tint * material - below)

    def around(self, patches: Iterable[Patch]) -> list[Patch]:
        """What of patches may be seen here."""
        (left, right), (near, far) = self.reach
        return [
            patch
            for patch in patches
            if patch.u[0] <= right and patch.u[1] >= left and patch.v[0] <= far and patch.v[1] >= near
        ]

    def outside(self, patch: Patch, window: Window) -> Array:
        """How far points of a window are outside of a patch; negative inside."""
        deepest = -min(patch.u[1] - patch.u[0], patch.v[1] - patch.v[0]) / 2
        edges = []
        for at, (begin, end), (low, high) in zip(
            (self.u, self.v), (patch.u, patch.v), self.reach, strict=True
        ):
            # An edge of which no point is nearer than that is the nearest one of none.
            if begin - low > deepest:
                edges.append(begin - at[window])
            if high - end > deepest:
                edges.append(at[window] - end)
        distance: Array = reduce(np.maximum, edges)
        return distance.astype(self.v.dtype, copy=False)  # the same however many edges count

    def about(self, patch: Patch) -> Window | None:
        """Rows and columns that a patch may cover, from a look at every eighth; None if none."""
        there = self.outside(patch, (slice(None, None, _STEP), slice(None, None, _STEP)))
        near = there < 2 * _STEP * self.gsd - patch.ragged * self.strays
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return (
            slice(max(0, (rows[0] - 1) * _STEP), (rows[-1] + 1) * _STEP + 1),
            slice(max(0, (columns[0] - 1) * _STEP), (columns[-1] + 1) * _STEP + 1),
        )

    def shade(self, points: Points) -> None:
        """Cut off the sun within the convex hull of points."""
        found = self.hull(points)
        if found is not None:
            window, cover = found
            self.sun[window] *= 1 - cover

    def light_ground(self) -> None:
        """Begin the picture with the ground in its light."""
        self.picture = self.light.on(self.albedo, self.sun, self.sky)

    def put(self, window: Window, cover: Array, picture: Array) -> None:
        """Put something over what is seen, and over cars."""
        below = self.picture[:, *window]
        below += cover * (picture - below)
        self.car[window] *= 1 - cover


def raised(points: Points, height: float) -> list[Point]:
    """Points at that height as the camera over (0, 0) sees them: farther out."""
    out = 1 + height / ALTITUDE
    return [(x * out, y * out) for x, y in points]
