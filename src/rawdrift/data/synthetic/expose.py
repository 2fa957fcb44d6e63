"""From the light of scenes to a set of raw images."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.data.synthetic.texture import Rng
from rawdrift.isp.yuv import mix
from rawdrift.sensor import Sensor

Shots = Iterable[tuple[int, Rng, Tensor, Tensor]]


def check_order(images: int, size: int, seed: int) -> None:
    """Raise InputError for an impossible number of images, size in pixels or seed."""
    for name, value, least in (("images", images, 1), ("size", size, 16), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise InputError(f"{name} must be a whole number from {least} on, got {value!r}")


def record(
    shoot: Callable[[int], Shots],
    scenes: int,
    images: int,
    size: int,
    seed: int,
    camera: Camera,
    sensor: Sensor,
    **labels: Any,
) -> RawDataset:
    """Return a set of `images` mosaics of `size` x `size` pixels from a number of scenes.

    shoot: from the number of a scene to its images, each an index, a generator, linear RGB
    (3, size, size) in front of the sensor, and a mask (size, size). labels: of the set.
    """
    mosaics = torch.empty(images, size, size, dtype=torch.uint16)
    masks = torch.empty(images, size, size, dtype=torch.uint8)

    def take(scene: int) -> None:
        for i, rng, light, mask in shoot(scene):
            noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
            mosaics[i] = sensor.digital(irradiance(light, camera), noise)
            masks[i] = mask

    each(take, scenes)
    return RawDataset(
        mosaics=mosaics,
        images=tuple(f"{seed}-{i:05d}" for i in range(images)),
        cameras=(camera,),
        camera_index=torch.zeros(images, dtype=torch.long),
        masks=masks,
        **labels,
    )


def seeded(seed: int, *key: int) -> Rng:
    """Return the generator of one part of a set, which depends on no other part."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def irradiance(light: Tensor, camera: Camera) -> Tensor:
    """Return the light in the camera's channels, in [0, 1], of linear RGB (..., 3, H, W).

    The inverse of its white balance and color matrix, so that its ISP restores the light, except
    for colors that its filters can't give: those are clipped at 0 and at saturation.
    """
    inverse = torch.linalg.inv(torch.tensor(camera.color_matrix, dtype=torch.float64))
    gains = torch.tensor(camera.white_balance, dtype=torch.float64)
    return mix(inverse / gains[:, None], light).clamp_(0, 1)


def through_lens(light: NDArray[Any], psf_sigma: float) -> NDArray[Any]:
    """Return light (C, H, W) behind a lens with a Gaussian point spread of that sigma in pixels."""
    sigma = (0, psf_sigma, psf_sigma)
    blurred: NDArray[Any] = gaussian_filter(light, sigma, mode="mirror", truncate=3)
    return blurred


def each(task: Callable[[int], None], count: int) -> None:
    """Run task(0) to task(count - 1), as many at a time as torch has threads.

    NumPy, SciPy and PyTorch release Python's lock while they work on an image. Each task gets one
    thread of torch: with more in each, tasks would wait for each other.
    """
    # The C library of Linux returns the memory of an image to the system and gets it back page by
    # page for the next image, until a block of this size has been freed once.
    np.empty(31 * 2**20, np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(task, range(count)))
    finally:
        torch.set_num_threads(threads)
