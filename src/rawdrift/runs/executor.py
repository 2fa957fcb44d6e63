"""Compute the units of a run: in this process, in several, or on a Ray cluster.

An executor calls one function on many items and yields results as they arrive, in any order. The
function and its results must be picklable. A unit gives the same result wherever it runs and
however often it was tried.
"""

import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from typing import Any, Generic, Protocol, TypeVar

from rawdrift.checks import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 3  # of a unit whose worker dies


@dataclass(frozen=True)
class Done(Generic[Result]):
    """The result of a unit."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """Why a unit has no result: one line, and the traceback."""

    reason: str
    details: str = ""


class Executor(Protocol):
    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Done[Result] | Failed]]:
        """Yield each item with the result of `work`, or why it failed; the others continue."""
        ...


def attempt(work: Callable[[Item], Result], item: Item) -> Done[Result] | Failed:
    """Call `work` and return its result, or the reason of its exception."""
    try:
        return Done(work(item))
    except Exception as error:
        text = " ".join(str(error).split())
        reason = text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
        return Failed(reason, traceback.format_exc())


class Inline:
    """Compute units one after the other in this process."""

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Done[Result] | Failed]]:
        for item in items:
            yield item, attempt(work, item)


class Processes:
    """Compute units in `workers` processes at a time, each a new interpreter (spawn)."""

    def __init__(self, workers: int):
        self.workers = workers

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Done[Result] | Failed]]:
        tries: Counter[int] = Counter()
        todo = list(enumerate(items))
        others = set(active_children())
        # A worker that dies breaks its pool. Each worker has a pool of its own, which tells whose
        # unit was lost.
        free = [_pool() for _ in range(min(self.workers, len(todo)))]
        busy: dict[Future[Any], tuple[ProcessPoolExecutor, int, Item]] = {}
        try:
            while todo or busy:
                while todo and free:
                    pool, (number, item) = free.pop(), todo.pop(0)
                    busy[pool.submit(attempt, work, item)] = pool, number, item
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    pool, number, item = busy.pop(future)
                    if not isinstance(future.exception(), BrokenProcessPool):
                        free.append(pool)
                        yield item, future.result()
                        continue
                    pool.shutdown()
                    free.append(_pool())
                    tries[number] += 1
                    if tries[number] < TRIES:
                        todo.insert(0, (number, item))
                    else:
                        yield item, Failed(f"its process died {TRIES} times (out of memory?)")
        finally:
            for pool in free:
                pool.shutdown()
            for pool, _, _ in busy.values():
                pool.shutdown(wait=False, cancel_futures=True)
            if busy:  # the run was stopped: nobody waits for these
                for process in set(active_children()) - others:
                    process.terminate()


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_become_worker)


def _become_worker() -> None:
    """Leave Ctrl-C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
