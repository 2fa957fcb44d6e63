"""Write files and folders that are either complete or absent."""

import csv
import filecmp
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rawdrift.checks import InputError

if TYPE_CHECKING:
    from filelock import FileLock

_OURS = ".rawdrift-"
"""What the names of temporary files begin with."""
_LEFTOVER = re.compile(rf"{re.escape(_OURS)}[a-z0-9_]{{8}}\.tmp")  # as mkstemp names them


def write(
    path: Path, content: bytes | str | Callable[[IO[bytes]], object], replaces: bool = True
) -> None:
    """Write a file atomically: readers see the old file or the new one, also after a kill.

    content: bytes, text (UTF-8), or a function that writes to the open binary file. A missing
    folder is made. The bytes reach the disk before the name does.

    replaces: whether to replace an existing file, instead of raising InputError.
    """
    make_folder(path.parent)
    try:
        handle, temporary = tempfile.mkstemp(prefix=_OURS, suffix=".tmp", dir=path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    os.close(handle)
    try:
        with Path(temporary).open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        if replaces:
            Path(temporary).replace(path)
        else:
            _publish(Path(temporary), path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        _name(error, path, temporary)
        raise


def _publish(temporary: Path, path: Path) -> None:
    """Give a file its name, unless another file has it, in one step where the disk has links."""
    try:
        path.hardlink_to(temporary)
    except OSError:  # it exists, or the disk has no hard links
        check_new(path)
        temporary.replace(path)
    else:
        temporary.unlink()


def check_new(path: Path) -> None:
    """Raise InputError if anything has this name."""
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; remove it, or choose another name")


def check_folder(path: Path) -> None:
    """Raise InputError unless this is a folder."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}, expected a folder; check the path")


def check_suffix(name: str, path: Path, suffix: str, what: str) -> None:
    """Raise InputError unless an output has the suffix of its content. name: of the argument."""
    if path.suffix != suffix:
        raise InputError(f"{name} must name {what} ({suffix}), got {str(path)!r}")


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file. Raises InputError for a folder, and for a device or pipe, which
    may never end."""
    _check_whole(path, "a text file")
    return path.read_text(encoding)


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns of a CSV file, and its rows by column, as `csv.DictReader` gives them.

    Raises InputError if it is none in UTF-8."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, "utf-8-sig"), newline=""))
        return [*(reader.fieldnames or ())], [*reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a table (CSV in UTF-8): {error}") from None


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises InputError for a folder, and for a device or pipe,
    which may never end."""
    _check_whole(path, "a whole file")
    return path.read_bytes()


def _check_whole(path: Path, expected: str) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected {expected}; give a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file with an end; expected {expected}")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits.

    A file is read again only after it was written to, by its size and its times.
    """
    stat = Path(path).stat()
    return _sha256(Path(path), (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@lru_cache(maxsize=256)
def _sha256(path: Path, state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder with its parents. Raises InputError if a file is in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{path} is a file, expected a folder; choose another one") from None
    except NotADirectoryError:
        raise InputError(f"{path} can't be made: a part of it is a file; choose another") from None


def check_writable(folder: Path) -> None:
    """Raise InputError unless a folder can be made or written to; nothing is left behind."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(
            f"{folder} can't be written to: {there}: {error.strerror}; choose another folder"
        ) from None


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder, with everything that is written into it inside the context, atomically.

    Yields a hidden folder beside `path`, which is renamed to `path` at the end. An error leaves
    nothing behind; what a kill leaves, the next attempt removes. Raises InputError if `path` exists
    and is not an empty folder, if another process is writing it, or if somebody else's folder has
    the name of the hidden one.
    """
    from filelock import Timeout

    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} exists already; choose a new folder, or remove it first")
    partial = path.with_name(f".{path.name}.partial")
    marker = partial / f"{_OURS}lock"
    make_folder(partial.parent)
    try:
        partial.mkdir()
    except FileExistsError:
        empty = partial.is_dir() and not any(partial.iterdir())
        if partial.is_symlink() or not (empty or _is_file(marker)):
            raise InputError(
                f"{partial} is in the way and was not made by rawdrift; rename it, or choose "
                f"another name than {path.name}"
            ) from None
    except OSError as error:
        _name(error, path, partial)
        raise
    held = lock(marker)
    try:
        held.acquire()
    except Timeout:
        raise InputError(f"another process is writing {path}; wait for it") from None
    try:
        for leftover in partial.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            elif leftover != marker:
                leftover.unlink()
        yield partial
        for written in filter(Path.is_file, partial.rglob("*")):
            with written.open("rb") as file:
                os.fsync(file.fileno())
        marker.unlink()
        partial.replace(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        _name(error, path, partial)
        raise
    finally:
        held.release()


_QUOTED_PATH = re.compile(r"(?<=')(?:file://)?(?:/|[A-Za-z]:[\\/])[^'\n]*[\\/][^'\n]*(?=')")
_PATH = re.compile(
    r"(?<![\w.~/\\<])(?:file://)?(?:/(?!/)|[A-Za-z]:[\\/])[^\s'\"<>|&,;:()\[\]{}]*"
    r"[\\/][^\s'\"<>|&,;:()\[\]{}]*"
)


def without_paths(folders: Iterable[Path], others: bool = True) -> Callable[[str], str]:
    """Return a function of a text that names files without saying where this user keeps them.

    What lies in one of these folders, in the working folder or in Python's is named relative to it,
    and what lies in the user's home begins with "~". others: whether the last part stands for any
    other absolute path; a name of the user's may look like one.
    """
    places = {folder: folder.name for folder in folders}
    places |= {Path.cwd(): "", Path(sys.prefix): "", Path.home(): "~"}
    patterns = [
        (re.compile(rf"(?<![\w.~/-]){re.escape(str(place))}(?=/|(?![\w.-]))"), name or ".")
        for place, name in sorted(places.items(), key=lambda item: -len(str(item[0])))
        if place != Path(place.anchor)
    ]

    def clean(text: str) -> str:
        for pattern, name in patterns:
            text = pattern.sub(name, text)
        for pattern in (_QUOTED_PATH, _PATH) if others else ():
            text = pattern.sub(lambda found: re.split(r"[\\/]", found[0].rstrip("\\/"))[-1], text)
        return text

    return clean


def plain_cell(value: object) -> object:
    """Return a value for a table: text that a spreadsheet would run as a formula is quoted, and
    control characters are replaced."""
    if not isinstance(value, str):
        return value
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    is_number = re.fullmatch(r"[+-]?\d+(\.\d+)?", text)
    first = unicodedata.normalize("NFKC", text[:1])  # of wide letters too
    return f"'{text}" if first in {*"=+-@"} and not is_number else text


def place(path: Path, root: Path, name: Path) -> None:
    """Move a file to `root / name`, in one step. Raises InputError if something else is there, or
    if a link leads elsewhere; the same bytes may be there already."""
    target = root / name
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{target.parent} is a link to another place; remove it")
    make_folder(target.parent)
    if target.is_symlink() or (target.exists() and not filecmp.cmp(path, target, shallow=False)):
        raise InputError(
            f"{target} exists already, and is not the file that would be written there; choose an "
            f"empty folder, or move it away"
        )
    path.replace(target)


def inside(root: Path, name: str) -> Path:
    """Return the path of a file that another file names. Raises InputError if it is outside of the
    folder `root`."""
    path = root / name
    if "\0" in name or not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{name!r} is outside of {root}; expected a file in that folder")
    return path


def lock(path: Path) -> "FileLock":
    """Return the lock of a file, which is empty. Raises InputError if something else is there."""
    from filelock import FileLock  # not for commands that write nothing

    if path.is_symlink() or (path.exists() and (not path.is_file() or path.stat().st_size)):
        raise InputError(f"{path} is in the way and was not made by rawdrift; rename it")
    return FileLock(path, timeout=0)


def check_no_links(folder: Path) -> None:
    """Raise InputError if a folder holds a link, through which files elsewhere would change."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise InputError(
                f"{path} is a link to {path.readlink()}, and rawdrift writes into no folder with "
                f"links; replace it by what it links to, or choose another folder"
            )


def sweep(folder: Path) -> None:
    """Remove what killed calls of `write` have left in a folder and in those within it."""
    for leftover in filter(is_leftover, folder.rglob(f"{_OURS}*.tmp")):
        leftover.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether a killed call of `write` has left this file."""
    return _LEFTOVER.fullmatch(path.name) is not None and _is_file(path)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _name(error: BaseException, path: Path, hidden: str | Path) -> None:
    """Let an error name what the user gave. hidden: the file or folder that stands for it."""
    if isinstance(error, OSError) and (
        error.filename is None  # a full disk does not say where
        or Path(str(error.filename)).is_relative_to(hidden)
    ):
        error.filename = str(path)


def _umask() -> int:
    # Read once, at import: the only way to read it sets it for a moment.
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
