"""Aerial pictures of faces in the light of a day.

Everything reflects sunlight, which shadows cut off, and skylight; what is high leans away from
(0, 0), as a camera near the ground sees it.
"""

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import uniform_filter

from rawdrift.data.synthetic.faces import CAR, GROUND, TALL, Faces, turned
from rawdrift.data.synthetic.texture import Array, Rng, texture

GSD = 0.06  # ground sampling distance: the side of a pixel on the ground
ALTITUDE = 250.0  # of the camera, which is above (0, 0)
_FINER = 2  # times as many rows and columns are drawn at first
_SCALES = (6.0, 1.5, 0.4)  # of broad, mid and fine texture
_RAGGED = 0.12  # how far edges of natural ground stray


class Daylight:
    """Light of a day between hazy and clear, never near noon.

    sun: the unit vector (x, y, z) to it. shadow: the way (x, y) from a point to its shadow on the
    ground, for each meter of height. direct, around: sunlight and skylight from a white surface on
    flat open ground, (3,). haze: light that the air adds, (3,). exposure: the value of a white
    surface.
    """

    def __init__(self, rng: Rng):
        azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.44, 1.05)
        flat, up = math.cos(elevation), math.sin(elevation)
        self.sun = np.array((flat * math.cos(azimuth), flat * math.sin(azimuth), up), np.float32)
        self.shadow = -self.sun[:2] / self.sun[2]
        share = rng.uniform(0.25, 0.75)
        warm = rng.uniform(0.0, 1.0) * share
        cast = np.exp(rng.normal(0, 0.03, 3))
        self.direct = (share * cast * (1 + 0.10 * warm, 1, 1 - 0.16 * warm)).astype(np.float32)
        self.around = ((1 - share) * cast * (0.88, 0.97, 1.16)).astype(np.float32)
        self.haze = rng.uniform(0.5, 1.5) * np.array((0.010, 0.012, 0.016), np.float32)
        self.exposure = 1.2 * math.exp(rng.normal(0, 0.18))


class Scene:
    """Faces under a light, in a photograph whose axes are turned by an angle."""

    def __init__(self, faces: Faces, light: Daylight, angle: float):
        order = np.argsort(faces.order, kind="stable")
        faces = Faces(*(values[order] for values in faces))
        flat, up = faces.corners[..., :2], faces.corners[..., 2:]
        self.light, self.kind, self.natural = light, faces.kind, faces.order < -1
        self.seen = _Outlines(turned(flat * (1 + up / ALTITUDE), -angle))
        self.shadows = _Outlines(turned(flat + up * light.shadow, -angle))
        self.table = self._table(faces)

    def _table(self, faces: Faces) -> Array:
        """Return what each face adds to a pixel, in shadow and in the sun, (2 N, 12).

        That is light from its two colors, contrast of its texture, and whether it is a car and
        whether it is above the ground.
        """
        a, b, c, d = faces.corners.swapaxes(0, 1)
        normal = np.cross(c - a, d - b)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        to_sun = self.light.sun
        halfway = np.add(to_sun, (0, 0, 1)) / math.sqrt(2 + 2 * to_sun[2])
        sun = (normal @ to_sun).clip(0) / to_sun[2]
        lacquer = faces.kind == CAR
        # Lacquer mirrors the sky everywhere, and the sun where it looks halfway to it.
        colors = faces.colors + 0.018 * lacquer[:, None, None]
        glint = 0.12 * lacquer * (normal @ halfway).clip(0) ** 60
        shaded = colors * self.light.around * (0.5 + 0.5 * normal[:, 2, None, None])
        lit = shaded + (colors * sun[:, None, None] + glint[:, None, None]) * self.light.direct
        rest = np.column_stack([faces.contrast, lacquer, faces.kind != GROUND])
        rows = [np.column_stack([light.reshape(-1, 6), rest]) for light in (shaded, lit)]
        return np.stack(rows, axis=1).reshape(-1, 12).astype(np.float32)

    def picture(self, corner: Array, pixels: int, rng: Rng) -> tuple[Array, Array]:
        """Return linear RGB (3, H, W) float32 and where cars are seen (H, W) bool.

        corner: of the upper left, along the turned axes.
        """
        offsets = ((np.arange(pixels) + 0.5) * GSD).astype(np.float32)
        noise = [texture(rng, offsets, offsets, scale) for scale in _SCALES]
        noise.append(rng.standard_normal((pixels, pixels), dtype=np.float32))
        broad, mid, fine, _ = noise

        names = np.arange(len(self.kind))
        face = self.seen.draw(
            np.zeros((pixels, pixels), np.int32), corner, self.natural, names, GSD
        )
        strays = [_RAGGED / GSD * (0.7 * mid + 0.5 * side) for side in (fine, fine.T)]
        rows, columns = np.indices(face.shape) + np.rint(strays).astype(int)
        face = face[rows.clip(0, pixels - 1), columns.clip(0, pixels - 1)]
        face = face.repeat(_FINER, axis=0).repeat(_FINER, axis=1)
        face = self.seen.draw(face, corner, ~self.natural, names, GSD / _FINER)
        shadow = np.zeros_like(face)
        for kind in (CAR, TALL):
            shadow = self.shadows.draw(shadow, corner, self.kind == kind, self.kind, GSD / _FINER)

        row = 2 * face + (shadow <= self.kind[face])
        cells = [row[i::_FINER, j::_FINER] for i, j in np.ndindex(_FINER, _FINER)]
        parts = np.asarray(sum(self.table.take(cell, axis=0) for cell in cells)) / _FINER**2
        parts = np.ascontiguousarray(np.moveaxis(parts, -1, 0))
        first, second, contrast, (car, tall) = parts[:3], parts[3:6], parts[6:10], parts[10:]
        color = first + np.clip(0.5 + 0.5 * mid + 0.4 * broad, 0, 1) * (second - first)
        grain = 1 + sum(share * layer for share, layer in zip(contrast, noise, strict=True))
        near = uniform_filter(uniform_filter(tall, 9), 9)  # hides the sky from the ground
        light = color * grain.clip(0.05) * (1 - 0.5 * near * (1 - tall))
        light += self.light.haze[:, None, None]
        return np.float32(self.light.exposure) * light, car > 0.5


class _Outlines:
    """Faces as they are drawn: corners on a plane (N, 4, 2)."""

    def __init__(self, corners: Array):
        self.corners = corners
        x, y = np.ascontiguousarray(corners.T)
        self.bounds = np.stack([x.min(axis=0), y.min(axis=0), -x.max(axis=0), -y.max(axis=0)])

    def draw(self, image: Array, start: Array, which: Array, values: Array, side: float) -> Array:
        """Return an image with values in some faces. side: of its pixels; start: its corner."""
        (x, y), length = start, len(image) * side
        ends = np.array(((x + length,), (y + length,), (-x,), (-y,)))
        [near] = np.nonzero(which & (self.bounds < ends).all(axis=0))
        points = ((self.corners[near] - start) / side).reshape(-1, 8)
        canvas = Image.fromarray(image)
        pen = ImageDraw.Draw(canvas)
        for outline, value in zip(points.tolist(), values[near].tolist(), strict=True):
            pen.polygon(outline, fill=value)
        return np.array(canvas)
