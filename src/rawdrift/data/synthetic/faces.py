"""Faces of four corners, of which the ground and everything on it is made. All in meters."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rawdrift.data.synthetic.texture import Array

GROUND, CAR, TALL = range(3)  # kinds; a face is shaded by those of higher kinds alone

Color = Sequence[float] | Array  # linear reflectance in R, G, B
Contrast = Sequence[float]  # of broad, mid and fine texture, and of single pixels


class Faces(NamedTuple):
    """N faces.

    corners: x, y, z, counterclockwise seen from outside, (N, 4, 3). colors: the two between which
    the face changes over meters, (N, 2, 3). contrast: of its texture, (N, 4). kind: (N,). order:
    faces of a higher number are drawn over those of a lower one, (N,).
    """

    corners: Array
    colors: Array
    contrast: Array
    kind: Array
    order: Array


def faces(
    corners: Any,
    color: Any,
    contrast: Any = (0, 0, 0, 0),
    other: Any = None,
    kind: int = TALL,
    order: Any = 0.0,
) -> Faces:
    """Return faces at corners (..., 4, 3), all of one color or each of its own (N, 3)."""
    corners = np.asarray(corners, np.float32).reshape(-1, 4, 3)
    count = len(corners)
    colors = [
        np.broadcast_to(np.asarray(value, np.float32), (count, 3))
        for value in (color, color if other is None else other)
    ]
    return Faces(
        corners,
        np.stack(colors, axis=1),
        np.broadcast_to(np.asarray(contrast, np.float32), (count, 4)),
        np.full(count, kind),
        np.broadcast_to(np.asarray(order, np.float32), count),
    )


def joined(parts: Iterable[Faces]) -> Faces:
    """Return all faces of several parts, the later ones last."""
    return Faces(*map(np.concatenate, zip(*parts, strict=True)))


def rectangle(x: float, y: float, length: float, width: float, z: float = 0.0) -> Array:
    """Return the corners (4, 3) of a level rectangle about (x, y)."""
    halves = np.array(((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))) / 2
    return (x, y, z) + halves * (length, width, 0)


def box(foot: Array, height: float) -> Array:
    """Return the four sides and the top (5, 4, 3) of a box on a foot (4, 3)."""
    top = np.add(foot, (0, 0, height))
    after, above = np.roll(foot, -1, axis=0), np.roll(top, -1, axis=0)
    return np.concatenate([np.stack([foot, after, above, top], axis=1), top[None]])


def turned(points: Array, angle: Any) -> Array:
    """Return points (..., 2 or 3) turned by an angle from x towards y; z stays."""
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    x, y = cos * points[..., 0] - sin * points[..., 1], sin * points[..., 0] + cos * points[..., 1]
    return np.concatenate([np.stack([x, y], axis=-1), points[..., 2:]], axis=-1)
