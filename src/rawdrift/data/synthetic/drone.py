"""Synthetic aerial photographs, cut into tiles, as the drone of Raw-Drone would record them."""

import math

import numpy as np
import torch

from rawdrift.camera.camera import Camera
from rawdrift.data.dataset import RawDataset
from rawdrift.data.synthetic.aerial import GSD, MARGIN, Light, tile
from rawdrift.data.synthetic.expose import check_order, irradiance, through_lens
from rawdrift.data.synthetic.town import Town
from rawdrift.sensor import Sensor

CAMERA = Camera.load("raw-drone")
TILES = 12  # of a photograph
PHOTOGRAPH = (120.0, 90.0)  # width and height at least, meters


def make(images: int, size: int = 96, seed: int = 0) -> RawDataset:
    """`images` raw mosaics of `size` x `size` pixels of 6 cm, with masks (car 1) and no labels.

    Twelve disjoint tiles in turn are of one photograph, which is their group: one town, sun and
    exposure. All but one of them hold a car, if there are so many. Image i of a seed is the same,
    however many are made.
    """
    check_order(images, size, seed)
    assert CAMERA.optics is not None
    sensor = Sensor(CAMERA)
    mosaics = torch.empty(images, size, size, dtype=torch.uint16)
    masks = torch.empty(images, size, size, dtype=torch.uint8)
    inner = slice(MARGIN, -MARGIN)
    for i in range(images):
        photograph, number = divmod(i, TILES)
        if number == 0:
            rng = _rng(seed, 0, photograph)
            light = Light.draw(rng)
            town, corners = _photograph(rng, size)
        rng = _rng(seed, 1, i)
        picture, mask = tile(town, light, *corners[number], size, rng)
        picture = through_lens(picture, CAMERA.optics.psf_sigma)[:, inner, inner]
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        channels = irradiance(torch.from_numpy(np.ascontiguousarray(picture)), CAMERA)
        mosaics[i] = sensor.digital(channels, noise)
        masks[i] = torch.from_numpy(mask)
    return RawDataset(
        mosaics=mosaics,
        images=tuple(f"{seed}-{i:05d}" for i in range(images)),
        cameras=(CAMERA,),
        camera_index=torch.zeros(images, dtype=torch.long),
        masks=masks,
        groups=tuple(f"{seed}-photograph-{i // TILES:04d}" for i in range(images)),
    )


def _photograph(rng: np.random.Generator, size: int) -> tuple[Town, list[tuple[float, float]]]:
    """A town, and the corners of the tiles that are cut from its photograph, in meters."""
    side = size * GSD
    across, down = (max(math.ceil(extent / side), least) for extent, least in zip(PHOTOGRAPH, (4, 3), strict=True))
    left, top = -across * side / 2, -down * side / 2
    town = Town(rng, (-left, -top))
    cells = [(left + c * side, top + r * side) for r in range(down) for c in range(across)]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    taken = {(int((car.x - left) // side), int((car.y - top) // side)) for car in town.cars}
    with_car = [c for c in cells if (round((c[0] - left) / side), round((c[1] - top) / side)) in taken]
    without = [c for c in cells if c not in with_car]
    chosen = (with_car[: TILES - 1] + without + with_car[TILES - 1 :])[:TILES]
    return town, [chosen[i] for i in rng.permutation(TILES)]


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
