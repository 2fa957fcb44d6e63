"""Shapes on the ground, in meters: corners (N, 2) and signed distances, negative inside."""

import math

import numpy as np
from scipy.spatial import ConvexHull

from rawdrift.data.synthetic.texture import Array


def rectangle(x: float, y: float, heading: float, length: float, width: float) -> Array:
    """Corners (4, 2), in order, of a rectangle about (x, y), its length along `heading`."""
    along = np.array((math.cos(heading), math.sin(heading))) * length / 2
    across = np.array((-math.sin(heading), math.cos(heading))) * width / 2
    turns = np.stack([along + across, along - across, -along - across, across - along])
    corners: Array = turns + np.array((x, y))
    return corners


def line(start: Array, end: Array, width: float) -> Array:
    """Corners (4, 2) of a line from `start` to `end`."""
    (x, y), (dx, dy) = (start + end) / 2, end - start
    return rectangle(x, y, math.atan2(dy, dx), math.hypot(dx, dy), width)


def area(corners: Array) -> float:
    """Of a polygon, its corners in order."""
    x, y = corners.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def hull(points: Array, x: Array, y: Array) -> Array:
    """Distance of (x, y) to the convex hull of points, but for its corners (too near there)."""
    distance = np.full(np.broadcast_shapes(x.shape, y.shape), -np.inf, np.float32)
    for a, b, c in ConvexHull(points).equations.astype(np.float32):
        np.maximum(distance, a * x + (b * y + c), out=distance)
    return distance


def box(a: Array, b: Array, length: float, width: float, corner: float = 0.05) -> Array:
    """Distance of (a, b) to a rectangle about (0, 0), its corners rounded by that radius."""
    da, db = np.abs(a) - (length / 2 - corner), np.abs(b) - (width / 2 - corner)
    outside = np.hypot(np.maximum(da, 0), np.maximum(db, 0))
    distance: Array = outside + np.minimum(np.maximum(da, db), 0) - corner
    return distance
