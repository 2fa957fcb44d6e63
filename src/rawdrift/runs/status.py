"""What a run is doing: two small files in its folder, for other processes to read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from filelock import FileLock, Timeout

from rawdrift import files, progress
from rawdrift.checks import InputError
from rawdrift.runs import codec

FILE = "progress.json"
LOG = "run.log"
_EVERY = 10.0  # seconds between two states of a unit
State = Literal["running", "stopped", "done", "failed"]
T = TypeVar("T")


class UnitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A unit under way. share: of it that is done, 0 to 1. doing: in words. values: the mean loss
    of each epoch of the training under way."""

    label: str
    share: float
    doing: str
    values: list[float] = []


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A run. units: of all, None before the data are read. left_s: seconds, as far as known.

    state: as the run's process last wrote it; see `read`. why: what ended it, if it has failed.
    """

    state: State
    control: str
    units: int | None
    done: int
    failed: int
    doing: str
    left_s: float | None
    begun: str
    updated: str
    why: str = ""


def now() -> str:
    """Return the time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(folder: Path, status: RunStatus) -> None:
    """Write the status of the run in a folder."""
    files.write(folder / FILE, codec.encode(status))


def read(folder: Path) -> RunStatus | None:
    """Return the status of the run in a folder; None if it has none that can be read.

    A run whose process has ended without saying so has stopped.
    """
    status = _read(folder / FILE, RunStatus)
    if status is not None and status.state == "running" and not is_running(folder):
        return msgspec.structs.replace(status, state="stopped", left_s=None)
    return status


def is_running(folder: Path) -> bool:
    """Whether a process works in a run folder: whether it holds its lock."""
    path = folder / ".lock"
    if not path.is_file() or path.is_symlink():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # somebody else's, or on a medium that can't be written to
        return False
    lock.release()
    return False


@contextmanager
def unit(folder: Path, name: str, one: progress.Step) -> Iterator[None]:
    """Tell in a file of the run folder how far a unit is, again and again inside."""
    path = _unit_file(folder, name)

    def tell() -> None:
        status = UnitStatus(
            label=one.what,
            share=one.share,
            doing=progress.state(outer=False) or one.words(),
            values=progress.values(),
        )
        with suppress(OSError):
            files.write(path, codec.encode(status))

    tell()
    try:
        with progress.repeating(_EVERY, tell):
            yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def units(folder: Path) -> dict[str, UnitStatus]:
    """Return the units under way, by name."""
    found = {}
    for path in sorted((folder / "records").glob("*.progress")):
        status = _read(path, UnitStatus)
        if status is not None:
            found[path.stem] = status
    return found


def sweep(folder: Path) -> None:
    """Remove what units of a process that was killed have left."""
    for path in (folder / "records").glob("*.progress"):
        path.unlink(missing_ok=True)


def _unit_file(folder: Path, name: str) -> Path:
    return folder / "records" / f"{name}.progress"


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(files.read_bytes(path), type=kind)
    except (OSError, InputError, msgspec.DecodeError, RecursionError):
        return None
