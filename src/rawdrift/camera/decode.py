"""Decode raw files to arrays of their own numbers. No torch."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.dng import noise_profile
from rawdrift.cfa import PATTERNS, Pattern, offsets
from rawdrift.checks import InputError

MIN_SIZE = 2  # one cell of the color filter array

# Linear sRGB (D65) to CIE XYZ, IEC 61966-2-1.
_XYZ_FROM_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


@dataclass(frozen=True)
class Decoded:
    """The content of a raw file. mosaic: (H, W) uint8 or uint16 DN, or float32 in [0, 1].

    metadata: fields of `Camera` as the file states them, None if it describes no camera; see
    `Camera.described_by`.
    """

    mosaic: NDArray[Any]
    metadata: dict[str, Any] | None = None


def decode(path: Path) -> Decoded:
    """Decode a raw mosaic: TIFF, PNG and NPY with one gray channel, or Bayer files for LibRaw.

    Raises InputError for a file that is missing, empty, broken, RGB, too small, or not finite.
    """
    if not path.is_file():
        raise InputError(
            f"raw file {path} " + ("is a folder" if path.is_dir() else "does not exist")
        )
    if path.stat().st_size == 0:
        raise InputError(f"raw file {path} is empty")
    reader = _READERS.get(path.suffix.lower(), _libraw)
    try:
        decoded = reader(path)
    except (InputError, PermissionError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        message = error.args[0] if error.args else ""  # bytes from LibRaw
        text = message.decode(errors="replace") if isinstance(message, bytes) else str(error)
        reason = text.strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"raw file {path} can't be decoded ({reason}); expected a whole TIFF, PNG, NPY, DNG "
            f"or another raw format that LibRaw reads"
        ) from error
    return Decoded(_checked(decoded.mosaic, path), decoded.metadata)


def normalize(mosaic: NDArray[Any], bit_depth: int, path: Path) -> NDArray[Any]:
    """Return DN as uint16, checked against the container's depth; floats are not changed."""
    if mosaic.dtype.kind == "f":
        return mosaic
    container = mosaic.dtype.itemsize * 8
    if bit_depth > container:
        raise InputError(
            f"{path} holds {container}-bit values but the camera has bit_depth {bit_depth}; "
            f"use a camera with bit_depth = {container}"
        )
    full_scale = 2**bit_depth - 1
    if bit_depth < container and (peak := int(mosaic.max())) > full_scale:
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


def _tiff(path: Path) -> Decoded:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise InputError(
                f"{path} is a stack of {len(file.pages)} pages, expected one mosaic; save the raw "
                f"page alone"
            )
        page: Any = file.pages.first
        if page.photometric.name not in ("MINISBLACK", "CFA", "RGB"):
            raise InputError(
                f"{path} stores its values as {page.photometric.name}, expected the plain numbers "
                f"of a mosaic (MINISBLACK or CFA)"
            )
        # tifffile reads a truncated strip as zeros: a raw file with a silent black half.
        end = max(
            (a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0
        )
        if end > path.stat().st_size:
            raise InputError(f"raw file {path} is truncated: {path.stat().st_size} of {end} bytes")
        return Decoded(file.asarray())


def _png(path: Path) -> Decoded:
    import imagecodecs

    content = path.read_bytes()
    depth, color = content[24:25], content[25:26]  # of the header, at a fixed place
    if color == b"\x03" or (color == b"\x00" and depth not in (b"\x08", b"\x10")):
        raise InputError(f"{path} has a palette or under 8 bits, expected 8 or 16 bits of gray")
    return Decoded(imagecodecs.png_decode(content))


def _npy(path: Path) -> Decoded:
    return Decoded(np.load(path, allow_pickle=False))


def _libraw(path: Path) -> Decoded:
    import rawpy

    with _libraw_quiet(), rawpy.imread(str(path)) as raw:
        if raw.raw_type != rawpy.RawType.Flat or raw.raw_image.ndim != 2:
            raise InputError(f"{path} is {raw.raw_type.name} raw, expected a Bayer mosaic")
        # The place of LibRaw's four colors, without the margins.
        sites = raw.raw_colors_visible[:2, :2].copy()
        pattern = "".join(raw.color_desc.decode()[color] for color in sites.ravel())
        if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2) or pattern not in PATTERNS:
            raise InputError(
                f"{path} has the color filter array {pattern}, expected a Bayer mosaic"
            )
        mosaic = raw.raw_image_visible.copy()
        return Decoded(mosaic, _metadata(path, raw, pattern, sites))


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


def _metadata(path: Path, raw: Any, pattern: Pattern, sites: NDArray[Any]) -> dict[str, Any]:
    """Describe the camera of an open LibRaw file, whose container is LibRaw's 16-bit words."""
    full_scale = 2**16 - 1
    colors = [sites[at] for at in offsets(pattern)]  # R, G in red rows, G in blue rows, B
    red, green, _, blue = colors

    gains = np.asarray(raw.camera_whitebalance, float)[[red, green, blue]]
    as_shot = bool(np.isfinite(gains).all() and (gains > 0).all())
    matrix = _color_matrix(raw)
    calibrated = matrix is not None
    matrix = np.eye(3) if matrix is None else matrix
    black = [float(raw.black_level_per_channel[color]) for color in colors]
    green = (black[1] + black[2]) / 2
    noise = noise_profile(path, green, raw.white_level) if raw.white_level else None
    provenance = f"metadata of {path.name}"
    provenance += "" if as_shot else "; no as-shot white balance in it: ones"
    provenance += "" if calibrated else "; no color matrix in it: identity"
    return {
        "name": path.stem,
        "cfa": pattern,
        "black_level": tuple(level / full_scale for level in black),
        "white_level": raw.white_level / full_scale if raw.white_level else None,
        "white_balance": tuple((gains / gains[1]).tolist()) if as_shot else (1.0, 1.0, 1.0),
        "color_matrix": tuple(tuple(row) for row in matrix.tolist()),
        "provenance": provenance,
        "noise": noise,
    }


def _color_matrix(raw: Any) -> NDArray[Any] | None:
    """Return the matrix from white-balanced camera RGB to linear sRGB, whose rows sum to one.

    LibRaw holds either the camera's response to XYZ, from its own tables, or a matrix derived from
    those in a DNG. Returns None if it holds neither.
    """
    camera_from_xyz = np.asarray(raw.rgb_xyz_matrix, float)[:3]
    if _invertible(camera_from_xyz):
        camera_from_rgb = camera_from_xyz @ _XYZ_FROM_RGB
        # White balance has made white (1, 1, 1), and rows that sum to one keep it.
        return np.linalg.inv(camera_from_rgb / camera_from_rgb.sum(axis=1, keepdims=True))
    rgb_from_camera = np.asarray(raw.color_matrix, float)[:, :3]
    return rgb_from_camera if _invertible(rgb_from_camera) else None


def _invertible(matrix: NDArray[Any]) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-6)


_READERS: dict[str, Callable[[Path], Decoded]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".png": _png,
    ".npy": _npy,
}
