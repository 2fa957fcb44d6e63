"""Raw images one by one, however many there are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, choose


@dataclass(frozen=True)
class Row:
    """A line of a manifest: what is known about an image before it is read. "" if not given.

    after: of a pair of pictures, the second one.
    """

    image: str
    label: str = ""
    mask: str = ""
    group: str = ""
    split: str = ""
    camera: str = ""
    after: str = ""
    line: int = 0


class Frame(NamedTuple):
    """A raw image. mosaic: (H, W) uint16 DN, or float32 in [0, 1]. mask: (H, W) uint8, or None.

    notes: what the user should know of how it was read.
    """

    mosaic: NDArray[Any]
    camera: Camera
    mask: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()


class NoCameraError(InputError):
    """An image that can be read, but whose camera nobody states. mosaic: (H, W), as in the file."""

    def __init__(self, message: str, mosaic: NDArray[Any]):
        super().__init__(message)
        self.mosaic = mosaic


class Frames(Protocol):
    """Images that are read when they are needed."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of the images, in order."""

    def read(self, index: int) -> Frame:
        """Read image `index`. InputError if its file is missing or broken."""


class Excluding:
    """Images without those of some labels."""

    rows: list[Row]

    def __init__(self, frames: Frames, labels: Sequence[str]):
        valid = sorted({row.label for row in frames.rows})
        for label in labels if valid != [""] else ():
            choose("label", label, valid)
        self._frames = frames
        self.notes = getattr(frames, "notes", ())
        self._indices = [i for i, row in enumerate(frames.rows) if row.label not in labels]
        self.rows = [frames.rows[i] for i in self._indices]

    def read(self, index: int) -> Frame:
        """Read image `index` of those that are left."""
        return self._frames.read(self._indices[index])


class Cameras:
    """The cameras of a dataset, each once.

    unique: in the order of their first images.
    """

    unique: list[Camera]

    def __init__(self) -> None:
        self.unique = []
        self._calibrations: dict[Camera, int] = {}

    def index(self, camera: Camera) -> int:
        """Return the index of a camera. Those that differ only in name develop alike, as DNGs'."""
        calibration = replace(camera, name="any", provenance="")
        index = self._calibrations.setdefault(calibration, len(self.unique))
        if index == len(self.unique):
            self.unique.append(camera)
        return index


def check_alike(
    frame: Frame, name: str, first: Frame, first_name: str, of_one_size: bool = True
) -> None:
    """Raise InputError if an image has another size or type than the first, or only one a mask."""
    if of_one_size and frame.mosaic.shape != first.mosaic.shape:
        raise InputError(
            f"{name} has {size(frame.mosaic)} pixels but {first_name} has {size(first.mosaic)}; "
            f"expected images of one size: crop them, or cut them into tiles (data.tile)"
        )
    if frame.mosaic.dtype != first.mosaic.dtype:
        raise InputError(
            f"{name} holds {frame.mosaic.dtype} values but {first_name} holds "
            f"{first.mosaic.dtype}; expected integers everywhere or floats everywhere"
        )
    if (frame.mask is None) != (first.mask is None):
        one, other = (name, first_name) if frame.mask is None else (first_name, name)
        raise InputError(f"{one} has no mask but {other} has one; expected one for every image")


def size(image: NDArray[Any]) -> str:
    """Return height x width as text."""
    return "x".join(map(str, image.shape))


def memory() -> float:
    """Return the bytes of this machine's memory; infinity if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")
