"""Where the pictures of raw mosaics begin: crops, shifts, and turned or mirrored pictures."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.isp.presets import static

Offset = tuple[int, int]
_SIMILAR = 0.25  # correlation of edges, below which pictures are of another scene
_CERTAIN = 0.6  # correlation of edges, above which no other turn is tried
_MARGIN = 0.1  # by which another place or turn must fit better
_SHIFT = 16  # pixels by which a picture may begin outside of the mosaic
_TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored left to right": lambda x: x.flip(-1),
    "mirrored top to bottom": lambda x: x.flip(-2),
    "turned by 180 degrees": lambda x: x.flip(-1, -2),
    "turned by 90 degrees": lambda x: x.rot90(1, (-2, -1)),
    "turned by 270 degrees": lambda x: x.rot90(3, (-2, -1)),
    "transposed": lambda x: x.transpose(-1, -2),
    "transposed and turned by 180 degrees": lambda x: x.transpose(-1, -2).flip(-1, -2),
}


def align(mosaics: Tensor, pictures: Tensor, camera: Camera) -> Offset:
    """Return the row and column of the mosaics at which the pictures begin, below 0 for a shift.

    mosaics: (N, H, W). pictures: (N, 3, h, w). Raises InputError for pictures that are turned or
    mirrored, of another scene, or of different offsets.
    """
    demosaic = static("bi,-,-", camera).steps["demosaic"]
    maps = []
    for index, (mosaic, picture) in enumerate(zip(mosaics, pictures, strict=True)):
        gray, own = demosaic(mosaic).mean(0), picture.mean(0)
        maps.append(_scores(gray, own))
        score = maps[-1].max()
        if score == 0 or score > _CERTAIN:  # nothing to see in it, or seen at once
            continue
        turned = {name: float(_scores(gray, turn(own)).max()) for name, turn in _TURNS.items()}
        name = max(turned, key=lambda name: turned[name])
        if max(score, turned[name]) < _SIMILAR:
            raise InputError(
                f"picture {index} does not show the scene of its mosaic (their edges correlate by "
                f"{score:.2f}); check the pairs"
            )
        if turned[name] > score + _MARGIN:
            raise InputError(f"picture {index} is {name}; turn it back as its raw file")
    together = np.sum(maps, axis=0)
    if not together.any():
        if mosaics.shape[1:] != pictures.shape[2:]:
            raise InputError(
                "the pictures are flat and smaller than the mosaics, so that their crop can't be "
                "found; give pairs with details"
            )
        return 0, 0
    at = np.unravel_index(int(together.argmax()), together.shape)
    for index, scores in enumerate(maps):
        if scores.max() > scores[at] + _MARGIN:
            one = np.unravel_index(int(scores.argmax()), scores.shape)
            raise InputError(
                f"picture {index} begins at row and column {_offset(one)} of its mosaic, but "
                f"others at {_offset(at)}; expected one crop for all"
            )
    return _offset(at)


def _offset(at: Sequence[np.intp]) -> Offset:
    """The offset of a place in the scores."""
    return int(at[0]) - _SHIFT, int(at[1]) - _SHIFT


def _scores(gray: Tensor, picture: Tensor) -> NDArray[np.float64]:
    """Return the correlation of edges by offset, whose first row and column are those of -_SHIFT;
    zeros for flat pictures."""
    a, b = _edges(gray), _edges(picture)
    size = [x + y for x, y in zip(a.shape, b.shape, strict=True)]
    whole = np.fft.rfft2(a, size)
    product = np.fft.irfft2(whole * np.conj(np.fft.rfft2(b, size)), size)
    energy = np.fft.irfft2(
        np.fft.rfft2(a**2, size) * np.conj(np.fft.rfft2(np.ones_like(b), size)), size
    )
    norm = float((b**2).sum())
    rows, columns = (
        np.arange(-_SHIFT, max(0, x - y) + _SHIFT + 1)
        for x, y in zip(a.shape, b.shape, strict=True)
    )
    if norm < 1e-12 * b.size or float((a**2).sum()) < 1e-12 * a.size:
        return np.zeros((len(rows), len(columns)))
    places = np.ix_(rows % size[0], columns % size[1])
    # A shift leaves a part of the picture without its mosaic: all of its energy counts.
    found: NDArray[np.float64] = product[places] / np.sqrt(
        np.maximum(energy[places], 1e-9 * energy.max()) * norm
    )
    return found


def _edges(gray: Tensor) -> NDArray[np.float64]:
    """The size of the slope of the logarithm, around its mean: tone and gain matter little."""
    values = np.log(gray.double().numpy() + 0.05)
    slope = np.hypot(np.gradient(values, axis=0), np.gradient(values, axis=1))
    centered: NDArray[np.float64] = slope - slope.mean()
    return centered
