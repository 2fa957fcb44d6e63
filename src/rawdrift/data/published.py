"""What the folders of Raw-Microscopy and Raw-Drone have in common."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.camera.decode import decode, normalize
from rawdrift.checks import InputError
from rawdrift.data.manifest import Progress
from rawdrift.data.spec import INTENSITIES


def quiet(items: list[Any], what: str) -> Iterable[Any]:
    """The progress of a list, not shown."""
    return items


def scale_name(intensity: float) -> str:
    """The name of the folder with the images of an intensity, such as raw_scale025."""
    return f"raw_scale{round(intensity * 100):03d}"


def on_disk(folders: Iterable[Path]) -> list[float]:
    """The intensities of which any of these folders has images."""
    found = list(folders)
    return [i for i in INTENSITIES if any((folder / scale_name(i)).is_dir() for folder in found)]


def find(root: Path, is_base: Callable[[Path], bool]) -> Path | None:
    """The first folder that is a dataset's base: `root`, or one at most three levels below it."""
    level = [root]
    for _ in range(4):
        for folder in level:
            if is_base(folder):
                return folder
        level = [path for folder in level for path in _folders(folder)]
    return None


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def pictures(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files in a folder with one of these suffixes in any case, sorted; none where it lacks."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def read(paths: Sequence[Path], camera: Camera, progress: Progress) -> Tensor:
    """The mosaics of these files, (N, H, W) uint16 DN.

    Raises InputError for a file that can't be read, holds floats, or is of another size.
    """
    mosaics: list[Any] = []
    for path in progress(list(paths), "reading"):
        mosaic = normalize(decode(path).mosaic, camera.bit_depth, path)
        if mosaic.dtype != np.uint16:
            raise InputError(f"{path} holds {mosaic.dtype} values, expected 16-bit integers")
        if mosaics and mosaic.shape != mosaics[0].shape:
            raise InputError(
                f"{path} has {mosaic.shape} pixels but {paths[0].name} has {mosaics[0].shape}; "
                f"expected images of one size: get the file again"
            )
        mosaics.append(mosaic)
    return torch.from_numpy(np.stack(mosaics))
