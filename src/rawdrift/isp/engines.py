"""Which implementation develops: the steps one by one, or a faster one with the same numbers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from rawdrift.checks import choose
from rawdrift.isp.step import Step

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


def one_by_one(steps: Iterable[Step], x: Tensor) -> Iterator[Tensor]:
    """Yield the result of each step in turn."""
    for step in steps:
        # A raw pixel has more digits than a half-precision float.
        with torch.autocast(x.device.type, enabled=False):
            x = step(x)
        yield x
