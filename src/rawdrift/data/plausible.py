"""Whether images fit their camera: the bits that they use, and the sites that are green."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.bits import Unused, unused
from rawdrift.camera.camera import Camera
from rawdrift.cfa import PATTERNS, is_bayer, offsets
from rawdrift.data.dataset import RawDataset

COMPARED = 64  # images whose green sites are compared
MANY = 2048  # images whose largest value is looked up
_APART = 1.5  # how much less alike the green sites of a wrong pattern are
_AGREE = 0.9  # the share of images that must show it


class Greens(NamedTuple):
    """A camera whose pattern calls sites green that are less alike than the two others.

    alike: the patterns that the images fit. ratio: the difference between the sites that are called
    green, relative to that between the others; median over images.
    """

    camera: str
    cfa: str
    alike: tuple[str, ...]
    ratio: float


def unused_bits(data: RawDataset) -> Iterator[Unused]:
    """Yield the cameras whose images leave bits of their container unused; see `bits.unused`."""
    for number, camera in enumerate(data.cameras):
        images = _of_camera(data, number, MANY)
        if data.mosaics.dtype.is_floating_point or not len(images):
            continue
        largest = max(int(data.mosaics[i].numpy().max()) for i in images)
        if (found := unused(camera, largest, data.intensity)) is not None:
            yield found


def wrong_greens(data: RawDataset) -> Iterator[Greens]:
    """Yield the cameras whose two green sites are less alike than the two others.

    The difference of two sites is the mean of |a - b| over cells, relative to the mean of a + b,
    above the black level. The pairs lie on the two diagonals of a cell, so the scene makes them
    differ equally; the green pair also has equal colors. Gray images show nothing, and where red
    and blue are exchanged the green sites are the same.
    """
    for number, camera in enumerate(data.cameras):
        images = _of_camera(data, number, COMPARED if is_bayer(camera.cfa) else 0)
        found = unlike_greens(
            camera, [differences(data.mosaics[i].numpy(), camera) for i in images]
        )
        if found is not None:
            yield found


def unlike_greens(camera: Camera, differences: Sequence[tuple[float, float]]) -> Greens | None:
    """Return that green sites are less alike than the others, by what `differences` gives of some
    images, else None."""
    pairs = np.array(differences).reshape(-1, 2)
    pairs = pairs[(pairs > 0).all(1)]
    if not len(pairs):
        return None
    ratios = pairs[:, 0] / pairs[:, 1]
    if np.median(ratios) <= _APART or np.mean(ratios > 1) < _AGREE:
        return None
    greens = {*offsets(camera.cfa)[1:3]}
    alike = tuple(p for p in PATTERNS if {*offsets(p)[1:3]} != greens)
    return Greens(camera.name, camera.cfa, alike, float(np.median(ratios)))


def _of_camera(data: RawDataset, number: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most so many of a camera's images, spread evenly."""
    images = np.flatnonzero(data.camera_index.numpy() == number)
    spread = np.linspace(0, len(images) - 1, min(most, len(images)))
    return np.asarray(images[spread.round().astype(int)])


def differences(mosaic: NDArray[np.generic], camera: Camera) -> tuple[float, float]:
    """Return the difference of the sites that the camera calls green, and of the others."""
    full = 1.0 if mosaic.dtype.kind == "f" else 2.0**camera.bit_depth - 1
    height, width = mosaic.shape[0] // 2 * 2, mosaic.shape[1] // 2 * 2
    cells = mosaic[:height, :width].astype(np.float64)
    red, green, other, blue = (
        cells[row::2, column::2] - level * full
        for (row, column), level in zip(offsets(camera.cfa), camera.black_level, strict=True)
    )
    light = red.mean() + blue.mean(), green.mean() + other.mean()
    if min(light) <= 0:
        return 0.0, 0.0
    return abs(green - other).mean() / light[1], abs(red - blue).mean() / light[0]
