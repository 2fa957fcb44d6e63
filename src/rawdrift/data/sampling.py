"""Reading a few images in place of all, to say in short time what a run would do."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rawdrift.data.frame import Frame, Frames

FEWEST = 2
"""Images that are read however long it takes."""


@dataclass
class Sample:
    """A few images that stand for all.

    seconds: that reading may take. side: of the square that is cut from larger images; None leaves
    them whole. read: images that were read, `of` all. area: of whole images, relative to what is
    cut from them.
    """

    seconds: float
    side: int | None
    read: int = 0
    of: int = 0
    area: float = 1.0

    def frames(self, frames: Frames, crop: bool) -> tuple[list[Frame], list[int]]:
        """Return some images, evenly chosen, and for each of all images the one that stands for it.

        crop: cut the square from them.
        """
        count = len(frames.rows)
        end = time.monotonic() + self.seconds
        chosen: list[Frame] = []
        numbers: list[int] = []
        for number in _spread(count):
            frame = frames.read(number)
            chosen.append(self._cut(frame) if crop else frame)
            numbers.append(number)
            if len(chosen) >= FEWEST and time.monotonic() > end:
                break
        self.read, self.of = max(self.read, len(chosen)), count
        order = np.argsort(numbers)
        places = np.searchsorted(np.sort(numbers), np.arange(count), side="right") - 1
        return chosen, order[places.clip(min=0)].tolist()

    def _cut(self, frame: Frame) -> Frame:
        height, width = frame.mosaic.shape[-2:]
        if self.side is None or min(height, width) <= self.side:
            return frame
        part = np.s_[..., : self.side, : self.side]
        self.area = height * width / self.side**2
        mask = None if frame.mask is None else frame.mask[part].copy()
        return frame._replace(mosaic=frame.mosaic[part].copy(), mask=mask)


_SAMPLES: list[Sample] = []


@contextmanager
def sampling(sample: Sample) -> Iterator[Sample]:
    """Read a sample in place of all images inside."""
    _SAMPLES.append(sample)
    try:
        yield sample
    finally:
        _SAMPLES.pop()


def current() -> Sample | None:
    """Return the sample that is to be read in place of all images, if there is one."""
    return _SAMPLES[-1] if _SAMPLES else None


_MOST = 256


def _spread(count: int) -> Sequence[int]:
    """Return at most `_MOST` numbers below `count`: the first, the last, and ever closer ones."""
    numbers = np.linspace(0, count - 1, min(count, _MOST)).round().astype(int)
    steps = range(len(numbers))
    order = sorted(steps, key=lambda i: (i not in (0, len(numbers) - 1), f"{i:012b}"[::-1]))
    return [int(numbers[i]) for i in order]
