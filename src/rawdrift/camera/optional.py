"""Checks of the numbers that not every camera has: (name, value) to the value in tuples, or an
InputError that names the field.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rawdrift.checks import InputError, is_number, numbers

Matrix = tuple[tuple[float, ...], ...]


def points(name: str, value: object) -> Matrix:
    """Check points (input, output) of a curve that rises: (K, 2), K >= 2."""
    pairs = _rows(name, value)
    rising = all(len(pair) == 2 for pair in pairs) and all(
        one[0] < other[0] and one[1] <= other[1] for one, other in pairwise(pairs)
    )
    if len(pairs) < 2 or not rising:
        raise InputError(
            f"{name} must be 2 points [input, output] or more, with inputs that rise and outputs "
            f"that don't fall, got {value!r}"
        )
    return pairs


def pixels(name: str, value: object) -> tuple[tuple[int, int], ...]:
    """Check positions (row, column) of pixels, from 0; each is returned once."""
    pairs: list[tuple[int, int]] = []
    for pixel in _sequence(name, value):
        if (
            not isinstance(pixel, (list, tuple))
            or len(pixel) != 2
            or not all(type(place) is int and place >= 0 for place in pixel)
        ):
            raise InputError(f"{name} must be pairs [row, column], from 0, got {pixel!r}")
        pairs.append((pixel[0], pixel[1]))
    return tuple(dict.fromkeys(pairs))


def _maps(name: str, value: object) -> tuple[Matrix, ...]:
    """Check gains at points of the frame, of each site: (sites, M, N), usually 4."""
    maps = tuple(_rows(name, site) for site in _sequence(name, value))
    lengths = {len(row) for site in maps for row in site} | {len(site) for site in maps}
    sizes = {(len(site), len(row)) for site in maps for row in site}
    gains = [gain for site in maps for row in site for gain in row]
    if not maps or len(sizes) != 1 or min(lengths) < 2 or min(gains) <= 0:
        raise InputError(
            f"{name} must be a map of gains above 0 for each site, 4 maps of a Bayer pattern for "
            f"R, G in red rows, G in blue rows and B, all of the same 2 rows of 2 gains or more"
        )
    return maps


def _terms(name: str, value: object) -> tuple[float, ...]:
    return numbers(name, value, max(len(_sequence(name, value)), 1))


def _factor(name: str, value: object) -> float:
    if not is_number(value) or value < 0:  # type: ignore[operator]
        raise InputError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _angle(name: str, value: object) -> float:
    if not is_number(value):
        raise InputError(f"{name} must be a number of degrees, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _sequence(name: str, value: object) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{name} must be a list, got {value!r}")
    return value


def _rows(name: str, value: object) -> Matrix:
    rows = _sequence(name, value)
    return tuple(numbers(f"a row of {name}", row, len(_sequence(name, row))) for row in rows)


OPTIONAL: Mapping[str, Callable[[str, object], Any]] = {
    "linearization": points,
    "defective_pixels": pixels,
    "shading": _maps,
    "radial_shading": _terms,
    "saturation": _factor,
    "hue": _angle,
    "tone_curve": points,
}

# By their position in the frame, so that they are wrong for a part of it.
OF_WHOLE_FRAMES = ("defective_pixels", "shading", "radial_shading")
