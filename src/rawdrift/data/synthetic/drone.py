"""Synthetic aerial tiles, as the drone of Raw-Drone would record them."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from rawdrift.camera.camera import Camera
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.synthetic.expose import check_order, irradiance, through_lens
from rawdrift.data.synthetic.parallel import each
from rawdrift.data.synthetic.photograph import MARGIN, TILES, Photograph
from rawdrift.sensor import Sensor

CAMERA = replace(Camera.load("raw-drone"), adc_bits=12)  # in 16, as its provenance says


def load(spec: Data) -> RawDataset:
    """Return the images that a spec describes."""
    return make(spec.images or 0, spec.size or 0, spec.seed or 0)


def make(images: int, size: int = 96, seed: int = 0) -> RawDataset:
    """`images` raw mosaics of `size` x `size` pixels of 6 cm, with masks (car 1) and no labels.

    Twelve tiles in turn are of one photograph, which is their group: one place, sun and exposure.
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
        """The tiles of one photograph."""
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


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
