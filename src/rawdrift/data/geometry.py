"""Crops, flips and quarter turns of raw mosaics that know what becomes of the Bayer pattern.

Every function takes a mosaic (..., H, W), of any type, with its pattern, and returns a mosaic with
the pattern that it has then, so that developing commutes with the operation. Where all images must
keep one pattern, as in a batch, `keep_phase=True` gives the nearest mosaic that has it.
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
    """The pixels [top, top + height) x [left, left + width).

    keep_phase: moves odd offsets up or left by one pixel; the size is as asked.
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

    # Of the pattern, two rows and columns from the parity of the offsets on.
    return Mosaic(cut(mosaic), _pattern(_cells(cfa, 4, 4)[top % 2 :, left % 2 :]))


def flip(
    mosaic: Tensor,
    cfa: Pattern,
    horizontal: bool = False,
    vertical: bool = False,
    keep_phase: bool = False,
) -> Mosaic:
    """Mirrored left to right, upside down, or both.

    keep_phase: of an even width (or height) the pattern would change; there the flipped mosaic
    moves by one pixel to the left (up), and its last column (row) is made by mirror extension.
    """
    axes = [axis for axis, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    return _turned(mosaic, cfa, lambda x: x.flip(axes), keep_phase)


def rot90(mosaic: Tensor, cfa: Pattern, k: int = 1, keep_phase: bool = False) -> Mosaic:
    """`k` quarter turns counterclockwise, as `torch.rot90`.

    An odd number of them makes red rows of blue ones for green: develop the result with
    `turned(camera, cfa, k)`, which also lets the black levels of the two greens change places.

    keep_phase: as `flip`. The rows of a pattern are then the same, but those black levels are not:
    it is for cameras whose greens are alike.
    """
    return _turned(mosaic, cfa, lambda x: torch.rot90(x, k, (-2, -1)), keep_phase)


def turned(camera: Camera, cfa: Pattern, k: int = 0) -> Camera:
    """The camera of a mosaic with the pattern `cfa`, after `k` quarter turns."""
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
    found = _pattern(turn(_cells(cfa, 2 + height % 2, 2 + width % 2)))
    if not keep_phase or found == cfa:
        return Mosaic(result, found)
    # Any of the four patterns is another one, moved by a row, a column, or both.
    cells = _cells(found, 4, 4)
    moves = ((0, 1), (1, 0), (1, 1))
    down, right = next(move for move in moves if _pattern(cells[move[0] :, move[1] :]) == cfa)
    result = _moved(result, -2) if down else result
    return Mosaic(_moved(result, -1) if right else result, cfa)


def _moved(x: Tensor, axis: int) -> Tensor:
    """Without the first row or column, and mirrored at the last, which is not repeated."""
    size = x.shape[axis]
    return torch.cat([x.narrow(axis, 1, size - 1), x.narrow(axis, size - 2, 1)], dim=axis)


def _cells(cfa: Pattern, height: int, width: int) -> Tensor:
    """Which letter of the pattern each pixel has, as codes (height, width)."""
    codes = torch.tensor([ord(letter) for letter in cfa]).view(2, 2)
    return codes.tile(2, 2)[:height, :width]


def _pattern(cells: Tensor) -> Pattern:
    found = "".join(map(chr, cells[:2, :2].flatten().tolist()))
    return cast(Pattern, choose("cfa pattern", found, PATTERNS))


def _check(mosaic: Tensor, cfa: Pattern) -> None:
    choose("cfa pattern", cfa, PATTERNS)
    if mosaic.ndim < 2 or min(mosaic.shape[-2:]) < 2:
        raise InputError(f"a mosaic has at least 2x2 pixels, got the shape {tuple(mosaic.shape)}")
