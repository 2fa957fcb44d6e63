"""Where the pictures of raw mosaics begin, and their size: crops, shifts, resized pictures, and
turned or mirrored ones."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

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
LIKELY = 0.5  # correlation of edges, below which pictures may be of another scene
_CERTAIN = 0.6  # correlation of edges, above which no other turn is tried
_ALIKE = 0.6  # of the median correlation of all pictures, below which one is looked at again
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


class Alignment(NamedTuple):
    """Where pictures lie in the views of their mosaics.

    offset: row and column of the views at which the pictures begin, below 0 for a shift. factor: of
    size by which whole views were resized, 1 for none. similarity: correlation of edges there, the
    median of the pictures; 1 if all are flat.
    """

    offset: Offset
    factor: float
    similarity: float


def align(mosaics: Tensor, pictures: Tensor, camera: Camera) -> Alignment:
    """Return where pictures lie in the views of their mosaics.

    mosaics: (N, H, W). pictures: (N, 3, h, w). Raises InputError for pictures that are turned or
    mirrored, of another scene, of another size of a part of it, or of different offsets.
    """
    demosaic = static("bi,-,-", camera).steps["demosaic"]
    grays = torch.stack([demosaic(mosaic).mean(0) for mosaic in mosaics])
    factor = _factor(grays, pictures)
    if factor != 1:
        grays = _resized(grays, factor)
    owns = pictures.mean(1)
    maps = [_scores(gray, own) for gray, own in zip(grays, owns, strict=True)]
    together = np.sum(maps, axis=0)
    if not together.any():
        if grays.shape[1:] != pictures.shape[2:]:
            raise InputError(
                "the pictures are flat and smaller than the mosaics, so that their crop can't be "
                "found; give pairs with details"
            )
        return Alignment((0, 0), factor, 1.0)
    at = np.unravel_index(int(together.argmax()), together.shape)
    similarity = float(np.median([scores[at] for scores in maps if scores.any()]))
    for index, scores in enumerate(maps):
        if scores.any() and scores.max() <= _CERTAIN:
            _check_scene(index, grays, owns[index], scores, at, similarity, factor)
    if together.max() < _CERTAIN * len(maps):
        index = int(np.argmin([scores[at] for scores in maps]))
        _check_size(index, grays[index], owns[index], factor)
    for index, scores in enumerate(maps):
        if scores.max() > scores[at] + _MARGIN:
            one = np.unravel_index(int(scores.argmax()), scores.shape)
            raise InputError(
                f"picture {index} begins at row and column {_offset(one)} of its mosaic, but "
                f"others at {_offset(at)}; expected one crop for all"
            )
    return Alignment(_offset(at), factor, similarity)


def _check_scene(
    index: int,
    grays: Tensor,
    own: Tensor,
    scores: NDArray[np.float64],
    at: tuple[np.intp, ...],
    similarity: float,
    factor: float,
) -> None:
    """Raise InputError if a picture seems to be turned, or of another scene.

    grays: of all mosaics. own: of the picture. scores: of it, whose common place is `at`, where
    those of the pictures have the median `similarity`.
    """
    best, here = float(scores.max()), float(scores[at])
    turned = {name: float(_scores(grays[index], turn(own)).max()) for name, turn in _TURNS.items()}
    turn = max(turned, key=lambda name: turned[name])
    if turned[turn] > max(best + _MARGIN, _CERTAIN):
        raise InputError(f"picture {index} is {turn}; turn it back as its raw file")
    is_unlike = best < _SIMILAR or max(best, turned[turn] - _MARGIN) > here + _MARGIN
    if not is_unlike and here > _ALIKE * similarity:
        return
    others = {other: _scores(gray, own) for other, gray in enumerate(grays) if other != index}
    if not is_unlike and all(found[at] < here for found in others.values()):
        return  # less similar than the other pairs, but it shows no other scene of them
    other, closest = max(
        ((other, float(found.max())) for other, found in others.items()),
        key=lambda one: one[1],
        default=(index, best),
    )
    if closest < max(_CERTAIN, best + _MARGIN):
        _check_size(index, grays[index], own, factor)
    fits = f", and by {closest:.2f} with those of mosaic {other}"
    raise InputError(
        f"picture {index} does not show the scene of its mosaic: their edges correlate by "
        f"{here:.2f} (the median of all pairs: {similarity:.2f})"
        + (fits if closest > best + _MARGIN else "")
        + "; check the pairs"
    )


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
    if scores[best] > max(LIKELY, scores[1.0] + _MARGIN):
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
