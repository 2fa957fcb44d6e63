"""Cut large frames into tiles, and put what was computed of tiles together again.

Tiles begin every `stride` pixels; the last ones are flush with the lower and right edges, so that
every pixel is in a tile. Where tiles overlap, each pixel belongs to the one in which it lies
farther from the edge, so that every pixel is counted once. A frame that is smaller than a tile, or
whose size is no multiple of the color filter array's, is first extended by mirrored cells of the
array, which belong to no tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.cfa import Pattern, layout
from rawdrift.checks import InputError, whole

PERIOD = 2  # of most color filter arrays, in rows and columns
SIZE = 256  # of the tiles of Raw-Drone, in pixels


def check(size: int, stride: int | None, field: str = "") -> int:
    """Return the stride, by default the size. Raises InputError unless tiles keep the phase of the
    color filter array and leave no gaps. field: what begins the names in errors."""
    whole(f"{field}tile", size, PERIOD)
    stride = size if stride is None else whole(f"{field}stride", stride, PERIOD)
    for name, value in (("tile", size), ("stride", stride)):
        if value % PERIOD:
            raise InputError(
                f"{field}{name} is {value}, expected a multiple of {PERIOD}: each tile must begin "
                f"with the same site of the color filter array"
            )
    if stride > size:
        raise InputError(
            f"{field}stride is {stride}, expected at most the size of a tile, {size}: the pixels "
            f"between tiles would be lost"
        )
    return stride


class Place(NamedTuple):
    """Where a tile is. top, left: in its frame. own: first row, end row, first column, end column
    of the pixels in the tile that belong to it. period: of the color filter array."""

    top: int
    left: int
    own: tuple[int, int, int, int]
    period: int = PERIOD


def period(cfa: Pattern) -> int:
    """Return the rows and columns after which a pattern repeats, at least 2."""
    return lcm(PERIOD, layout(cfa).height, layout(cfa).width)


def places(
    shape: Sequence[int], size: int, stride: int | None = None, period: int = PERIOD
) -> list[Place]:
    """Return the places of the tiles of a frame (height, width), row by row.

    period: of the color filter array; the stride is lowered to a multiple of it. Raises InputError
    if the frame or a tile is smaller than a cell of the array.
    """
    stride = check(size, stride)
    if min(shape) < period or stride < period:
        raise InputError(
            f"a frame of {shape[0]}x{shape[1]} pixels can't be cut into tiles of {size} every "
            f"{stride} pixels; expected at least {period}, after which its colors repeat"
        )
    rows, columns = (_along(length, size, stride // period * period, period) for length in shape)
    return [
        Place(top, left, (*in_rows, *in_columns), period)
        for top, in_rows in rows
        for left, in_columns in columns
    ]


def _along(length: int, size: int, stride: int, period: int) -> list[tuple[int, tuple[int, int]]]:
    """Return the starts of tiles along an axis, and from where to where each owns its pixels."""
    last = max(0, -(-(length - size) // period) * period)
    starts = [*range(0, last, stride), last]
    cuts = [
        0,
        *((one + size + other) // 2 for one, other in pairwise(starts)),
        length,
    ]
    return [
        (start, (low - start, high - start))
        for start, low, high in zip(starts, cuts, cuts[1:], strict=False)
    ]


def window(frame: NDArray[Any], place: Place, size: int) -> NDArray[Any]:
    """Return the tile (size, size) of a frame (H, W) at a place."""
    top, left = place.top, place.left
    inside = frame[top : top + size, left : left + size]
    if inside.shape == (size, size):
        return np.ascontiguousarray(inside)
    rows = _extended(frame.shape[0], top + size, place.period)[top:]
    columns = _extended(frame.shape[1], left + size, place.period)[left:]
    return np.ascontiguousarray(frame[np.ix_(rows, columns)])


def _extended(length: int, end: int, period: int) -> NDArray[np.int64]:
    """Return the `end` rows of a frame of `length` rows that is extended by mirrored cells."""
    at = np.arange(end)
    cells = length // period
    needed = -(-end // period)
    cell = np.pad(np.arange(cells), (0, max(0, needed - cells)), "reflect" if cells > 1 else "edge")
    mirrored = cell[at // period] * period + at % period
    return np.where(at < length, at, mirrored)


def cut(
    mosaic: NDArray[Any], size: int = SIZE, stride: int | None = None, period: int = PERIOD
) -> NDArray[Any]:
    """Return the tiles (N, size, size) of a frame (H, W); see `places`."""
    array = np.asarray(mosaic)
    if array.ndim != 2:
        raise InputError(f"a frame must be (H, W), got {array.shape}")
    return np.stack(
        [window(array, place, size) for place in places(array.shape, size, stride, period)]
    )


def stitch(
    parts: NDArray[Any], shape: Sequence[int], stride: int | None = None, period: int = PERIOD
) -> NDArray[Any]:
    """Return what was computed of the tiles of a frame as one array (..., H, W).

    parts: (N, ..., size, size), of the tiles that `cut` gives. shape: height and width of the
    frame. Raises InputError if the number of tiles does not fit.
    """
    array = np.asarray(parts)
    size = array.shape[-1]
    where = places(shape, size, stride, period)
    if len(array) != len(where) or array.shape[-2] != size:
        raise InputError(
            f"{len(array)} parts of {array.shape[-2]}x{size} pixels, but a frame of "
            f"{shape[0]}x{shape[1]} pixels has {len(where)} square tiles of that width; check "
            f"shape and stride"
        )
    whole_frame = np.empty((*array.shape[1:-2], *shape), array.dtype)
    for part, place in zip(array, where, strict=True):
        put(part, place, whole_frame)
    return whole_frame


def put(part: NDArray[Any], place: Place, frame: NDArray[Any]) -> None:
    """Write what a tile (..., size, size) owns into its frame (..., H, W)."""
    top, end, left, right = place.own
    rows = slice(place.top + top, place.top + end)
    frame[..., rows, place.left + left : place.left + right] = part[..., top:end, left:right]


@dataclass(frozen=True)
class Tiling:
    """Which frames N tiles were cut from.

    size, stride: of the tiles. frames: names. shapes: height and width of each frame. frame: the
    number of each tile's, (N,). places: of the tiles in their frames.
    """

    size: int
    stride: int
    frames: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    frame: NDArray[np.int64]
    places: tuple[Place, ...]

    def take(self, index: Sequence[int] | NDArray[np.int64]) -> "Tiling":
        """Return the tiling of these tiles alone."""
        return replace(
            self,
            frame=self.frame[np.asarray(index, dtype=np.int64)],
            places=tuple(self.places[i] for i in index),
        )

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """The pixels that belong to each tile, (N, 4); see `Place`."""
        return np.array([place.own for place in self.places], dtype=np.int64).reshape(-1, 4)

    def stitch(self, tiles: NDArray[np.int64], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Put parts (..., size, size) of these tiles of one frame together, (..., H, W); 0 where
        there is no tile."""
        shape = self.shapes[self.frame[tiles[0]]]
        frame = np.zeros((*parts[0].shape[:-2], *shape), parts[0].dtype)
        for tile, part in zip(tiles, parts, strict=True):
            put(part, self.places[tile], frame)
        return frame
