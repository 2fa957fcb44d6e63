"""Views by black boxes, which take as long as their programs do: one after the other, beside the
page, and kept."""

import contextvars
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.isp.external import BlackBox, External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.web.frames import Frame

_KEPT = 2  # pictures, of the whole frame each
_DEPTH = 65535


class Pending(NamedTuple):
    """A view that is computed. pending: seconds since when; usual: that the last one took, or
    None."""

    pending: float
    usual: float | None


@dataclass(eq=False)
class Picture:
    """A view of the whole frame (3, H, W) uint16, also in the last reduced size that was wanted."""

    values: Tensor
    _factor: int = 1
    _reduced: Tensor = field(default_factory=lambda: torch.zeros(0))

    def part(self, factor: int, rows: slice, columns: slice) -> Tensor:
        """Return rows and columns of the view reduced by a whole factor, float32 in [0, 1]."""
        if factor == 1:
            return self.values[:, rows, columns].float() / _DEPTH
        if factor != self._factor:
            self._reduced = F.avg_pool2d(self.values.float(), factor) / _DEPTH
            self._factor = factor
        return self._reduced[:, rows, columns]


class _Job(NamedTuple):
    future: "Future[tuple[Picture, float]]"
    begun: float


class Boxes:
    """The black boxes that the command names, and no others."""

    def __init__(self, references: Sequence[str] = ()):
        self.references = tuple(dict.fromkeys(references))
        self._pool = ThreadPoolExecutor(1, "box")
        self._jobs: OrderedDict[Any, _Job] = OrderedDict()
        self._took: dict[str, float] = {}
        self._lock = Lock()
        self.open = lru_cache(maxsize=8)(_open)

    def picture(self, frame: Frame, isp: Pipeline, name: str) -> Picture | Pending:
        """Return the view of a frame, or that it is computed; ask again then.

        isp: of `open`, at any setting. name: of the frame, for errors. Raises InputError if the
        program fails, once; it runs again when it is asked for again.
        """
        box = box_of(isp)
        key = frame, box.reference, box.camera, tuple(box.settings().items())
        with self._lock:
            if key not in self._jobs:
                for other, job in [*self._jobs.items()]:
                    if job.future.cancel():  # it waits, and nobody does for it
                        del self._jobs[other]
                context = contextvars.copy_context()
                future = self._pool.submit(context.run, _develop, box, frame, name)
                self._jobs[key] = _Job(future, time.monotonic())
            self._jobs.move_to_end(key)
            done = [key for key, job in self._jobs.items() if job.future.done()]
            for old in done[:-_KEPT]:
                del self._jobs[old]
            job = self._jobs[key]
            if not job.future.done():
                return Pending(time.monotonic() - job.begun, self._took.get(box.reference))
            if job.future.exception() is not None:
                del self._jobs[key]
        picture, self._took[box.reference] = job.future.result()
        return picture


def box_of(isp: Pipeline) -> BlackBox:
    """Return the one step of a black box."""
    (box,) = isp.steps.values()
    assert isinstance(box, BlackBox)
    return box


def _open(reference: str, camera: Camera) -> External:
    """A black box whose settings with choices may be any of these."""
    isp = External(reference, camera)
    box = box_of(isp)
    for name, own in [*box.choices.items()]:
        choices = box.program.choices(name)
        if len(choices) > 1 and own[0] in choices:
            isp.choose(name, choices)
    return isp


def _develop(box: BlackBox, frame: Frame, name: str) -> tuple[Picture, float]:
    begun = time.monotonic()
    view = box.views(frame.mosaic[None], [name])[0]
    values = (view * _DEPTH + 0.5).to(torch.int32).to(torch.uint16)
    return Picture(values), time.monotonic() - begun
