"""Archives from strangers (zip and tar), unpacked safely."""

import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from rawdrift.checks import InputError

# Raw images shrink to a half or a tenth, and masks are a small part. What grows more is a bomb.
MAX_RATIO = 100
MAX_FILES = 200_000

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
)

OnBytes = Callable[[int], object]


class _Entry(NamedTuple):
    """A file in an archive. open: None for what is no plain file."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None] | None


class _Budget:
    """What an archive, with the archives in it, may still unpack."""

    def __init__(self, archive: Path, folder: Path):
        self.bytes = min(
            _CHUNK + MAX_RATIO * archive.stat().st_size, shutil.disk_usage(folder).free
        )
        self.files = MAX_FILES

    def spend(self, archive: Path, size: int) -> None:
        self.bytes -= size
        self.files -= 1
        if self.bytes < 0 or self.files < 0:
            raise InputError(
                f"{archive.name} unpacks to more than {MAX_RATIO} times its size, than {MAX_FILES} "
                f"files or than the disk has room for: make room, or do not trust it"
            )


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive that `unpack` takes."""
    return path.name.lower().endswith(_SUFFIXES)


def unpack(archive: Path, folder: Path, scratch: Path, on_bytes: OnBytes = lambda n: None) -> None:
    """Unpack an archive, and the archives right within it, into a folder.

    An archive without one folder at its top gets one, named like itself. Files come into `folder`
    whole, and only once all have been unpacked in `scratch`, a folder on the same disk; those that
    are there are replaced. Links, devices, paths that lead outside, broken and encrypted archives,
    and more than `MAX_RATIO` times its size or the free disk, raise InputError.

    on_bytes: told the bytes as they are unpacked.
    """
    _unpack(archive, folder, scratch, on_bytes, _Budget(archive, scratch), depth=1)


def _unpack(
    archive: Path, folder: Path, scratch: Path, on_bytes: OnBytes, budget: _Budget, depth: int
) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        staging = Path(temporary)
        try:
            for entry in _entries(archive):
                _write(entry, archive, staging, on_bytes, budget)
        except _BROKEN as error:
            raise InputError(
                f"{archive.name} can't be unpacked ({error}); expected a whole zip or tar archive"
            ) from error
        if depth:
            for nested in sorted(path for path in staging.rglob("*") if is_archive(path)):
                _unpack(nested, nested.parent, scratch, on_bytes, budget, depth - 1)
                nested.unlink()
        top = list(staging.iterdir())
        alone = len(top) == 1 and top[0].is_dir()
        _merge(staging, folder if alone else folder / _stem(archive))


def _entries(archive: Path) -> Iterator[_Entry]:
    return _zipped(archive) if archive.suffix.lower() == ".zip" else _tarred(archive)


def _zipped(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise InputError(f"{archive.name} is encrypted: unpack it by hand")
            plain = kind in (0, stat.S_IFREG)
            yield _Entry(
                info.filename,
                info.file_size,
                partial(opened.open, info) if plain else None,
            )


def _tarred(archive: Path) -> Iterator[_Entry]:
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isdir():
                continue
            yield _Entry(
                member.name,
                member.size,
                partial(opened.extractfile, member) if member.isfile() else None,
            )


def _write(entry: _Entry, archive: Path, staging: Path, on_bytes: OnBytes, budget: _Budget) -> None:
    path = _inside(entry.name, archive)
    # What macOS adds to archives of its own.
    if path.parts[0] == "__MACOSX" or path.name == ".DS_Store" or path.name.startswith("._"):
        return
    source = entry.open() if entry.open else None
    if source is None:
        raise InputError(
            f"{archive.name} holds {entry.name!r}, a link or device; expected plain files only: "
            f"do not trust it"
        )
    budget.spend(archive, entry.size)
    left = entry.size
    with source, _create(staging / path, entry, archive) as file:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
            on_bytes(len(chunk))
    if left:
        raise InputError(
            f"{archive.name} holds {entry.name!r} of another size than the {entry.size} bytes that "
            f"it declares: do not trust it"
        )


def _create(path: Path, entry: _Entry, archive: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"{archive.name} holds {entry.name!r} twice, or as a file and a folder: do not trust it"
        ) from None


def _inside(name: str, archive: Path) -> PurePosixPath:
    """The path of an entry, that can only lead into the folder it is unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or not path.parts:
        raise InputError(
            f"{archive.name} holds {name!r}, a path that leads outside of the folder: do not "
            f"trust it"
        )
    return path


def _merge(source: Path, target: Path) -> None:
    """Move all files of a folder into another, each in one step."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)


def _stem(archive: Path) -> str:
    suffix = max((s for s in _SUFFIXES if archive.name.lower().endswith(s)), key=len, default="")
    return archive.name[: len(archive.name) - len(suffix)] or archive.name
