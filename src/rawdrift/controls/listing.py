"""The runs in a folder: what `rawdrift runs` lists."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rawdrift import progress
from rawdrift.checks import InputError
from rawdrift.controls.result import SUMMARY, load_result
from rawdrift.runs import status

DEEPEST = 4  # folders below the one that is given
_SHORTEST = 20  # characters of a headline
_PARTS = {"records", "figures", "tables", "samples", "networks", "models", "isps"}


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A run folder.

    run: its path below the folder that was listed. control: its name, "" if it is not known.
    state: "running", "stopped", "done" or "failed" (it was ended by an error, or units failed).
    done, units: how many units are done, of how many; None where it is not known. left_s: seconds,
    as far as known. changed: when something was last computed, in UTC. headline: what was found,
    or what ended the run.
    """

    run: str
    control: str
    state: status.State
    done: int
    units: int | None
    left_s: float | None
    changed: str
    headline: str


def runs(root: str | Path) -> list[Listed]:
    """Return the runs in a folder and in those below it, the one that changed last first.

    A damaged run folder is listed with what is wrong with it. Raises InputError if there is no such
    folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give one that holds runs")
    found = [_listed(folder, root) for folder in _folders(root)]
    return sorted(sorted(found, key=lambda one: one.run), key=lambda one: one.changed, reverse=True)


def lines(found: Sequence[Listed]) -> list[str]:
    """Return runs as the lines of a table, on a terminal with headlines cut to its width."""
    head = ("RUN", "CONTROL", "STATE", "UNITS", "CHANGED", "HEADLINE")
    rows = [
        (
            one.run,
            one.control or "?",
            one.state,
            f"{one.done} of {'?' if one.units is None else one.units}",
            one.changed.replace("T", " ")[:16],
            one.headline or (f"about {progress.duration(one.left_s)} left" if one.left_s else ""),
        )
        for one in found
    ]
    table = [head, *rows]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    wide = [max(len(row[i]) for row in table) for i in range(len(head) - 1)]
    lined = [
        "  ".join([*(text.ljust(n) for text, n in zip(row, wide, strict=False)), row[-1]]).rstrip()
        for row in table
    ]
    if room is None:
        return lined
    least = sum(wide) + 2 * len(wide) + _SHORTEST
    return [_cut(line, max(room, least)) for line in lined]


def _cut(line: str, room: int) -> str:
    return line if len(line) <= room else f"{line[: room - 3]}..."


def _folders(root: Path) -> Iterator[Path]:
    """Yield run folders. Links are not followed, and what a run folder holds is not searched."""
    for path, names, files in os.walk(root, onerror=None):
        folder = Path(path)
        is_run = "spec.yaml" in files and ("records" in names or SUMMARY in files)
        if is_run:
            yield folder
        names[:] = sorted(n for n in names if n[0] != "." and not (is_run and n in _PARTS))
        if len(folder.relative_to(root).parts) >= DEEPEST:
            names.clear()


def _listed(folder: Path, root: Path) -> Listed:
    state = status.read(folder)
    done = _count(folder / "records")
    has_result = (folder / SUMMARY).is_file()
    control, headline = (state.control if state else ""), (state.why if state else "")
    if state is None:
        kind: status.State = "running" if status.is_running(folder) else "stopped"
        kind = "done" if has_result and kind == "stopped" else kind
    else:
        kind = state.state
    if has_result and kind in ("done", "failed"):
        try:
            control, headline, failed = _result(folder)
            kind = "failed" if failed else kind
        except Exception as error:  # whatever is wrong with it, the others are listed
            kind, headline = "failed", f"its result can't be read: {error}"
    return Listed(
        run="." if folder == root else folder.relative_to(root).as_posix(),
        control=control,
        state=kind,
        done=done if state is None else max(done, state.done),
        units=None if state is None else state.units,
        left_s=state.left_s if state else None,
        changed=state.updated if state else _changed(folder),
        headline=" ".join(headline.split()),
    )


def _result(folder: Path) -> tuple[str, str, bool]:
    """Return control, headline, and whether units failed."""
    from rawdrift.controls.run import lines as findings

    result = load_result(folder)
    return result.kind, next(iter(findings(result, folder)), ""), bool(result.failed)


def _count(records: Path) -> int:
    try:
        return sum(entry.name.endswith(".json") for entry in os.scandir(records))
    except OSError:
        return 0


def _changed(folder: Path) -> str:
    times = [0.0]
    for name in ("results.csv", SUMMARY, "spec.yaml"):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="seconds")
