"""Linear steps as one matrix from the pixels around a cell of the color filter array to the cell.

How their output changes with a number of theirs follows from how this small matrix does, without
running the steps on all pixels.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.cfa import layout
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.normalized_convolution import NormalizedConvolution
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance

_LINEAR = (
    Bilinear,
    Malvar2004,
    NormalizedConvolution,
    WhiteBalance,
    ColorCorrection,
    SharpeningFilter,
    UnsharpMask,
    GaussianDenoising,
)
_LARGEST = 128  # values around a cell, from which on running the steps is as fast


def stages(steps: Sequence[Step], x: Tensor) -> list[Tensor]:
    """What each step takes, and what the last returns."""
    found = [x]
    for step in steps:
        found.append(step(found[-1]))
    return found


class Linear(NamedTuple):
    """The last of a few steps, all linear and alike in each cell.

    start: place of the first. cell: rows and columns, 1 beyond demosaicing. reach: pixels around a
    cell that count, in whole cells. channels: of the first step's input.
    """

    steps: Sequence[Step]
    start: int
    cell: tuple[int, int]
    reach: tuple[int, int]
    channels: int

    @classmethod
    def of(cls, steps: Sequence[Step], border: int) -> Self:
        """The longest such part, up to the last step, that is worth it; it may have no step.

        border: pixels at the edges that nobody asks for.
        """
        best, needed = cls([], len(steps), (1, 1), (0, 0), 3), 0
        for start in reversed(range(len(steps))):
            step = steps[start]
            if not isinstance(step, _LINEAR) or not getattr(step, "is_linear", True):
                break
            needed += step.reach or 0
            is_mosaic = step.takes == "mosaic"
            cell = layout(step.cfa)[:2] if is_mosaic else (1, 1)
            rows, columns = (-(-needed // size) * size for size in cell)
            found = cls(steps[start:], start, cell, (rows, columns), 1 if is_mosaic else 3)
            fits = max(rows, columns) <= border and not any(border % size for size in cell)
            if fits and prod(found.window) <= _LARGEST:
                best = found
        return best

    @property
    def window(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the input that a cell of the output depends on."""
        rows, columns = (n + 2 * r for n, r in zip(self.cell, self.reach, strict=True))
        return self.channels, rows, columns

    def impulses(self) -> Tensor:
        """Inputs of the first step, each with an impulse at another place of a cell."""
        (down, right), kinds = self._middle(), (self.channels, *self.cell)
        x = torch.zeros(*kinds, self.channels, *self._cells(), dtype=torch.float64)
        x[..., down, :, right, :] = torch.eye(prod(kinds)).view(*kinds, *kinds)
        x = x.flatten(6).flatten(4, 5).flatten(0, 2)
        return x if self.channels > 1 else x[:, 0]

    def matrix(self, answers: Tensor) -> Tensor:
        """What the last step makes of impulses (..., impulses, 3, rows, columns), as matrices
        (..., 3 channels and pixels of a cell, values of the window)."""
        batch = answers.shape[:-4]
        x = answers.reshape(-1, self.channels, *self.cell, 3, *self._cells())
        # The edges answer to mirrored impulses, too. What is right of an impulse sees it left.
        x = x[..., 1:-1, :, 1:-1, :].flip(5, 7)
        x = x.permute(0, 4, 6, 8, 1, 5, 2, 7, 3)
        return x.reshape(*batch, 3 * prod(self.cell), prod(self.window))

    def _middle(self) -> tuple[int, int]:
        """The cell of an impulse, one more than are reached from the edges."""
        rows, columns = (r // size + 1 for r, size in zip(self.reach, self.cell, strict=True))
        return rows, columns

    def _cells(self) -> tuple[int, int, int, int]:
        """Of images of impulses: cells in a column, their rows, cells in a row, their columns."""
        down, right = self._middle()
        return 2 * down + 1, self.cell[0], 2 * right + 1, self.cell[1]

    def windows(self, x: Tensor, border: int) -> Tensor:
        """The window of each cell of an input (n, h, w) or (n, 3, h, w), without its borders:
        (values, n, cells in a column, cells in a row)."""
        channels, *sizes = self.window
        x = x.reshape(len(x), channels, *x.shape[-2:])
        for axis, (size, cell, reach) in enumerate(
            zip(sizes, self.cell, self.reach, strict=True), start=2
        ):
            length = x.shape[axis] - 2 * border
            cells = -(-length // cell)
            x = x.narrow(axis, border - reach, x.shape[axis] - border + reach)
            lacking = max(0, (cells - 1) * cell + size - x.shape[axis])
            x = F.pad(x, (0, 0, 0, lacking) if axis == 2 else (0, lacking))
            x = x.narrow(axis, 0, (cells - 1) * cell + size)
        x = x.unfold(2, sizes[0], self.cell[0]).unfold(3, sizes[1], self.cell[1])
        return x.permute(1, 4, 5, 0, 2, 3).flatten(0, 2)

    def output(self, matrix: Tensor, windows: Tensor) -> Tensor:
        """What a matrix makes of windows: (n, 3, h, w), in whole cells."""
        cells = (matrix @ windows.flatten(1)).view(3, *self.cell, *windows.shape[1:])
        cells = cells.permute(3, 0, 4, 1, 5, 2)
        return cells.flatten(4, 5).flatten(2, 3)
