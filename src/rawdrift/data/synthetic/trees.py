"""Trees from above: crowns of several round clumps of leaves."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.faces import Color, Faces, faces
from rawdrift.data.synthetic.texture import Array, Rng

_CLUMPS = 8  # of a crown


class Tree(NamedTuple):
    """A tree, a bush or a piece of a hedge."""

    x: float
    y: float
    height: float
    radius: float
    leaves: Color


def crowns(trees: Sequence[Tree], rng: Rng) -> Faces:
    """Return the leaves of trees, each a face for some of the real ones."""
    x, y, height, radius = np.array([tree[:4] for tree in trees]).reshape(-1, 4).T
    color = np.array([tree.leaves for tree in trees]).reshape(-1, 3)
    angle, out = rng.uniform(0, 1, (2, len(trees), _CLUMPS))
    angle, out = 2 * math.pi * angle, 0.62 * np.sqrt(out)
    tree = np.repeat(np.arange(len(trees)), (20 + 14 * radius**2).astype(int))
    clump = tree, rng.integers(_CLUMPS, size=len(tree))

    # Each leaf lies on the upper half of a ball, its clump.
    outward = _unit(rng.standard_normal((len(tree), 3)))
    outward[:, 2] = np.abs(outward[:, 2])
    rise = 0.5 * (1 - out[clump]) + 0.42 * outward[:, 2]  # in radii
    middle = np.stack([out * np.cos(angle), out * np.sin(angle)], axis=-1)[clump]
    place = radius[tree, None] * np.column_stack([middle + 0.42 * outward[:, :2], rise])
    place += np.stack([x, y, 0.6 * height], axis=1)[tree]

    # Leaves look more upwards than the ball does, and little light gets to the deep ones.
    facing = np.add(outward, (0, 0, 0.8))
    first = _unit(np.cross(facing, rng.standard_normal(facing.shape)))
    second = _unit(np.cross(facing, first))
    first, second = (0.08 + 0.10 * radius)[tree, None] * np.stack([first, second])
    corners = [place + a * first + b * second for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    shade = np.clip(0.45 + 0.75 * rise, 0.3, 1.1)[:, None]
    contrast = (0, 0, 0.25, 0.9)
    return faces(np.stack(corners, axis=1), shade * color[tree], contrast, order=place[:, 2])


def _unit(vectors: Array) -> Array:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return vectors / length[:, None]  # type: ignore[no-any-return]
