"""Trees from above: crowns of several round clumps of leaves."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.canvas import ALTITUDE, GSD, Canvas, Color, Window
from rawdrift.data.synthetic.texture import Array

_MIDDLE = 0.65  # height of a crown's middle, relative to the tree


class Tree(NamedTuple):
    """A tree, a bush or a piece of a hedge. seed: of its leaves."""

    x: float
    y: float
    height: float
    radius: float
    leaves: Color
    seed: int

    def shade(self, canvas: Canvas) -> None:
        """Cast a shadow, in which a little sun gets through the leaves."""
        (dx, dy), height = canvas.light.shadow, _MIDDLE * self.height
        if crown := self._crown(canvas, self.x + height * dx, self.y + height * dy):
            window, cover, _ = crown
            canvas.sun[window] *= 1 - 0.92 * cover

    def draw(self, canvas: Canvas) -> None:
        """Draw the crown."""
        out = 1 + _MIDDLE * self.height / ALTITUDE
        crown = self._crown(canvas, out * self.x, out * self.y)
        if crown is None:
            return
        window, cover, height = crown
        relief = height * self.radius + 0.10 * canvas.noise[2][window]
        fall_down, fall_right = np.gradient(relief, GSD)
        sun = canvas.light.toward(canvas.angle)
        # Leaves look all ways, so that a crown is less bright and dark than a dome.
        norm = np.sqrt(1 + 0.5 * (fall_right**2 + fall_down**2))
        aim = sun[2] - 0.7 * (sun[0] * fall_right + sun[1] * fall_down)
        factor = 0.85 * np.clip(aim / norm, 0, 2.2) / sun[2]
        color = canvas.textured(window, self.leaves, (0, 0, 0.30, 1.1))
        sky = np.clip(0.55 + 0.6 * height, 0.25, 1.1)  # little of it reaches what lies deep
        canvas.put(window, cover, canvas.light.on(color, factor, sky))

    def _crown(self, canvas: Canvas, x: float, y: float) -> tuple[Window, Array, Array] | None:
        """Return a crown about (x, y): its window, cover and height in radii, (h, w)."""
        window = canvas.window([(x, y)], margin=1.35 * self.radius)
        if window is None:
            return None
        rng = np.random.default_rng(self.seed)
        right, down = (at / self.radius for at in canvas.local(window, x, y, canvas.angle))
        height = np.full(right.shape, -1, np.float32)
        for _ in range(9 if self.radius > 1 else 4):
            angle, out = rng.uniform(0, 2 * math.pi), 0.62 * math.sqrt(rng.random())
            a, b = right - out * math.cos(angle), down - out * math.sin(angle)
            left = rng.uniform(0.32, 0.55) ** 2 - a * a - b * b
            dome = np.sqrt(np.maximum(left, 0)) + 0.5 * (1 - out)
            height = np.maximum(height, np.where(left > 0, dome, left))
        frayed = 0.05 * (canvas.noise[2][window] + canvas.noise[3][window])
        return window, np.clip(0.5 + 5 * (height + frayed), 0, 1), height
