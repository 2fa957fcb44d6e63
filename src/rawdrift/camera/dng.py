"""What a DNG says about its raw values (Adobe DNG 1.7), which LibRaw passes on in part.

A black level there is a cell of any size that repeats, plus a number for each row and each column.
A camera has one for each of the four sites: what differs beyond them is subtracted here, as the
specification asks. That lowers the white level by the largest difference.
"""

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift import cfa as arrays
from rawdrift.camera.dng_shading import GAIN_MAP, VIGNETTE, maps, radial
from rawdrift.camera.tiff import BITS, CFA, CFA_DIM, ORIENTATION, Page
from rawdrift.cfa import MONO, Pattern, layout, lowest, sampled
from rawdrift.checks import InputError

VERSION = 50706
_PLANES, _LAYOUT = 50710, 50711
_TABLE, _BLACK_DIM, _BLACK, _BLACK_COLUMNS, _BLACK_ROWS = 50712, 50713, 50714, 50715, 50716
_WHITE, _ACTIVE, _OPCODES, _NOISE = 50717, 50829, (51008, 51009), 51041
_LINEAR_VALUES = 51009  # opcodes of values from 0, black, to 1, white
_MOST_OPCODES = 1000
_SAMPLES, _LINEAR = 277, "LINEAR_RAW"
_OPCODE_NAMES = {
    3: "FixVignetteRadial", 4: "FixBadPixelsConstant", 5: "FixBadPixelsList", 6: "TrimBounds",
    7: "MapTable", 8: "MapPolynomial", 9: "GainMap", 10: "DeltaPerRow", 11: "DeltaPerColumn",
    12: "ScalePerRow", 13: "ScalePerColumn",
}  # fmt: skip
_CHANGE_LEVELS = ("MapTable", "MapPolynomial", "DeltaPerRow", "DeltaPerColumn", "ScalePerRow",
                  "ScalePerColumn", "TrimBounds")  # fmt: skip


def planes(page: Page) -> list[int]:
    """Return which planes are red, green, blue: the matrix and the neutral are in their order."""
    colors = [int(color) for color in page.values(_PLANES) or (0, 1, 2)]
    if sorted(colors) != [0, 1, 2]:
        raise InputError(
            f"{page.file.name} has planes of the colors {colors}, expected red, green and blue"
        )
    return [colors.index(color) for color in range(3)]


class Levels(NamedTuple):
    """The active area. mosaic: (H, W) uint16 DN. black: of R, G in red rows, G in blue rows, B.

    shading: fields of a camera.
    """

    mosaic: NDArray[np.uint16]
    cfa: Pattern
    black: tuple[float, ...]
    white: float
    shading: dict[str, Any]
    notes: tuple[str, ...]


def pattern(page: Page) -> Pattern | None:
    """Return the color filter array that a page states, None if it states none.

    Raises InputError for one that is of no known kind.
    """
    if page.photometric == _LINEAR:
        return MONO
    cell = bytes(int(value) & 255 for value in page.values(CFA))
    letters = "".join("RGBCMYW"[color] if color < 7 else "?" for color in cell)
    dim = page.values(CFA_DIM)
    if not letters and not dim:
        return None
    if (staggered := page.value(_LAYOUT, 1)) != 1:
        raise InputError(
            f"{page.file.name} has staggered rows or columns (CFALayout {staggered}), expected a "
            f"rectangular mosaic (1)"
        )
    size = "x".join(map(str, dim)) or "unknown size"
    what = f"color filter array of {page.file.name}, {letters} of {size},"
    if len(dim) != 2 or dim[0] * dim[1] != len(letters):
        raise InputError(f"the {what} is impossible; expected as many colors as pixels of its cell")
    height, width = map(int, dim)
    try:
        return arrays.pattern([letters[row * width : (row + 1) * width] for row in range(height)])
    except InputError as error:
        raise InputError(f"the {what} is of no known kind: {error}") from None


def check(page: Page) -> None:
    """Raise InputError unless a page of a DNG holds a mosaic that can be read as it is meant."""
    name = page.file.name
    is_gray = page.photometric == _LINEAR and page.value(_SAMPLES, 1) == 1 and not page.values(CFA)
    if page.photometric != "CFA" and not is_gray:
        raise InputError(
            f"{name} holds {page.photometric} values, expected a mosaic (CFA), or one raw value a "
            f"pixel (LinearRaw of 1 sample): a developed picture is not raw"
        )
    if page.value(BITS, 1) < 8 or page.value(BITS, 1) > 16 or page.value(339, 1) != 1:
        raise InputError(f"{name} holds no whole numbers of 8 to 16 bits, which are expected")
    page.segments()


def levels(page: Page, values: NDArray[Any], linear: bool) -> Levels:
    """Return the active area of raw values (H, W) with its levels.

    linear: the values have been through the linearization table already.
    """
    name, cfa = page.file.name, pattern(page)
    if cfa is None:
        raise InputError(f"{name} does not state its color filter array; convert it anew")
    table = page.values(_TABLE)
    if table and not linear:
        values = np.asarray(table, np.uint16)[np.minimum(values, len(table) - 1)]
    height, width = values.shape
    top, left, bottom, right = page.values(_ACTIVE) or (0, 0, height, width)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise InputError(f"{name} has an active area outside of its {height}x{width} pixels")
    mosaic = np.ascontiguousarray(values[top:bottom, left:right], np.uint16)
    black, extra = _black(page, mosaic.shape, cfa)
    white = float((page.values(_WHITE) or (2 ** page.value(BITS, 16) - 1,))[0])
    if not 0 < white < 2**16:
        raise InputError(f"{name} has impossible metadata: the white level {white:g}")
    shading, notes = _opcodes(page, cfa, mosaic.shape)
    if (turned := page.value(ORIENTATION, 1)) != 1:
        notes.append(
            f"it is to be shown turned or mirrored (Orientation {turned}), which is not done: a "
            f"mask must lie as its sensor's rows do"
        )
    if extra is not None:
        steps = np.rint(extra).astype(np.uint16)
        mosaic = mosaic - np.minimum(mosaic, steps)
        white -= float(extra.max())
        notes.append(
            f"its black level differs by row, column or cell by up to {extra.max():g} DN, which "
            f"are subtracted"
        )
    return Levels(mosaic, cfa, black, white, shading, tuple(notes))


def _black(
    page: Page, shape: tuple[int, ...], cfa: Pattern
) -> tuple[tuple[float, ...], NDArray[np.float32] | None]:
    """Return the lowest level of each site, and what pixels have beyond it if it is not the same.

    The differences of all rows and columns are at least zero.
    """
    name, (height, width) = page.file.name, shape
    rows, columns = page.values(_BLACK_DIM) or (1, 1)
    if rows * columns > height * width:
        raise InputError(f"{name} declares black levels for cells of {rows}x{columns} pixels")
    cell = np.array(page.values(_BLACK) or (0,) * rows * columns, float)
    across = np.array(page.values(_BLACK_COLUMNS) or (0,) * width, float)
    down = np.array(page.values(_BLACK_ROWS) or (0,) * height, float)
    if (cell.size, across.size, down.size) != (rows * columns, width, height) or not cell.size:
        raise InputError(
            f"{name} has impossible metadata: {cell.size} black levels for cells of {rows}x"
            f"{columns}, {across.size} for {width} columns, {down.size} for {height} rows"
        )
    if not all(np.isfinite(part).all() for part in (cell, across, down)):
        raise InputError(f"{name} has impossible metadata: a black level that is no number")
    level = cell.reshape(rows, columns).astype(np.float32)
    if across.any() or down.any():
        level = _tiled(level, shape) + across.astype(np.float32) + down.astype(np.float32)[:, None]
    else:  # it repeats with the cells of the black level and of the color filter array
        repeats = (math.lcm(rows, layout(cfa).height), math.lcm(columns, layout(cfa).width))
        level = _tiled(level, (min(height, repeats[0]), min(width, repeats[1])))
    black = lowest(level, cfa)
    for site, pixels in sampled(level, cfa):
        pixels -= black[site]
    return black, _tiled(level, shape) if level.max() > 0 else None


def _tiled(cell: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A cell that repeats in an array of this shape."""
    repeats = [-(-size // of) for size, of in zip(shape, cell.shape, strict=True)]
    return np.tile(cell, repeats)[: shape[0], : shape[1]]


def _opcodes(page: Page, cfa: Pattern, shape: tuple[int, ...]) -> tuple[dict[str, Any], list[str]]:
    """Return the lens shading that a DNG states, and notes on what else it asks to do to raw
    values; InputError for what changes their levels.
    """
    name = page.file.name
    notes: list[str] = []
    corrections: dict[int, list[bytes]] = {GAIN_MAP: [], VIGNETTE: []}
    for tag in _OPCODES:
        ignored = []
        for number, data in _listed(bytes(page.values(tag)), name):
            if tag == _LINEAR_VALUES and number in corrections:
                corrections[number].append(data)
            else:
                ignored.append(_OPCODE_NAMES.get(number, f"opcode {number}"))
        if refused := [one for one in ignored if one in _CHANGE_LEVELS]:
            raise InputError(
                f"{name} asks for {', '.join(sorted(set(refused)))} on its raw values, "
                f"which rawdrift does not do; expected a DNG without: convert it to one"
            )
        if ignored:
            notes.append(f"it asks for {', '.join(sorted(set(ignored)))}, which is not done")
    gains, more = maps(corrections[GAIN_MAP], cfa, shape, name)
    terms, others = radial(corrections[VIGNETTE], name)
    return {"shading": gains, "radial_shading": terms}, [*notes, *more, *others]


def _listed(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and parameters of each opcode of a list."""
    at, count = 4, struct.unpack_from(">I", data)[0] if len(data) >= 4 else 0
    if count > _MOST_OPCODES:
        raise InputError(
            f"{name} has impossible metadata: {count} opcodes, expected at most {_MOST_OPCODES}"
        )
    for _ in range(count):
        if at + 16 > len(data):
            return
        number, _, _, size = struct.unpack_from(">4I", data, at)
        yield number, data[at + 16 : at + 16 + size]
        at += 16 + size


def noise_profile(page: Page, black: float, white: float) -> dict[str, float] | None:
    """Return the photon transfer that the tag NoiseProfile of a DNG describes, None without it.

    Returns fields of `camera.Noise`.

    black, white: levels of the green sites in DN of the camera's container.

    The tag gives a scale S and an offset O, with variance = S x + O of x = (DN - black) / R, where
    R = white - black. In DN that is R**2 (S x + O) = (R S) (DN - black) + R**2 O. Photon transfer
    has the variance gain (DN - black) + gain**2 read_noise**2 + 1/12, the last by quantization to
    whole DN. So

        gain = R S    and    read_noise = sqrt(R**2 O - 1/12) / gain, at least 0.

    A profile of three planes is read from the second, green.
    """
    profile = page.profile(_NOISE)
    if len(profile) not in (2, 6):
        return None
    scale, offset = map(float, profile[2:4] if len(profile) == 6 else profile)
    distance = white - black
    if not (scale > 0 and distance > 0):
        return None
    gain = distance * scale
    read_noise = max(distance**2 * offset - 1 / 12, 0.0) ** 0.5 / gain
    return {"gain": gain, "read_noise": read_noise}
