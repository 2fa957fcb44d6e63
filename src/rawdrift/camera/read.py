"""Read raw files as tensors."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera, Trust, check_camera
from rawdrift.camera.shot import read
from rawdrift.text import Shown


@dataclass(frozen=True)
class Raw(Shown):
    """A raw image. mosaic: (H, W) float32 in [0, 1]. camera: given or from the file, or None.

    notes: what the user should know of how it was read.
    """

    mosaic: Tensor
    camera: Camera | None
    notes: tuple[str, ...] = ()


def read_raw(path: str | Path, camera: Camera | None = None, trust: Trust | None = None) -> Raw:
    """Read a raw mosaic as x = DN / (2**bit_depth - 1), (H, W) float32 in [0, 1].

    Reads TIFF, PNG and NPY with one channel (8 to 16 bits, or floats in [0, 1]), and DNG and every
    other format that LibRaw decodes as a Bayer mosaic. camera: gives the bit depth of the
    container; by default that of the file, whose metadata may describe the camera. trust: "camera"
    or "file", the one that holds if they contradict each other; without it, another color filter
    array is refused, and other levels are noted.

    Raises InputError for a file that is missing, broken, RGB, too small or not finite.
    """
    if camera is not None:
        check_camera(camera)
    shot = read(Path(path), camera, trust)
    return Raw(to_unit(torch.from_numpy(shot.mosaic), shot.bits), shot.camera, shot.notes)


def to_unit(mosaic: Tensor, bit_depth: int) -> Tensor:
    """Return x = DN / (2**bit_depth - 1) as float32; a floating mosaic is not changed."""
    return mosaic if mosaic.is_floating_point() else mosaic.to(torch.float32) / (2**bit_depth - 1)
