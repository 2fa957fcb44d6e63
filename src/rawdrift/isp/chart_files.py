"""Fit a camera's colors to raw files of color charts, with their regions as corners or a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rawdrift import files
from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.colorimetry import decoded
from rawdrift.camera.read import Raw, read_raw
from rawdrift.checks import InputError, positive
from rawdrift.isp.chart_fit import ChartFit, UnlikeReferencesError, fit_chart, of_two
from rawdrift.isp.color_chart import Array, Point, from_lab, grid, rectangles
from rawdrift.text import counted

_REGION = ("top", "left", "bottom", "right")
_LAB, _RGB = ("L", "a", "b"), ("R", "G", "B")


def fit_charts(
    charts: Sequence[str | Path],
    camera: Camera | None = None,
    *,
    corners: Sequence[str] = (),
    regions: Sequence[str | Path] = (),
    references: str | Path | None = None,
    flat: Sequence[str | Path] = (),
    temperatures: Sequence[float] = (),
    trust: Trust | None = None,
) -> tuple[Camera, tuple[ChartFit, ...]]:
    """Fit a camera to a raw file of a color chart, or to one in each of two lights.

    camera: with at least its color filter array; by default that of the first file's metadata.
    corners: of each chart, "row,column row,column row,column row,column", see `color_chart.grid`.
    regions: in their place, a table for each chart: patch, top, left, bottom, right, in pixels.
    references: table of the patches' colors: patch, and L, a, b (D50) or R, G, B (sRGB, 0 to 255);
        by default the classic 24 patches. flat: frame of an evenly lit board for each chart.
    temperatures: of the light of two charts, in kelvin.

    Returns the camera and the fits. With two charts, its colors are those of the first one, and it
    holds both, see `Camera.at`. Raises InputError.
    """
    _check_counts(charts, corners, regions, flat, temperatures)
    wanted = None if references is None else read_references(Path(references))
    fits = []
    for number, path in enumerate(charts):
        raw = read_raw(path, camera, trust)
        if raw.camera is None:
            raise InputError(
                f"{path} carries no camera metadata; give a camera file, or the color filter array"
            )
        camera = camera or raw.camera
        board = read_raw(flat[number], camera, trust).mosaic if flat else None
        try:
            if corners:
                fits.append(_of_corners(raw, camera, _points(corners[number]), wanted, board))
            else:
                areas = read_regions(Path(regions[number]))
                found = rectangles(areas, tuple(raw.mosaic.shape))
                fits.append(fit_chart(raw.mosaic, camera, found, wanted, board))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    assert camera is not None
    return (of_two(fits, temperatures) if len(fits) == 2 else fits[0].camera), tuple(fits)


def _check_counts(
    charts: Sequence[Any],
    corners: Sequence[Any],
    regions: Sequence[Any],
    flat: Sequence[Any],
    temperatures: Sequence[float],
) -> None:
    if len(charts) not in (1, 2):
        raise InputError(f"{len(charts)} charts given, expected one, or one in each of two lights")
    if bool(corners) == bool(regions):
        raise InputError("give either the corners or the regions of each chart")
    for name, values in (("corners", corners), ("regions", regions), ("flat frames", flat)):
        if values and len(values) != len(charts):
            raise InputError(f"{len(charts)} charts but {len(values)} {name}; give one for each")
    if len(temperatures) != (len(charts) if len(charts) == 2 else 0):
        raise InputError(
            f"{len(charts)} charts but {len(temperatures)} temperatures; expected the color "
            f"temperature of each of two lights, and none for one chart"
        )
    for temperature in temperatures:
        positive("temperature", temperature)


def _points(text: str) -> list[Point]:
    try:
        points = [tuple(float(part) for part in pair.split(",")) for pair in text.split()]
        (a, b), (c, d), (e, f), (g, h) = points
    except ValueError:
        raise InputError(
            f"corners must be four pairs row,column separated by spaces, as in "
            f"'10,20 10,380 250,380 250,20', got {text!r}"
        ) from None
    return [(a, b), (c, d), (e, f), (g, h)]


def _of_corners(
    raw: Raw,
    camera: Camera,
    corners: Sequence[Point],
    references: Mapping[str, Array] | None,
    flat: Any,
) -> ChartFit:
    """Fit the chart between corners; say which order of them would fit, if another one does."""
    shape = tuple(raw.mosaic.shape)
    names = {} if references is None else {"names": tuple(references)}

    def fits(order: Sequence[Point]) -> bool:
        try:
            fit_chart(raw.mosaic, camera, grid(order, shape, **names), references, flat)
        except InputError:
            return False
        return True

    try:
        return fit_chart(raw.mosaic, camera, grid(corners, shape, **names), references, flat)
    except UnlikeReferencesError:
        best = next((o for o in _orders(corners) if fits(o)), None)
        if best is None:
            raise
        text = " ".join(f"{row:g},{column:g}" for row, column in best)
        raise InputError(
            f"the chart is turned or mirrored: it fits with the corners in the order '{text}'; "
            f"expected those of dark skin, bluish green, black and white, in this order"
        ) from None


def _orders(corners: Sequence[Point]) -> list[list[Point]]:
    """The seven other orders around the chart."""
    both = [list(corners), list(reversed(corners))]
    return [[*way[k:], *way[:k]] for way in both for k in range(4)][1:]


def read_regions(path: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return top, left, bottom and right of each patch of a table."""
    areas = {}
    for name, row in _table(path, _REGION).items():
        try:
            top, left, bottom, right = (int(row[column]) for column in _REGION)
        except ValueError:
            raise InputError(f"{path}: the region of {name!r} must be whole numbers") from None
        areas[name] = (top, left, bottom, right)
    return areas


def read_references(path: Path) -> dict[str, Array]:
    """Return the linear sRGB of each patch of a table of L*a*b* (D50) or of sRGB (0 to 255)."""
    found = {}
    for name, row in _table(path, _LAB, _RGB).items():
        try:
            values = np.array([float(value) for value in row.values()])
        except ValueError:
            raise InputError(f"{path}: the reference of {name!r} must be numbers") from None
        is_lab = set(row) == set(_LAB)
        low, high = ((0, -128, -128), (100, 128, 128)) if is_lab else ((0,) * 3, (255,) * 3)
        if not ((values >= low) & (values <= high)).all():
            raise InputError(
                f"{path}: the reference of {name!r} is {values.tolist()}, expected "
                + ("L from 0 to 100, a and b from -128 to 128" if is_lab else "0 to 255")
            )
        found[name] = from_lab(values) if is_lab else decoded(values / 255)
    if not is_lab and max(map(np.max, found.values())) < decoded(np.array(2 / 255)):
        raise InputError(f"{path} holds R, G, B up to 1, expected sRGB from 0 to 255")
    return found


def _table(path: Path, *columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the rows of a CSV by patch, with one of these sets of columns, in its order."""
    if not path.is_file():
        raise InputError(f"table {path} does not exist")
    head, rows = files.read_table(path)
    names = next((names for names in columns if {*head} == {"patch", *names}), None)
    if names is None or not rows:
        wanted = " or ".join(", ".join(("patch", *names)) for names in columns)
        has = f"{counted(len(rows), 'row')} of {', '.join(head)}"
        raise InputError(f"{path} has {has}, expected the columns {wanted}")
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values() or not row["patch"]:
            raise InputError(f"{path} has too few or too many cells in row {number} below its head")
        if row["patch"] in found:
            raise InputError(f"{path} names the patch {row['patch']!r} twice")
        found[row["patch"]] = {name: row[name] for name in names}
    return found
