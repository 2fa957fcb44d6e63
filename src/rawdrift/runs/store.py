"""A run folder: what is done, kept so that a kill at any instant loses only the unit under way."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import yaml
from filelock import FileLock, Timeout

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.runs.spec import flat, to_dict, to_yaml

Record = dict[str, Any]


class Store:
    """Records of finished units, one file each, in a folder that belongs to one spec.

    A unit is a name that can be a file's. Its record holds `rows`, a list of measurements, which
    `results.csv` collects, and whatever else the control needs. A record is written in one atomic
    step, with its checksum: a unit is done or missing, never half, and a damaged one is missing.

    Used as a context, within which no other process works in the folder.
    """

    def __init__(self, folder: Path, spec: Any, columns: Sequence[str]):
        """A run folder, new or with the same spec. InputError for any other; writes nothing."""
        self.folder = folder
        self.spec = spec
        self.columns = tuple(columns)
        self._lock = FileLock(folder / ".lock", timeout=0)
        self._check(to_dict(spec))

    def __enter__(self) -> Self:
        """Make the folder, write spec.yaml, sweep away what a killed write has left."""
        files.make_folder(self.folder)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"another process is at work in {self.folder}; wait for it, or choose a new folder"
            ) from None
        for leftover in self.folder.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        files.write(self.folder / "spec.yaml", to_yaml(self.spec))
        files.make_folder(self.folder / "records")
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def append(self, unit: str, record: Record) -> None:
        """Keep the record of a finished unit, and add its rows at the end of results.csv."""
        text = json.dumps({"checksum": _checksum(record), "record": record}, indent=1)
        files.write(self._path(unit), text)
        with self._results.open("ab") as file:
            file.write(self._lines(record["rows"], header=file.tell() == 0))

    def read(self, unit: str) -> Record | None:
        """The record of a unit; None where it is missing or damaged."""
        try:
            held = json.loads(self._path(unit).read_text("utf-8"))
            record: Record = held["record"]
            return record if held["checksum"] == _checksum(record) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # missing, or damaged
            return None

    def records(self, units: Iterable[str]) -> "Records":
        """The records of finished units, in the order of `units`."""
        return Records(self, tuple(units))

    def write_results(self, units: Iterable[str]) -> None:
        """Write results.csv: the rows of all finished units, in the order of `units`.

        Those that `append` adds stand in the order in which units finish, and a kill may cost the
        last ones, until this is called again: at the beginning and the end of a run.
        """

        def write(file: IO[bytes]) -> None:
            file.write(self._lines([], header=True))
            for record in self.records(units):
                file.write(self._lines(record["rows"]))

        files.write(self._results, write)

    def _lines(self, rows: Iterable[Mapping[str, Any]], header: bool = False) -> bytes:
        """Rows as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    @property
    def _results(self) -> Path:
        return self.folder / "results.csv"

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        files.write(self.folder / "summary.json", json.dumps(summary, indent=1) + "\n")

    def _path(self, unit: str) -> Path:
        return self.folder / "records" / f"{unit}.json"

    def _check(self, spec: dict[str, Any]) -> None:
        """Refuse a folder that is not this spec's."""
        path = self.folder / "spec.yaml"
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file, expected a run folder; choose another")
        if not path.exists():
            if self.folder.exists() and any(not _is_ours(path) for path in self.folder.iterdir()):
                raise InputError(
                    f"{self.folder} is not empty and no run of rawdrift; choose a new folder"
                )
            return
        try:
            held = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            held = None
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
            f"choose a new folder, or the same settings to go on"
        )


class Records:
    """Records of finished units, as often as they are gone through: one is in memory at a time."""

    def __init__(self, store: Store, units: tuple[str, ...]):
        self._store = store
        self._units = units

    def __iter__(self) -> Iterator[Record]:
        found = map(self._store.read, self._units)
        return (record for record in found if record is not None)


def _is_ours(path: Path) -> bool:
    """What a run that was killed at its very beginning may have left."""
    return path.name == ".lock" or (path.name.startswith(".spec.yaml.") and path.suffix == ".tmp")


def _checksum(record: Record) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
