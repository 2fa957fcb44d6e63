"""A run folder. A kill at any instant loses only the unit that is being computed."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, Generic, Self, TypeVar

import msgspec
import yaml
from filelock import Timeout

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.runs import codec, status
from rawdrift.runs.spec import flat, read_yaml, to_yaml

_PATIENCE = 0.5  # seconds: `status.is_running` holds the lock for a moment

Row = dict[str, Any]
"""One measurement: a line of results.csv, by column."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit measured. Each control adds the fields that its analysis needs.

    precision: of the network's arithmetic.
    """

    rows: list[Row]
    precision: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when a unit was computed.

    inputs: fingerprints of what its numbers depend on, beside the spec. threads: of torch.
    finished: the time in UTC. seconds: how long it took.
    """

    inputs: list[str]
    device: str
    threads: int
    torch: str
    finished: str
    seconds: float


C = TypeVar("C", bound=Record)


class Finished(msgspec.Struct, Generic[C], frozen=True):
    """A finished unit: what it measured, and how it was computed."""

    record: C
    environment: Environment


class _File(msgspec.Struct):
    checksum: str
    finished: msgspec.Raw


class Store(Generic[C]):
    """Records of finished units, one file each, in a folder that belongs to one spec.

    A unit has a name that can be a file's. Its record is written in one atomic step, with its
    checksum: a unit is finished or missing, never half done; a damaged one is missing.

    Use it as a context: no other process works in the folder inside.
    """

    def __init__(self, folder: Path, spec: Any, columns: Sequence[str], record: type[C]):
        """Open a run folder, new or of the same spec. Raises InputError for any other.

        columns: of results.csv; rows may have more. record: the type of the records. Nothing is
        written yet.
        """
        self.folder = folder
        self.spec = spec
        self.columns = tuple(columns)
        self._type = Finished[record]  # type: ignore[valid-type]
        self._lock = files.lock(folder / ".lock")
        self._check(yaml.safe_load(to_yaml(spec)))

    def __enter__(self) -> Self:
        """Make the folder, write spec.yaml, and remove what a killed write has left.

        Raises InputError if another process works in the folder, or if it holds a link.
        """
        lineage = [self.folder, *self.folder.absolute().parents]
        self._made = list(takewhile(lambda folder: not folder.exists(), lineage))
        self._is_new = not (self.folder / "spec.yaml").exists()
        files.make_folder(self.folder)
        files.check_no_links(self.folder)
        try:
            self._lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise InputError(
                f"another process is working in {self.folder}; wait for it, or choose a new folder"
            ) from None
        files.sweep(self.folder)
        files.write(self.folder / "spec.yaml", to_yaml(self.spec))
        files.make_folder(self.folder / "records")
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def withdraw(self) -> None:
        """Remove what this context has begun, if it has made the run folder."""
        if not self._is_new or any((self.folder / "records").glob("*.json")):
            return
        self._lock.release()
        for name in ("spec.yaml", status.FILE, status.LOG, "report.html", ".lock"):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else has put something there
            for folder in (self.folder / "records", *self._made):
                folder.rmdir()

    def append(self, unit: str, finished: Finished[C]) -> None:
        """Keep a finished unit, and add its rows at the end of results.csv.

        Raises InputError if the folder was removed in the meantime.
        """
        self.check_exists()
        body = codec.encode(finished)
        checksum = hashlib.sha256(body).hexdigest()
        content = msgspec.json.encode(_File(checksum, msgspec.Raw(body)))
        files.write(self._path(unit), content + b"\n")
        with self._results.open("ab") as file:
            file.write(self._lines(finished.record.rows, header=file.tell() == 0))

    def read(self, unit: str) -> Finished[C] | None:
        """Return a finished unit; None if it is missing or damaged."""
        try:
            held = msgspec.json.decode(self._path(unit).read_bytes(), type=_File)
            if hashlib.sha256(held.finished).hexdigest() != held.checksum:
                return None
            finished: Finished[C] = msgspec.json.decode(held.finished, type=self._type)
            return finished
        except (FileNotFoundError, msgspec.DecodeError, RecursionError):
            return None

    def check_exists(self) -> None:
        """Raise InputError if the run folder has gone, or lost its spec, since it was opened."""
        if not (self.folder / "spec.yaml").is_file():
            raise InputError(
                f"the run folder {self.folder} was removed or moved during the run; start the same "
                f"command again"
            )

    def check_complete(self, units: Iterable[str]) -> None:
        """Raise InputError if the record of one of these finished units has gone."""
        self.check_exists()
        lost = [unit for unit in units if self.read(unit) is None]
        if lost:
            raise InputError(
                f"{len(lost)} records of finished units in {self.folder} were removed or damaged "
                f"during the run, the first {lost[0]}; start the same command again"
            )

    def records(self, units: Iterable[str]) -> "Records[C]":
        """Return the finished ones of these units, in this order."""
        return Records(self, tuple(units))

    def write_results(self, units: Iterable[str]) -> None:
        """Write results.csv: the rows of all finished units, in the order of `units`.

        `append` adds rows in the order in which units finish, and a kill may lose the last ones,
        until this is called again: at the beginning and the end of a run.
        """

        def write(file: IO[bytes]) -> None:
            file.write(self._lines([], header=True))
            for finished in self.records(units):
                file.write(self._lines(finished.record.rows))

        files.write(self._results, write)

    def _lines(self, rows: Iterable[Row], header: bool = False) -> bytes:
        """Rows as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows({k: files.plain_cell(v) for k, v in row.items()} for row in rows)
        return text.getvalue().encode()

    @property
    def _results(self) -> Path:
        return self.folder / "results.csv"

    def _path(self, unit: str) -> Path:
        return self.folder / "records" / f"{unit}.json"

    def _check(self, spec: Mapping[str, Any]) -> None:
        """Refuse a folder that belongs to another spec."""
        path = self.folder / "spec.yaml"
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file, expected a run folder; choose another")
        if not path.exists():
            if self.folder.exists() and any(not _is_ours(path) for path in self.folder.iterdir()):
                raise InputError(
                    f"{self.folder} is not empty and no run of rawdrift; choose a new folder"
                )
            return
        held = read_yaml(path)
        self._check_release()
        if held == spec:
            return
        if not isinstance(held, dict):
            raise InputError(f"{path} is not readable as a spec; choose a new folder")
        old, new = flat(held), flat(spec)
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        shown = "; ".join(f"{k} is {old.get(k)!r} there, {new.get(k)!r} here" for k in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise InputError(
            f"{self.folder} holds another experiment ({shown}{more}); "
            f"choose a new folder, or the same settings to resume"
        )

    def _check_release(self) -> None:
        """Refuse the records of an earlier release, which would be computed again in silence."""
        for path in (self.folder / "records").glob("*.json"):
            head = path.read_bytes()[:200]
            if b'"record"' in head and b'"finished"' not in head:
                raise InputError(
                    f"{self.folder} holds records of an earlier release of rawdrift, which this "
                    f"one can't read; choose a new folder"
                )


class Records(Generic[C]):
    """Finished units, to be iterated any number of times; one is in memory at a time."""

    def __init__(self, store: Store[C], units: tuple[str, ...]):
        self._store = store
        self._units = units

    def __iter__(self) -> Iterator[Finished[C]]:
        read = map(self._store.read, self._units)
        return (finished for finished in read if finished is not None)


def _is_ours(path: Path) -> bool:
    """What a run that was killed at its very beginning may have left."""
    return path.name == ".lock" or files.is_leftover(path)
