"""Crop, flip and turn raw mosaics, keeping track of their Bayer pattern.

Every function takes a mosaic (..., H, W) of any type with its pattern, and returns a mosaic with
its new pattern, so that developing commutes with the operation. If all images must have one
pattern, as in a batch, `keep_phase=True` gives the nearest mosaic that keeps it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.cfa import PATTERNS, Pattern
from rawdrift.checks import InputError, choose


class Mosaic(NamedTuple):
    """A mosaic (..., H, W), and the Bayer pattern of its first 2x2 pixels."""

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

    keep_phase: move odd offsets up or left by one pixel; the size stays.
    """
    _check(mosaic, cfa)
    if keep_phase:
        top, left = top - top % 2, left - left % 2
    rows, columns = mosaic.shape[-2:]
    if not (0 <= top <= top + height <= rows and 0 <= left <= left + width <= columns):
        raise InputError(
            f"a crop of {height}x{width} pixels at {top}, {left} does not lie in a mosaic of "
            f"{rows}x{columns} pixels"
        )
    if min(height, width) < 2:
        raise InputError(f"a crop must have at least 2x2 pixels, got {height}x{width}")

    def cut(x: Tensor) -> Tensor:
        return x[..., top : top + height, left : left + width]

    # Two rows and columns of the pattern, from the parity of the offsets on.
    return Mosaic(cut(mosaic), _pattern(_cells(cfa, 4, 4)[top % 2 :, left % 2 :]))


def flip(
    mosaic: Tensor,
    cfa: Pattern,
    horizontal: bool = False,
    vertical: bool = False,
    keep_phase: bool = False,
) -> Mosaic:
    """Mirror left to right, upside down, or both.

    keep_phase: with an even width (height) the pattern would change; the flipped mosaic then moves
    by one pixel to the left (up), and its last column (row) is filled by mirror extension.
    """
    axes = [axis for axis, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    return _turned(mosaic, cfa, lambda x: x.flip(axes), keep_phase)


def rot90(mosaic: Tensor, cfa: Pattern, k: int = 1, keep_phase: bool = False) -> Mosaic:
    """Turn by `k` quarter turns counterclockwise, as `torch.rot90`.

    After an odd number of turns, greens of red rows are in blue rows and vice versa: develop the
    result with `turned(camera, cfa, k)`, which swaps their black levels too.

    keep_phase: as in `flip`. It does not swap those black levels, so it is for cameras whose two
    greens are alike.
    """
    return _turned(mosaic, cfa, lambda x: torch.rot90(x, k, (-2, -1)), keep_phase)


def turned(camera: Camera, cfa: Pattern, k: int = 0) -> Camera:
    """Return the camera of a mosaic that has the pattern `cfa` after `k` quarter turns."""
    red, of_red_rows, of_blue_rows, blue = camera.black_level
    greens = (of_blue_rows, of_red_rows) if k % 2 else (of_red_rows, of_blue_rows)
    return replace(camera, cfa=cfa, black_level=(red, *greens, blue))


def _turned(
    mosaic: Tensor, cfa: Pattern, turn: Callable[[Tensor], Tensor], keep_phase: bool
) -> Mosaic:
    _check(mosaic, cfa)
    result = turn(mosaic)
    height, width = mosaic.shape[-2:]
    # A small mosaic of the same parities, with the pattern's own letters as its pixels.
    pattern = _pattern(turn(_cells(cfa, 2 + height % 2, 2 + width % 2)))
    if not keep_phase or pattern == cfa:
        return Mosaic(result, pattern)
    # Each of the four patterns is another one, moved by a row, a column, or both.
    cells = _cells(pattern, 4, 4)
    moves = ((0, 1), (1, 0), (1, 1))
    down, right = next(move for move in moves if _pattern(cells[move[0] :, move[1] :]) == cfa)
    result = _moved(result, -2) if down else result
    return Mosaic(_moved(result, -1) if right else result, cfa)


def _moved(x: Tensor, axis: int) -> Tensor:
    """Drop the first row or column, and mirror at the last one without repeating it."""
    size = x.shape[axis]
    return torch.cat([x.narrow(axis, 1, size - 1), x.narrow(axis, size - 2, 1)], dim=axis)


def _cells(cfa: Pattern, height: int, width: int) -> Tensor:
    """Return the letter of each pixel, as codes (height, width)."""
    codes = torch.tensor([ord(letter) for letter in cfa]).view(2, 2)
    return codes.tile(2, 2)[:height, :width]


def _pattern(cells: Tensor) -> Pattern:
    letters = "".join(map(chr, cells[:2, :2].flatten().tolist()))
    return cast(Pattern, choose("cfa pattern", letters, PATTERNS))


def _check(mosaic: Tensor, cfa: Pattern) -> None:
    choose("cfa pattern", cfa, PATTERNS)
    if mosaic.ndim < 2 or min(mosaic.shape[-2:]) < 2:
        raise InputError(f"a mosaic must be at least 2x2 pixels, got shape {tuple(mosaic.shape)}")
