"""Where the pictures of raw mosaics begin: crops, shifts, and turned or mirrored pictures."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.isp.presets import static

Offset = tuple[int, int]
_SIMILAR = 0.25  # correlation of edges, below which pictures are of another scene
_CERTAIN = 0.6  # correlation of edges, above which no other turn is tried
_SHIFT = 16  # pixels by which a picture may begin outside of the mosaic
_TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
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
    votes: Counter[Offset] = Counter()
    found: list[Offset | None] = []
    for index, (mosaic, picture) in enumerate(zip(mosaics, pictures, strict=True)):
        gray = demosaic(mosaic).mean(0)
        scores = {}
        for name, turn in _TURNS.items():
            scores[name] = _best(gray, turn(picture.mean(0)))
            if scores["as they are"][0] > _CERTAIN:
                break
        name = max(scores, key=lambda name: scores[name][0])
        score, offset = scores[name]
        if score == 0:  # nothing to see in it
            found.append(None)
            continue
        if score < _SIMILAR:
            raise InputError(
                f"picture {index} does not show the scene of its mosaic (their edges correlate by "
                f"{score:.2f}); check the pairs"
            )
        if name != "as they are" and score > scores["as they are"][0] + 0.1:
            raise InputError(f"picture {index} is {name}; turn it back as its raw file")
        own = scores["as they are"][1]
        found.append(own)
        votes[own] += 1
    if not votes:
        if mosaics.shape[1:] != pictures.shape[2:]:
            raise InputError(
                "the pictures are flat and smaller than the mosaics, so that their crop can't be "
                "found; give pairs with details"
            )
        return 0, 0
    offset = votes.most_common(1)[0][0]
    for index, one in enumerate(found):
        if one is not None and one != offset:
            raise InputError(
                f"picture {index} begins at row and column {one} of its mosaic, but others at "
                f"{offset}; expected one crop for all"
            )
    return offset


def _best(gray: Tensor, picture: Tensor) -> tuple[float, Offset]:
    """Return the highest correlation of edges over offsets, and its offset; 0 for flat pictures."""
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
    places = np.ix_(rows % size[0], columns % size[1])
    if norm < 1e-12 * b.size or float((a**2).sum()) < 1e-12 * a.size:
        return 0.0, (0, 0)
    # A shift leaves a part of the picture without its mosaic: all of its energy counts.
    score = product[places] / np.sqrt(np.maximum(energy[places], 1e-9 * energy.max()) * norm)
    at = np.unravel_index(int(score.argmax()), score.shape)
    return float(score[at]), (int(rows[at[0]]), int(columns[at[1]]))


def _edges(gray: Tensor) -> NDArray[np.float64]:
    """The size of the slope of the logarithm, around its mean: tone and gain matter little."""
    values = np.log(gray.double().numpy() + 0.05)
    slope = np.hypot(np.gradient(values, axis=0), np.gradient(values, axis=1))
    centered: NDArray[np.float64] = slope - slope.mean()
    return centered
