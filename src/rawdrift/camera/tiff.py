"""Read TIFF files by what they say about themselves, or refuse them (TIFF 6.0, BigTIFF).

Other readers follow loops, allocate what a file declares, and fill what is missing with zeros. Here
everything is checked against the bounds of the file, and each strip or tile must decode to all of
its pixels.
"""

import math
import struct
from functools import cached_property
from io import BufferedReader, BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.checks import InputError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 1000
# A file may declare this many bytes of pixels, or so many times its own size: more is a bomb.
MAX_BYTES, MAX_RATIO = 1 << 28, 100

BITS, ORIENTATION, COLORMAP, CFA_DIM, CFA = 258, 274, 320, 33421, 33422
_NEW_KIND, _WIDTH, _HEIGHT, _KIND, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 255, 259, 262
_FILL_ORDER, _SAMPLES, _ROWS, _PLANAR, _PREDICTOR, _FORMAT = 266, 277, 278, 284, 317, 339
_STRIPS, _TILE, _TILES, _SUBPAGES, _DEPTH = (273, 279), (323, 322), (324, 325), 330, 32997

_PHOTOMETRICS = {
    0: "MINISWHITE", 1: "MINISBLACK", 2: "RGB", 3: "PALETTE", 4: "MASK", 5: "SEPARATED",
    6: "YCBCR", 8: "CIELAB", 32803: "CFA", 34892: "LINEAR_RAW",
}  # fmt: skip
_CODECS = {
    1: "", 5: "lzw", 7: "ljpeg", 8: "zlib", 32773: "packbits", 32946: "zlib", 34925: "lzma",
    50000: "zstd",
}  # fmt: skip
_JPEG = 7
_VALUES = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f",
    12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip


class Segment(NamedTuple):
    """A strip or tile of a page: where it is in the file, and its pixels in the image."""

    place: int
    size: int
    plane: int
    top: int
    left: int
    rows: int
    columns: int


class Page(NamedTuple):
    """A page. entries: kind, number and place of the values of each tag."""

    file: "Tiff"
    entries: dict[int, tuple[int, int, int]]

    def values(self, tag: int) -> tuple[Any, ...]:
        """Return the values of a tag, bytes as whole numbers; () if the page does not have it."""
        return self.file.values(*self.entries[tag]) if tag in self.entries else ()

    def profile(self, tag: int) -> tuple[Any, ...]:
        """Return the values of a tag of this page or, if it has none, of another one of the file,
        which is where a DNG describes its camera."""
        pages = (self, *self.file.pages)
        return next((values for page in pages if (values := page.values(tag))), ())

    @property
    def order(self) -> str:
        """The byte order of the file, as of `struct`."""
        return self.file.order

    def value(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        return int(self.file.values(kind, 1, place)[0]) if count else default

    @property
    def reduced(self) -> bool:
        """Whether this is a thumbnail, a mask or another thing beside the image itself."""
        beside = self.value(_NEW_KIND, 0) & ~0b10  # bit 1: a page of several
        return beside != 0 or self.value(_KIND, 1) == 2

    @property
    def size(self) -> tuple[int, int, int]:
        """Height and width in pixels, and the numbers of each pixel."""
        height, width = self.value(_HEIGHT, 0), self.value(_WIDTH, 0)
        if self.value(_DEPTH, 1) != 1:
            raise InputError(f"{self.file.name} is a stack of depth, expected one image")
        return height, width, self.value(_SAMPLES, 1)

    @property
    def photometric(self) -> str:
        """The name of what the numbers mean."""
        number = self.value(_PHOTOMETRIC, -1)
        return _PHOTOMETRICS.get(number, "an unknown kind")

    @property
    def decodable(self) -> bool:
        """Whether `decode` knows the compression."""
        return self.value(_COMPRESSION, 1) in _CODECS

    def segments(self) -> list[Segment]:
        """Return the strips or tiles. InputError if one is missing, empty or cut."""
        name, (height, width, samples) = self.file.name, self.size
        tiled = bool({*_TILE, *_TILES} & self.entries.keys())
        what = "tile" if tiled else "strip"
        rows, columns = min(self.value(_ROWS, height), height), width
        if tiled:
            rows, columns = (self.value(tag, 0) for tag in _TILE)
        bits = self.value(BITS, 1)
        if min(height, width, samples, rows, columns, bits) < 1:
            raise InputError(
                f"{name} declares {height}x{width} pixels of {samples} numbers of {bits} bits, in "
                f"{what}s of {rows}x{columns}; expected at least one of each"
            )
        planes = samples if self.value(_PLANAR, 1) == 2 else 1
        row_bytes = math.ceil(columns * samples // planes * bits / 8)
        down, across = math.ceil(height / rows), math.ceil(width / columns)
        count = planes * down * across
        room = columns * samples // planes * math.ceil(bits / 8)  # of a row, unpacked
        check_size(name, count * rows * max(row_bytes, room), self.file.size)
        places, sizes = (self.values(tag) for tag in (_TILES if tiled else _STRIPS))
        if not len(places) == len(sizes) == count:
            raise InputError(
                f"{name} lists {len(places)} places and {len(sizes)} sizes of its {count} {what}s; "
                f"expected all of them: get a whole file"
            )
        if empty := sum(0 in pair for pair in zip(places, sizes, strict=True)):
            raise InputError(
                f"{name} has {empty} empty {what}s of {count}: they were never written; get a "
                f"whole file"
            )
        end = 0
        for place, size in sorted(zip(places, sizes, strict=True)):
            if place < end:
                raise InputError(f"{name} has {what}s that overlap; get an undamaged file")
            end = place + size
        self.file.check_end(end)
        found = []
        for i, (place, size) in enumerate(zip(places, sizes, strict=True)):
            plane, at = divmod(i, down * across)
            top, left = at // across * rows, at % across * columns
            held = rows if tiled else min(rows, height - top)
            if self.value(_COMPRESSION, 1) == 1 and size < held * row_bytes:
                raise self._cut(what, size, held * row_bytes)
            found.append(Segment(place, size, plane, top, left, held, columns))
        return found

    def decode(self) -> NDArray[Any]:
        """Return the pixels (H, W), or (H, W, S) of several numbers, in native numbers.

        Packed ones of 1 to 7 bits become uint8, of 9 to 15 bits uint16.
        """
        import imagecodecs

        name, (height, width, samples) = self.file.name, self.size
        bits, kind = self.value(BITS, 1), self.value(_FORMAT, 1)
        code, predictor = self.value(_COMPRESSION, 1), self.value(_PREDICTOR, 1)
        if code not in _CODECS:
            raise InputError(
                f"{name} has the compression {code}; expected none, LZW, Deflate, lossless JPEG, "
                f"PackBits, LZMA or Zstandard: save it anew"
            )
        if len(set(self.values(BITS))) > 1 or len(set(self.values(_FORMAT))) > 1:
            raise InputError(f"{name} has samples of several kinds, expected one")
        stored = f"{dict(zip((1, 2, 3), 'uif', strict=True)).get(kind, '?')}{bits // 8}"
        packed = kind == 1 and bits < 16 and bits != 8
        if not packed and (stored[0] == "?" or bits not in (8, 16, 32, 64) or stored == "f1"):
            raise InputError(
                f"{name} holds values of {bits} bits of kind {kind}, expected whole numbers of up "
                f"to 16 bits, or floats"
            )
        dtype = np.dtype(("u1" if bits < 8 else "u2") if packed else stored)
        if code in (1, _JPEG):
            predictor = 1  # means nothing
        if predictor not in (1, 2, 3) or (predictor > 1 and packed):
            raise InputError(f"{name} has the predictor {predictor} for {bits} bits; save it anew")
        order = dtype if predictor == 3 else dtype.newbyteorder(self.file.order)
        segments = self.segments()
        planes = 1 + segments[-1].plane
        room = segments[0].rows * math.ceil(segments[0].columns * samples // planes * bits / 8)
        image = np.empty((planes, height, width, samples // planes), dtype)
        for part in segments:
            shape = (part.rows, part.columns, samples // planes)
            need = part.rows * math.ceil(part.columns * shape[2] * bits / 8)
            data: Any = self.file.array(part.place, part.size)
            if self.value(_FILL_ORDER, 1) == 2:
                data = imagecodecs.bitorder_decode(data)
            if code == _JPEG:
                data = self._unjpeg(bytes(data), math.prod(shape), dtype)
                need = len(data)
            elif codec := _CODECS[code]:
                expand = getattr(imagecodecs, f"{codec}_decode")
                data = expand(data, out=room)
            if len(data) < need:
                raise self._cut("strip or tile", len(data), need)
            if code == _JPEG:
                pixels = np.frombuffer(data, dtype)
            elif packed:
                run = shape[1] * shape[2]
                pixels = imagecodecs.packints_decode(data[:need], dtype, bits, runlen=run)
            else:
                pixels = np.frombuffer(data, order, math.prod(shape))
            pixels = pixels.reshape(shape)
            if predictor == 2:
                pixels = imagecodecs.delta_decode(pixels.astype(dtype), axis=-2)
            elif predictor == 3:
                pixels = imagecodecs.floatpred_decode(pixels, axis=-2)
            cut = image[part.plane, part.top :, part.left :][: part.rows, : part.columns]
            cut[...] = pixels[: cut.shape[0], : cut.shape[1]]
        result = np.moveaxis(image, 0, 2).reshape(height, width, samples)
        return result[..., 0] if samples == 1 else result

    def _unjpeg(self, data: bytes, count: int, dtype: np.dtype[Any]) -> bytes:
        """Return so many numbers of lossless JPEG (ITU-T T.81, SOF3), in any rows and colors."""
        import imagecodecs

        at = 2
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xc3", b"\xda", b""):
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at : at + 2] != b"\xff\xc3" or len(data) < at + 10:
            raise InputError(f"{self.file.name} holds JPEG that is not lossless; save it anew")
        height, width, colors = struct.unpack_from(">HHB", data, at + 5)
        if height * width * colors != count:  # before it is decoded: it may be a bomb
            raise self._cut("strip or tile", height * width * colors, count, "values")
        try:
            return bytes(imagecodecs.ljpeg_decode(data).astype(dtype).tobytes())
        except imagecodecs.LjpegError:
            raise InputError(
                f"{self.file.name} holds lossless JPEG that is cut or damaged; get a whole file"
            ) from None

    def _cut(self, what: str, held: int, need: int, unit: str = "bytes") -> InputError:
        return InputError(
            f"{self.file.name} has a {what} that holds {held} of {need} {unit} of pixels: the rest "
            f"is missing; get a whole file"
        )


class Tiff:
    """An open TIFF file. name: what errors call it. order: "<" or ">"."""

    def __init__(self, file: BufferedReader | BytesIO, name: str):
        self.file, self.name = file, name
        self.size = file.seek(0, 2)
        head = self.read(0, min(self.size, 4))
        if head not in MAGIC:
            raise InputError(f"{name} can't be decoded: it does not begin as a TIFF")
        self.order: Literal["<", ">"] = "<" if head[:1] == b"I" else ">"
        self.big = b"+" in head

    @property
    def first(self) -> Page:
        """The first page."""
        return self._page(self._number(8 if self.big else 4))[0]

    @cached_property
    def pages(self) -> list[Page]:
        """All pages in order, those below a page after it."""
        pages: list[Page] = []
        waiting = [self._number(8 if self.big else 4)]
        seen: set[int] = set()
        entries = 0
        while waiting:
            place = waiting.pop(0)
            page, following = self._page(place)
            entries += len(page.entries)
            subpages = page.entries.get(_SUBPAGES, (0, 0, 0))[1]
            if place in seen or 12 * entries > self.size:
                raise InputError(f"{self.name} has pages in a loop; get an undamaged file")
            if len(seen) + subpages >= MAX_PAGES:
                raise InputError(
                    f"{self.name} is a stack of {MAX_PAGES} pages or more, expected one image"
                )
            seen.add(place)
            pages.append(page)
            waiting += [int(at) for at in (*page.values(_SUBPAGES), following) if at]
        return pages

    def read(self, place: int, size: int) -> bytes:
        """Return bytes of the file. InputError if it ends before."""
        self.check_end(place + size)
        self.file.seek(place)
        return self.file.read(size)

    def array(self, place: int, size: int) -> NDArray[np.uint8]:
        """The same in NumPy's memory, whose pages are large: half the time for an image."""
        self.check_end(place + size)
        self.file.seek(place)
        data = np.empty(size, np.uint8)
        return data[: self.file.readinto(data.data)]

    def check_end(self, end: int) -> None:
        """Raise InputError if the file ends before."""
        if end > self.size:
            raise InputError(
                f"{self.name} can't be decoded: it is truncated, {self.size} of {end} bytes"
            )

    def values(self, kind: int, count: int, place: int) -> tuple[Any, ...]:
        """Return values in the file: numbers, fractions as floats, the bytes of a text."""
        form = _VALUES[kind].replace("s", "B")
        data = self.read(place, count * struct.calcsize(form))
        numbers = struct.unpack(f"{self.order}{count * len(form)}{form[0]}", data)
        if len(form) == 1:
            return numbers
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return tuple(a / b if b else math.nan for a, b in pairs)

    def only(self) -> Page:
        """Return the page that holds the image itself, with thumbnails before or after it."""
        full = [page for page in self.pages if not page.reduced]
        if len(full) > 1:
            full = [page for page in full if page.photometric == "CFA"] or full
        if not full:
            raise InputError(f"{self.name} holds thumbnails alone, expected the image itself")
        if len(full) > 1:
            raise InputError(
                f"{self.name} is a stack of {len(full)} pages, expected one image: save that "
                f"page alone"
            )
        return full[0]

    def _page(self, place: int) -> tuple[Page, int]:
        """Return the page at a place, and the place of the next one."""
        head, each, inline = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._number(place, "Q" if self.big else "H")
        table = self.read(place + head, count * each)
        entries: dict[int, tuple[int, int, int]] = {}
        for i in range(count):
            tag, kind, number = struct.unpack_from(self._form("HH"), table, i * each)
            if kind in _VALUES:
                where = place + head + (i + 1) * each - inline
                if number * struct.calcsize(_VALUES[kind]) > inline:
                    where = self._number(where)
                entries.setdefault(tag, (kind, number, where))
        return Page(self, entries), self._number(place + head + count * each)

    def _number(self, place: int, letter: str = "") -> int:
        form = self.order + letter if letter else self._form()
        return int(struct.unpack(form, self.read(place, struct.calcsize(form)))[0])

    def _form(self, before: str = "") -> str:
        return f"{self.order}{before}{'Q' if self.big else 'I'}"


def check_size(name: str, declared: int, size: int) -> None:
    """Raise InputError for a file of `size` bytes that declares far more bytes of pixels."""
    if declared > max(MAX_BYTES, MAX_RATIO * size):
        raise InputError(
            f"{name} declares {declared / 2**20:.0f} MiB of pixels in a file of {size} bytes, more "
            f"than {MAX_RATIO} times as many; get an undamaged file"
        )
