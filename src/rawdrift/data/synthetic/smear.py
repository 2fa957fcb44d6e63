"""Scenes of stained blood in bright field.

Everything in a scene has a concentration of four dyes at every point, dyes absorb as Beer and
Lambert say, and a lens that is a little off focus blurs the light that is left. It is a cartoon,
but what tells the white cells apart is what a hematologist looks at: size, shape of the nucleus,
color of the cytoplasm, and size and color of the granules.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.checks import choose
from rawdrift.data.synthetic.expose import through_lens
from rawdrift.data.synthetic.floats import hypot
from rawdrift.data.synthetic.looks import DYES, LABELS, LOOKS, Look, Range
from rawdrift.data.synthetic.nuclei import NUCLEI, Nucleus, Rng, distance_to, remains
from rawdrift.data.synthetic.texture import texture

Array = NDArray[Any]  # float32
Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

# Micrometers: a pixel of 6.5 behind a 40x objective, and what a smaller picture shows at least.
PIXEL, FIELD = 6.5 / 40, 28.0
PSF_SIGMA = 0.45 / 2.355  # micrometers, of a full width at half maximum of 450 nm, as measured
BORDER = 0.4  # over which an outline goes from outside to inside, micrometers


def scene(label: str, seed: int | Rng, size: int = 96) -> tuple[Tensor, Tensor]:
    """The light of one smear and where its white cell is.

    label: one of `LABELS`. seed: or the generator to draw from. size: pixels along a side.
    Gives linear RGB (3, size, size) float32 in [0, 1], and a mask (size, size) bool.
    """
    choose("white cell", label, LABELS)
    rng = np.random.default_rng(seed)
    smear = _Smear(rng, size)
    if label == "KSC":
        cell = smear.smudge()
    elif label == "UNC":  # between two kinds, and badly seen
        look, nucleus = rng.choice(tuple(LOOKS), 2, replace=False)
        cell = smear.white_cell(LOOKS[look], NUCLEI[nucleus])
        smear.cover(cell)
    else:
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
        self.field = max(FIELD, size * PIXEL)
        self.pixel = self.field / size
        self.area = (self.field / FIELD) ** 2
        self.at = ((np.arange(size) + 0.5) * self.pixel - self.field / 2).astype(np.float32)
        self.dyes = np.zeros((4, size, size), dtype=np.float32)
        self.thickness = np.zeros((size, size), dtype=np.float32)
        self.defocus = abs(rng.normal(0, 0.16))  # micrometers of blur
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
        return texture(self.rng, self.at, self.at, scale)

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
        row, column = ((at + self.field / 2) / self.pixel for at in (y, x))
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
        column = (x + along * np.cos(angle) + self.field / 2) / self.pixel - 0.5
        row = (y + along * np.sin(angle) + self.field / 2) / self.pixel - 0.5
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
        outline = hypot(u, v) - radius
        if look.ragged:
            outline += look.ragged * self.texture(2.6)
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

    def smudge(self) -> _Cell:
        """What is left of a white cell that burst, or a heap of debris about as large."""
        rng = self.rng
        x, y = (min(max(rng.normal(0, 0.9), -2), 2) for _ in range(2))
        debris = rng.random() < 0.3
        radius = rng.uniform(2.5, 5.0) if debris else rng.uniform(4.5, 8.0)
        u, v = self.oval(x, y)
        torn = 0.09 * radius * (self.texture(2.4) + 0.5 * self.texture(0.9))
        outline = distance_to(remains(rng, radius, pieces=7 if debris else 4), u, v) + torn
        soft = rng.uniform(0.25, 0.5) if debris else rng.uniform(0.5, 1.1)
        body = 1 / (1 + np.exp(np.clip(outline / soft, -20, 20)))
        strands = np.clip(1 + 0.28 * self.texture(1.5) + 0.22 * self.texture(0.5), 0.2, None)
        if debris:
            grains = np.tanh(self.grains(60, (0.2, 0.5), x, y, 1.3 * radius))
            self.stain((0.0, 0.06, 0.16, 0.12), body * strands * rng.uniform(0.6, 1.6))
            self.stain((0.0, 0.0, 0.05, 0.5), grains * body * rng.uniform(0.3, 1.3))
        else:
            self.stain((0.0, 0.05, 0.07, 0.75), body * strands * rng.uniform(0.5, 1.25))
        return _Cell(x, y, radius, outline - soft)

    def cover(self, cell: _Cell) -> None:
        """Dye that fell out over a cell, and a lens off focus: nobody could name it."""
        rng = self.rng
        specks = self.grains(
            int(rng.uniform(0, 40)), (0.15, 0.5), cell.x, cell.y, 1.4 * cell.radius
        )
        self.stain((0.0, 0.1, 0.25, 0.6), np.tanh(specks))
        veil = 1 / (1 + np.exp(np.clip(cell.outline + self.texture(3.0), -20, 20)))
        self.stain((0.02, 0.08, 0.10, 0.12), veil * rng.uniform(0.2, 2.0))
        self.defocus = rng.uniform(0.1, 0.5)

    def red_cells(self, white: _Cell) -> None:
        """Biconcave disks that crowd around the white cell, and give way to it."""
        rng = self.rng
        hemoglobin = rng.uniform(0.85, 1.15)
        for _ in range(int(rng.uniform(14, 60) * self.area)):
            x, y = (rng.uniform(-self.field / 2 - 2, self.field / 2 + 2) for _ in range(2))
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
        for _ in range(int(rng.poisson(2.5 * self.area))):
            x, y = (rng.uniform(-self.field / 2, self.field / 2) for _ in range(2))
            radius = rng.uniform(0.8, 1.5)
            if any(math.dist((x, y), (a, b)) < 0.9 * r + radius for a, b, r in cells):
                continue
            body = self.inside(hypot(self.x - x, self.y - y) - radius)
            grains = np.tanh(self.grains(14, (0.2, 0.35), x, y, 0.8 * radius))
            self.stain((0.0, 0.05, 0.12, 0.10), body)
            self.stain((0.0, 0.0, 0.0, 0.35), grains * body)
        specks = self.grains(
            int(rng.poisson(1.5 * self.area)), (0.12, 0.3), 0.0, 0.0, self.field / 2
        )
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
        away = ((self.at[:, None] - y) ** 2 + (self.at - x) ** 2) / (self.field / 2) ** 2
        falloff = 1 - rng.uniform(0.02, 0.09) * away
        light = lamp[:, None, None] * falloff * gathered * np.float32(10) ** -absorbed
        blur = math.hypot(PSF_SIGMA, self.defocus)
        return torch.from_numpy(np.clip(through_lens(light, blur / self.pixel), 0, 1))


def _whole(rng: Rng, between: Range) -> int:
    return int(rng.uniform(*between))
