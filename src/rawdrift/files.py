"""Files that are either whole or absent."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rawdrift.checks import InputError


def write(path: Path, content: bytes | str | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: a reader, or a run killed half-way, sees the old or the new whole.

    `content` is bytes, text (UTF-8), or a function that writes to the open binary file. The folder
    is made where it is missing. The bytes reach the disk before the name does.
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
        if isinstance(error, OSError) and error.filename is None:  # a full disk does not say where
            error.filename = str(path)
        raise


def make_folder(path: Path) -> None:
    """Make a folder with its parents, or say why it can't be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{path} is a file, expected a folder; choose another one") from None
    except NotADirectoryError:
        raise InputError(f"{path} can't be made: a part of it is a file; choose another") from None


def _umask() -> int:
    # Read once, at import: the only way to read it sets it for a moment.
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
