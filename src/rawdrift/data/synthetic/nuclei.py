"""Draw the nuclei of white cells, as unions of rounded lines."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.data.synthetic.texture import hypot

Rng = np.random.Generator
Lines = NDArray[np.float64]  # (N, 5): x, y to x, y, and half the thickness; micrometers
Nucleus = Callable[[Rng, float], Lines]
"""Draws the nucleus of a cell of that radius, about its center."""


def distance_to(lines: Lines, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return the signed distance (H, W) to rounded lines that merge smoothly where they meet."""
    sharpness = 3.5
    total = np.full_like(x, 1e-12)
    for ax, ay, bx, by, half in lines.tolist():
        dx, dy, px, py = bx - ax, by - ay, x - ax, y - ay
        along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
        total += np.exp(-sharpness * (hypot(px - along * dx, py - along * dy) - half))
    distance: NDArray[Any] = np.log(total) / -sharpness
    return distance


def _arc(rng: Rng, count: int, radius: float, step: float, jitter: float) -> NDArray[np.float64]:
    """Return `count` points (N, 2) on an arc of that radius around the center, `step` apart."""
    angle = rng.uniform(0, 2 * np.pi) + step / radius * (
        np.arange(count) + rng.normal(0, 0.1, count)
    )
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, jitter, (count, 2))


def _beads(points: NDArray[np.float64], lobes: NDArray[np.float64], strand: float) -> Lines:
    """Return lobes of those radii at (N, 2) points, each joined to the next by a strand."""
    drop = np.concatenate([points, points, lobes[:, None]], 1)
    joints = np.full((len(points) - 1, 1), strand)
    return np.concatenate([drop, np.concatenate([points[:-1], points[1:], joints], 1)])


def _segmented(rng: Rng, radius: float) -> Lines:
    count = int(rng.choice([3, 4, 5], p=[0.45, 0.4, 0.15]))
    lobes = radius * rng.uniform(0.22, 0.29, count) * (1.15 if count == 3 else 1.0)
    points = _arc(rng, count, 0.5 * radius, (0.78 if count == 3 else 0.66) * radius, 0.06 * radius)
    # Lobes are oval: each is a short line with a direction of its own.
    lines = _beads(points, lobes, rng.uniform(0.12, 0.3))
    lines[:count, 2:4] += rng.normal(0, 0.09 * radius, (count, 2))
    return lines


def _band(rng: Rng, radius: float) -> Lines:
    """Draw an undivided nucleus: a sausage, bent to a C or an S, without a thin strand."""
    count = 7
    half = radius * rng.uniform(0.19, 0.26)
    span = rng.uniform(1.5, 2.5) * radius
    points = _arc(rng, count, rng.uniform(0.46, 0.58) * radius, span / (count - 1), 0.03 * radius)
    points -= 0.25 * points.mean(axis=0)
    return _beads(points, half * rng.uniform(0.9, 1.1, count), 0.85 * half)


def _round(rng: Rng, radius: float) -> Lines:
    size = radius * rng.uniform(0.74, 0.88)
    x, y = rng.normal(0, 0.4 * (radius - size), 2)
    long = rng.normal(0, 0.12 * radius, 2)
    return np.array([[x, y, x + long[0], y + long[1], size - 0.5 * np.hypot(*long)]])


def _irregular(rng: Rng, radius: float) -> Lines:
    """Draw a large nucleus off the center, with a dent or a fold."""
    count = int(rng.integers(2, 4))
    lobes = radius * rng.uniform(0.4, 0.52, count)
    points = _arc(rng, count, 0.25 * radius, 0.45 * radius, 0.06 * radius)
    points += rng.normal(0, 0.1 * radius, 2)
    return _beads(points, lobes, 0.35 * radius)


def _kidney(rng: Rng, radius: float) -> Lines:
    half = radius * rng.uniform(0.28, 0.4)
    count = 6
    span = rng.uniform(1.1, 2.4) * radius  # from a kidney to a horseshoe
    bend = rng.uniform(0.42, 0.52) * radius
    points = _arc(rng, count, bend, span / (count - 1), 0.03 * radius)
    points -= 0.35 * points.mean(axis=0)
    return _beads(points, half * rng.uniform(0.88, 1.12, count), 0.8 * half)


def _bilobed(rng: Rng, radius: float) -> Lines:
    count = 2 if rng.random() < 0.8 else 3
    lobes = radius * rng.uniform(0.34, 0.43, count) * (1.0 if count == 2 else 0.8)
    points = _arc(rng, count, 0.45 * radius, 0.85 * radius, 0.05 * radius)
    return _beads(points, lobes, rng.uniform(0.2, 0.5))


def _smudged(rng: Rng, radius: float) -> Lines:
    count = int(rng.integers(2, 4))
    lobes = radius * rng.uniform(0.36, 0.48, count)
    points = _arc(rng, count, 0.33 * radius, 0.6 * radius, 0.08 * radius)
    return _beads(points, lobes, 0.3 * radius)


def remains(rng: Rng, radius: float, pieces: int) -> Lines:
    """Draw a burst nucleus, stretched in one direction as the blood was spread."""
    points = 0.45 * radius * rng.standard_normal((pieces, 2)) * [1.0, 0.7]
    drawn = 0.3 * radius * rng.standard_normal((pieces, 2)) * [1.0, 0.3]
    half = radius * rng.uniform(0.16, 0.5, (pieces, 1)) * min(1.0, 5 / pieces)
    return np.concatenate([points, points + drawn, half], 1)


NUCLEI: dict[str, Nucleus] = {
    "NGS": _segmented,
    "LYT": _round,
    "MON": _kidney,
    "EOS": _bilobed,
    "BAS": _smudged,
    "NGB": _band,
    "LYA": _irregular,
}
