"""Decode raw files to arrays of their own numbers. No torch."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift import cfa as arrays
from rawdrift.camera import dng, dng_profile, pixels, tiff
from rawdrift.camera.colorimetry import XYZ_FROM_RGB
from rawdrift.camera.tiff import Page, Tiff
from rawdrift.cfa import MONO, Pattern, layout, lowest
from rawdrift.checks import InputError

MIN_SIZE = 2  # one cell of the color filter array


@dataclass(frozen=True)
class Decoded:
    """The content of a raw file. mosaic: (H, W) uint8 or uint16 DN, or float32 in [0, 1].

    bits: of its integers. cfa: the color filter array that it states, None if it states none.
    metadata: fields of `Camera` as the file states them, None if it describes no camera; see
    `Camera.described_by`. notes: what the user should know of how it was read.
    """

    mosaic: NDArray[Any]
    bits: int
    cfa: Pattern | None = None
    metadata: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def decode(path: Path, colors: bool = True) -> Decoded:
    """Decode a raw mosaic: TIFF, PNG and NPY with one gray channel, or Bayer files for LibRaw.

    colors: whether the metadata of a DNG must hold its white balance and color matrix, which only
    LibRaw knows: it decodes all pixels for them once more, in three quarters of the time.

    The content decides how a file is read. Mosaics lie as on the sensor, with all pixels of the
    active area. Raises InputError for a file that is missing, empty, broken, RGB, too small, not
    finite, or of another kind than its name says.
    """
    kind = pixels.kind(path, "raw file", pixels.RAW)
    try:
        if kind == "PNG":
            decoded = _plain(pixels.png(path))
        elif kind == "NPY":
            decoded = _plain(pixels.npy(path))
        elif kind == "TIFF" and path.suffix.lower() in (".tif", ".tiff", ".dng"):
            decoded = _tiff(path, colors)
        else:
            decoded = _libraw(path)
    except (InputError, PermissionError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        raise InputError(
            f"raw file {path} can't be decoded ({pixels.reason(error)}); {pixels.RAW}"
        ) from error
    return replace(decoded, mosaic=_checked(decoded.mosaic, path))


def normalize(decoded: Decoded, bit_depth: int, path: Path) -> NDArray[Any]:
    """Return DN as uint16, checked against the container's depth; floats are not changed."""
    mosaic = decoded.mosaic
    if mosaic.dtype.kind == "f":
        return mosaic
    if bit_depth > decoded.bits:
        raise InputError(
            f"{path} holds {decoded.bits}-bit values but the camera has bit_depth {bit_depth}; "
            f"use a camera with bit_depth = {decoded.bits}"
        )
    full_scale = 2**bit_depth - 1
    if bit_depth < decoded.bits and (peak := int(mosaic.max())) > full_scale:
        raise InputError(
            f"{path} holds the value {peak}, above the {full_scale} of the camera's "
            f"bit_depth {bit_depth}; expected the bit depth of the file's container"
        )
    return mosaic.astype(np.uint16, copy=False)


def _checked(mosaic: NDArray[Any], path: Path) -> NDArray[Any]:
    if mosaic.ndim != 2:
        raise InputError(
            f"{path} has shape {mosaic.shape}, expected one mosaic (height, width): "
            f"a developed RGB picture or a stack is not raw"
        )
    if min(mosaic.shape) < MIN_SIZE:
        raise InputError(
            f"{path} has {mosaic.shape} pixels, expected at least {MIN_SIZE}x{MIN_SIZE}"
        )
    if mosaic.dtype.kind == "f":
        mosaic = mosaic.astype(np.float32)
        if not np.isfinite(mosaic).all():
            raise InputError(f"{path} holds NaN or infinite values, expected finite ones in [0, 1]")
        if mosaic.min() < 0 or mosaic.max() > 1:
            raise InputError(
                f"{path} holds floats from {mosaic.min():g} to {mosaic.max():g}, expected [0, 1]; "
                f"divide by full scale or store 16-bit integers"
            )
    elif mosaic.dtype.kind != "u" or mosaic.dtype.itemsize > 2:
        raise InputError(f"{path} holds {mosaic.dtype} values, expected uint8, uint16 or float")
    return np.ascontiguousarray(mosaic.astype(mosaic.dtype.newbyteorder("="), copy=False))


def _plain(mosaic: NDArray[Any]) -> Decoded:
    return Decoded(mosaic, mosaic.dtype.itemsize * 8)


def _tiff(path: Path, colors: bool) -> Decoded:
    with path.open("rb") as file:
        opened = Tiff(file, str(path))
        if dng.VERSION in opened.pages[0].entries:
            return _dng(path, opened.only(), colors)
        page = opened.only()
        if path.suffix.lower() == ".dng":
            raise InputError(f"{path} is no DNG: it has no DNGVersion; if it is a TIFF, name it so")
        if page.photometric not in ("MINISBLACK", "CFA", "RGB"):
            raise InputError(
                f"{path} stores its values as {page.photometric}, expected the plain numbers of a "
                f"mosaic (MINISBLACK or CFA)"
            )
        pixels.check_upright(page)
        mosaic, bits = page.decode(), page.value(tiff.BITS, 1)
        if bits < 8:
            raise InputError(f"{path} holds values of {bits} bits, expected at least 8")
        return Decoded(mosaic, bits, cfa=dng.pattern(page))


def _dng(path: Path, page: Page, colors: bool) -> Decoded:
    dng.check(page)
    if page.decodable and not colors:
        return _of_dng(path, page, page.decode(), None)
    import rawpy

    with _libraw_quiet(), rawpy.imread(str(path)) as raw:
        # LibRaw alone knows lossy JPEG, and it has applied the linearization table; it also fills
        # what is missing with zeros.
        values = page.decode() if page.decodable else raw.raw_image.copy()
        return _of_dng(path, page, values, raw)


def _of_dng(path: Path, page: Page, values: NDArray[Any], raw: Any) -> Decoded:
    """The content of a DNG with these values. raw: the file, open in LibRaw, or None."""
    if values.shape != page.size[:2]:
        raise InputError(f"{path} has {page.size} pixels, but LibRaw reads {values.shape}")
    levels = dng.levels(page, values, linear=not page.decodable)
    colors = dng.planes(page)
    metadata = _metadata(path, raw, colors, levels.cfa, levels.black, levels.white)
    black = levels.black
    green = (black[1] + black[2]) / 2 if len(black) == 4 else black[len(black) // 2]
    metadata["noise"] = dng.noise_profile(page, green, levels.white)
    metadata |= levels.shading
    metadata["tone_curve"] = dng_profile.tone_curve(page)
    if levels.cfa != MONO:
        metadata |= dng_profile.colors(page, colors)
    return Decoded(levels.mosaic, 16, levels.cfa, metadata, levels.notes)


def _libraw(path: Path) -> Decoded:
    import rawpy

    with _libraw_quiet(), rawpy.imread(str(path)) as raw:
        if raw.raw_type != rawpy.RawType.Flat or raw.raw_image.ndim != 2:
            raise InputError(f"{path} is {raw.raw_type.name} raw, expected a mosaic")
        colors, names = [0, 1, 2], raw.color_desc.decode()
        pattern = MONO
        levels = raw.black_level_per_channel
        if raw.num_colors == 1:
            black: tuple[float, ...] = (float(levels[0]),)
        else:
            # The place of LibRaw's four colors, without the margins.
            height, width = (2, 2) if raw.raw_pattern is None else raw.raw_pattern.shape
            sites = raw.raw_colors_visible[:height, :width].copy()
            try:
                pattern = arrays.pattern(["".join(names[color] for color in row) for row in sites])
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            black = lowest(np.asarray(levels)[sites], pattern)
            colors = [names.index(color) for color in layout(pattern).planes]
        mosaic = raw.raw_image_visible.copy()
        metadata = _metadata(path, raw, colors, pattern, black, raw.white_level)
        return Decoded(mosaic, 16, pattern, metadata)


@contextmanager
def _libraw_quiet() -> Iterator[None]:
    """Silence standard error, where LibRaw writes what it raises as an error too."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _metadata(
    path: Path,
    raw: Any,
    colors: list[int],
    pattern: Pattern,
    black: tuple[float, ...],
    white: float | None,
) -> dict[str, Any]:
    """Describe the camera of a file whose values are LibRaw's 16-bit words.

    raw: the file, open in LibRaw, or None for a camera without colors. colors: which of LibRaw's
    are red, green, blue.
    """
    full_scale = 2**16 - 1
    balance, matrix, provenance = (1.0, 1.0, 1.0), np.eye(3), f"metadata of {path.name}"
    if raw is None:
        provenance += " without its colors"
    else:
        of_rgb = layout(pattern).planes == ("R", "G", "B")
        gains = np.asarray(raw.camera_whitebalance, float)[colors]
        if of_rgb and np.isfinite(gains).all() and (gains > 0).all():
            balance = tuple((gains / gains[1]).tolist())
        else:
            provenance += "; no as-shot white balance in it: ones"
        calibrated = _color_matrix(raw, colors) if of_rgb else None
        if calibrated is None:
            provenance += "; no color matrix in it: identity"
        else:
            matrix = calibrated
    return {
        "name": path.stem,
        "cfa": pattern,
        "black_level": tuple(level / full_scale for level in black),
        "white_level": white / full_scale if white else None,
        "white_balance": balance,
        "color_matrix": tuple(tuple(row) for row in matrix.tolist()),
        "provenance": provenance,
    }


def _color_matrix(raw: Any, colors: list[int]) -> NDArray[Any] | None:
    """Return the matrix from white-balanced camera RGB to linear sRGB, whose rows sum to one.

    LibRaw holds either the camera's response to XYZ, from its own tables, or a matrix derived from
    those in a DNG. Returns None if it holds neither. colors: the places of its red, green, blue.
    """
    camera_from_xyz = np.asarray(raw.rgb_xyz_matrix, float)[colors]
    if _invertible(camera_from_xyz):
        camera_from_rgb = camera_from_xyz @ XYZ_FROM_RGB
        # White balance has made white (1, 1, 1), and rows that sum to one keep it.
        return np.linalg.inv(camera_from_rgb / camera_from_rgb.sum(axis=1, keepdims=True))
    rgb_from_camera = np.asarray(raw.color_matrix, float)[:, colors]
    return rgb_from_camera if _invertible(rgb_from_camera) else None


def _invertible(matrix: NDArray[Any]) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-6)
