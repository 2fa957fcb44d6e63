"""Synthetic aerial tiles, as the drone of Raw-Drone would record them."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from rawdrift.camera.camera import Camera
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.synthetic.expose import check_order, irradiance, through_lens
from rawdrift.data.synthetic.faces import turned
from rawdrift.data.synthetic.light import Daylight
from rawdrift.data.synthetic.parallel import each
from rawdrift.data.synthetic.scene import GSD, Scene
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.town import plan
from rawdrift.sensor import Sensor

CAMERA = replace(Camera.load("raw-drone"), adc_bits=12)  # in 16, as its provenance says
TILES = 12  # of a photograph
LEAST = ((120.0, 4), (90.0, 3))  # width and height of a photograph, in meters and in tiles
MARGIN = 8  # pixels around a tile that a lens may blur into it


def load(spec: Data) -> RawDataset:
    """Return the images that a spec describes."""
    return make(spec.images or 0, spec.size or 0, spec.seed or 0)


def make(images: int, size: int = 96, seed: int = 0) -> RawDataset:
    """Return `images` raw mosaics of `size` x `size` pixels of 6 cm, with masks (car 1).

    Every twelve tiles are of one photograph, which is their group: one place, sun and exposure.
    Nearly all hold a car. Image i of a seed is the same, however many are made.
    """
    check_order(images, size, seed)
    assert CAMERA.optics is not None
    sigma = CAMERA.optics.psf_sigma
    # The lens blurs the scene around the tile into it, so it comes before the tile is cut out.
    sensor = Sensor(CAMERA, optics=nn.Identity())
    mosaics = torch.empty(images, size, size, dtype=torch.uint16)
    masks = torch.empty(images, size, size, dtype=torch.uint8)
    inner = slice(MARGIN, -MARGIN)

    def take(number: int) -> None:
        """Take the tiles of one photograph."""
        photograph = Photograph(_rng(seed, 0, number), size)
        for i in range(number * TILES, min(images, (number + 1) * TILES)):
            rng = _rng(seed, 1, i)
            picture, mask = photograph.tile(photograph.tiles[i % TILES], rng)
            picture = through_lens(picture, sigma)[:, inner, inner]
            light = torch.from_numpy(np.ascontiguousarray(picture))
            noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
            mosaics[i] = sensor.digital(irradiance(light, CAMERA), noise)
            masks[i] = torch.from_numpy(mask)

    each(take, -(-images // TILES))
    return RawDataset(
        mosaics=mosaics,
        images=tuple(f"{seed}-{i:05d}" for i in range(images)),
        cameras=(CAMERA,),
        camera_index=torch.zeros(images, dtype=torch.long),
        masks=masks,
        groups=tuple(f"{seed}-photograph-{i // TILES:04d}" for i in range(images)),
    )


class Photograph:
    """A town of its own, under its own light.

    tiles: upper left corners, in meters, of `TILES` disjoint tiles in random order. If there are
    enough cars, all tiles but one hold the middle of a car.
    """

    def __init__(self, rng: Rng, size: int):
        self.size, self.angle = size, rng.uniform(0, 2 * math.pi)
        self.light = Daylight(rng)
        side = size * GSD
        columns, rows = (max(math.ceil(length / side), least) for length, least in LEAST)
        left, top = -columns * side / 2, -rows * side / 2
        self.town = plan(rng, math.hypot(left, top))
        self.scene = Scene(self.town.faces(self.light, rng), self.light, self.angle)
        cars = np.array([car[:2] for car in self.town.cars]).reshape(-1, 2)
        with_car = set(
            map(tuple, ((turned(cars, -self.angle) - (left, top)) // side).astype(int).tolist())
        )
        cells = [divmod(int(cell), rows) for cell in rng.permutation(columns * rows)]
        # A stable sort: cells with a car first, but one of them after those without.
        cells.sort(key=lambda cell: cell not in with_car)
        full = min(sum(cell in with_car for cell in cells), TILES - 1)
        chosen = cells[:full] + cells[::-1][: TILES - full]
        self.tiles = [
            (left + column * side, top + row * side)
            for column, row in (chosen[i] for i in rng.permutation(TILES))
        ]

    def tile(self, corner: tuple[float, float], rng: Rng) -> tuple[Array, Array]:
        """Return linear RGB (3, H, W) float32 before the lens, and where cars are seen.

        The picture has `MARGIN` more pixels on each side than the mask (size, size) bool.
        """
        x, y = (at - MARGIN * GSD for at in corner)
        picture, cars = self.scene.picture((x, y), self.size + 2 * MARGIN, rng)
        return picture, cars[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
