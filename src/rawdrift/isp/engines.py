"""Which implementation develops, in how many threads: the steps one by one, or a faster one with
the same numbers. No torch."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rawdrift.checks import choose

# "eager" runs the steps as they are written; "fused" refuses what it can't fuse; "auto" takes the
# fastest engine that fits. On a GPU these are the steps, until its kernels have been measured.
ENGINES = ("auto", "eager", "fused")

_current: ContextVar[str] = ContextVar("engine", default="auto")


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Develop with this engine inside the block: `with rd.isp.engine("eager"): ...`."""
    token = _current.set(choose("engine", name, ENGINES))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> str:
    """The engine in force."""
    return _current.get()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads develop: as many as torch has, or would have if it were imported."""
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else cores()
