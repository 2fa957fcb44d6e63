"""Reading the folders of Raw-Microscopy and Raw-Drone, as far as they are alike."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rawdrift import progress
from rawdrift.camera import shot
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.frame import size
from rawdrift.data.intensity import check_dimmable
from rawdrift.data.spec import INTENSITIES


def scale_name(intensity: float) -> str:
    """Return the name of the folder with the images of an intensity, such as raw_scale025."""
    return f"raw_scale{round(intensity * 100):03d}"


def on_disk(folders: Iterable[Path]) -> list[float]:
    """Return the intensities of which any of these folders has images."""
    names = {path.name for folder in folders for path in subfolders(folder)}
    return [intensity for intensity in INTENSITIES if scale_name(intensity) in names]


def find(root: Path, is_base: Callable[[Path], bool]) -> Path | None:
    """Return the first folder that `is_base`: `root`, or one at most three levels below it."""
    level = [root]
    for _ in range(4):
        for folder in level:
            if is_base(folder):
                return folder
        level = [path for folder in level for path in subfolders(folder)]
    return None


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted; none if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def pictures(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files with one of these suffixes, in any case, sorted; none without the folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def intensity_to_read(intensity: float, camera: Camera, have: Collection[float]) -> float:
    """Return `intensity` if it is 1 or on disk, else 1, from which others are made.

    Raises InputError if the camera's noise is not known, so that others can't be made.
    """
    if intensity in (*have, 1.0):
        return intensity
    check_dimmable(intensity, camera, have)
    return 1.0


def read(path: Path, camera: Camera) -> NDArray[np.uint16]:
    """Read a mosaic (H, W) in DN. InputError if it can't be read or holds floats."""
    mosaic = shot.read(path, camera).mosaic
    if mosaic.dtype != np.uint16:
        raise InputError(f"{path} holds {mosaic.dtype} values, expected 16-bit integers")
    return mosaic


def read_all(paths: Sequence[Path], camera: Camera) -> NDArray[np.uint16]:
    """Read mosaics of one size, (N, H, W)."""
    mosaics: list[NDArray[np.uint16]] = []
    for path in progress.over(paths, "reading", "image"):
        mosaics.append(read(path, camera))
        if mosaics[-1].shape != mosaics[0].shape:
            raise InputError(
                f"{path} has {size(mosaics[-1])} pixels but {paths[0].name} has {size(mosaics[0])};"
                f" expected images of one size: get the file again"
            )
    return np.stack(mosaics)
