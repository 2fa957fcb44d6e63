"""Cut large frames into tiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.checks import InputError

SIZE = 256  # of the tiles of Raw-Drone, in pixels


def tile(image: NDArray[Any], size: int = SIZE) -> NDArray[Any]:
    """Return disjoint tiles of an image (H, W): (N, size, size), row by row from the upper left.

    The rest at the right and lower edges is dropped. An even size keeps the color filter array:
    each tile begins with the same site as the image.
    """
    rows, columns = (length // size for length in image.shape)
    if size % 2 or not rows or not columns:
        raise InputError(
            f"tiles of {size} pixels can't be cut from {image.shape[0]}x{image.shape[1]} pixels; "
            f"expected an even size, and an image of at least one tile"
        )
    blocks = image[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.ascontiguousarray(blocks.swapaxes(1, 2)).reshape(-1, size, size)
