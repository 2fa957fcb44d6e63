"""The lens shading that opcodes of a DNG state, as a camera's numbers (DNG 1.7, chapter 7)."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.cfa import Pattern, layout
from rawdrift.checks import InputError

GAIN_MAP, VIGNETTE = 9, 3
_MOST = 33  # points of a map in each direction; phones have 13x17
_LARGEST = 1e4  # of gains

Array = NDArray[np.float64]


class _GainMap(NamedTuple):
    """area: top, left, bottom, right. pitch: of its rows and columns. origin, spacing: of the
    points down and across, in shares of the frame. gains: (V, H)."""

    area: tuple[int, ...]
    pitch: tuple[int, ...]
    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    gains: Array

    @property
    def even(self) -> bool:
        """Whether the points are spread from edge to edge."""
        return all(
            count == 1 or (abs(start) < 1e-6 and abs(step * (count - 1) - 1) < 1e-6)
            for count, start, step in zip(self.gains.shape, self.origin, self.spacing, strict=True)
        )

    def at(self, down: int, across: int) -> Array:
        """Return the gains at so many points from edge to edge, interpolated bilinearly."""
        weights = [
            _weights(count, start, step, points)
            for count, start, step, points in zip(
                self.gains.shape, self.origin, self.spacing, (down, across), strict=True
            )
        ]
        sampled: Array = weights[0] @ self.gains @ weights[1].T
        return sampled

    def covers(self, cell: tuple[int, int], place: tuple[int, int], shape: tuple[int, ...]) -> bool:
        """Whether it changes all pixels at a place of the cell of the color filter array.

        Raises _PartlyError if it changes some of them.
        """
        meets = True
        for axis in range(2):
            start, pitch, end = self.area[axis], self.pitch[axis], self.area[axis + 2]
            last = shape[axis] - 1 - (shape[axis] - 1 - place[axis]) % cell[axis]
            if cell[axis] % pitch or start >= pitch or last >= end:
                raise _PartlyError
            meets = meets and (place[axis] - start) % pitch == 0
        return meets


class _PartlyError(Exception):
    """An opcode that is for a part of the frame."""


def _weights(count: int, start: float, step: float, points: int) -> Array:
    """Return the weight of each point of a map (points, count) at places from edge to edge."""
    if count == 1:
        return np.ones((points, 1))
    places = ((np.linspace(0, 1, points) - start) / step).clip(0, count - 1)
    weights: Array = (1 - abs(places[:, None] - np.arange(count))).clip(0)
    return weights


def maps(
    opcodes: list[bytes], cfa: Pattern, shape: tuple[int, ...], name: str
) -> tuple[tuple[tuple[tuple[float, ...], ...], ...] | None, list[str]]:
    """Return the gains (sites, M, N) of GainMap opcodes, None if there are none, and notes.

    opcodes: their parameters. shape: of the active area. Raises InputError for impossible ones.
    """
    found = [_parse(data, name) for data in opcodes]
    if not found:
        return None, []
    height, width, sites, _, places = layout(cfa)
    chosen: dict[int, list[int]] = {}
    try:
        for site, row, column, _ in places:
            here = [
                number
                for number, one in enumerate(found)
                if one.covers((height, width), (row, column), shape)
            ]
            if chosen.setdefault(site, here) != here:
                raise _PartlyError
    except _PartlyError:
        return None, ["it asks for GainMap on parts of the frame, which is not done"]
    notes = []
    even = all(one.even for one in found)
    sizes = [
        max(2, *(one.gains.shape[axis] for one in found)) if even else _MOST for axis in range(2)
    ]
    is_exact = even and all(
        one.gains.shape[axis] in (1, sizes[axis]) for one in found for axis in range(2)
    )
    if not is_exact or max(sizes) > _MOST:
        sizes = [min(size, _MOST) for size in sizes]
        notes.append(f"its gain maps are resampled to {sizes[0]}x{sizes[1]} points")
    gains = []
    for site in range(len(sites)):
        product = np.ones(sizes)
        for number in chosen[site]:
            product = product * found[number].at(*sizes)
        gains.append(tuple(map(tuple, product.tolist())))
    return tuple(gains), notes


def _parse(data: bytes, name: str) -> _GainMap:
    head = struct.Struct(">8I2I4dI")
    if len(data) < head.size:
        raise InputError(f"{name} has impossible metadata: a GainMap of {len(data)} bytes")
    *area, plane, planes, down, across, rows, columns, sv, sh, ov, oh, depth = head.unpack_from(
        data
    )
    count = rows * columns * depth
    possible = (
        min(rows, columns, depth, planes, down, across) >= 1
        and head.size + 4 * count == len(data)
        and all(np.isfinite((sv, sh, ov, oh)))
        and (rows == 1 or sv > 0)
        and (columns == 1 or sh > 0)
    )
    if possible:
        gains = np.frombuffer(data, ">f4", count, head.size).astype(float)
        possible = bool(((gains > 0) & (gains <= _LARGEST)).all())
    if not possible:
        raise InputError(
            f"{name} has impossible metadata: a GainMap of {rows}x{columns} points in {len(data)} "
            f"bytes; expected gains above 0 at points that are {head.size} + 4 bytes each"
        )
    if plane != 0:
        gains = np.ones_like(gains)
    return _GainMap(
        tuple(area), (down, across), (ov, oh), (sv, sh), gains.reshape(rows, columns, depth)[..., 0]
    )


def radial(opcodes: list[bytes], name: str) -> tuple[tuple[float, ...] | None, list[str]]:
    """Return the coefficients of a FixVignetteRadial around the middle, None if there is none."""
    if not opcodes:
        return None, []
    data = opcodes[0]
    numbers = struct.unpack(">7d", data) if len(data) == 56 else (np.nan,)
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} has impossible metadata: a FixVignetteRadial that is no number")
    *terms, x, y = numbers
    if len(opcodes) > 1 or max(abs(x - 0.5), abs(y - 0.5)) > 1e-3:
        return None, ["it asks for FixVignetteRadial off the middle, which is not done"]
    while len(terms) > 1 and terms[-1] == 0:
        terms.pop()
    return tuple(terms), []
