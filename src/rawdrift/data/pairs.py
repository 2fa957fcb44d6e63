"""Pictures of the same scenes by two cameras, without raw data: a folder with pairs.csv."""

from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.columns import PAIRS
from rawdrift.data.frame import Frame, size
from rawdrift.data.manifest import Folder, read_manifest, read_masked
from rawdrift.data.spec import Data
from rawdrift.isp.matching import read_picture
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Kind, Step

TABLE = "pairs.csv"
_NONE = Camera("pictures", "MONO", bit_depth=16, adc_bits=16)  # in place of one that makes mosaics


@final
class Pairs(Folder):
    """The pairs that `root/pairs.csv` lists, read one by one.

    Its columns: before and after (paths relative to it), label or mask or both, and optionally
    group and split ("train" or "test"). In place of a mosaic, a frame has R, G and B before and
    after, (6, H, W) uint16.
    """

    def __init__(self, root: Path):
        self.root = root
        self.rows, self.notes = read_manifest(root / TABLE, PAIRS)

    def read(self, index: int) -> Frame:
        """Read pair `index`. InputError if a file is missing or broken, or the sizes differ."""
        row = self.rows[index]
        before, after = (_picture(self.root / name) for name in (row.image, row.after))
        if before.shape != after.shape:
            raise InputError(
                f"{row.image} has {size(before[0])} pixels but {row.after}, after it, has "
                f"{size(after[0])}; expected pairs of one size: crop or scale them alike"
            )
        return Frame(np.concatenate([before, after]), _NONE, read_masked(self.root, row, before[0]))


def open_pairs(spec: Data) -> Pairs:
    """Open the folder of a spec."""
    assert spec.root is not None  # checked
    return Pairs(Path(spec.root))


@final
class Picture(Step):
    """One picture of a pair: (..., 6, H, W) to (..., 3, H, W). which: 0 before, 1 after."""

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "view"

    def __init__(self, which: int):
        super().__init__()
        self.which = which

    def forward(self, x: Tensor) -> Tensor:
        return x[..., 3 * self.which : 3 * self.which + 3, :, :]


def pictures() -> tuple[Pipeline, Pipeline]:
    """Return pipelines to the pictures before and after of what `Pairs` reads."""
    before, after = (Pipeline({"picture": Picture(which)}, _NONE.bit_depth) for which in (0, 1))
    return before, after


def _picture(path: Path) -> NDArray[np.uint16]:
    """Return the values (3, H, W), those of 8 bits on the scale of 16."""
    values = read_picture(path).values
    scaled = values.astype(np.uint16) * (257 if values.itemsize == 1 else 1)
    return np.moveaxis(scaled, -1, 0)
