"""Scenes of stained blood in bright field.

Everything in a scene has a concentration of four dyes at every point, dyes absorb as Beer and
Lambert say, and a defocused lens blurs the light that is left. It is a cartoon, but what tells the
five white cells apart is what a hematologist looks at: size, shape of the nucleus, color of the
cytoplasm, and size and color of the granules.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.checks import choose
from rawdrift.data.looks import DYES, LABELS, LOOKS, Look, Range
from rawdrift.data.nuclei import NUCLEI, Nucleus, Rng, distance_to

Array = NDArray[Any]  # float32
Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

FIELD = 28.0  # side of a scene, micrometers
BORDER = 0.4  # over which an outline goes from outside to inside, micrometers


def scene(label: str, seed: int | Rng, size: int = 96) -> tuple[Tensor, Tensor]:
    """The light of one smear and where its white cell is.

    label: one of `LABELS`. seed: or the generator to draw from. size: pixels on `FIELD`.
    Gives linear RGB (3, size, size) float32 in [0, 1], and a mask (size, size) bool.
    """
    choose("white cell", label, LABELS)
    rng = np.random.default_rng(seed)
    smear = _Smear(rng, size)
    cell = smear.white_cell(LOOKS[label], NUCLEI[label])
    smear.red_cells(cell)
    smear.platelets(cell)
    return smear.light(), torch.from_numpy(cell.outline < 0)


class _Cell(NamedTuple):
    """x, y, radius in micrometers. outline: signed distance to it, (H, W), negative inside."""

    x: float
    y: float
    radius: float
    outline: Array


class _Smear:
    """The dyes of a scene while it is drawn. Lengths are in micrometers from its center."""

    def __init__(self, rng: Rng, size: int):
        self.rng = rng
        self.size = size
        self.pixel = FIELD / size
        self.at = ((np.arange(size) + 0.5) * self.pixel - FIELD / 2).astype(np.float32)
        self.dyes = np.zeros((4, size, size), dtype=np.float32)
        self.thickness = np.zeros((size, size), dtype=np.float32)
        self.red: list[tuple[float, float, float]] = []  # x, y, radius of each red cell
        # Every outline is drawn on coordinates that are bent a little, so that no cell is a circle.
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
        """Smooth noise (H, W) of mean 0 and variance 1 whose blobs measure about `scale`."""
        knots = np.arange(-FIELD / 2 - 2 * scale, FIELD / 2 + 2 * scale, scale, dtype=np.float32)
        weights = np.exp(-2 * ((self.at[:, None] - knots) / scale) ** 2)
        weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
        values = self.rng.standard_normal((len(knots), len(knots)), dtype=np.float32)
        # Not with `@`: its threads and torch's would wait for each other.
        noise: Array = np.einsum("ik,jk->ij", weights, np.einsum("ik,jk->ij", weights, values))
        return noise

    def oval(self, x: float, y: float, window: Window = WHOLE) -> tuple[Array, Array]:
        """Coordinates about a point, turned at random, in which an oval cell is round."""
        longer = self.rng.uniform(0.9, 1.1)
        angle = self.rng.uniform(0, math.pi)
        dx, dy = self.x[window] - x, self.y[window] - y
        u = math.cos(angle) * dx + math.sin(angle) * dy
        v = math.cos(angle) * dy - math.sin(angle) * dx
        return u * longer, v / longer

    def window(self, x: float, y: float, reach: float) -> Window:
        """Rows and columns within `reach` of a point."""
        row, column = ((at + FIELD / 2) / self.pixel for at in (y, x))
        n = reach / self.pixel
        return (
            slice(max(int(row - n), 0), max(int(row + n), 0)),
            slice(max(int(column - n), 0), max(int(column + n), 0)),
        )

    def inside(self, distance: Array) -> Array:
        """1 where a signed distance is inside, 0 outside, and soft between."""
        return np.clip(0.5 - distance / max(BORDER, self.pixel), 0, 1)

    def grains(self, count: int, radii: Range, x: float, y: float, within: float) -> Array:
        """Round grains spread evenly over a disk: how many lie over each pixel, (H, W)."""
        along = within * np.sqrt(self.rng.random(count))
        angle = self.rng.uniform(0, 2 * math.pi, count)
        radius = self.rng.uniform(*radii, (count, 1, 1)) / self.pixel
        column = (x + along * np.cos(angle) + FIELD / 2) / self.pixel - 0.5
        row = (y + along * np.sin(angle) + FIELD / 2) / self.pixel - 0.5
        # Each grain is a small stamp; all stamps are added at once. What of them lies beyond an
        # edge goes to a frame of one pixel that is cut off.
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

    def white_cell(self, look: Look, nucleus: Nucleus) -> _Cell:
        rng = self.rng
        x, y = (min(max(rng.normal(0, 0.9), -2), 2) for _ in range(2))
        radius = rng.uniform(*look.radius)
        u, v = self.oval(x, y)
        outline = np.hypot(u, v) - radius
        body = self.inside(outline)

        core = np.maximum(
            distance_to(nucleus(rng, radius), u, v), outline + 0.25
        )  # stays in its cell
        covered = self.inside(core)
        depth = 1 - np.exp(np.minimum(core, 0) / 0.45)
        contrast, size = look.clumps
        clumps = np.clip(1 + contrast * self.texture(size), 0.5, 1.4)
        chromatin = covered * (0.45 + 0.55 * depth) * clumps
        self.stain((0.0, 0.0, 0.12, 1.0), chromatin * rng.uniform(*look.chromatin))

        # Like a fried egg: flat, and a little denser at the rim.
        dome = np.clip(-outline / radius, 0, 1) ** 0.3
        rim = np.exp(-(((outline + 0.4) / 0.45) ** 2))
        mottled = np.clip(1 + 0.18 * self.texture(0.9), 0.3, None)
        cytoplasm = body * (0.25 + 0.75 * dome + 0.45 * rim) * mottled * (1 - 0.5 * covered)
        grains = self.grains(_whole(rng, look.grains), look.grain_radius, x, y, 0.97 * radius)
        grains = np.tanh(grains) * body * (1 - (1 - look.over_nucleus) * covered)
        holes = self.grains(_whole(rng, look.vacuoles), (0.25, 0.65), x, y, 0.9 * radius)
        kept = 1 - 0.75 * np.minimum(holes, 1)
        self.stain(look.cytoplasm, cytoplasm * kept * rng.uniform(0.7, 1.35))
        self.stain(look.grain, grains * kept * rng.uniform(*look.grain_strength))
        self.thickness += body * dome
        return _Cell(x, y, radius, outline)

    def red_cells(self, white: _Cell) -> None:
        """Biconcave disks that crowd around the white cell, and give way to it."""
        rng = self.rng
        hemoglobin = rng.uniform(0.85, 1.15)
        for _ in range(int(rng.integers(14, 60))):
            x, y = (rng.uniform(-FIELD / 2 - 2, FIELD / 2 + 2) for _ in range(2))
            radius = rng.normal(3.6, 0.22)
            near, crowd = rng.uniform(0.55, 1.0), rng.uniform(0.6, 1.05)
            if math.dist((x, y), (white.x, white.y)) < white.radius + near * radius:
                continue
            if any(math.dist((x, y), (a, b)) < crowd * (radius + r) for a, b, r in self.red):
                continue
            self.red.append((x, y, radius))
            window = self.window(x, y, 1.35 * radius)
            u, v = self.oval(x, y, window)
            q = (u * u + v * v) / radius**2
            # Thickness in micrometers as in Evans and Fung, Microvascular Research 4, 1972, but for
            # the pallor in the middle, which differs from cell to cell once they are dried.
            pallor = rng.uniform(0.1, 1.3)
            depth = np.sqrt(np.clip(1 - q, 0, None)) * (pallor + 7.83 * q - 4.39 * q * q)
            depth *= self.inside(0.3 - white.outline[window])
            self.stain((0.105, 0.115, 0.0, 0.008), depth * hemoglobin, window)
            self.thickness[window] += 0.4 * depth

    def platelets(self, white: _Cell) -> None:
        """Small disks with purple grains between the cells, and specks of dye that fell out."""
        rng = self.rng
        cells = [(white.x, white.y, white.radius), *self.red]
        for _ in range(int(rng.poisson(2.5))):
            x, y = (rng.uniform(-FIELD / 2, FIELD / 2) for _ in range(2))
            radius = rng.uniform(0.8, 1.5)
            if any(math.dist((x, y), (a, b)) < 0.9 * r + radius for a, b, r in cells):
                continue
            body = self.inside(np.hypot(self.x - x, self.y - y) - radius)
            grains = np.tanh(self.grains(14, (0.2, 0.35), x, y, 0.8 * radius))
            self.stain((0.0, 0.05, 0.12, 0.10), body)
            self.stain((0.0, 0.0, 0.0, 0.35), grains * body)
        specks = self.grains(int(rng.poisson(1.5)), (0.12, 0.3), 0.0, 0.0, FIELD / 2)
        self.stain((0.0, 0.0, 0.2, 0.8), specks)

    def light(self) -> Tensor:
        """What the dyes leave of the lamp's light, through the lens: (3, H, W) in [0, 1]."""
        rng = self.rng
        # Stain differs from slide to slide: all of it, and dye by dye.
        strength = np.exp(rng.normal(0, 0.16) + rng.normal(0, 0.16, (4, 1))).astype(np.float32)
        absorbed = np.einsum("dc,dhw->chw", DYES * strength, self.dyes)
        # A little off focus, thickness acts as a lens and moves light across the edges of cells.
        edge = np.pad(self.thickness, 1, mode="edge")
        curved = edge[2:, 1:-1] + edge[:-2, 1:-1] + edge[1:-1, 2:] + edge[1:-1, :-2]
        curved = (curved - 4 * self.thickness) / self.pixel**2
        gathered = np.clip(1 + rng.normal(0, 0.012) * curved, 0.7, 1.3)
        # A warm lamp, brightest somewhere near the center.
        lamp = np.array([1.06, 1.0, 0.88]) * np.exp(rng.normal(0, [0.035, 0.0, 0.045]))
        lamp = (rng.uniform(0.65, 0.77) * lamp).astype(np.float32)
        x, y = (rng.normal(0, 5) for _ in range(2))
        away = ((self.at[:, None] - y) ** 2 + (self.at - x) ** 2) / (FIELD / 2) ** 2
        falloff = 1 - rng.uniform(0.02, 0.09) * away
        light = lamp[:, None, None] * falloff * gathered * np.float32(10) ** -absorbed
        blur = min(0.19 + rng.exponential(0.08), 0.5)
        return torch.from_numpy(np.clip(_blurred(light, blur / self.pixel), 0, 1))


def _blurred(image: Array, sigma: float) -> Array:
    """Gaussian blur of (..., H, W), `sigma` in pixels, mirrored at the edges."""
    # In NumPy: torch would split even so small a picture between threads, and wait for busy ones.
    reach = min(math.ceil(3 * sigma), image.shape[-1] - 1)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1, dtype=np.float32) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (-1, -2):
        size = image.shape[axis]
        edges = [(0, 0)] * image.ndim
        edges[axis] = (reach, reach)
        extended = np.moveaxis(np.pad(image, edges, mode="reflect"), axis, 0)
        image = sum(tap * extended[i : i + size] for i, tap in enumerate(taps))
        image = np.moveaxis(image, 0, axis)
    return np.ascontiguousarray(image)


def _whole(rng: Rng, between: Range) -> int:
    return int(rng.uniform(*between))
