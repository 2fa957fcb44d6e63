"""Faces of four corners, of which the ground and everything on it is made. All in meters."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from rawdrift.data.synthetic.texture import Array

GROUND, CAR, TALL = range(3)  # kinds; a face is shaded by those of higher kinds alone


class Faces(NamedTuple):
    """N faces.

    corners: x, y, z, counterclockwise seen from outside, (N, 4, 3). colors: linear reflectances in
    R, G, B between which the face changes over meters, (N, 2, 3). contrast: of its broad, mid and
    fine texture, and of single pixels, (N, 4). kind: (N,). order: faces of a higher number are
    drawn over those of a lower one, (N,).
    """

    corners: Array
    colors: Array
    contrast: Array
    kind: Array
    order: Array


def faces(
    corners: Array,
    color: Any,
    contrast: Any = (0, 0, 0, 0),
    other: Any = None,
    kind: int = TALL,
    order: Any = 0.0,
) -> Faces:
    """Return faces at corners (N, 4, 3), all of one color or each of its own (N, 3)."""
    count = len(corners)

    def each(value: Any, *shape: int) -> Array:
        return np.broadcast_to(np.asarray(value, np.float32), (count, *shape))

    colors = np.stack([each(color, 3), each(color if other is None else other, 3)], axis=1)
    kinds = np.full(count, kind)
    return Faces(corners.astype(np.float32), colors, each(contrast, 4), kinds, each(order))


def joined(parts: Iterable[Faces]) -> Faces:
    """Return all faces of several parts, the later ones last."""
    return Faces(*map(np.concatenate, zip(*parts, strict=True)))


def rectangle(x: Any, y: Any, length: Any, width: Any, z: Any = 0.0) -> Array:
    """Return the corners (..., 4, 3) of level rectangles about (x, y)."""
    x, y, z, length, width = np.broadcast_arrays(x, y, z, length, width)
    along = np.multiply.outer(length / 2, (-1, 1, 1, -1))
    across = np.multiply.outer(width / 2, (-1, -1, 1, 1))
    at = (x[..., None] + along, y[..., None] + across, z[..., None] + 0 * along)
    return np.stack(at, axis=-1)


def box(foot: Array, height: Any) -> Array:
    """Return the four sides and the top (..., 5, 4, 3) of boxes on feet (..., 4, 3)."""
    up = np.multiply.outer(height, (0, 0, 1))[..., None, :]
    after = np.roll(foot, -1, axis=-2)
    sides = np.stack([foot, after, after + up, foot + up], axis=-2)
    return np.concatenate([sides, (foot + up)[..., None, :, :]], axis=-3)


def turned(points: Array, angle: Any) -> Array:
    """Return points (..., 2) turned by an angle from x towards y."""
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
