"""Synthetic micrographs: blood smears that are drawn from a seed, as a camera's raw mosaics."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rawdrift.camera.camera import Camera, Noise
from rawdrift.checks import InputError
from rawdrift.data.looks import LABELS
from rawdrift.data.smear import scene
from rawdrift.isp.color import mix
from rawdrift.sensor import Sensor

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


def irradiance(light: Tensor, camera: Camera) -> Tensor:
    """Linear RGB (..., 3, H, W) to what the camera's channels see of it, in [0, 1].

    The inverse of its white balance and color matrix, so that its ISP gives the light back.
    """
    inverse = torch.linalg.inv(torch.tensor(camera.color_matrix, dtype=torch.float64))
    gains = torch.tensor(camera.white_balance, dtype=torch.float64)
    return mix(inverse / gains[:, None], light).clamp_(0, 1)


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _label(seed: int, image: int) -> str:
    turn, place = divmod(image, len(LABELS))
    return LABELS[int(_rng(seed, 1, turn).permutation(len(LABELS))[place])]
