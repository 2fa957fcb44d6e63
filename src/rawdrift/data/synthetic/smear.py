"""A smear of stained blood in bright field while it is drawn.

Everything in a scene is a concentration of four dyes at every point. Dyes absorb light by the law
of Beer and Lambert, and a lens that is slightly out of focus blurs the rest of it.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.data.synthetic.expose import through_lens
from rawdrift.data.synthetic.looks import DYES, Range
from rawdrift.data.synthetic.nuclei import Rng
from rawdrift.data.synthetic.texture import texture

Array = NDArray[Any]  # float32
Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

# Micrometers: a pixel of 6.5 behind a 40x objective, and the least that a picture shows.
PIXEL, FIELD = 6.5 / 40, 28.0
PSF_SIGMA = 0.45 / 2.355  # micrometers: a measured full width at half maximum of 450 nm
BORDER = 0.4  # micrometers from outside to inside of an outline


class Smear:
    """The dyes of a scene while it is drawn. Lengths are in micrometers from its center."""

    def __init__(self, rng: Rng, size: int):
        self.rng = rng
        self.size = size
        self.field = max(FIELD, size * PIXEL)
        self.pixel = self.field / size
        self.area = (self.field / FIELD) ** 2
        self.at = ((np.arange(size) + 0.5) * self.pixel - self.field / 2).astype(np.float32)
        self.dyes = np.zeros((4, size, size), dtype=np.float32)
        self.thickness = np.zeros((size, size), dtype=np.float32)
        self.defocus = abs(rng.normal(0, 0.16))  # micrometers of blur
        self.red: list[tuple[float, float, float]] = []  # x, y, radius of each red cell
        # Outlines are drawn in slightly bent coordinates, so that no cell is a circle.
        self.x = self.at[None, :] + 0.2 * self.texture(3.6)
        self.y = self.at[:, None] + 0.2 * self.texture(3.6)
        # Plasma proteins take up a little dye.
        plasma = np.clip(1 + 0.4 * self.texture(2.0) + 0.25 * self.texture(0.5), 0, None)
        self.stain((0.008, 0.022, 0.008, 0.0), plasma * rng.uniform(0.4, 1.3))

    def stain(self, dyes: tuple[float, ...], amount: Array, window: Window = WHOLE) -> None:
        """Add `amount` (h, w) times the four `dyes`, in a window of the scene."""
        for plane, dye in zip(self.dyes, dyes, strict=True):
            if dye:
                plane[window] += dye * amount

    def texture(self, scale: float) -> Array:
        """Return smooth noise (H, W) of mean 0 and variance 1 with blobs of about `scale`."""
        return texture(self.rng, self.at, self.at, scale)

    def oval(self, x: float, y: float, window: Window = WHOLE) -> tuple[Array, Array]:
        """Return coordinates around a point, turned at random, in which an oval cell is round."""
        longer = self.rng.uniform(0.9, 1.1)
        angle = self.rng.uniform(0, math.pi)
        dx, dy = self.x[window] - x, self.y[window] - y
        u = math.cos(angle) * dx + math.sin(angle) * dy
        v = math.cos(angle) * dy - math.sin(angle) * dx
        return u * longer, v / longer

    def window(self, x: float, y: float, reach: float) -> Window:
        """Return the rows and columns within `reach` of a point."""
        row, column = ((at + self.field / 2) / self.pixel for at in (y, x))
        n = reach / self.pixel
        return (
            slice(max(int(row - n), 0), max(int(row + n), 0)),
            slice(max(int(column - n), 0), max(int(column + n), 0)),
        )

    def inside(self, distance: Array) -> Array:
        """Return 1 where a signed distance is inside, 0 outside, with a soft transition."""
        return np.clip(0.5 - distance / max(BORDER, self.pixel), 0, 1)

    def grains(self, count: int, radii: Range, x: float, y: float, within: float) -> Array:
        """Spread round grains evenly over a disk; return how many cover each pixel, (H, W)."""
        along = within * np.sqrt(self.rng.random(count))
        angle = self.rng.uniform(0, 2 * math.pi, count)
        radius = self.rng.uniform(*radii, (count, 1, 1)) / self.pixel
        column = (x + along * np.cos(angle) + self.field / 2) / self.pixel - 0.5
        row = (y + along * np.sin(angle) + self.field / 2) / self.pixel - 0.5
        # Each grain is a small stamp; all stamps are added at once. Parts beyond an edge go
        # to a frame of one pixel that is cut off.
        reach = int(radii[1] / self.pixel) + 2
        step = np.arange(-reach, reach + 1)
        columns, rows = (np.rint(at).astype(int)[:, None] + step for at in (column, row))
        distance = np.hypot((columns - column[:, None])[:, None], (rows - row[:, None])[..., None])
        stamps = np.clip(radius - distance + 0.5, 0, 1)
        frame = self.size + 2
        columns, rows = (np.clip(at, -1, self.size) + 1 for at in (columns, rows))
        pixels = rows[..., None] * frame + columns[:, None]
        total = np.bincount(pixels.ravel(), stamps.ravel(), frame * frame).astype(np.float32)
        return total.reshape(frame, frame)[1:-1, 1:-1]

    def light(self) -> Tensor:
        """Return the light of the lamp behind the dyes and the lens: (3, H, W) in [0, 1]."""
        rng = self.rng
        # The stain differs from slide to slide, as a whole and by dye.
        strength = np.exp(rng.normal(0, 0.16) + rng.normal(0, 0.16, (4, 1))).astype(np.float32)
        absorbed = np.einsum("dc,dhw->chw", DYES * strength, self.dyes)
        # Slightly out of focus, thickness acts as a lens and moves light across the edges of cells.
        edge = np.pad(self.thickness, 1, mode="edge")
        curved = edge[2:, 1:-1] + edge[:-2, 1:-1] + edge[1:-1, 2:] + edge[1:-1, :-2]
        curved = (curved - 4 * self.thickness) / self.pixel**2
        gathered = np.clip(1 + rng.normal(0, 0.012) * curved, 0.7, 1.3)
        # A warm lamp, brightest somewhere near the center.
        lamp = np.array([1.06, 1.0, 0.88]) * np.exp(rng.normal(0, [0.035, 0.0, 0.045]))
        lamp = (rng.uniform(0.65, 0.77) * lamp).astype(np.float32)
        x, y = (rng.normal(0, 5) for _ in range(2))
        away = ((self.at[:, None] - y) ** 2 + (self.at - x) ** 2) / (self.field / 2) ** 2
        falloff = 1 - rng.uniform(0.02, 0.09) * away
        light = lamp[:, None, None] * falloff * gathered * np.float32(10) ** -absorbed
        blur = math.hypot(PSF_SIGMA, self.defocus)
        return torch.from_numpy(np.clip(through_lens(light, blur / self.pixel), 0, 1))
