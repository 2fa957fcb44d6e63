"""The pictures of a run folder."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files
from rawdrift.isp.develop import encode, picture

FOLDER = "samples"
SAMPLES = 6
"""How many images a page shows of a change."""
AMPLIFIED = 4
"""How many times the difference of two views is enlarged in its picture."""


class Gallery:
    """Writes pictures into a run folder, as 8-bit PNG files below samples/.

    run: the run folder, for networks that are kept there.
    """

    def __init__(self, run: Path):
        self.run = run

    def write(self, name: str, view: Tensor) -> str:
        """Write a view (3, H, W) or a gray picture (H, W), clipped to [0, 1].

        name: such as "worst/0-drifted". Returns the file's path within the run folder.
        """
        view = view if view.ndim == 3 else view.expand(3, *view.shape)
        return self.write_png(name, encode(picture(view.detach().float().clamp(0, 1)), bits=8))

    def write_png(self, name: str, png: bytes) -> str:
        """Write a picture that is a PNG file already; see `write`."""
        path = f"{FOLDER}/{name}.png"
        files.write(self.run / path, png)
        return path

    def write_change(self, name: str, before: Tensor, after: Tensor) -> str:
        """Write the difference of two views, `AMPLIFIED` times, around a middle gray."""
        return self.write(name, 0.5 + AMPLIFIED * (after - before).to(torch.float32))


def most_harmed(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[int]:
    """Return the numbers of the `SAMPLES` images that lose most; of equal ones, the worst first.

    before, after: (N,) the metric of each image alone, NaN where it is not defined.
    """
    lost = np.nan_to_num(before - after)
    order = np.lexsort((np.arange(len(lost)), np.nan_to_num(after, nan=2.0), -lost))
    return [int(number) for number in order[:SAMPLES]]
