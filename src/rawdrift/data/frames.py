"""Raw images one by one, however many there are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError


@dataclass(frozen=True)
class Row:
    """What is known of an image before it is read: a line of a manifest. Not given is empty."""

    image: str
    label: str = ""
    mask: str = ""
    group: str = ""
    camera: str = ""
    line: int = 0


class Frame(NamedTuple):
    """A raw image. mosaic: (H, W) uint16 DN, or float32 in [0, 1]. mask: (H, W) uint8, or None."""

    mosaic: NDArray[Any]
    camera: Camera
    mask: NDArray[np.uint8] | None = None


class Frames(Protocol):
    """Images that are read when they are asked for."""

    @property
    def rows(self) -> Sequence[Row]:
        """What is known of each image."""

    def read(self, index: int) -> Frame:
        """Image `index`. InputError where its file is missing or broken."""


class Cameras:
    """The cameras of a dataset, each once.

    found: in the order of their first images.
    """

    found: list[Camera]

    def __init__(self) -> None:
        self.found = []
        self._calibrations: list[Camera] = []

    def index(self, camera: Camera) -> int:
        """Which one it is. Cameras that differ in name alone, as those of DNGs, develop alike."""
        calibration = replace(camera, name="any", provenance="")
        if calibration not in self._calibrations:
            self._calibrations.append(calibration)
            self.found.append(camera)
        return self._calibrations.index(calibration)


def check_alike(frame: Frame, name: str, first: Frame, first_name: str) -> None:
    """InputError where an image has another size, or another kind of values, than the first."""
    if frame.mosaic.shape != first.mosaic.shape:
        raise InputError(
            f"{name} has {size(frame.mosaic)} pixels but {first_name} has {size(first.mosaic)}; "
            f"expected images of one size: crop or tile them"
        )
    if frame.mosaic.dtype != first.mosaic.dtype:
        raise InputError(
            f"{name} holds {frame.mosaic.dtype} values but {first_name} holds "
            f"{first.mosaic.dtype}; expected integers everywhere or floats everywhere"
        )


def size(image: NDArray[Any]) -> str:
    """Height x width, in words."""
    return "x".join(map(str, image.shape))


def memory() -> float:
    """Bytes of this machine's memory; infinity where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")
