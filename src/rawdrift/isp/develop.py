"""Raw files to picture files. Torch is imported only for ISPs that the kernels don't do alone."""

import struct
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rawdrift import files, imports
from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.shot import Shot, read
from rawdrift.checks import Failures, InputError, choose
from rawdrift.configurations import CONFIGURATIONS, check, file_name, is_external, is_file, taking
from rawdrift.isp import engines
from rawdrift.isp.fused import static
from rawdrift.isp.fused.plan import CannotFuseError

if TYPE_CHECKING:
    from torch import Tensor

    from rawdrift.isp.pipeline import Pipeline
    from rawdrift.isp.yuv import Channels

FORMATS = ("png", "tiff", "jpeg")
_QUALITY = 95  # of JPEG, with all of its color


CONTACT_SHEET = "_contact-sheet.png"
"""What the name of a raw file's contact sheet ends in, beside its pictures."""

_ROWS = (
    128  # that are developed at a time: as floats, they stay in the cache until they are rounded
)

Pixels = np.ndarray[Any, Any]  # uint8 or uint16, in C order
_DTYPES = {8: np.uint8, 16: np.uint16}
T = TypeVar("T")


class Developed(NamedTuple):
    """One view of a raw file: its ISP, and the picture, (H, W, 3) uint8 or uint16.

    notes: what the user should know of how the file was read.
    """

    raw: Path
    name: str
    picture: Pixels
    notes: tuple[str, ...]


def plan(raws: Sequence[Path], name: str) -> tuple[str, ...]:
    """Return the references of the ISPs to develop with. name: one reference, or "all" twelve.

    Raises InputError for an unknown name, a missing file, and pictures of the same name.
    """
    names = CONFIGURATIONS if name == "all" else (check(name, others=["all"]),)
    stems: dict[str, Path] = {}
    for raw in raws:
        if not raw.is_file():
            raise InputError(
                f"raw file {raw} " + ("is a folder" if raw.is_dir() else "does not exist")
            )
        if raw.stem in stems:
            raise InputError(
                f"{stems[raw.stem]} and {raw} would give views of the same name; "
                f"develop them into different folders"
            )
        stems[raw.stem] = raw
    return names


def develop(
    raws: Iterable[Path],
    camera: Camera | None,
    names: Sequence[str],
    out: Path,
    failures: Failures,
    format: str = "png",
    channels: "Channels | None" = None,
    trust: Trust | None = None,
    bits: int | None = None,
) -> Iterator[Developed]:
    """Develop raw files to pictures `out/STEM_bi-s-me.png`, as many at a time as there are threads,
    or by a black box, as there are cores.

    camera: of all files; None takes it from each file's own metadata (DNG).
    names: configurations, one black box, or one ISP file, which has its own camera and channels.
    format: one of `FORMATS`. bits: of a channel, 8 or 16; by default 16, but 8 of JPEG, which has
    no more.
    trust: as in `read_raw`; an ISP file's own camera holds.
    failures: collects the files that can't be read; the others are developed.

    Raises InputError if two of the pictures would have one name, or the name of a raw file.

    Yields each view once it is written, in order. Only as many as there are threads are in memory:
    demosaicing again for the next one costs little.
    """
    choose("format", format, FORMATS)
    bits = _bits(format, bits)
    isp: Pipeline | None = None
    if is_file(names[0]):
        from rawdrift.isp import file

        own, isp = file.read(names[0])
        if camera is not None or channels is not None:
            raise InputError(
                f"ISP file {names[0]} has its own camera and channels; leave out those given"
            )
        if trust == "file":
            raise InputError(
                f"ISP file {names[0]} was made for its own camera, so trust can't be file; correct "
                f"that camera in the ISP file"
            )
        camera = own
    targets = [_target(out, path, name, format) for path in raws for name in names]
    twice = [target for target, count in Counter(targets).items() if count > 1]
    sheets = [out / f"{path.stem}{CONTACT_SHEET}" for path in raws]
    written = {target.resolve() for target in (*targets, *sheets)}
    replaced = written & {path.resolve() for path in raws}
    if twice or replaced:
        raise InputError(
            f"{[*twice, *replaced][0]} would be written "
            + ("for several raw files of one name" if twice else "over a raw file")
            + "; develop them into different folders"
        )

    def work() -> Iterator[Callable[[], Developed | tuple[Path, InputError]]]:
        for path in raws:
            try:
                shot = read(path, camera, trust)
                if shot.camera is None:
                    raise InputError(f"{path} carries no camera metadata; give a camera")
            except (InputError, PermissionError) as error:
                failures.add(path, error)
                continue
            for name in taking(shot.camera.cfa, names) if len(names) > 1 else names:
                yield partial(one, path, shot, shot.camera, name)

    def one(path: Path, shot: Shot, of: Camera, name: str) -> Developed | tuple[Path, InputError]:
        try:
            pixels = _developed(name, isp, of, channels or "luma", shot, path, bits)
        except InputError as error:
            if is_external(name):
                return path, error
            raise
        files.write(_target(out, path, name, format), partial(_save, pixels, format))
        return Developed(path, name, pixels, shot.notes)

    # A black box works in processes of its own, and waits here.
    threads = engines.cores() if is_external(names[0]) else engines.threads()
    for done in _ordered(work(), threads):
        if isinstance(done, Developed):
            yield done
        else:
            failures.add(*done)


def _ordered(work: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """Call functions in threads and yield their results in order, no more ahead than threads."""
    waiting: deque[Future[T]] = deque()
    before = engines.threads()
    pool = ThreadPoolExecutor(threads, "rawdrift-develop")
    try:
        for call in work:
            # Engines and allowed imports hold for the context in which they were set.
            waiting.append(pool.submit(copy_context().run, call))
            del call
            if len(waiting) == threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        if "torch" in sys.modules:
            import torch

            torch.set_num_threads(before)  # some of its libraries count for the whole process


def _developed(
    name: str,
    isp: "Pipeline | None",
    camera: Camera,
    channels: "Channels",
    shot: Shot,
    path: Path,
    bits: int,
) -> Pixels:
    """The picture (H, W, 3) of a raw file, by one thread."""
    if isp is None and not is_external(name) and engines.current() != "eager":
        try:
            return _by_kernels(name, camera, channels, shot, bits)
        except (CannotFuseError, ImportError):  # without Numba
            pass
    import torch

    torch.set_num_threads(1)
    mosaic = torch.from_numpy(shot.mosaic)
    with torch.inference_mode():
        if not is_external(name):
            from rawdrift.isp import presets

            return developed(isp or presets.static(name, camera, channels), mosaic, bits)
        from rawdrift.camera.read import to_unit
        from rawdrift.isp.external import External

        with imports.allowing(imports.references(name)):
            mosaic = to_unit(mosaic, shot.bits)
            return quantized(External(name, camera).views(mosaic[None], [str(path)])[0], bits)


def _by_kernels(name: str, camera: Camera, channels: "Channels", shot: Shot, bits: int) -> Pixels:
    """The same without torch. CannotFuseError if the steps must run, ImportError without Numba."""
    from rawdrift.isp.fused import integers, views

    plan = static.planned(name, camera, channels)
    mosaic, reach = np.require(shot.mosaic, requirements=["C", "A", "W"]), views.reach(plan)

    def strip(rows: slice, out: Pixels) -> None:
        top = max(rows.start - reach, 0) // 2 * 2
        found = views.develop([plan], mosaic[top : rows.stop + reach], shot.bits)
        if found is None:
            raise CannotFuseError("a sample is NaN, infinite or huge")
        integers.quantize(found[0], rows.start - top, out)

    return _in_strips(mosaic.shape, bits, strip)


def _in_strips(shape: tuple[int, ...], bits: int, strip: Callable[[slice, Pixels], None]) -> Pixels:
    """A picture (H, W, 3) made strip by strip of rows, so that it is never in memory as floats."""
    height, width = shape
    out = np.empty((height, width, 3), _DTYPES[bits])
    for first in range(0, height, _ROWS):
        rows = slice(first, min(first + _ROWS, height))
        strip(rows, out[rows])
    return out


def _bits(format: str, bits: int | None) -> int:
    """Bits of a channel of the pictures."""
    if bits is None:
        return 8 if format == "jpeg" else 16
    if bits not in _DTYPES:
        raise InputError(f"bits must be 8 or 16, got {bits!r}")
    if format == "jpeg" and bits != 8:
        raise InputError("JPEG has 8 bits; choose png or tiff for 16")
    return bits


def _target(out: Path, raw: Path, name: str, format: str) -> Path:
    return out / f"{raw.stem}_{file_name(name)}.{format}"


def developed(isp: "Pipeline", mosaic: "Tensor", bits: int = 16) -> Pixels:
    """The view of one mosaic (H, W) as a picture (H, W, 3) of 8 or 16 bits, rounded to nearest."""
    from rawdrift.isp import parts

    if any(step.reach is None for step in isp.steps.values()):
        return quantized(isp(mosaic), bits)
    isp.check(mosaic)
    columns = slice(0, mosaic.shape[1])

    def strip(rows: slice, out: Pixels) -> None:
        _round(parts.develop(isp, mosaic, rows, columns).cpu().numpy(), out)

    return _in_strips(mosaic.shape, bits, strip)


def quantized(view: "Tensor", bits: int = 16) -> Pixels:
    """A view (3, H, W) in [0, 1] as a picture (H, W, 3) of 8 or 16 bits, rounded to nearest."""
    return _rounded(view.cpu().numpy(), bits)


def _rounded(view: NDArray[np.float32], bits: int) -> Pixels:
    """The same of an array of any number of colors."""
    out = np.empty((*view.shape[1:], len(view)), _DTYPES[bits])
    _round(view, out)
    return out


def _round(view: NDArray[np.float32], out: Pixels) -> None:
    """Write a view (C, H, W) in [0, 1] into a picture (H, W, C)."""
    full, plane = np.float32(np.iinfo(out.dtype).max), np.empty(view.shape[1:], np.float32)
    for color, values in enumerate(view):
        np.rint(np.multiply(values, full, out=plane), out=plane)
        out[..., color] = plane  # half the time of converting all colors together


def encode(picture: NDArray[np.float32], bits: int = 16) -> bytes:
    """A picture in [0, 1], (H, W, 3) or gray (H, W), as a PNG of 8 or 16 bits a channel."""
    pixels = _rounded(np.atleast_3d(picture).transpose(2, 0, 1), bits)
    file = BytesIO()
    _write_png(pixels.reshape(picture.shape), file)
    return file.getvalue()


def _write_png(pixels: Pixels, file: IO[bytes]) -> None:
    """Write pixels (H, W, 3) or gray (H, W); those of 16 bits four times as fast as libpng does."""
    if pixels.dtype == np.uint8:
        import imagecodecs

        file.write(imagecodecs.png_encode(pixels))
        return
    from isal import isal_zlib

    def chunk(kind: bytes, data: bytes) -> None:
        checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
        file.writelines([struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)])

    height, width, colors = np.atleast_3d(pixels).shape
    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, {1: 0, 3: 2}[colors], 0, 0, 0))
    packed, pixel = isal_zlib.compressobj(1), 2 * colors
    for first in range(0, height, _ROWS):
        strip = pixels[first : first + _ROWS].astype(">u2")
        samples = strip.view(np.uint8).reshape(len(strip), -1)
        lines = np.ones((len(strip), 1 + pixel * width), np.uint8)  # 1: the filter "sub"
        lines[:, 1 : 1 + pixel] = samples[:, :pixel]
        np.subtract(samples[:, pixel:], samples[:, :-pixel], out=lines[:, 1 + pixel :])
        chunk(b"IDAT", packed.compress(lines))
    chunk(b"IDAT", packed.flush())
    chunk(b"IEND", b"")


def _save(pixels: Pixels, format: str, file: IO[bytes]) -> None:
    if format == "png":
        _write_png(pixels, file)
    elif format == "jpeg":
        import imagecodecs

        file.write(imagecodecs.jpeg_encode(pixels, level=_QUALITY, subsampling="444"))
    else:
        import tifffile

        # Compression would save a fifth of a camera's picture, in several times the time.
        tifffile.imwrite(file, pixels, photometric="rgb")


def picture(view: "Tensor") -> NDArray[np.float32]:
    """A view (3, H, W) as a picture (H, W, 3)."""
    return view.permute(1, 2, 0).cpu().numpy()
