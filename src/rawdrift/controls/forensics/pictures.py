"""The worst setting in pictures: the images that lose most, and one of them stage by stage."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from rawdrift.controls.flips import flips
from rawdrift.controls.forensics.records import ForensicsRecord, SearchRecord
from rawdrift.controls.forensics.result import (
    ForensicsResult,
    Found,
    Pictures,
    StagePair,
    StagePicture,
    Strip,
    StripView,
)
from rawdrift.controls.forensics.setup import Setup
from rawdrift.controls.gallery import AMPLIFIED, Gallery, most_harmed
from rawdrift.controls.result import Flips
from rawdrift.controls.stages import Stage, stages
from rawdrift.controls.wholes import Wholes
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.chain import BATCH
from rawdrift.report.sample import SampleImage
from rawdrift.runs.store import Finished

STRIPS = 3  # images that are shown for every regularization


def illustrate(
    setup: Setup,
    result: ForensicsResult,
    units: Iterable[Finished[ForensicsRecord]],
    gallery: Gallery,
) -> ForensicsResult:
    """Return the result with pictures of its worst search."""
    worst, fold = result.worst, result.worst.search.fold
    record = next(
        unit.record
        for unit in units
        if isinstance(unit.record, SearchRecord)
        and (unit.record.group, unit.record.fold) == (worst.group, fold)
        and unit.record.regularization == worst.regularization
    )
    features = [np.array(one) for one in (record.features.default, record.features.worst)]
    images = [setup.tests[fold][i] for i in most_harmed(*map(setup.measure.of, features))]
    wholes = Wholes(setup.material, np.array(setup.tests[fold]))
    harmed = most_harmed(*(wholes.values(setup.measure, one) for one in features))
    by_regularization = {
        search.regularization: one.gradient
        for search in sorted(result.searches, key=lambda search: search.regularization)
        for one in search.folds
        if (search.group, one.fold) == (worst.group, fold)
    }
    space = setup.groups[worst.group]

    def drifted(found: Found) -> Pipeline:
        return space.pipeline(setup.isp, np.array([*found.parameters.values()])).cpu()

    own, at_worst = setup.isp.cpu(), drifted(worst.setting)
    painter = _Painter(setup, fold, wholes, gallery)
    shown = [painter.image(number, whole, own, at_worst) for number, whole in enumerate(harmed)]
    strips = []
    for number, whole in enumerate(harmed[:STRIPS]):
        views = [
            painter.strip_view(f"strips/{number}-{column}", whole, regularization, drifted(found))
            for column, (regularization, found) in enumerate(by_regularization.items())
        ]
        image = shown[number]
        masks = image.truth, image.matched_mask
        strips.append(Strip(image.image, image.label, image.matched_view, views, *masks))
    pictures = Pictures(AMPLIFIED, shown, strips, painter.stages(own, at_worst, images))
    return msgspec.structs.replace(
        result, pictures=pictures, flips=_flips(setup, result, units, gallery)
    )


def _flips(
    setup: Setup,
    result: ForensicsResult,
    units: Iterable[Finished[ForensicsRecord]],
    gallery: Gallery,
) -> list[Flips]:
    """What the worst search changes in the answers to the images that it did not use, if any."""
    worst, own, data = result.worst, setup.isp.cpu(), setup.material.data
    pipelines: dict[int, Pipeline] = {}  # by image: each fold has its own setting
    before: list[Any] = []
    after: list[Any] = []
    for unit in units:
        record = unit.record
        if not isinstance(record, SearchRecord):
            continue
        if (record.group, record.regularization) != (worst.group, worst.regularization):
            continue
        setting = np.array([*record.search.worst.parameters.values()])
        at_worst = setup.groups[record.group].pipeline(setup.isp, setting).cpu()
        test = setup.tests[record.fold]
        held_out = setup.halves[record.fold].held_out.tolist()
        for place in held_out if result.baseline.held_out else range(len(test)):
            pipelines[test[place]] = at_worst
            before.append(record.outcomes[place])
            after.append(record.worst_outcomes[place])

    def draw(name: str, index: int) -> tuple[str, str]:
        with torch.inference_mode():
            pair = [isp(data.mosaics[index]) for isp in (own, pipelines[index])]
        return gallery.write(f"{name}-matched", pair[0]), gallery.write(f"{name}-worst", pair[1])

    pair = ("the own setting", np.array(before)), ("the worst setting", np.array(after))
    return flips(setup.material, np.array([*pipelines]), *pair, "worst", draw)


class _Painter:
    """Draws images of a fold, or frames of tiles, with the answers of its model, on the CPU."""

    def __init__(self, setup: Setup, fold: int, wholes: Wholes, gallery: Gallery):
        self.data, self.targets, _ = setup.material
        self.net: nn.Module = setup.models[fold].get(gallery.run)
        everything = torch.arange(len(self.data))
        self.loss = self.targets.loss(setup.spec.task, everything)
        self.measure = setup.measure
        self.wholes = wholes
        self.write = gallery.write
        self.write_change = gallery.write_change

    def image(self, number: int, whole: int, own: Pipeline, drifted: Pipeline) -> SampleImage:
        """The image before and after, what changed, and both answers."""
        before, (matched_prediction, matched_score, matched_mask) = self._seen(own, whole)
        after, (prediction, score, mask) = self._seen(drifted, whole)
        return SampleImage(
            image=self.wholes.name(whole),
            matched_view=self.write(f"worst/{number}-matched", before),
            view=self.write(f"worst/{number}-drifted", after),
            change=self.write_change(f"worst/{number}-change", before, after),
            truth=self._mask(f"worst/{number}-truth", self.wholes.truth(whole)),
            matched_mask=self._mask(f"worst/{number}-matched-mask", matched_mask),
            mask=self._mask(f"worst/{number}-mask", mask),
            label=self.targets.label(self.wholes.members(whole)[0]),
            matched_prediction=matched_prediction,
            prediction=prediction,
            matched_score=matched_score,
            score=score,
        )

    def strip_view(self, name: str, whole: int, regularization: float, isp: Pipeline) -> StripView:
        view, (prediction, score, mask) = self._seen(isp, whole)
        drawn = self._mask(f"{name}-mask", mask)
        return StripView(regularization, self.write(name, view), prediction, score, drawn)

    def stages(self, own: Pipeline, drifted: Pipeline, indices: Sequence[int]) -> list[StagePair]:
        """The first image after every step, each stretched to its range with the camera's own
        setting, and the gradient of the loss there. Leverages are of all images."""
        if isinstance(own, External):  # which has neither stages nor gradients
            return []
        batch = torch.tensor(indices[:BATCH])
        mosaics, truth = self.data.mosaics[batch], self.targets.values[batch].long()
        before, after = (stages(isp, self.net, mosaics, truth, self.loss) for isp in (own, drifted))
        pairs = []
        for step, stage in before.items():
            low, high = np.quantile(stage.view[0].numpy(), [0.005, 0.995])
            extent = (float(low), max(float(high - low), 1e-12))
            pairs.append(
                StagePair(
                    step,
                    self._stage(f"stages/{step}-default", stage, extent),
                    self._stage(f"stages/{step}-drifted", after[step], extent),
                )
            )
        return pairs

    def _stage(self, name: str, stage: Stage, extent: tuple[float, float]) -> StagePicture:
        low, width = extent
        slope = stage.magnitude[0]
        slope = slope / slope.quantile(0.995).clamp(min=1e-30)
        return StagePicture(
            self.write(name, (stage.view[0] - low) / width),
            self.write(f"{name}-gradient", slope),
            stage.leverage,
        )

    def _mask(self, name: str, mask: Tensor | None) -> str | None:
        return None if mask is None else self.write(name, mask)

    def _seen(
        self, isp: Pipeline, whole: int
    ) -> tuple[Tensor, tuple[str | None, float | None, Tensor | None]]:
        """The view (3, H, W) of an image or a frame, and the answer to it: the predicted class, or
        the metric of its mask alone and the mask."""
        images = self.wholes.members(whole)
        with torch.inference_mode():
            views = [isp(self.data.mosaics[index]).float() for index in images]
            logits = torch.cat([self.net(view[None].clone()) for view in views])
            outcomes = self.targets.outcomes_of(logits, torch.tensor(images))
            masks = self.targets.masks(logits)
        view = self.wholes.joined(whole, views)
        answer = self.targets.answer(outcomes[0])
        if answer is not None:
            return view, (answer, None, None)
        score = float(self.measure.value(outcomes.numpy(), self.targets.truth[images]))
        mask = None if masks is None else self.wholes.joined(whole, [*masks])
        return view, (None, None if np.isnan(score) else score, mask)
