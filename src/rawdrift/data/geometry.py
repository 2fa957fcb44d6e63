"""Crop, flip and turn raw mosaics, keeping track of their color filter array.

Every function takes a mosaic (..., H, W) of any type with its pattern, and returns a mosaic with
its new pattern, so that developing commutes with the operation. If all images must have one
pattern, as in a batch, `keep_phase=True` gives the nearest mosaic that keeps it.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.cfa import MONO, Pattern, has_quarters, layout, pattern
from rawdrift.checks import InputError


class Mosaic(NamedTuple):
    """A mosaic (..., H, W), and the color filter array that begins at its first pixel."""

    mosaic: Tensor
    cfa: Pattern


def crop(
    mosaic: Tensor,
    top: int,
    left: int,
    height: int,
    width: int,
    cfa: Pattern,
    keep_phase: bool = False,
) -> Mosaic:
    """Return the pixels [top, top + height) x [left, left + width).

    keep_phase: move up or left to where a cell begins, with Bayer by at most one pixel; the size
        stays.
    """
    cell = _cell(mosaic, cfa)
    if keep_phase:
        top, left = top - top % len(cell), left - left % len(cell[0])
    rows, columns = mosaic.shape[-2:]
    if not (0 <= top <= top + height <= rows and 0 <= left <= left + width <= columns):
        raise InputError(
            f"a crop of {height}x{width} pixels at {top}, {left} does not lie in a mosaic of "
            f"{rows}x{columns} pixels"
        )
    if min(height, width) < 2:
        raise InputError(f"a crop must have at least 2x2 pixels, got {height}x{width}")

    part = mosaic[..., top : top + height, left : left + width]
    return Mosaic(part, _pattern(cell.roll((-top, -left), (0, 1))))


def flip(
    mosaic: Tensor,
    cfa: Pattern,
    horizontal: bool = False,
    vertical: bool = False,
    keep_phase: bool = False,
) -> Mosaic:
    """Mirror left to right, upside down, or both.

    keep_phase: where the pattern would change, as Bayer's with an even width (height), the flipped
    mosaic moves to the left (up) until it does not, Bayer by one pixel, and its last columns
    (rows) are filled by mirror extension.
    """
    axes = [axis for axis, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    return _turned(mosaic, cfa, lambda x: x.flip(axes), keep_phase)


def rot90(mosaic: Tensor, cfa: Pattern, k: int = 1, keep_phase: bool = False) -> Mosaic:
    """Turn by `k` quarter turns counterclockwise, as `torch.rot90`.

    After an odd number of turns, greens of red rows are in blue rows and vice versa: develop the
    result with `turned(camera, cfa, k)`, which swaps their black levels too.

    keep_phase: as in `flip`. It does not swap those black levels, so it is for cameras whose two
    greens are alike. Raises InputError for a pattern that a turn changes into no part of itself.
    """
    return _turned(mosaic, cfa, lambda x: torch.rot90(x, k, (-2, -1)), keep_phase)


def turned(camera: Camera, cfa: Pattern, k: int = 0) -> Camera:
    """Return the camera of a mosaic that has the pattern `cfa` after `k` quarter turns."""
    levels = camera.black_level
    if has_quarters(camera.cfa) and k % 2:
        levels = (levels[0], levels[2], levels[1], levels[3])
    return replace(camera, cfa=cfa, black_level=levels)


def _turned(
    mosaic: Tensor, cfa: Pattern, turn: Callable[[Tensor], Tensor], keep_phase: bool
) -> Mosaic:
    cell = _cell(mosaic, cfa)
    result = turn(mosaic)
    # A small mosaic that ends within its last cell as the large one does.
    rows, columns = (
        size + length % size for size, length in zip(cell.shape, mosaic.shape[-2:], strict=True)
    )
    height, width = turn(cell).shape
    other = turn(cell.tile(2, 2)[:rows, :columns])[:height, :width]
    if not keep_phase or _pattern(other) == cfa:
        return Mosaic(result, _pattern(other))
    for down, right in sorted(product(range(height), range(width)), key=sum):
        if _pattern(other.roll((-down, -right), (0, 1))) == cfa:
            return Mosaic(_moved(_moved(result, -2, down), -1, right), cfa)
    raise InputError(
        f"turned or flipped mosaics of {cfa} hold no part of that pattern; leave out keep_phase"
    )


def _moved(x: Tensor, axis: int, by: int) -> Tensor:
    """Drop the first rows or columns, and mirror at the last one without repeating it."""
    size = x.shape[axis]
    mirrored = x.narrow(axis, size - 1 - by, by).flip(axis)
    return torch.cat([x.narrow(axis, by, size - by), mirrored], dim=axis)


def _cell(mosaic: Tensor, cfa: Pattern) -> Tensor:
    """Return the cell of a pattern, as codes of its letters (height, width)."""
    height, width, _, _, places = layout(pattern(cfa))
    least = max(2, height), max(2, width)
    if mosaic.ndim < 2 or mosaic.shape[-2] < least[0] or mosaic.shape[-1] < least[1]:
        raise InputError(
            f"a mosaic must be at least {least[0]}x{least[1]} pixels, got shape "
            f"{tuple(mosaic.shape)}"
        )
    cell = torch.empty(height, width, dtype=torch.long)
    for place in places:
        cell[place.row, place.column] = ord(place.color)
    return cell


def _pattern(cell: Tensor) -> Pattern:
    if cell.numel() == 1:
        return MONO
    return pattern(["".join(map(chr, row)) for row in cell.tolist()])
