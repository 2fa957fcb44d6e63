"""What is tall: buildings, which are walls and roofs with what is on them, and trees."""

import math
from typing import Any

import numpy as np

from rawdrift.data.synthetic.faces import Faces, box, faces, joined, rectangle, turned
from rawdrift.data.synthetic.texture import Array, Rng

_EAVES = 0.4  # meters that a gable is longer and wider than its walls, and a parapet is wide
_PITCH = 0.6  # rise over run of a gable
_ROOFS = (  # flat roofs; gables
    ((0.24, 0.23, 0.21), (0.14, 0.14, 0.14), (0.34, 0.34, 0.34), (0.09, 0.10, 0.09)),
    ((0.20, 0.085, 0.055), (0.13, 0.075, 0.06), (0.07, 0.072, 0.078), (0.10, 0.10, 0.10)),
)
_WALLS = ((0.55, 0.50, 0.42), (0.60, 0.58, 0.54), (0.30, 0.15, 0.10), (0.42, 0.40, 0.36))
_PARAPET, _CHIMNEY = (0.36, 0.35, 0.33), (0.18, 0.13, 0.11)
_SKYLIGHT, _SOLAR = (0.05, 0.065, 0.085), (0.017, 0.021, 0.033)
# Contrast of their texture.
_WALL, _TILES, _FELT = (0.04, 0.05, 0.04, 0.1), (0.06, 0.10, 0.14, 0.6), (0.10, 0.10, 0.10, 0.8)
_CLUMPS = 8  # of a crown
_LEAVES = ((0.038, 0.062, 0.024), (0.03, 0.05, 0.024), (0.055, 0.072, 0.028), (0.045, 0.06, 0.03))


def built(buildings: Array, shadow: Array, rng: Rng) -> Faces:
    """Return walls and roofs of buildings (N, 6), lower buildings first.

    Of each: x, y; sides along x and y; height of its walls; 1 for a gable, whose ridge is along the
    longer side, or 0 for a flat roof. shadow: see `Daylight.shadow`.
    """
    place, sides, height, gable = buildings[:, :2], buildings[:, 2:4], *buildings[:, 4:].T
    heading = np.where(sides[:, 0] > sides[:, 1], 0, math.pi / 2)
    length, width = sides.max(axis=1), sides.min(axis=1)
    roof = np.array(_ROOFS)[gable.astype(int), rng.integers(4, size=len(gable))]
    side = rng.choice((-1, 1), len(gable))
    parts = []

    def put(some: Array, corners: Array, color: Any, contrast: Any = (0, 0, 0, 0)) -> None:
        """Put one face or more on each of some buildings. corners: (K, ..., 4, 3), about them."""
        times = math.prod(corners.shape[1:-2])
        color = np.broadcast_to(color, (len(some), 3)).repeat(times, axis=0)
        some = some.repeat(times)
        corners = corners.reshape(-1, 4, 3)
        corners[..., :2] = turned(corners[..., :2], heading[some, None]) + place[some, None]
        parts.append(faces(corners, color, contrast, order=height[some]))

    def on_gable(some: Array, a: Any, b: Any, long: Any, wide: Any) -> Array:
        corners = rectangle(a, b, long, wide, height[some])
        corners[..., 2] += _PITCH * (width[some, None] / 2 - np.abs(corners[..., 1]))
        return corners

    every = np.arange(len(gable))
    walls = box(rectangle(0, 0, length, width), height)
    put(every, walls, rng.choice(_WALLS, len(every)), _WALL)

    # Two slopes of tiles, skylights, solar cells and a chimney.
    some = np.flatnonzero(gable)
    long, wide = length[some] + _EAVES, width[some] + _EAVES
    for slope in (-1, 1):
        put(some, on_gable(some, 0, slope * wide / 4, long, wide / 2), roof[some], _TILES)
    put(some, on_gable(some, 0, 0, long, 0.25), 1.35 * roof[some])
    lights = some.repeat(rng.integers(0, 4, len(some)))
    a, b = length[lights] * rng.uniform(-0.4, 0.4, len(lights)), side[lights] * width[lights]
    put(lights, on_gable(lights, a, 0.22 * b, 0.8, 1.1), _SKYLIGHT)
    solar = some[rng.random(len(some)) < 0.3]
    long, wide = length[solar] * rng.uniform(0.3, 0.8, len(solar)), width[solar]
    put(solar, on_gable(solar, 0, -0.25 * side[solar] * wide, long, 0.33 * wide), _SOLAR)
    some = some[rng.random(len(some)) < 0.7]
    a, b = rng.uniform((-0.3, -0.12), (0.3, 0.12), (len(some), 2)).T
    foot = on_gable(some, a * length[some], b * width[some], 0.7, 0.7)
    put(some, box(foot, 0.8), _CHIMNEY)

    # A parapet, and machines within it with their shadows.
    some = np.flatnonzero(gable == 0)
    long, wide, z = length - _EAVES, width - _EAVES, height[some]
    shift = turned(shadow, -heading)
    put(some, rectangle(0, 0, long[some] + 0.8, wide[some] + 0.8, z), _PARAPET, _FELT)
    put(some, rectangle(0, 0, long[some], wide[some], z), 0.3 * roof[some], _FELT)
    (x, y), black = 0.3 * shift[some].T, 0.3 * roof
    lit = long[some] - 2 * np.abs(x), wide[some] - 2 * np.abs(y)
    put(some, rectangle(x, y, *lit, z), roof[some], _FELT)
    some = some.repeat((long * wide / 60)[some].astype(int))
    a, b, sides_a, sides_b, up, gray = rng.uniform(
        (-0.35, -0.35, 0.8, 0.8, 0.3, 0.15), (0.35, 0.35, 2.2, 2.2, 1.0, 0.55), (len(some), 6)
    ).T
    z = height[some, None, None, None]
    machines = box(rectangle(a * long[some], b * wide[some], sides_a, sides_b, height[some]), up)
    cast = machines.copy()
    cast[..., :2] += (machines[..., 2:] - z) * shift[some, None, None]
    cast[..., 2:] = z
    put(some, cast, black[some], _FELT)
    put(some, machines, gray[:, None])
    return joined(parts)


def crowns(trees: Array, rng: Rng) -> Faces:
    """Return the leaves of trees, bushes and hedges, each a face for some of the real ones.

    trees: (N, 4), x, y, and the smallest and largest radius that they may have.
    """
    count = len(trees)
    radius = rng.uniform(trees[:, 2], trees[:, 3])
    foot = np.column_stack([trees[:, :2], 0.6 * radius * rng.uniform(1.6, 2.6, count)])
    color = rng.choice(_LEAVES, count) * rng.uniform(0.75, 1.3, (count, 1))
    angle, out = rng.uniform(0, 1, (2, count, _CLUMPS))
    angle, out = 2 * math.pi * angle, 0.62 * np.sqrt(out)
    tree = np.repeat(np.arange(count), (20 + 14 * radius**2).astype(int))
    clump = tree, rng.integers(_CLUMPS, size=len(tree))

    # Each leaf lies on the upper half of a ball, its clump.
    outward = _unit(rng.standard_normal((len(tree), 3), dtype=np.float32))
    outward[:, 2] = np.abs(outward[:, 2])
    rise = 0.5 * (1 - out[clump]) + 0.42 * outward[:, 2]  # in radii
    middle = np.stack([out * np.cos(angle), out * np.sin(angle)], axis=-1)[clump]
    place = radius[tree, None] * np.column_stack([middle + 0.42 * outward[:, :2], rise])
    place += foot[tree]

    # Leaves look more upwards than the ball does, and little light gets to the deep ones.
    facing = np.add(outward, (0, 0, 0.8))
    first = _unit(np.cross(facing, rng.standard_normal(facing.shape, dtype=np.float32)))
    second = _unit(np.cross(facing, first))
    first, second = (0.08 + 0.10 * radius)[tree, None] * np.stack([first, second])
    corners = [place + a * first + b * second for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    shade = np.clip(0.45 + 0.75 * rise, 0.3, 1.1)[:, None]
    contrast = (0, 0, 0.25, 0.9)
    return faces(np.stack(corners, axis=1), shade * color[tree], contrast, order=place[:, 2])


def _unit(vectors: Array) -> Array:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return vectors / length[:, None]  # type: ignore[no-any-return]
