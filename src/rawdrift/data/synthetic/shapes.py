"""Shapes on the ground, in meters: their corners, and signed distances, negative inside."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull

from rawdrift.data.synthetic.texture import Array

# Not in arrays: most shapes are found to be elsewhere, and arrays of four corners are slow.
Point = tuple[float, float]
Points = Sequence[Point]
Window = tuple[slice, slice]  # rows and columns of a picture


def rectangle(x: float, y: float, heading: float, length: float, width: float) -> list[Point]:
    """Four corners, in order, of a rectangle about (x, y), its length along `heading`."""
    c, s = math.cos(heading), math.sin(heading)
    ax, ay, bx, by = c * length / 2, s * length / 2, -s * width / 2, c * width / 2
    return [
        (x + (ax + bx), y + (ay + by)),
        (x + (ax - bx), y + (ay - by)),
        (x - (ax + bx), y - (ay + by)),
        (x + (bx - ax), y + (by - ay)),
    ]


def line(start: Point, end: Point, width: float) -> list[Point]:
    """Four corners of a line from `start` to `end`."""
    (x, y), dx, dy = middle(start, end), end[0] - start[0], end[1] - start[1]
    return rectangle(x, y, math.atan2(dy, dx), math.hypot(dx, dy), width)


def middle(start: Point, end: Point) -> Point:
    return (start[0] + end[0]) / 2, (start[1] + end[1]) / 2


def moved(points: Points, way: Point, times: float = 1.0) -> list[Point]:
    """Points, moved `times` along a way."""
    dx, dy = times * way[0], times * way[1]
    return [(x + dx, y + dy) for x, y in points]


def area(corners: Points) -> float:
    """Of a polygon, its corners in order."""
    pairs = zip(corners, (corners[-1], *corners[:-1]), strict=True)
    return 0.5 * abs(sum(x * b - y * a for (x, y), (a, b) in pairs))


def inside(distance: Array, pixel: float) -> Array:
    """Cover of pixels by what a signed distance is inside of. pixel: length of its side."""
    cover: Array = np.clip(0.5 - distance / pixel, 0, 1)
    return cover


def hull(points: Points, x: Array, y: Array) -> Array:
    """Distance of (x, y) to the convex hull of points, but for its corners (too near there)."""
    distance = np.full(np.broadcast_shapes(x.shape, y.shape), -np.inf, np.float32)
    for a, b, c in ConvexHull(points).equations.astype(np.float32):
        np.maximum(distance, a * x + (b * y + c), out=distance)
    return distance


def box(a: Array, b: Array, length: float, width: float, corner: float = 0.05) -> Array:
    """Distance of (a, b) to a rectangle about (0, 0), its corners rounded by that radius."""
    da, db = np.abs(a) - (length / 2 - corner), np.abs(b) - (width / 2 - corner)
    distance: Array = np.maximum(da, db)
    beyond = np.minimum(da, db) > 0  # of both sides: nearest is a corner
    distance[beyond] = np.hypot(da[beyond], db[beyond])
    distance -= corner
    return distance
