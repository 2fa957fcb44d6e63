"""Color charts: the colors of their patches, and where these are in a frame."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.colorimetry import D50, D65, adaptation
from rawdrift.checks import InputError, is_number
from rawdrift.isp.color_difference import RGB_FROM_XYZ

Array = NDArray[np.float64]
Point = tuple[float, float]

ROWS, COLUMNS = 4, 6
_MIDDLE = 0.5  # of a patch, in each direction, that is measured
_LEAST = 16  # pixels of a patch

# L*a*b* (D50, 2 degree observer) of the ColorChecker Classic made since November 2014, row by row.
# Source: X-Rite, "New color specifications for ColorChecker SG and Classic Charts" (2016).
CLASSIC: Mapping[str, tuple[float, float, float]] = {
    "dark skin": (37.54, 14.37, 14.92),
    "light skin": (64.66, 19.27, 17.50),
    "blue sky": (49.32, -3.82, -22.54),
    "foliage": (43.46, -12.74, 22.72),
    "blue flower": (54.94, 9.61, -24.79),
    "bluish green": (70.48, -32.26, -0.37),
    "orange": (62.73, 35.83, 56.50),
    "purplish blue": (39.43, 10.75, -45.17),
    "moderate red": (50.57, 48.64, 16.67),
    "purple": (30.10, 22.54, -20.87),
    "yellow green": (71.77, -24.13, 58.19),
    "orange yellow": (71.51, 18.24, 67.37),
    "blue": (28.37, 15.42, -49.80),
    "green": (54.38, -39.72, 32.27),
    "red": (42.43, 51.05, 28.62),
    "yellow": (81.80, 2.67, 80.41),
    "magenta": (50.63, 51.28, -14.12),
    "cyan": (49.57, -29.71, -28.32),
    "white": (95.19, -1.03, 2.93),
    "neutral 8": (81.29, -0.57, 0.44),
    "neutral 6.5": (66.89, -0.75, -0.06),
    "neutral 5": (50.76, -0.13, 0.14),
    "neutral 3.5": (35.63, -0.46, -0.48),
    "black": (20.64, 0.07, -0.46),
}


def from_lab(lab: Array) -> Array:
    """Return linear sRGB (..., 3) of L*a*b* (D50), adapted to D65 (Bradford); not clipped."""
    lightness, a, b = np.moveaxis(np.asarray(lab, float), -1, 0)
    y = (lightness + 16) / 116
    t = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(t > 6 / 29, t**3, (t - 4 / 29) * 3 * (6 / 29) ** 2) * D50
    linear: Array = xyz @ adaptation(D50, D65).T @ RGB_FROM_XYZ.T
    return linear


class Regions(NamedTuple):
    """The pixels of each patch of a chart.

    labels: (H, W), the number of the patch that a pixel shows, -1 for none. names: of the patches.
    places: (N, 2), the middle of each, down and across, from -1 to 1 over the chart.
    """

    labels: NDArray[np.int16]
    names: tuple[str, ...]
    places: Array


def grid(
    corners: Sequence[Point], shape: tuple[int, ...], names: Sequence[str] = tuple(CLASSIC)
) -> Regions:
    """Return the middles of the 4x6 patches of a chart in a frame (H, W).

    corners: (row, column) in pixels of the outer corners of the first patch of the first row (dark
        skin), the last of it, the last patch of the last row (black), and the first of it.
    names: of the 24 patches, row by row.
    """
    points = list(corners)
    if len(points) != 4 or not all(
        len(point) == 2 and all(is_number(float(value)) for value in point) for point in points
    ):
        raise InputError(f"corners must be 4 pairs (row, column), got {corners!r}")
    if len(names) != ROWS * COLUMNS:
        raise InputError(
            f"corners find the {ROWS * COLUMNS} patches of a chart of {ROWS} rows of {COLUMNS}, "
            f"but the references are of {len(names)}; give the regions as a table"
        )
    _check_inside("corner", [(row, column) for row, column in points], shape)
    turns = _turns(points)
    if not (all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)):
        raise InputError(
            f"the corners {corners!r} are not those of a rectangle seen from any side; expected "
            f"them in their order around the chart"
        )
    height, width = shape
    down, across = np.indices((height, width)) + 0.5
    row, column = _unprojected(points, down, across)
    row, column = row * ROWS, column * COLUMNS
    inside = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)
    for value in (row, column):
        inside &= abs(value - np.floor(value) - 0.5) < _MIDDLE / 2
    number = np.floor(row).clip(0, ROWS - 1) * COLUMNS + np.floor(column).clip(0, COLUMNS - 1)
    return _regions(np.where(inside, number, -1).astype(np.int16), names)


def rectangles(areas: Mapping[str, tuple[int, int, int, int]], shape: tuple[int, ...]) -> Regions:
    """Return the patches of a frame (H, W) in rectangles: top, left, bottom, right in pixels."""
    labels = np.full(shape, -1, np.int16)
    for number, (name, area) in enumerate(areas.items()):
        top, left, bottom, right = area
        if not (top < bottom and left < right):
            raise InputError(
                f"the region of {name!r} is empty: top {top}, left {left}, bottom {bottom}, right "
                f"{right}; expected top below bottom, and left below right"
            )
        _check_inside(f"region of {name!r}", [(top, left), (bottom, right)], shape)
        part = labels[top:bottom, left:right]
        if (part >= 0).any():
            other = list(areas)[int(part.max())]
            raise InputError(f"the regions of {name!r} and {other!r} overlap")
        part[:] = number
    return _regions(labels, tuple(areas))


def _check_inside(what: str, points: Sequence[Point], shape: tuple[int, ...]) -> None:
    for row, column in points:
        if not (0 <= row <= shape[0] and 0 <= column <= shape[1]):
            raise InputError(
                f"the {what} reaches row {row:g}, column {column:g}, outside of the frame of "
                f"{shape[0]}x{shape[1]} pixels; give places in pixels of the raw file"
            )


def _turns(points: Sequence[Point]) -> list[float]:
    """Which way the outline turns at each corner: all one way, if it is convex."""
    ahead = [*points[1:], points[0]]
    edges = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(points, ahead, strict=True)]
    return [a[0] * b[1] - a[1] * b[0] for a, b in zip(edges, [*edges[1:], edges[0]], strict=True)]


def _unprojected(points: Sequence[Point], down: Array, across: Array) -> tuple[Array, Array]:
    """Return where pixels lie on a chart seen in perspective, (0, 0) to (1, 1) at its corners."""
    rows, values = [], []
    for (y, x), (v, u) in zip(points, ((0, 0), (0, 1), (1, 1), (1, 0)), strict=True):
        rows += [
            [y, x, 1, 0, 0, 0, -v * y, -v * x],
            [0, 0, 0, y, x, 1, -u * y, -u * x],
        ]
        values += [v, u]
    h = np.append(np.linalg.solve(np.array(rows, float), np.array(values, float)), 1).reshape(3, 3)
    v, u, w = (h[i, 0] * down + h[i, 1] * across + h[i, 2] for i in range(3))
    w = np.where(w > 0, w, math.nan)  # behind the horizon
    return np.nan_to_num(v / w, nan=-1), np.nan_to_num(u / w, nan=-1)


def _regions(labels: NDArray[np.int16], names: Sequence[str]) -> Regions:
    counts = np.bincount(labels[labels >= 0], minlength=len(names)).astype(np.int64)
    for name, count in zip(names, counts, strict=True):
        if count < _LEAST:
            raise InputError(
                f"the region of {name!r} has {count} pixels, expected at least {_LEAST}"
            )
    pixels = np.nonzero(labels >= 0)
    middles = np.stack(
        [np.bincount(labels[pixels], place, len(names)) / counts for place in pixels], axis=-1
    )
    low, high = middles.min(axis=0), middles.max(axis=0)
    places = 2 * (middles - low) / np.maximum(high - low, 1) - 1
    return Regions(labels, tuple(names), places)
