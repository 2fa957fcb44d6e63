"""The numbers in picture files, read whole and within bounds, whatever they mean. No torch."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera import tiff
from rawdrift.camera.tiff import Tiff, check_size
from rawdrift.checks import InputError

_BEGINNINGS = {
    "TIFF": tiff.MAGIC,
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "NPY": (b"\x93NUMPY",),
    "JPEG": (b"\xff\xd8\xff",),
    "zip archive, such as NPZ": (b"PK\3\4", b"PK\5\6"),
    "gzip archive": (b"\x1f\x8b",),
    "HDF5": (b"\x89HDF",),
}
_SUFFIXES = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".dng": "TIFF",
    ".png": "PNG",
    ".npy": "NPY",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
_GRAY, _PALETTE = 0, 3  # color types of PNG
_CHANNELS = {_GRAY: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}


RAW = "expected a whole TIFF, PNG, NPY, DNG or another raw format that LibRaw reads"


def kind(path: Path, what: str, expected: str) -> str:
    """Return the kind of a file by its content, "" if it is none of those that we read.

    what, expected: what errors call the file, and what they expect of it. Raises InputError if it
    is missing, empty, or of another kind than its name says.
    """
    if not path.is_file():
        raise InputError(f"{what} {path} " + ("is a folder" if path.is_dir() else "does not exist"))
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise InputError(f"{what} {path} is empty")
    found = next((kind for kind, starts in _BEGINNINGS.items() if head.startswith(starts)), "")
    named = _SUFFIXES.get(path.suffix.lower(), "")
    if found != named and (named or found not in ("", "TIFF")):
        content = f"its content is a {found}" if found else f"it does not begin as a {named}"
        raise InputError(
            f"{what} {path} can't be decoded ({content}, not what its name says); {expected}"
        )
    return found


def png(path: Path, indices: bool = False) -> NDArray[Any]:
    """Return the pixels of a PNG, (H, W) or (H, W, channels), uint8 or uint16.

    indices: return the numbers of palettes and of less than 8 bits, which are refused otherwise.
    """
    content = path.read_bytes()
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise InputError(f"{path} can't be decoded: it has no header of a PNG")
    width, height, depth, color = struct.unpack_from(">IIBB", content, 16)
    check_size(str(path), width * height * _CHANNELS.get(color, 4) * depth // 8, len(content))
    small = color == _PALETTE or depth < 8
    if small and not indices:
        raise InputError(f"{path} has a palette or under 8 bits, expected 8 or 16 bits of gray")
    _check_chunks(path, content)
    if small:
        from PIL import Image

        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image)  # gray is scaled to 0 to 255
        return pixels if color == _PALETTE or depth == 1 else pixels // (255 // (2**depth - 1))
    import imagecodecs

    decoded: NDArray[Any] = imagecodecs.png_decode(content)
    return decoded


def _check_chunks(path: Path, content: bytes) -> None:
    """Raise InputError unless a PNG is one picture, with which the file ends."""
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(content):
            raise InputError(f"{path} can't be decoded: it does not end as a PNG; get a whole file")
        length, kind = struct.unpack_from(">I4s", content, at)
        at += 12 + length
        if kind == b"acTL":
            raise InputError(
                f"{path} is an animation (APNG), expected one image: save that frame alone"
            )
    if at != len(content):
        raise InputError(
            f"{path} has {len(content)} bytes but its picture ends at byte {at}; expected nothing "
            f"behind it"
        )


def npy(path: Path) -> NDArray[Any]:
    """Return the array of an NPY file, which must end with it."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    end, size = mapped.offset + mapped.nbytes, path.stat().st_size
    if end != size:
        raise InputError(
            f"{path} has {size} bytes but its array ends at byte {end}; expected nothing behind it"
        )
    array: NDArray[Any] = np.array(mapped)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


_OF_LIBRAW = {
    "LibRawFileUnsupportedError": "it is no raw file that LibRaw knows",
    "LibRawIOError": "it is no raw file that LibRaw knows, or its end is missing",
}
"""LibRaw's own words for the latter are those of a broken disk."""


def reason(error: Exception) -> str:
    """Return what a decoder says is wrong, in its first line."""
    if of_libraw := _OF_LIBRAW.get(type(error).__name__):
        return of_libraw
    message = error.args[0] if error.args else ""  # bytes from LibRaw
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(error)
    return text.strip().split("\n")[0] or type(error).__name__


def tiff_image(path: Path, expected: str) -> NDArray[Any]:
    """Return the numbers of the only image of a TIFF, (H, W) or (H, W, samples)."""
    with path.open("rb") as file:
        page = Tiff(file, str(path)).only()
        if page.photometric not in ("MINISBLACK", "RGB", "PALETTE"):
            # Programs disagree on whether 0 or 1 is the object then.
            remedy = "; save bool as numpy.uint8" if page.photometric == "MINISWHITE" else ""
            raise InputError(f"{path} stores its values as {page.photometric}; {expected}{remedy}")
        check_upright(page)
        return page.decode()


def check_upright(page: tiff.Page) -> None:
    """Raise InputError for an image that is shown turned or mirrored, beside its neighbors."""
    if (turned := page.value(tiff.ORIENTATION, 1)) != 1:
        raise InputError(
            f"{page.file.name} is to be shown turned or mirrored (Orientation {turned}), expected "
            f"1: turn its pixels, then its color filter array too, and save it so"
        )
