"""Masks as other tools write them: one class number for each pixel."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera import pixels
from rawdrift.checks import InputError

EXPECTED = (
    "expected a TIFF, PNG or NPY with one class number from 0 to 255 for each pixel: whole "
    "numbers, bool, a palette, or a picture in gray"
)


def read(path: Path) -> NDArray[np.uint8]:
    """Return a mask (H, W). A palette's indices are its classes; of gray pictures, the gray is.

    Raises InputError for a mask that is missing, broken, in color, or has other numbers.
    """
    mask = values(path)
    if mask.ndim == 3 and mask.shape[2] <= 4:
        channels = mask.shape[2]
        if channels in (2, 4) and (mask[..., -1] != mask[0, 0, -1]).any():
            raise InputError(f"mask {path} is transparent in parts; {EXPECTED}")
        colors = mask[..., :-1] if channels in (2, 4) else mask
        if (colors != colors[..., :1]).any():
            count = len(np.unique(colors.reshape(-1, colors.shape[2]), axis=0))
            raise InputError(
                f"mask {path} is a picture of {count} colors; {EXPECTED}: give each color its "
                f"class number"
            )
        mask = colors[..., 0]
    if mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise InputError(f"mask {path} holds {mask.dtype} values of shape {mask.shape}; {EXPECTED}")
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > 255:
        raise InputError(f"mask {path} holds {mask.dtype} values from {low} to {high}; {EXPECTED}")
    return mask.astype(np.uint8)


def values(path: Path) -> NDArray[Any]:
    """Return the numbers of a mask as they are, (H, W) or (H, W, channels)."""
    kind = pixels.kind(path, "mask", EXPECTED)
    readers = {
        "TIFF": lambda path: pixels.tiff_image(path, EXPECTED),
        "PNG": lambda path: pixels.png(path, indices=True),
        "NPY": pixels.npy,
    }
    if kind not in readers:
        raise InputError(f"mask {path} can't be decoded; {EXPECTED}")
    try:
        mask: NDArray[Any] = readers[kind](path)
    except (InputError, PermissionError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        reason = pixels.reason(error)
        raise InputError(f"mask {path} can't be decoded ({reason}); {EXPECTED}") from error
    if mask.size == 0:
        raise InputError(f"mask {path} holds no pixels; {EXPECTED}")
    return mask
