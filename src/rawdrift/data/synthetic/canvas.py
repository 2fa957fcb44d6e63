"""A piece of an aerial photograph while it is drawn: ground, light and shadows. All in meters."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

from rawdrift.data.synthetic.light import Daylight
from rawdrift.data.synthetic.texture import Array, Rng, texture

GSD = 0.06  # ground sampling distance: the side of a pixel on the ground
ALTITUDE = 250.0  # of the camera, which is above (0, 0)
_SCALES = (6.0, 1.5, 0.4)  # of broad, mid and fine texture

Point = tuple[float, float]
Span = tuple[float, float]
Color = Sequence[float]  # linear reflectance in R, G, B
Contrast = tuple[float, float, float, float]  # of broad, mid, fine texture and of single pixels
Window = tuple[slice, slice]  # rows and columns of a picture


class Material(NamedTuple):
    """Ground that changes between two colors over meters. rows: their period, and contrast."""

    color: Color
    other: Color
    contrast: Contrast
    rows: Span | None = None


MATERIALS = {
    "asphalt": Material((0.063, 0.063, 0.067), (0.078, 0.076, 0.075), (0.07, 0.07, 0.06, 0.8)),
    "slabs": Material((0.20, 0.19, 0.175), (0.16, 0.155, 0.145), (0.06, 0.08, 0.07, 0.6)),
    "curb": Material((0.24, 0.235, 0.225), (0.24, 0.235, 0.225), (0.04, 0.08, 0.10, 0.4)),
    "gravel": Material((0.19, 0.175, 0.15), (0.14, 0.13, 0.10), (0.08, 0.12, 0.10, 1.2)),
    "paint": Material((0.52, 0.52, 0.50), (0.45, 0.45, 0.43), (0.10, 0.15, 0.22, 0.3)),
    "lawn": Material((0.045, 0.067, 0.019), (0.072, 0.076, 0.03), (0.10, 0.13, 0.12, 1.1)),
    "meadow": Material((0.062, 0.075, 0.027), (0.105, 0.095, 0.05), (0.14, 0.20, 0.20, 1.4)),
    "crop": Material((0.05, 0.078, 0.024), (0.072, 0.088, 0.034), (0.1, 0.1, 0.2, 1), (0.75, 0.35)),
    "soil": Material((0.105, 0.078, 0.055), (0.125, 0.096, 0.07), (0.1, 0.1, 0.1, 1), (0.9, 0.16)),
    "stubble": Material((0.2, 0.165, 0.095), (0.15, 0.13, 0.075), (0.1, 0.1, 0.1, 1), (0.6, 0.22)),
}


class Patch(NamedTuple):
    """A rectangle of ground. tint: its brightness. ragged: how far its edge strays. dash: period
    and length of its pieces along x."""

    material: str
    x: Span
    y: Span
    tint: float = 1.0
    ragged: float = 0.0
    dash: Span | None = None


class Canvas:
    """`pixels` x `pixels` of ground, turned by `angle`, whose upper left corner is `corner`.

    corner: along the turned axes. x, y: of each pixel, (H, W). spans: the ranges of x and y.
    noise: broad, mid and fine texture, and noise of single pixels, (H, W). sun, sky: the share of
    their light on the ground, (H, W). picture: light that comes up, (3, H, W). car: cover of cars
    as far as they are seen, (H, W).
    """

    def __init__(self, corner: Point, pixels: int, angle: float, light: Daylight, rng: Rng):
        self.corner, self.pixels, self.angle, self.light = corner, pixels, angle, light
        offsets = ((np.arange(pixels) + 0.5) * GSD).astype(np.float32)
        right, down = np.meshgrid(offsets + corner[0], offsets + corner[1])
        self.x, self.y = turned((right, down), -angle)
        self.spans = [(float(at.min()), float(at.max())) for at in (self.x, self.y)]
        self.noise = [texture(rng, offsets, offsets, scale) for scale in _SCALES]
        self.noise.append(rng.standard_normal((pixels, pixels), dtype=np.float32))
        self.sun, self.sun_on_cars, self.sky = np.ones((3, pixels, pixels), np.float32)
        self.car = np.zeros((pixels, pixels), np.float32)
        self.picture = self._material("meadow", (slice(None), slice(None)))

    def window(self, points: Sequence[Point], margin: float = 0.1) -> Window | None:
        """Return the rows and columns around points, or None if they are elsewhere."""
        window = []
        axes = zip(*(turned(point, self.angle) for point in points), strict=True)
        for ends, start in zip(axes, self.corner, strict=True):
            first = max(int((min(ends) - margin - start) / GSD), 0)
            last = min(int((max(ends) + margin - start) / GSD) + 2, self.pixels)
            if last - first < 2:  # a slope needs two
                return None
            window.append(slice(first, last))
        return window[1], window[0]

    def local(self, window: Window, x: float, y: float, heading: float) -> tuple[Array, Array]:
        """Return coordinates (h, w) along and across something at (x, y)."""
        return turned((self.x[window] - np.float32(x), self.y[window] - np.float32(y)), heading)

    def hull(self, points: Sequence[Point], margin: float = 0.1) -> tuple[Window, Array] | None:
        """Return the window of the convex hull of points, and the signed distance to it (h, w)."""
        window = self.window(points, margin)
        if window is None:
            return None
        distance = np.full_like(self.x[window], -np.inf)
        for a, b, c in ConvexHull(points).equations.astype(np.float32):
            np.maximum(distance, a * self.x[window] + b * self.y[window] + c, out=distance)
        return window, distance

    def textured(self, window: Window, color: Color, contrast: Contrast) -> Array:
        """Return a reflectance (3, h, w) with texture."""
        layers = zip(contrast, self.noise, strict=True)
        factor = 1 + sum(amount * layer[window] for amount, layer in layers if amount)
        reflectance: Array = vector(color) * np.maximum(factor, np.float32(0.05))
        return reflectance

    def lay(self, patch: Patch) -> None:
        """Put a patch on the ground."""
        for span, (low, high) in zip((patch.x, patch.y), self.spans, strict=True):
            if max(span) < low - 1 or min(span) > high + 1:
                return
        (left, right), (near, far) = patch.x, patch.y
        middle, length = ((left + right) / 2, (near + far) / 2), (right - left, abs(far - near))
        window = self.window(rectangle(*middle, 0, *length), margin=0.1 + 2 * patch.ragged)
        if window is None:
            return
        distance = box(*self.local(window, *middle, 0), *length)
        _, mid, fine, _ = (layer[window] for layer in self.noise)
        if patch.dash:
            period, piece = patch.dash
            along = np.mod(self.x[window] - left, np.float32(period))
            distance = np.maximum(distance, np.abs(along - piece / 2) - piece / 2)
        cover = inside(distance + patch.ragged * (0.7 * mid + 0.5 * fine))
        if patch.material == "paint":  # worn
            cover *= np.clip(0.75 + 0.25 * mid + 0.2 * fine, 0.1, 1)
        if cover.any():
            below = self.picture[:, *window]
            below += cover * (patch.tint * self._material(patch.material, window) - below)

    def _material(self, name: str, window: Window) -> Array:
        """Return the reflectance (3, h, w) of ground of one material."""
        material = MATERIALS[name]
        broad, mid, *_ = (layer[window] for layer in self.noise)
        color = self.textured(window, (1, 1, 1), material.contrast)
        if material.rows:
            period, depth = material.rows
            color *= 1 + depth * np.sin((2 * np.pi / period) * (self.y[window] + 0.05 * mid))
        first, second = vector(material.color), vector(material.other)
        color *= first + np.clip(0.5 + 0.5 * mid + 0.4 * broad, 0, 1) * (second - first)
        return color

    def shade(self, foot: Sequence[Point], top: Sequence[Point], height: float) -> None:
        """Cast the shadow of a body between its foot and its top at that height."""
        if hull := self.hull([*foot, *moved(top, self.light.shadow, height)]):
            window, distance = hull
            self.sun[window] *= 1 - inside(distance)

    def hide_sky(self, foot: Sequence[Point], share: float, reach: float) -> None:
        """Hide a share of the sky from the ground around a body, and less farther away."""
        if hull := self.hull(foot, 5 * reach):
            window, distance = hull
            self.sky[window] *= 1 - share * np.exp(-np.maximum(distance, 0) / reach)

    def put(self, window: Window, cover: Array, picture: Array) -> None:
        """Put a picture (3, h, w) of something over what is seen, cars among it."""
        below = self.picture[:, *window]
        below += cover * (picture - below)
        self.car[window] *= 1 - cover

    def paint(
        self,
        points: Sequence[Point],
        color: Color,
        sun: float = 1.0,
        sky: float = 1.0,
        contrast: Contrast = (0, 0, 0, 0),
    ) -> None:
        """Put the convex hull of points over what is seen, in that light."""
        if hull := self.hull(points):
            window, distance = hull
            picture = self.light.on(self.textured(window, color, contrast), sun, sky)
            self.put(window, inside(distance), picture)


def vector(color: Color) -> Array:
    """Return a color as (3, 1, 1)."""
    return np.array(color, np.float32)[:, None, None]


def inside(distance: Array) -> Array:
    """Return the share of each pixel that lies inside, from signed distances (negative inside)."""
    cover: Array = np.clip(0.5 - distance / np.float32(GSD), 0, 1)
    return cover


def box(a: Array, b: Array, length: float, width: float, corner: float = 0.05) -> Array:
    """Return the signed distance of (a, b) to a rectangle about (0, 0) with rounded corners."""
    da, db = np.abs(a) - (length / 2 - corner), np.abs(b) - (width / 2 - corner)
    distance: Array = np.maximum(da, db)
    beyond = np.minimum(da, db) > 0  # of both sides: a corner is nearest
    distance[beyond] = np.hypot(da[beyond], db[beyond])
    distance -= corner
    return distance


def turned(at: tuple[Any, Any], angle: float) -> tuple[Any, Any]:
    """Return coordinates, as numbers or arrays, along axes that are turned by an angle."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * at[0] + sin * at[1], cos * at[1] - sin * at[0]


def rectangle(x: float, y: float, heading: float, length: float, width: float) -> list[Point]:
    """Return the four corners, in order, of a rectangle about (x, y)."""
    halves = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    corners = [turned((a * length / 2, b * width / 2), -heading) for a, b in halves]
    return moved(corners, (x, y))


def moved(points: Sequence[Point], way: Point, times: float = 1.0) -> list[Point]:
    """Return points moved `times` along a way."""
    return [(x + times * way[0], y + times * way[1]) for x, y in points]


def raised(points: Sequence[Point], height: float) -> list[Point]:
    """Return where the camera sees points at that height: farther out."""
    out = 1 + height / ALTITUDE
    return [(x * out, y * out) for x, y in points]
