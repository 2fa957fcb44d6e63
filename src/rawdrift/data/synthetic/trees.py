"""Trees from above: crowns of several round clumps of leaves."""

import math

import numpy as np

from rawdrift.data.synthetic.canvas import ALTITUDE, Canvas
from rawdrift.data.synthetic.shapes import Window, moved
from rawdrift.data.synthetic.texture import Array
from rawdrift.data.synthetic.things import Tree

_MIDDLE = 0.65  # height of a crown's middle, in that of the tree


def shade(canvas: Canvas, tree: Tree) -> None:
    """A tree's shadow, in which a little sun gets through the leaves."""
    (dx, dy), high = canvas.light.shadow, _MIDDLE * tree.height
    found = _crown(canvas, tree, high * dx, high * dy)
    if found is not None:
        window, cover, _ = found
        canvas.sun[window] *= 1 - 0.92 * cover


def draw(canvas: Canvas, tree: Tree) -> None:
    high = _MIDDLE * tree.height / ALTITUDE
    found = _crown(canvas, tree, high * tree.x, high * tree.y)
    if found is None:
        return
    window, cover, height = found
    fine, sun = canvas.noise[2][window], canvas.light.toward(0)
    fall_y, fall_x = np.gradient(height * tree.radius + 0.10 * fine, canvas.gsd)
    # Leaves look all ways, so that a crown is less bright and dark than a dome.
    norm = np.sqrt(1 + 0.5 * (fall_x**2 + fall_y**2))
    aim = sun[2] - 0.7 * (sun[0] * fall_x + sun[1] * fall_y)
    factor = 0.85 * np.clip(aim / norm, 0, 2.2) / sun[2]
    color = canvas.textured(window, tree.leaves, (0, 0, 0.30, 1.1))
    sky = np.clip(0.55 + 0.6 * height, 0.25, 1.1)  # little of it reaches what lies deep
    canvas.put(window, cover, canvas.light.on(color, factor, sky))


def _crown(canvas: Canvas, tree: Tree, dx: float, dy: float) -> tuple[Window, Array, Array] | None:
    """A crown displaced by (dx, dy): where, its cover and its height in radii, (h, w)."""
    center, reach = (tree.x + dx, tree.y + dy), 1.35 * tree.radius
    window = canvas.window([*moved([center], (-reach, -reach)), *moved([center], (reach, reach))])
    if window is None:
        return None
    rng = np.random.default_rng(tree.seed)
    x, y = (
        (at - np.float64(c)) / tree.radius for at, c in zip(canvas.at(window), center, strict=True)
    )
    height = np.full((y.shape[0], x.shape[1]), -1.0, np.float32)
    for _ in range(9 if tree.radius > 1 else 4):
        angle, out = rng.uniform(0, 2 * math.pi), 0.62 * math.sqrt(rng.random())
        radius = rng.uniform(0.32, 0.55)
        left = radius**2 - (x - out * math.cos(angle)) ** 2 - (y - out * math.sin(angle)) ** 2
        dome = np.sqrt(np.maximum(left, 0)) + 0.5 * (1 - out)
        np.maximum(height, np.where(left > 0, dome, left), out=height)
    frayed = 0.05 * (canvas.noise[2][window] + canvas.grain[window])
    return window, np.clip(0.5 + 5 * (height + frayed), 0, 1), height
