"""Say what is going on: at least one line every 30 seconds, in the terminal and in a run's log.

A long piece of work is a `step`. Steps nest. While one lasts, a thread prints a line about the
steps under way whenever nothing was printed for `EVERY` seconds.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from rawdrift.checks import visible

Item = TypeVar("Item")

EVERY = 20.0
"""Seconds of silence after which a line is printed."""


class Step:
    """A piece of work under way.

    what: in a few words, such as "reading". total: of what is counted, if it is known; `done` of it
    is done. unit: what is counted; "" for a share that is not shown. remark: what else to say, such
    as the loss. values: one for each epoch of a training, its mean loss.
    """

    def __init__(self, what: str, total: float | None = None, unit: str = "", done: float = 0):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.remark = ""
        self.values: list[float] = []
        self._begun, self._done_before = time.monotonic(), done
        self._bar: Any = None

    def begin(self, total: float, unit: str) -> None:
        """Say what is counted from now on."""
        self.total, self.unit = total, unit
        self._begun, self._done_before = time.monotonic(), self.done

    def advance(self, count: float = 1) -> None:
        """Count what is done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1; 0 if it is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def seconds_left(self) -> float | None:
        """Estimate how long the step will take, from what is done; None before anything is."""
        done = self.done - self._done_before
        if self.total is None or done <= 0:
            return None
        return (time.monotonic() - self._begun) * max(0.0, self.total - self.done) / done

    def words(self, least: float = 0.0) -> str:
        """Say what is done, how much of it, and how long it will take: `least` seconds or more."""
        parts = [self.what]
        if self.unit:
            of = "" if self.total is None else f" of {self.total:.0f}"
            parts.append(f"{int(self.done + 1e-6)}{of} {_plural(self.unit)}")
        if self.remark:
            parts.append(self.remark)
        left = self.seconds_left()
        if left is None:
            parts.append(f"for {duration(time.monotonic() - self._begun)} so far")
        else:
            parts.append(f"about {duration(max(left, least))} left")
        return ", ".join(parts)


class _Process:
    """What this process is doing, and where its lines go."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.steps: list[Step] = []
        self.logs: list[Callable[[str], None]] = []
        self.said = time.monotonic()
        self.is_quiet = False


_PROCESS = _Process()


@contextmanager
def step(what: str, total: float | None = None, unit: str = "", done: float = 0) -> Iterator[Step]:
    """Do a piece of work inside, see `Step`. On a terminal, what is counted has a bar."""
    one = Step(what, total, unit, done)
    with _PROCESS.lock:
        outermost = not _PROCESS.steps
        if outermost:
            _PROCESS.said = time.monotonic()
        _PROCESS.steps.append(one)
    if unit and not _PROCESS.is_quiet and sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        one._bar = tqdm(desc=what, total=total, initial=done, unit=unit, leave=False)
    try:
        if outermost:
            with repeating(EVERY / 10, _beat):
                yield one
        else:
            yield one
    finally:
        if one._bar is not None:
            one._bar.close()
        with _PROCESS.lock:
            _PROCESS.steps.remove(one)


def over(items: Iterable[Item], what: str, unit: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over items as a step. total: how many there are, of those without a length."""
    with step(what, len(items) if isinstance(items, Sized) else total, unit) as one:
        for item in items:
            yield item
            one.advance()


def count(unit: str, number: float = 1) -> None:
    """Count `number` as done in the innermost step that counts this unit, if there is one."""
    with _PROCESS.lock:
        one = next((s for s in reversed(_PROCESS.steps) if s.unit == unit), None)
    if one is not None:
        one.advance(number)


def state(outer: bool = True) -> str:
    """Say in a line what is under way. outer: whether to begin with the outermost step."""
    with _PROCESS.lock:
        # Once what several threads do.
        steps = [*{step.what: step for step in _PROCESS.steps[not outer :]}.values()]
    last = len(steps) - 1
    least = steps[-1].seconds_left() or 0.0 if steps else 0.0
    return "; ".join(s.words(least) if i in (0, last) else s.what for i, s in enumerate(steps))


def values() -> list[float]:
    """Return the values of the innermost step that has some, see `Step`."""
    with _PROCESS.lock:
        return next((list(s.values) for s in reversed(_PROCESS.steps) if s.values), [])


def say(line: str, file: IO[str] | None = None) -> None:
    """Print a line, by default on the standard output, and add it to the log."""
    from tqdm import tqdm

    line = visible(line)
    with _PROCESS.lock:
        _PROCESS.said = time.monotonic()
        if not _PROCESS.is_quiet:
            with suppress(AttributeError):  # a program without a console has no streams
                tqdm.write(line, file or sys.stdout)
        note(line)


def note(line: str) -> None:
    """Add a line to the log alone."""
    with _PROCESS.lock:
        for write in _PROCESS.logs:
            write(line)


@contextmanager
def log(path: Path, clean: Callable[[str], str] = str) -> Iterator[None]:
    """Add all lines inside to the end of a log file, with their time in UTC.

    clean: what is done to each line, such as to take paths out. A line that can't be written is
    lost: no run ends for the sake of its log.
    """

    def write(line: str) -> None:
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError), path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{moment} {' '.join(clean(line).split())}\n")

    with _PROCESS.lock:
        _PROCESS.logs.append(write)
    try:
        yield
    finally:
        with _PROCESS.lock:
            _PROCESS.logs.remove(write)


@contextmanager
def quiet() -> Iterator[None]:
    """Print nothing inside: another process tells what this one does."""
    before, _PROCESS.is_quiet = _PROCESS.is_quiet, True
    try:
        yield
    finally:
        _PROCESS.is_quiet = before


@contextmanager
def repeating(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Call `action` from a thread again and again inside, with so many seconds in between."""
    end = threading.Event()

    def repeat() -> None:
        while not end.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, name="rawdrift-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def duration(seconds: float) -> str:
    """Write a time that is known roughly."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _plural(unit: str) -> str:
    if unit.isupper():  # a symbol
        return unit
    return unit + ("es" if unit.endswith("tch") else "s")


def _beat() -> None:
    if time.monotonic() - _PROCESS.said >= EVERY:
        line = state()
        if line:
            say(line, sys.stderr)
