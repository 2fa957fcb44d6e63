"""Synthetic aerial tiles, as the drone of Raw-Drone would record them."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from rawdrift.camera.camera import Camera
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.synthetic.cars import parked
from rawdrift.data.synthetic.expose import Shots, check_order, record, seeded, through_lens
from rawdrift.data.synthetic.faces import turned
from rawdrift.data.synthetic.scene import GSD, Daylight, Scene
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.town import plan
from rawdrift.sensor import Sensor

CAMERA = replace(Camera.load("raw-drone"), adc_bits=12)  # in 16, as its provenance says
TILES = 12  # of a photograph
EXTENT = (120.0, 90.0)  # width and height of a photograph, meters; at least 4 and 3 tiles
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
    inner = slice(MARGIN, -MARGIN)

    def shoot(number: int) -> Shots:
        scene, corners = photograph(seeded(seed, 0, number), size)
        for i in range(number * TILES, min(images, (number + 1) * TILES)):
            rng = seeded(seed, 1, i)
            corner = corners[i % TILES] - MARGIN * GSD
            picture, cars = scene.picture(corner, size + 2 * MARGIN, rng)
            light = torch.from_numpy(through_lens(picture, sigma)[:, inner, inner])
            yield i, rng, light.contiguous(), torch.from_numpy(cars[inner, inner])

    # The lens blurs the scene around the tile into it, so it comes before the tile is cut out.
    sensor = Sensor(CAMERA, optics=nn.Identity())
    groups = tuple(f"{seed}-photograph-{i // TILES:04d}" for i in range(images))
    count = -(-images // TILES)
    return record(shoot, count, images, size, seed, CAMERA, sensor, groups=groups)


def photograph(rng: Rng, size: int) -> tuple[Scene, Array]:
    """Return a town of its own under its own light, and corners (TILES, 2) of tiles.

    The corners are the upper left ones, in meters, of disjoint tiles in random order. If there are
    enough cars, all tiles but one hold the middle of a car.
    """
    angle, light, side = rng.uniform(0, 2 * math.pi), Daylight(rng), size * GSD
    counts = np.maximum(np.ceil(np.array(EXTENT) / side), (4, 3)).astype(int)
    start = -counts * side / 2
    town = plan(rng, math.hypot(*start))
    cars = parked(town.cars, rng)
    cells = np.floor((turned(cars[:, :2], -angle) - start) / side).astype(int)
    with_car = np.zeros(counts, bool)
    with_car[tuple(cells[((cells >= 0) & (cells < counts)).all(axis=1)].T)] = True
    order = rng.permutation(with_car.size)
    order = order[np.argsort(~with_car.flat[order], kind="stable")]  # those with a car first
    full = min(with_car.sum(), TILES - 1)
    chosen = rng.permutation(np.concatenate([order[:full], order[::-1][: TILES - full]]))
    corners = start + side * np.column_stack(np.unravel_index(chosen, tuple(counts)))
    return Scene(town.faces(cars, light.shadow), light, angle), corners
