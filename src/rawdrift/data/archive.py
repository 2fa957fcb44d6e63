"""Unpack archives (zip and tar) from strangers, safely.

pooch's processors unpack whatever an archive holds. These functions refuse links, devices, paths
that lead outside, encrypted entries and bombs.
"""

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from errno import EINVAL
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, Self

from rawdrift import files
from rawdrift.checks import InputError

# Raw images shrink to a half or a tenth, and masks are a small part. What grows more is a bomb.
MAX_RATIO = 100
MAX_FILES = 200_000
MAX_HEADER = 1 << 20  # bytes
SCRATCH = ".rawdrift-"  # what the names of folders to unpack in begin with

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_EXTENDING = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_DISTRUST = ": do not trust it"

OnBytes = Callable[[int], object]


class _Entry(NamedTuple):
    """A file or folder in an archive. content: None for links, devices and pipes."""

    name: str
    size: int
    content: IO[bytes] | None
    folder: bool = False


class _Budget:
    """The bytes and files that an archive, with the archives in it, may still unpack."""

    def __init__(self, archive: Path, folder: Path):
        allowed = (1 << 20) + MAX_RATIO * archive.stat().st_size
        self.bytes = min(allowed, shutil.disk_usage(folder).free)
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
    """Unpack an archive, and the archives directly inside it, into a folder.

    An archive without a single folder at its top gets one, named like itself. Files are unpacked in
    `scratch`, a folder on the same disk, and moved into `folder` once all are there; existing files
    are replaced. Raises InputError for links, devices, paths that lead outside, broken or encrypted
    archives, and for more than `MAX_RATIO` times its size, `MAX_FILES` files or the free disk.

    on_bytes: called with the number of bytes of each file that was unpacked.
    """
    _unpack(archive, folder, scratch, on_bytes, _Budget(archive, scratch), depth=1)


def _unpack(
    archive: Path, folder: Path, scratch: Path, on_bytes: OnBytes, budget: _Budget, depth: int
) -> None:
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=scratch) as temporary:
        staging = Path(temporary)
        try:
            for entry in _zipped(archive) if archive.suffix.lower() == ".zip" else _tarred(archive):
                # A reader gives at most the bytes that an entry declares.
                budget.spend(archive, entry.size)
                if not entry.folder and _write(entry, archive, staging):
                    on_bytes(entry.size)
        except Exception as error:  # readers raise whatever they like on broken archives
            if isinstance(error, InputError) or getattr(error, "errno", None) not in (None, EINVAL):
                raise
            raise InputError(
                f"{archive.name} can't be unpacked ({error}); expected a whole zip or tar archive"
            ) from error
        if depth:
            for nested in sorted(path for path in staging.rglob("*") if is_archive(path)):
                _unpack(nested, nested.parent, scratch, on_bytes, budget, depth - 1)
                nested.unlink()
        top = list(staging.iterdir())
        has_folder = len(top) == 1 and top[0].is_dir()
        _merge(staging, folder if has_folder else folder / _stem(archive))


def _zipped(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.flag_bits & 1:
                raise InputError(f"{archive.name} is encrypted: unpack it by hand")
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            content = opened.open(info) if plain and not info.is_dir() else None
            yield _Entry(info.filename, info.file_size, content, info.is_dir())


def _tarred(archive: Path) -> Iterator[_Entry]:
    with tarfile.open(archive, tarinfo=_Header) as opened:
        for member in opened:
            content = opened.extractfile(member) if member.isfile() else None
            yield _Entry(member.name, member.size, content, member.isdir())


class _Header(tarfile.TarInfo):
    """A header of a tar archive. What extends a name or header is read into memory: bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDING and header.size > MAX_HEADER:
            raise tarfile.ReadError(f"it holds a header of {header.size} bytes")
        return header


def _write(entry: _Entry, archive: Path, staging: Path) -> bool:
    """Write an entry into a folder. Return False for what macOS adds to archives."""
    holds = f"{archive.name} holds {entry.name!r}"
    path = PurePosixPath(entry.name.replace("\\", "/"))
    drive = PureWindowsPath(entry.name).drive
    if path.is_absolute() or drive or ".." in path.parts or not path.parts:
        raise InputError(f"{holds}, a path that leads outside of the folder{_DISTRUST}")
    if path.parts[0] == "__MACOSX" or path.name == ".DS_Store" or path.name.startswith("._"):
        return False
    if entry.content is None:
        raise InputError(f"{holds}, a link or device; expected plain files only{_DISTRUST}")
    target = staging / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with entry.content, target.open("xb") as file:
            shutil.copyfileobj(entry.content, file)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{holds} twice, or as a file and a folder{_DISTRUST}") from None
    if target.stat().st_size != entry.size:
        raise InputError(f"{holds} of another size than the {entry.size} bytes that it declares")
    return True


def _merge(source: Path, target: Path) -> None:
    """Move all files of a folder into another, each in one step; see `files.place`."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        files.place(path, target, path.relative_to(source))


def _stem(archive: Path) -> str:
    suffix = max((s for s in _SUFFIXES if archive.name.lower().endswith(s)), key=len, default="")
    return archive.name[: len(archive.name) - len(suffix)] or archive.name
