"""Images that are the same, or nearly so."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 16  # pixels of a thumbnail
ALIKE = 0.995  # correlation of two thumbnails from which on their images are near-duplicates
_CHUNK = 1024  # thumbnails that are compared with all others at once


class Duplicates:
    """Collects what is needed to find duplicates: 1 KiB an image, whatever its size.

    Exact ones have the same numbers (SHA-256). Near ones have thumbnails (16x16 means over the
    whole image, all colors together) whose Pearson correlation is at least `ALIKE`: the same scene
    with other noise, exposure or compression. Shifted, flipped or cropped copies are not found, and
    simple scenes that differ in small things, or in none as empty slides, may be called alike: they
    are for you to look at.
    """

    def __init__(self) -> None:
        self._hashes: list[bytes] = []
        self._thumbnails: list[NDArray[np.float32]] = []

    def add(self, mosaic: NDArray[Any]) -> None:
        """The next image, (H, W)."""
        digest = hashlib.sha256(f"{mosaic.shape} {mosaic.dtype}".encode())
        digest.update(np.ascontiguousarray(mosaic).data)
        self._hashes.append(digest.digest())
        self._thumbnails.append(_thumbnail(mosaic))

    def exact(self) -> list[list[int]]:
        """Sets of places of images with the same numbers."""
        found = defaultdict(list)
        for place, digest in enumerate(self._hashes):
            found[digest].append(place)
        return [places for places in found.values() if len(places) > 1]

    def near(self) -> list[list[int]]:
        """Sets of places of images that are alike, exact duplicates among them.

        A set holds what is alike link by link. The cost grows with the square of their number: a
        few seconds for 20,000 images.
        """
        if not self._thumbnails:
            return []
        thumbnails = np.stack(self._thumbnails)
        links: list[tuple[int, int]] = []
        for start in range(0, len(thumbnails), _CHUNK):
            alike = thumbnails[start : start + _CHUNK] @ thumbnails[start:].T >= ALIKE
            rows, columns = np.nonzero(np.triu(alike, 1))
            links.extend(zip((rows + start).tolist(), (columns + start).tolist(), strict=True))
        links.extend((places[0], other) for places in self.exact() for other in places[1:])
        return _linked(len(thumbnails), links)


def _thumbnail(mosaic: NDArray[Any]) -> NDArray[np.float32]:
    """(256,), of mean 0 and length 1; zeros where there is nothing to see."""
    image: NDArray[Any] = mosaic.astype(np.float64)
    for axis in (0, 1):
        # Whole cells, so that every mean is over all colors alike.
        cells = image.shape[axis] // 2
        edges = 2 * np.linspace(0, cells, SIDE + 1).astype(int)[:-1]
        sums = np.add.reduceat(image.take(range(2 * cells), axis), edges, axis=axis)
        counts = np.diff([*edges, 2 * cells]).clip(min=1)
        image = sums / counts.reshape((-1, 1) if axis == 0 else (1, -1))
    image = (image - image.mean()).ravel()
    length = np.linalg.norm(image)
    found: NDArray[np.float32] = (image / length if length > 0 else image).astype(np.float32)
    return found


def _linked(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Sets of two or more that are linked to each other."""
    parents = list(range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for a, b in links:
        parents[max(root(a), root(b))] = min(root(a), root(b))
    found = defaultdict(list)
    for place in range(count):
        found[root(place)].append(place)
    return [places for places in found.values() if len(places) > 1]
