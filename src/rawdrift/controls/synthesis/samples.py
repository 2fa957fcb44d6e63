"""Pictures for the page: the images that lose most, and all views of one image."""

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec.structs import replace
from torch import Tensor

from rawdrift.controls.flips import flips
from rawdrift.controls.gallery import AMPLIFIED, Gallery, most_harmed
from rawdrift.controls.material import Material
from rawdrift.controls.result import Flips
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.result import (
    SynthesisResult,
    Views,
    Worst,
    WorstCases,
)
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.controls.wholes import Wholes
from rawdrift.corruptions.apply import corrupt
from rawdrift.corruptions.table import NAMES, middle
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.case import Case
from rawdrift.models.chain import developed
from rawdrift.report import style
from rawdrift.report.sample import SampleImage

MIDDLE = 256  # pixels of an image that `every_view` shows


def illustrate(
    result: SynthesisResult,
    grid: Grid,
    spec: SynthesisSpec,
    material: Material,
    isps: Mapping[str, Pipeline],
    pictures: Gallery,
) -> SynthesisResult:
    """Return the result with samples of the worst cases, and the first image as all pipelines
    develop it and with all corruptions.

    isps: pipelines of files by name, beside the configurations.
    """
    samples = _Samples(spec, material, isps, pictures)
    corruption = result.worst.corruption
    worst = WorstCases(
        isp=samples.with_images(result.worst.isp, grid),
        corruption=None if corruption is None else samples.with_images(corruption, grid),
    )
    return replace(
        result,
        worst=worst,
        views=samples.every_view(0, result.train[0]),
        flips=[one for _, case in worst.items() for one in samples.flips(case, grid)],
    )


class _Samples:
    """Writes pictures of images."""

    def __init__(
        self,
        spec: SynthesisSpec,
        material: Material,
        isps: Mapping[str, Pipeline],
        pictures: Gallery,
    ):
        self.spec, self.material, self.isps, self.pictures = spec, material, isps, pictures

    def with_images(self, worst: Worst, grid: Grid) -> Worst:
        """Return a worst case with the images, or the frames of tiles, on which its models lose
        most."""
        row, column = grid.trained.index(worst.train), grid.cases.index(worst.case)
        own = int(grid.own[row])
        wholes = Wholes(self.material, grid.images)
        matched, drifted = (
            wholes.values(grid.measure, grid.features[row, at]) for at in (own, column)
        )
        targets, write_png = self.material.targets, self.pictures.write_png
        masks = grid.masks.get((worst.train, worst.case.key), {})
        images = []
        for number, whole in enumerate(most_harmed(matched, drifted)):
            indices = wholes.members(whole)
            pairs = [self._views(worst.train, worst.case, index) for index in indices]
            before, after = (wholes.joined(whole, parts) for parts in zip(*pairs, strict=True))
            name = f"{worst.kind}/{number}"
            truth = wholes.truth(whole)
            pair = masks.get(int(wholes.numbers[whole]))
            place, index = wholes.places(whole)[0], indices[0]
            image = SampleImage(
                image=wholes.name(whole),
                matched_view=self.pictures.write(f"{name}-matched", before),
                view=self.pictures.write(f"{name}-drifted", after),
                change=self.pictures.write_change(f"{name}-change", before, after),
                matched_score=_number(matched[whole]),
                score=_number(drifted[whole]),
                truth=None if truth is None else self.pictures.write(f"{name}-truth", truth),
                matched_mask=write_png(f"{name}-matched-mask", pair.matched) if pair else None,
                mask=write_png(f"{name}-mask", pair.mask) if pair else None,
                label=targets.label(index),
                matched_prediction=targets.answer(grid.outcomes[0, row, own, place]),
                prediction=targets.answer(grid.outcomes[0, row, column, place]),
            )
            images.append(image)
        return replace(worst, amplified=AMPLIFIED, images=images)

    def flips(self, worst: Worst, grid: Grid) -> list[Flips]:
        """Return what a worst case changes in the answers of its first repeat."""
        row, column = grid.trained.index(worst.train), grid.cases.index(worst.case)
        own, other = (grid.outcomes[0, row, at] for at in (grid.own[row], column))
        tested = style.case(worst.test, worst.severity)

        def draw(name: str, index: int) -> tuple[str, str]:
            before, after = self._views(worst.train, worst.case, index)
            write = self.pictures.write
            return write(f"{name}-matched", before), write(f"{name}-worst", after)

        pair = (worst.train, own), (tested, other)
        return flips(self.material, grid.images, *pair, worst.kind, draw)

    def every_view(self, index: int, own: str) -> Views:
        """Return the middle of an image as every pipeline develops it, and corrupted.

        own: the pipeline whose view is corrupted.
        """
        data, synthesis = self.material.data, self.spec.synthesis
        top, left = (max(0, (length - MIDDLE) // 2) for length in data.size)
        views = {
            name: view[:, top : top + MIDDLE, left : left + MIDDLE]
            for name, view in self._developed(index, synthesis.pipelines).items()
        }
        severity = middle(synthesis.severities) if synthesis.corruptions else 0

        def corrupted(names: Iterable[str], folder: str) -> dict[str, str]:
            seeds, table, clean = [(self.spec.seed, index)], synthesis.severity_table, views[own]
            return {
                name: self.pictures.write(
                    f"{folder}/{number}-{name.rpartition('.')[2]}",
                    corrupt(clean.float(), name, severity, seeds, table),
                )
                for number, name in enumerate(names)
            }

        others = [name for name in NAMES[1:] if name not in synthesis.corruptions]
        return Views(
            image=data.images[index],
            cropped=max(data.size) > MIDDLE,
            views={
                name: self.pictures.write(f"views/{name.replace(',', '-')}", view)
                for name, view in views.items()
            },
            own=own,
            severity=severity,
            tested=corrupted(synthesis.corruptions, "corruptions"),
            others=corrupted(others if severity else [], "others"),
        )

    def _views(self, train: str, case: Case, index: int) -> tuple[Tensor, Tensor]:
        """Develop an image as for training and as for the test."""
        synthesis = self.spec.synthesis
        if case.kind == "isp":
            views = self._developed(index, [train, case.name])
            return views[train].float(), views[case.name]
        own = self._developed(index, [train])[train].float()
        seeds = [(self.spec.seed, index)]
        return own, corrupt(own, case.name, case.severity, seeds, synthesis.severity_table)

    def _developed(self, index: int, names: list[str] | tuple[str, ...]) -> dict[str, Tensor]:
        data = self.material.data
        camera = data.cameras[int(data.camera_index[index])]
        channels = self.spec.synthesis.channels
        return developed(data.mosaics[index], camera, names, channels, self.isps)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
