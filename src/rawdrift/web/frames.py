"""Frames that are open, each also in reduced sizes, so that any view of them costs the same."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.camera.read import read_raw
from rawdrift.cfa import Pattern, layout
from rawdrift.checks import InputError

_FRAMES, _LEVELS = 3, 12  # that are kept


@dataclass(eq=False)
class Frame:
    """A raw file. mosaic: (H, W) float32 in [0, 1], as the camera explains it.

    measured: what steps have measured of it, by who asks for it.
    """

    mosaic: Tensor
    camera: Camera
    notes: tuple[str, ...]
    measured: dict[Any, Tensor] = field(default_factory=dict)
    _levels: "OrderedDict[int, Tensor]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def largest_factor(self) -> int:
        """By how much the frame can be reduced."""
        cell = max(layout(self.camera.cfa)[:2])
        return max(1, min(self.mosaic.shape[-2:]) // (2 * cell))

    def factor_to(self, pixels: int) -> int:
        """By how much to reduce the frame to about so many pixels."""
        factor = math.ceil(math.sqrt(self.mosaic.numel() / pixels))
        return max(1, min(factor, self.largest_factor))

    def level(self, factor: int) -> Tensor:
        """Return the mosaic reduced by a whole factor; see `reduced`."""
        if factor == 1:
            return self.mosaic
        if not 1 <= factor <= self.largest_factor:
            raise InputError(
                f"the frame can be reduced by 1 to {self.largest_factor}, got {factor}"
            )
        with self._lock:
            if factor not in self._levels:
                self._levels[factor] = reduced(self.mosaic, self.camera.cfa, factor)
                while len(self._levels) > _LEVELS:
                    self._levels.popitem(last=False)
            self._levels.move_to_end(factor)
            return self._levels[factor]


def reduced(mosaic: Tensor, cfa: Pattern, factor: int) -> Tensor:
    """Return a mosaic (H, W) of the same pattern, with 1 / `factor` of the rows and columns.

    Each pixel is the mean of `factor` x `factor` of its color site, around where it lies.
    """
    height, width = layout(cfa)[:2]
    rows, columns = (
        size // (cell * factor) for size, cell in zip(mosaic.shape, (height, width), strict=True)
    )
    out = mosaic.new_empty(rows * height, columns * width)
    for row in range(height):
        for column in range(width):
            plane = mosaic[row::height, column::width][None]
            starts = [_start(at, cell, factor) for at, cell in ((row, height), (column, width))]
            pad = factor
            plane = F.pad(plane, (pad, pad, pad, pad), mode="replicate")
            top, left = (pad + start for start in starts)
            plane = plane[:, top : top + rows * factor, left : left + columns * factor]
            out[row::height, column::width] = F.avg_pool2d(plane, factor)[0]
    return out


def _start(at: int, cell: int, factor: int) -> int:
    """Where the first mean begins, in pixels of the site: centered on the pixel that it makes."""
    return round(((at + 0.5) * factor - 0.5 - at) / cell - (factor - 1) / 2)


class Frames:
    """The frames that were opened last, read again if their files change."""

    def __init__(self) -> None:
        self._frames: OrderedDict[Any, Frame] = OrderedDict()
        self._lock = Lock()

    def open(self, path: Path, camera: Camera | None) -> Frame:
        """Return the frame of a raw file. Raises InputError if it can't be read."""
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size, camera)
        with self._lock:  # two browsers that ask for the same file read it once
            frame = self._frames.get(key)
            if frame is None:
                raw = read_raw(path, camera)
                if raw.camera is None:
                    raise InputError(f"{path} does not describe its camera; choose a camera")
                with torch.inference_mode():
                    frame = self._frames[key] = Frame(raw.mosaic, raw.camera, raw.notes)
            self._frames.move_to_end(key)
            while len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
            return frame
