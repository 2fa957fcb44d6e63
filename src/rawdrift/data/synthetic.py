"""Synthetic micrographs: blood smears that are drawn from a seed, as a camera's raw mosaics.

A scene is a stained smear in bright field. Everything in it has a concentration of four dyes at
every point, dyes absorb as Beer and Lambert say, and a defocused lens blurs the light that is left.
It is a cartoon, but what tells the five white cells apart is what a hematologist looks at: size,
shape of the nucleus, color of the cytoplasm, and size and color of the granules.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera, Noise
from rawdrift.checks import InputError, choose
from rawdrift.isp.color import mix
from rawdrift.sensor import Sensor

Array = NDArray[Any]  # float32
Range = tuple[float, float]
Rng = np.random.Generator
Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

FIELD = 28.0  # side of a scene, micrometers
BORDER = 0.4  # over which an outline goes from outside to inside, micrometers

CAMERA = Camera(
    name="synthetic-microscope",
    cfa="RGGB",
    black_level=(0.0156, 0.0156, 0.0156, 0.0156),
    white_level=1.0,
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.55, -0.4, -0.15), (-0.22, 1.62, -0.4), (-0.02, -0.42, 1.44)),
    provenance="invented for the synthetic scenes, after a 12-bit CMOS camera at base gain",
    noise=Noise(gain=5.4, read_noise=4.0),
)

# Optical density in R, G, B of a unit of each dye. Orange is what hemoglobin and densely bound
# eosin absorb of blue; purple is azure and eosin together on chromatin (Romanowsky effect).
DYES = np.array(
    [
        [0.02, 0.30, 0.85],  # orange
        [0.04, 0.95, 0.40],  # eosin
        [0.95, 0.50, 0.10],  # azure
        [0.62, 1.05, 0.34],  # purple
    ],
    dtype=np.float32,
)


class Look(NamedTuple):
    """What a kind of white cell looks like. Ranges are drawn from evenly, cell by cell.

    radius: of the cell. cytoplasm, grain: their orange, eosin, azure and purple at full depth.
    grains: how many granules; grain_radius: micrometers; grain_strength: how much dye they take;
    over_nucleus: how much of a granule shows above the nucleus. chromatin: purple of the nucleus;
    clumps: their contrast, and size in micrometers. vacuoles: how many.
    """

    radius: Range
    cytoplasm: tuple[float, float, float, float]
    grain: tuple[float, float, float, float]
    grains: Range
    grain_radius: Range
    grain_strength: Range
    over_nucleus: float
    chromatin: Range
    clumps: tuple[float, float]
    vacuoles: Range


LOOKS = {
    "neutrophil": Look(
        radius=(5.7, 7.2),
        cytoplasm=(0.01, 0.10, 0.015, 0.045),
        grain=(0.02, 0.10, 0.0, 0.16),
        grains=(90, 240),
        grain_radius=(0.16, 0.28),
        grain_strength=(0.5, 2.0),
        over_nucleus=0.15,
        chromatin=(0.95, 1.45),
        clumps=(0.22, 0.8),
        vacuoles=(0, 1.3),
    ),
    "lymphocyte": Look(
        radius=(4.0, 6.6),
        cytoplasm=(0.0, 0.01, 0.27, 0.02),
        grain=(0.0, 0.1, 0.1, 0.3),
        grains=(0, 6),
        grain_radius=(0.2, 0.3),
        grain_strength=(0.5, 1.5),
        over_nucleus=0.0,
        chromatin=(1.0, 1.5),
        clumps=(0.20, 1.3),
        vacuoles=(0, 0.5),
    ),
    "monocyte": Look(
        radius=(6.0, 8.9),
        cytoplasm=(0.05, 0.05, 0.18, 0.05),
        grain=(0.0, 0.08, 0.0, 0.16),
        grains=(60, 200),
        grain_radius=(0.12, 0.22),
        grain_strength=(0.4, 1.5),
        over_nucleus=0.1,
        chromatin=(0.62, 1.0),
        clumps=(0.26, 0.7),
        vacuoles=(0, 9),
    ),
    "eosinophil": Look(
        radius=(5.6, 7.4),
        cytoplasm=(0.05, 0.10, 0.03, 0.03),
        grain=(0.46, 0.36, 0.0, 0.0),
        grains=(60, 220),
        grain_radius=(0.38, 0.56),
        grain_strength=(0.5, 1.2),
        over_nucleus=0.2,
        chromatin=(0.85, 1.3),
        clumps=(0.22, 0.9),
        vacuoles=(0, 1.3),
    ),
    "basophil": Look(
        radius=(5.0, 7.0),
        cytoplasm=(0.0, 0.06, 0.05, 0.07),
        grain=(0.0, 0.06, 0.2, 0.66),
        grains=(15, 110),
        grain_radius=(0.34, 0.62),
        grain_strength=(0.35, 1.25),
        over_nucleus=0.8,
        chromatin=(0.55, 0.9),
        clumps=(0.15, 1.2),
        vacuoles=(0, 4),
    ),
}
LABELS = tuple(LOOKS)


class Synthetic(NamedTuple):
    """mosaics: (N, H, W) uint16 DN. labels: N of `LABELS`. masks: (N, H, W) bool, white cells."""

    mosaics: Tensor
    labels: list[str]
    masks: Tensor
    camera: Camera


def make(images: int, size: int = 96, seed: int = 0) -> Synthetic:
    """`images` raw mosaics of `size` x `size` pixels, and their truth, from a seed.

    Every five images in turn hold the five labels once, in an order of their own. Image i of a seed
    is the same, however many are made.
    """
    for name, value, least in (("images", images, 1), ("size", size, 16), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise InputError(f"{name} must be a whole number from {least} on, got {value!r}")
    sensor = Sensor(CAMERA)
    labels = [_label(seed, i) for i in range(images)]
    mosaics = torch.empty(images, size, size, dtype=torch.uint16)
    masks = torch.empty(images, size, size, dtype=torch.bool)
    for i, label in enumerate(labels):
        rng = _rng(seed, 0, i)
        light, masks[i] = scene(label, rng, size)
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        mosaics[i] = sensor.digital(irradiance(light, CAMERA), noise)
    return Synthetic(mosaics, labels, masks, CAMERA)


def scene(label: str, seed: int | Rng, size: int = 96) -> tuple[Tensor, Tensor]:
    """The light of one smear and where its white cell is.

    label: one of `LABELS`. seed: or the generator to draw from. size: pixels on `FIELD`.
    Gives linear RGB (3, size, size) float32 in [0, 1], and a mask (size, size) bool.
    """
    choose("white cell", label, LABELS)
    rng = np.random.default_rng(seed)
    smear = _Smear(rng, size)
    cell = smear.white_cell(LOOKS[label], _NUCLEI[label])
    smear.red_cells(cell)
    smear.platelets(cell)
    return smear.light(), torch.from_numpy(cell.outline < 0)


def irradiance(light: Tensor, camera: Camera) -> Tensor:
    """Linear RGB (..., 3, H, W) to what the camera's channels see of it, in [0, 1].

    The inverse of its white balance and color matrix, so that its ISP gives the light back.
    """
    inverse = torch.linalg.inv(torch.tensor(camera.color_matrix, dtype=torch.float64))
    gains = torch.tensor(camera.white_balance, dtype=torch.float64)
    return mix(inverse / gains[:, None], light).clamp_(0, 1)


def _rng(seed: int, *key: int) -> Rng:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _label(seed: int, image: int) -> str:
    turn, place = divmod(image, len(LABELS))
    return LABELS[int(_rng(seed, 1, turn).permutation(len(LABELS))[place])]


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

    def white_cell(self, look: Look, nucleus: "_Nucleus") -> _Cell:
        rng = self.rng
        x, y = (min(max(rng.normal(0, 0.9), -2), 2) for _ in range(2))
        radius = rng.uniform(*look.radius)
        u, v = self.oval(x, y)
        outline = np.hypot(u, v) - radius
        body = self.inside(outline)

        core = np.maximum(_union(nucleus(rng, radius), u, v), outline + 0.25)  # stays in its cell
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


# A nucleus is a union of rounded lines: (N, 5) of x, y to x, y, and half the thickness.
_Lines = NDArray[np.float64]
_Nucleus = Callable[[Rng, float], _Lines]


def _union(lines: _Lines, x: Array, y: Array) -> Array:
    """Signed distance (H, W) to rounded lines that flow into each other where they meet."""
    sharpness = 3.5
    total = np.full_like(x, 1e-12)
    for ax, ay, bx, by, half in lines.tolist():
        dx, dy, px, py = bx - ax, by - ay, x - ax, y - ay
        along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
        distance = np.hypot(px - along * dx, py - along * dy) - half
        total += np.exp(-sharpness * distance)
    distance = np.log(total) / -sharpness
    return distance


def _arc(rng: Rng, count: int, radius: float, step: float, jitter: float) -> NDArray[np.float64]:
    """`count` points (N, 2) along an arc of that radius about the center, `step` apart."""
    angle = rng.uniform(0, 2 * np.pi) + step / radius * (
        np.arange(count) + rng.normal(0, 0.1, count)
    )
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, jitter, (count, 2))


def _beads(points: NDArray[np.float64], lobes: NDArray[np.float64], strand: float) -> _Lines:
    """Lobes of those radii at (N, 2) points, each joined to the next by a strand."""
    drop = np.concatenate([points, points, lobes[:, None]], 1)
    joints = np.full((len(points) - 1, 1), strand)
    return np.concatenate([drop, np.concatenate([points[:-1], points[1:], joints], 1)])


def _segmented(rng: Rng, radius: float) -> _Lines:
    if rng.random() < 0.08:  # a young one, whose band has not parted yet
        points = _arc(rng, 6, 0.5 * radius, 0.36 * radius, 0.15)
        return _beads(points, np.full(6, 0.17 * radius), 0.16 * radius)
    count = int(rng.choice([3, 4, 5], p=[0.45, 0.4, 0.15]))
    lobes = radius * rng.uniform(0.22, 0.29, count) * (1.15 if count == 3 else 1.0)
    points = _arc(rng, count, 0.5 * radius, (0.78 if count == 3 else 0.66) * radius, 0.06 * radius)
    # Lobes are oval: each a short line of its own direction.
    lines = _beads(points, lobes, rng.uniform(0.12, 0.3))
    lines[:count, 2:4] += rng.normal(0, 0.09 * radius, (count, 2))
    return lines


def _round(rng: Rng, radius: float) -> _Lines:
    size = radius * rng.uniform(0.74, 0.88)
    x, y = rng.normal(0, 0.4 * (radius - size), 2)
    long = rng.normal(0, 0.12 * radius, 2)
    return np.array([[x, y, x + long[0], y + long[1], size - 0.5 * np.hypot(*long)]])


def _kidney(rng: Rng, radius: float) -> _Lines:
    half = radius * rng.uniform(0.28, 0.4)
    count = 6
    span = rng.uniform(1.1, 2.4) * radius  # from a kidney to a horseshoe
    bend = rng.uniform(0.42, 0.52) * radius
    points = _arc(rng, count, bend, span / (count - 1), 0.03 * radius)
    points -= 0.35 * points.mean(axis=0)
    return _beads(points, half * rng.uniform(0.88, 1.12, count), 0.8 * half)


def _bilobed(rng: Rng, radius: float) -> _Lines:
    count = 2 if rng.random() < 0.8 else 3
    lobes = radius * rng.uniform(0.34, 0.43, count) * (1.0 if count == 2 else 0.8)
    points = _arc(rng, count, 0.45 * radius, 0.85 * radius, 0.05 * radius)
    return _beads(points, lobes, rng.uniform(0.2, 0.5))


def _smudged(rng: Rng, radius: float) -> _Lines:
    count = int(rng.integers(2, 4))
    lobes = radius * rng.uniform(0.36, 0.48, count)
    points = _arc(rng, count, 0.33 * radius, 0.6 * radius, 0.08 * radius)
    return _beads(points, lobes, 0.3 * radius)


_NUCLEI: dict[str, _Nucleus] = {
    "neutrophil": _segmented,
    "lymphocyte": _round,
    "monocyte": _kidney,
    "eosinophil": _bilobed,
    "basophil": _smudged,
}
