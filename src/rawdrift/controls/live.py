"""A run under way: its log, its status, and a page that shows what is there."""

import csv
import io
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rawdrift import files, progress
from rawdrift.controls.result import SUMMARY
from rawdrift.report import running
from rawdrift.report.running import Curve, Line
from rawdrift.runs import status
from rawdrift.runs.spec import to_dict
from rawdrift.runs.status import RunStatus, State

EVERY = 15.0
"""Seconds between two states of the status file."""
PAGE_EVERY = 30.0
_MOST_COST = 0.02  # of the run's time that its page may take
_ROWS, _TAIL = 40, 1 << 15  # of results.csv that are shown, and the bytes that hold them
_LOG_LINES = 40


class Live:
    """Tells what a run is doing, inside its context: in run.log, progress.json and report.html.

    The page says that it is unfinished. It is written anew while units finish, and replaced by
    the page of the result. A run that has its result, and nothing to do, is left as it is.
    """

    def __init__(self, control: str, spec: Any, folder: Path, clean: Callable[[str], str]):
        self._control, self._spec, self._folder, self._clean = control, spec, folder, clean
        self._has_page = not (folder / SUMMARY).is_file()
        self._labels: dict[str, str] = {}
        self._costs: dict[str, float] = {}
        self._done: dict[str, Line] = {}
        self._failed: dict[str, str] = {}
        self._curves: dict[str, Curve] = {}
        self._cost_todo = self._cost_done = 0.0
        self._begun = status.now()
        self._page_after = 0.0  # of the monotonic clock
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from rawdrift import __version__

        status.sweep(self._folder)
        log = progress.log(self._folder / status.LOG, self._clean)
        self._stack.enter_context(log)
        self.step = self._stack.enter_context(progress.step(self._control, 1.0))
        progress.note(f"{self._control} started, rawdrift {__version__}")
        self._refresh()
        self._stack.enter_context(progress.repeating(EVERY, self._refresh))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state: State = "failed" if self._failed else "done"
        why = ""
        if error is not None:
            state = "failed" if isinstance(error, Exception) else "stopped"
            why = self._clean(f"{error}") if isinstance(error, Exception) else ""
        progress.note(f"{state}{': ' * bool(why)}{why}")
        self._stack.close()
        if (self._folder / "spec.yaml").is_file():
            self._write(state, why)

    def plan(
        self,
        units: Mapping[str, str],
        costs: Mapping[str, float],
        done: Mapping[str, tuple[str, float]],
    ) -> None:
        """Say what there is to do.

        units: labels by name. costs: of the units to do. done: of the others, what each found, and
        in how many seconds.
        """
        self._labels, self._costs = dict(units), dict(costs)
        for name, (line, seconds) in done.items():
            self._done[name] = Line(units[name], self._clean(line), seconds)
        self._cost_todo = sum(costs.values())
        self._has_page = self._has_page or bool(costs)
        self.step.begin(1.0, "")
        self._refresh()

    def finished(self, name: str, line: str, seconds: float) -> None:
        """Say that a unit is finished, and what it found."""
        self._cost_done += self._costs[name]
        self._done[name] = Line(self._labels[name], self._clean(line), seconds)
        self._follow()

    def failed(self, name: str, reason: str) -> str:
        """Say why a unit failed. Returns the reason as it is said: without absolute paths."""
        self._cost_done += self._costs[name]
        self._failed[name] = self._clean(reason)
        self._follow()
        return self._failed[name]

    @property
    def is_planned(self) -> bool:
        """Whether the data are read, and it is known what there is to do."""
        return bool(self._labels)

    @property
    def seconds_left(self) -> float | None:
        """An estimate."""
        return self.step.seconds_left()

    def _follow(self) -> dict[str, status.UnitStatus]:
        """Look at the units under way, and tell how much of the run is done."""
        under_way = {
            name: unit
            for name, unit in status.units(self._folder).items()
            if name in self._costs and name not in self._done
        }
        for name, unit in under_way.items():
            if len(unit.values) > 1:
                self._curves[name] = Curve(unit.label, unit.values)
        if self._cost_todo:
            cost = sum(self._costs[name] * unit.share for name, unit in under_way.items())
            self.step.done = (self._cost_done + cost) / self._cost_todo
            units = f"{len(self._done)} of {len(self._labels)} units done"
            failed = f", {len(self._failed)} failed" if self._failed else ""
            self.step.remark = units + failed
        return under_way

    def _refresh(self) -> None:
        try:
            self._write("running")
        except Exception as error:  # no run ends for the sake of what tells of it
            progress.say(f"progress can't be written: {self._clean(str(error))}")

    def _write(self, state: State, why: str = "") -> None:
        under_way = self._follow()
        ended = state != "running"
        told = RunStatus(
            state=state,
            control=self._control,
            units=len(self._labels) or None,
            done=len(self._done),
            failed=len(self._failed),
            doing="" if ended else self._clean(progress.state()),
            left_s=None if ended else self.seconds_left,
            begun=self._begun,
            updated=status.now(),
            why=why,
        )
        status.write(self._folder, told)
        started = time.monotonic()
        if not self._has_page or (started < self._page_after and not ended):
            return
        page = running.page(
            told,
            name=self._folder.resolve().name,
            spec=self._spec_in_words(),
            under_way=[(u.label, u.share, self._clean(u.doing)) for u in under_way.values()],
            done=list(self._done.values()),
            failed={self._labels[name]: reason for name, reason in self._failed.items()},
            curves=list(self._curves.values()),
            rows=_tail_of_csv(self._folder / "results.csv"),
            log=_tail(self._folder / status.LOG).splitlines()[-_LOG_LINES:],
        )
        files.write(self._folder / "report.html", page)
        took = time.monotonic() - started
        self._page_after = time.monotonic() + max(PAGE_EVERY, took / _MOST_COST)

    def _spec_in_words(self) -> str:
        from rawdrift.report.page import listing

        return self._clean(listing(to_dict(self._spec)))


def _tail(path: Path) -> str:
    """Return the end of a text file, from the beginning of a line on."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(0, io.SEEK_END)
        start = max(0, file.tell() - _TAIL)
        file.seek(start)
        text = file.read().decode(errors="replace")
        return text.partition("\n")[2] if start else text
    return ""


def _tail_of_csv(path: Path) -> list[list[str]]:
    """Return the head of a table and its last rows."""
    with suppress(OSError, csv.Error):
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.readline()
        rows = [row for row in csv.reader(io.StringIO(_tail(path))) if row]
        names = next(csv.reader([head]), [])
        whole = [row for row in rows if len(row) == len(names) and row != names]
        return [names, *whole[-_ROWS:]]
    return []
