"""The images that flip from the setting that ends highest to the one that ends lowest."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from rawdrift.controls.flips import flips
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import Material
from rawdrift.controls.optimization import learned, pictures
from rawdrift.controls.optimization.records import OptimizationRecord
from rawdrift.controls.optimization.result import OptimizationResult, Row
from rawdrift.controls.optimization.settings import front_of
from rawdrift.controls.optimization.spec import Optimization
from rawdrift.controls.result import Flips
from rawdrift.models.chain import Develop, Front

NEURAL = "neural"  # its views can't be developed again: its network is not kept


def find(
    what: Optimization,
    materials: Mapping[float, Material],
    result: OptimizationResult,
    records: Iterable[OptimizationRecord],
    gallery: Gallery,
) -> list[Flips]:
    """Return what flips from the highest final value to the lowest, of all intensities.

    Of the first training of each fold that ended for both; nothing without two settings.
    """
    rows = [row for row in result.table if row.setting not in (NEURAL, *what.same)]
    if len(rows) < 2:
        return []
    rows.sort(key=lambda row: -row.final.mean)
    highest, lowest = (
        _Ended(row, what, materials[row.intensity], records) for row in (rows[0], rows[-1])
    )
    folds = sorted({*highest.records} & {*lowest.records})
    tests = {fold: highest.material.splits[fold].test for fold in folds}
    if not tests:
        return []
    fold_of = {index: fold for fold, test in tests.items() for index in test.tolist()}

    def draw(name: str, index: int) -> tuple[str, str]:
        before, after = (ended.picture(fold_of[index], index) for ended in (highest, lowest))
        return (
            gallery.write_png(f"{name}-highest", before),
            gallery.write_png(f"{name}-lowest", after),
        )

    names = [
        f"{row.setting} at intensity {row.intensity:g}" if len(materials) > 1 else row.setting
        for row in (rows[0], rows[-1])
    ]
    pair = [
        (name, np.concatenate([np.array(ended.answers(fold)) for fold in folds]))
        for name, ended in zip(names, (highest, lowest), strict=True)
    ]
    images = np.concatenate([*tests.values()])
    return flips(highest.material, images, pair[0], pair[1], "lowest", draw)


class _Ended:
    """The first trainings of a setting at an intensity that came to an end, by fold."""

    def __init__(
        self,
        row: Row,
        what: Optimization,
        material: Material,
        records: Iterable[OptimizationRecord],
    ):
        self.what, self.material = what, material
        self.records = {
            record.fold: record
            for record in records
            if (record.setting, record.intensity) == (row.setting, row.intensity)
            and record.repeat == 0
            and record.diverged is None
        }
        self._fronts: dict[int, Front] = {}

    def answers(self, fold: int) -> list[int]:
        """The answers to the fold's test images after the last epoch."""
        return self.records[fold].history[-1].outcomes

    def picture(self, fold: int, index: int) -> bytes:
        """The view that the network gets of an image, as a PNG file."""
        if fold not in self._fronts:
            self._fronts[fold] = self._front(self.records[fold])
        return pictures.views(self.material, [index], self._fronts[fold])[0]

    def _front(self, record: OptimizationRecord) -> Front:
        chosen = record.choice.chosen if record.choice else None
        front = front_of(record.unit, self.what, self.material, chosen, 0)
        if isinstance(front, Develop):
            with torch.no_grad():
                for isp, trained in zip(front.isps, record.isps, strict=False):
                    learned.restore(isp, trained.final)
        return front
