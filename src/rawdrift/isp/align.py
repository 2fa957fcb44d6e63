"""Where the pictures of raw mosaics begin, and their size: crops, shifts, resized pictures, and
turned or mirrored ones."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.isp.presets import static
from rawdrift.isp.resize import Resize

Offset = tuple[int, int]
_SIMILAR = 0.25  # correlation of edges, below which pictures are of another scene
_CERTAIN = 0.6  # correlation of edges, above which no other turn is tried
_MARGIN = 0.1  # by which another place or turn must fit better
_SHIFT = 16  # pixels by which a picture may begin outside of the mosaic
_FEW = 8  # pictures that tell a resized one from a crop
_SEARCHED = 256  # pixels across in which a factor is searched
_FACTORS = 2 ** (np.arange(-84, 57) / 28)  # from 1/8 to 4
_TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored left to right": lambda x: x.flip(-1),
    "mirrored top to bottom": lambda x: x.flip(-2),
    "turned by 180 degrees": lambda x: x.flip(-1, -2),
    "turned by 90 degrees clockwise": lambda x: x.rot90(1, (-2, -1)),
    "turned by 270 degrees clockwise": lambda x: x.rot90(3, (-2, -1)),
    "transposed": lambda x: x.transpose(-1, -2),
    "transposed and turned by 180 degrees": lambda x: x.transpose(-1, -2).flip(-1, -2),
}


def align(mosaics: Tensor, pictures: Tensor, camera: Camera) -> tuple[Offset, float]:
    """Return the row and column of the views at which the pictures begin, below 0 for a shift, and
    the factor of size by which whole views were resized, 1 for none.

    mosaics: (N, H, W). pictures: (N, 3, h, w). Raises InputError for pictures that are turned or
    mirrored, of another scene, of another size of a part of it, or of different offsets.
    """
    demosaic = static("bi,-,-", camera).steps["demosaic"]
    grays = torch.stack([demosaic(mosaic).mean(0) for mosaic in mosaics])
    factor = _factor(grays, pictures)
    if factor != 1:
        grays = _resized(grays, factor)
    maps = []
    for index, (gray, picture) in enumerate(zip(grays, pictures, strict=True)):
        own = picture.mean(0)
        maps.append(_scores(gray, own))
        score = maps[-1].max()
        if score == 0 or score > _CERTAIN:  # nothing to see in it, or seen at once
            continue
        turned = {name: float(_scores(gray, turn(own)).max()) for name, turn in _TURNS.items()}
        name = max(turned, key=lambda name: turned[name])
        if max(score, turned[name]) < _SIMILAR:
            _check_size(index, gray, own, factor)
            raise InputError(
                f"picture {index} does not show the scene of its mosaic (their edges correlate by "
                f"{score:.2f}); check the pairs"
            )
        if turned[name] > score + _MARGIN:
            raise InputError(f"picture {index} is {name}; turn it back as its raw file")
    together = np.sum(maps, axis=0)
    if not together.any():
        if grays.shape[1:] != pictures.shape[2:]:
            raise InputError(
                "the pictures are flat and smaller than the mosaics, so that their crop can't be "
                "found; give pairs with details"
            )
        return (0, 0), factor
    at = np.unravel_index(int(together.argmax()), together.shape)
    if together.max() < _CERTAIN * len(maps):
        index = int(np.argmin([scores[at] for scores in maps]))
        _check_size(index, grays[index], pictures[index].mean(0), factor)
    for index, scores in enumerate(maps):
        if scores.max() > scores[at] + _MARGIN:
            one = np.unravel_index(int(scores.argmax()), scores.shape)
            raise InputError(
                f"picture {index} begins at row and column {_offset(one)} of its mosaic, but "
                f"others at {_offset(at)}; expected one crop for all"
            )
    return _offset(at), factor


def _factor(grays: Tensor, pictures: Tensor) -> float:
    """The factor of size, if the pictures are resized rather than cropped; otherwise 1."""
    (height, width), (h, w) = grays.shape[1:], pictures.shape[2:]
    low, high = (h - 0.5) / height, (h + 0.5) / height
    low, high = max(low, (w - 0.5) / width), min(high, (w + 0.5) / width)
    if (h, w) == (height, width) or low >= high:
        return 1.0
    simple = Fraction((low + high) / 2).limit_denominator(100)
    factor = float(simple) if low < simple < high else (low + high) / 2
    few = grays[:_FEW]
    cropped, resized = (
        np.sum([_scores(g, p.mean(0)) for g, p in zip(of, pictures[:_FEW], strict=True)], 0).max()
        for of in (few, _resized(few, factor))
    )
    return factor if resized > cropped else 1.0


def _resized(grays: Tensor, factor: float) -> Tensor:
    resized: Tensor = Resize(factor)(grays[:, None].expand(-1, 3, -1, -1))[:, 0]
    return resized


def _check_size(index: int, gray: Tensor, picture: Tensor, factor: float) -> None:
    """Raise InputError if the picture shows a part of the scene in another size.

    gray: resized by a factor.
    """
    shrink = min(1.0, _SEARCHED / max(gray.shape))
    small = _resized(picture[None], shrink)[0] if shrink < 1 else picture
    scores = {
        other: float(_scores(_resized(gray[None], shrink * other)[0], small).max())
        for other in _FACTORS.tolist()
    }
    best = max(scores, key=lambda other: scores[other])
    if scores[best] > max(2 * _SIMILAR, scores[1.0] + _MARGIN):
        raise InputError(
            f"picture {index} shows a part of its mosaic resized by about {factor * best:.2g}; "
            f"give pictures of the mosaic's size, crops of it, or whole resized ones"
        )


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
