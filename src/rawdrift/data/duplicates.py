"""Find images that are the same, or nearly the same."""

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16  # pixels of a thumbnail
ALIKE = 0.995  # correlation of two thumbnails from which on their images are near-duplicates
_CHUNK = 256  # thumbnails that are compared with all others at once


class Duplicates:
    """Collect images, 1 KiB for each, and find duplicates among them.

    Exact duplicates have the same numbers (SHA-256). Near duplicates have thumbnails (16x16 means
    of the whole image, all colors together) whose Pearson correlation is at least `ALIKE`: the same
    scene with other noise, exposure or compression. Shifted, flipped or cropped copies are missed,
    and simple scenes with small differences, or none as empty slides, may be listed: look at them.
    """

    def __init__(self) -> None:
        self._hashes: list[bytes] = []
        self._thumbnails: list[NDArray[np.float32]] = []

    def add(self, mosaic: NDArray[Any]) -> None:
        """Add the next image, (H, W)."""
        digest = hashlib.sha256(f"{mosaic.shape} {mosaic.dtype}".encode())
        digest.update(np.ascontiguousarray(mosaic).data)
        self._hashes.append(digest.digest())
        self._thumbnails.append(_thumbnail(mosaic))

    def exact(self) -> list[list[int]]:
        """Return sets of indices of images with the same numbers."""
        by_hash = defaultdict(list)
        for index, digest in enumerate(self._hashes):
            by_hash[digest].append(index)
        return [indices for indices in by_hash.values() if len(indices) > 1]

    def near(self) -> list[list[int]]:
        """Return sets of indices of images that are alike, exact duplicates among them.

        Images of a set are connected by links between two that are alike. The cost grows with the
        square of the number of images: a few seconds for 20,000, whether they are alike or not.
        """
        if not self._thumbnails:
            return []
        thumbnails = np.stack(self._thumbnails)
        sets = np.arange(len(thumbnails))  # of each image, named after one of its images
        for first, *others in self.exact():
            sets[others] = first
        for start in range(0, len(thumbnails), _CHUNK):
            alike = thumbnails[start : start + _CHUNK] @ thumbnails[start:].T >= ALIKE
            # Of those that are alike, only the pairs of two sets tell something new.
            alike &= sets[start : start + _CHUNK, None] != sets[start:]
            rows, columns = np.nonzero(alike)
            if len(rows):
                pairs = sets[rows + start], sets[columns + start]
                links = coo_array((np.ones(len(rows), bool), pairs), (len(sets),) * 2)
                _, joined = connected_components(links, directed=False)
                _, first_of = np.unique(joined, return_index=True)
                sets = first_of[joined[sets]]
        by_set = defaultdict(list)
        for index, name in enumerate(sets.tolist()):
            by_set[name].append(index)
        return [indices for indices in by_set.values() if len(indices) > 1]


def _thumbnail(mosaic: NDArray[Any]) -> NDArray[np.float32]:
    """Return a thumbnail (256,) of mean 0 and length 1; zeros for a flat image."""
    image: NDArray[Any] = mosaic.astype(np.float64)
    for axis in (0, 1):
        # Whole cells, so that all colors count equally in every mean.
        cells = image.shape[axis] // 2
        edges = 2 * np.linspace(0, cells, SIDE + 1).astype(int)[:-1]
        sums = np.add.reduceat(image.take(range(2 * cells), axis), edges, axis=axis)
        counts = np.diff([*edges, 2 * cells]).clip(min=1)
        image = sums / counts.reshape((-1, 1) if axis == 0 else (1, -1))
    image = (image - image.mean()).ravel()
    length = np.linalg.norm(image)
    thumbnail: NDArray[np.float32] = (image / length if length > 0 else image).astype(np.float32)
    return thumbnail
