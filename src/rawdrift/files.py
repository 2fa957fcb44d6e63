"""Write files and folders that are either complete or absent."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rawdrift.checks import InputError


def write(path: Path, content: bytes | str | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: readers see the old file or the new one, also after a kill.

    content: bytes, text (UTF-8), or a function that writes to the open binary file. A missing
    folder is made. The bytes reach the disk before the name does.
    """
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        _name(error, path)
        raise


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder with its parents. Raises InputError if a file is in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{path} is a file, expected a folder; choose another one") from None
    except NotADirectoryError:
        raise InputError(f"{path} can't be made: a part of it is a file; choose another") from None


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder, with everything that is written into it inside the context, atomically.

    Yields a hidden folder beside `path`, which is renamed to `path` at the end. An error leaves
    nothing behind; what a kill leaves, the next attempt removes. Raises InputError if `path` exists
    and is not an empty folder, or if another process is writing it.
    """
    from filelock import FileLock, Timeout

    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} exists already; choose a new folder, or remove it first")
    partial = path.with_name(f".{path.name}.partial")
    make_folder(partial)
    lock = FileLock(partial / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"another process is writing {path}; wait for it") from None
    try:
        for leftover in partial.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            elif leftover.name != ".lock":
                leftover.unlink()
        yield partial
        for written in filter(Path.is_file, partial.rglob("*")):
            with written.open("rb") as file:
                os.fsync(file.fileno())
        (partial / ".lock").unlink()
        partial.replace(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        _name(error, path)
        raise
    finally:
        lock.release()


def _name(error: BaseException, path: Path) -> None:
    if isinstance(error, OSError) and error.filename is None:  # a full disk does not say where
        error.filename = str(path)


def _umask() -> int:
    # Read once, at import: the only way to read it sets it for a moment.
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
