"""Compare two ISPs: one network, tested on the views of both, and of all ISPs between them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from rawdrift.checks import InputError
from rawdrift.configurations import is_external, is_file
from rawdrift.controls import training
from rawdrift.controls.comparison.analysis import (
    Tested,
    analyze,
    answers,
    early_order,
    join,
    undecided,
)
from rawdrift.controls.comparison.other_sensor import difference
from rawdrift.controls.comparison.pictures import illustrate
from rawdrift.controls.comparison.result import (
    ComparisonRecord,
    ComparisonResult,
    MaskPair,
    StandIn,
)
from rawdrift.controls.comparison.sides import MOST, Between, sides
from rawdrift.controls.comparison.spec import ComparisonSpec
from rawdrift.controls.comparison.stand_in import hold_out, pipeline, stand_in
from rawdrift.controls.experiment import Experiment, Progress
from rawdrift.controls.gallery import Gallery, most_harmed
from rawdrift.controls.material import compute_views, isp_inputs, read_split, training_seed
from rawdrift.controls.training import CHECKPOINT_EVERY, seconds_an_image, seconds_of_training
from rawdrift.controls.trust import Matched
from rawdrift.controls.wholes import Wholes
from rawdrift.data.spec import PAIRS
from rawdrift.isp.develop import encode
from rawdrift.models import networks
from rawdrift.models.chain import BATCH, Develop, check_finite, layout
from rawdrift.models.evaluate import AT_ONCE, logits_of
from rawdrift.models.forward import Pass, forward_of
from rawdrift.models.precision import resolve_precision
from rawdrift.models.train import train
from rawdrift.report import style
from rawdrift.runs.store import Finished
from rawdrift.statistics.acceptance import test_of
from rawdrift.statistics.drops import Answers
from rawdrift.statistics.planning import POWER, Need, needs
from rawdrift.statistics.sequential import decide_early
from rawdrift.text import counted


class Unit(NamedTuple):
    """The network of a fold and its tests."""

    fold: int

    @property
    def name(self) -> str:
        return training.name(self.fold, 0)

    @property
    def label(self) -> str:
        return training.label(self.fold, 0)


def metric_drop(need: Need) -> str:
    """Say what is expected."""
    other = f", and {100 * need.other:.0f} % of other answers change" if need.other else ""
    return f"the drop is {need.drop:g}{other}"


class DriftComparison(Experiment[Unit, ComparisonRecord, ComparisonResult]):
    """The folds of a comparison, or one test of a trained network."""

    columns: ClassVar = ("coalition", "fold", "metric", "value", "n")
    record: ClassVar = ComparisonRecord

    def __init__(self, spec: ComparisonSpec) -> None:
        self.spec = spec
        comparison = spec.comparison
        self.trained_here = spec.task.checkpoint is None
        material = read_split(spec.data, spec.task, comparison.folds, spec.seed)
        data, targets, splits = material
        metric, measure = next(iter(targets.measures.items()))
        if measure.limits is None:
            raise InputError(
                f"metric {metric} states no limits, without which no decision holds; choose "
                f"another task.metric, or a function with values from 0 to 1"
            )
        self.sides = sides(comparison, data.cameras)
        own, other = (one.camera for one in self.sides)
        self.sensor = (
            None if other is None else difference(own or data.cameras[0], other, spec.seed)
        )
        self.ends = Between(*self.sides, self.sensor)  # with a black box in one stage
        self.boxes = [one.box for one in self.sides]
        self.fitted_to = np.arange(0)
        if any(self.boxes) and len(data.cameras) == 1:
            material, self.fitted_to = hold_out(material, spec.seed)
        self.material = material
        self.units = [Unit(fold) for fold in range(len(splits))]
        self.inputs = [data.fingerprint(), networks.fingerprint(spec.task, targets, data.size)]
        for reference, one in zip(comparison.given, self.sides, strict=False):
            if is_file(reference) or is_external(reference):
                self.inputs += isp_inputs(reference, one.pipelines[0])
        self.step = "epoch" if self.trained_here else "batch"

    def steps(self, unit: Unit) -> int:
        return training.steps(self.spec.task, len(self.material.data))

    def compute(
        self, unit: Unit, device: str, checkpoint: Path, progress: Progress
    ) -> ComparisonRecord:
        """Train the network of a fold, or load the user's, and test it."""
        data, targets, splits = self.material
        test = torch.from_numpy(splits[unit.fold].test)
        compute_views(filter(None, self.boxes), data)
        stand_ins = [
            stand_in(box, self.material, self.fitted_to, self.spec.seed)
            if box and len(self.fitted_to)
            else None
            for box in self.boxes
        ]
        between = self._between(stand_ins)
        if self.trained_here:
            net = train(
                data,
                targets,
                torch.from_numpy(splits[unit.fold].train),
                self.ends.develop(0),
                self.spec.task,
                seed=training_seed(self.spec.seed, unit.fold),
                on_epoch=progress,
                checkpoint=checkpoint,
                checkpoint_every=CHECKPOINT_EVERY,
            )
        else:
            net = networks.load_checkpoint(self.spec.task, targets, data.size)
        on_batch = (lambda: None) if self.trained_here else progress
        if self.spec.comparison.stop_early:
            test = self._tested_early(net, device)
        outcomes, masks = self._test(net, test, device, on_batch, between)
        rows = [
            {
                "coalition": coalition,
                "fold": unit.fold,
                "metric": metric,
                "value": value,
                "n": len(test),
            }
            for coalition in between.coalitions
            for metric, value in targets.scores(outcomes[coalition], test).items()
        ]
        precision = self.spec.task.precision
        return ComparisonRecord(
            rows=rows,
            precision=resolve_precision(precision) if self.trained_here else "32",
            fold=unit.fold,
            images=test.tolist(),
            outcomes=outcomes.tolist(),
            masks=self._masks(outcomes.numpy(), masks, test.numpy()),
            stand_ins=stand_ins if any(stand_ins) else [],
        )

    def _between(self, stand_ins: Sequence[StandIn | None]) -> Between:
        """Return the ISPs between the two; with a black box that nothing could be fitted to, none.

        stand_ins: of before and after, of a record.
        """
        fitted = [None if one is None else pipeline(one) for one in stand_ins or (None, None)]
        if any(box and isp is None for box, isp in zip(self.boxes, fitted, strict=True)):
            return self.ends
        return Between(*self.sides, self.sensor, fitted)

    def _tested_early(self, net: nn.Module, device: str) -> torch.Tensor:
        """Test blocks of images before and after until the decision is known; return them."""
        comparison, order = self.spec.comparison, early_order(self.material, self.spec.seed)
        outcomes: list[torch.Tensor] = []
        for look, block in enumerate(order, start=1):
            part = torch.from_numpy(block)
            outcomes.append(self._test(net, part, device, lambda: None, self.ends, [0, -1])[0])
            images = np.concatenate(order[:look])
            tested = Tested(images, torch.cat(outcomes, dim=1).numpy(), {})
            sizes = np.cumsum([0, *map(len, order[:look])])
            places = [np.arange(*pair) for pair in pairwise(sizes.tolist())]
            given = answers(self.material, tested)
            early = decide_early(given, places, comparison.margin, comparison.alpha)
            if early.verdict != "undecided":
                break
        return torch.from_numpy(np.sort(images))

    def _test(
        self,
        net: nn.Module,
        images: torch.Tensor,
        device: str,
        on_batch: Progress,
        between: Between,
        which: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, list[list[bytes]]]:
        """Return the outcomes (2**K, n, ...), and the masks before and after, if there are any.

        which: coalitions, by default all.
        """
        data, targets, _ = self.material
        net.eval().to(device).to(memory_format=layout(net))
        numbers = [between.coalitions[i] for i in which] if which else between.coalitions
        isps = [between.develop(i).to(device) for i in numbers]
        parts: list[list[torch.Tensor]] = [[] for _ in isps]
        masks: list[list[bytes]] = [[], []]
        run: Pass | None = None
        with torch.inference_mode():
            for batch in images.split(BATCH):
                mosaics, cameras = data.mosaics[batch].to(device), data.camera_index[batch]
                for i, isp in enumerate(isps):
                    views = isp(mosaics, cameras).float().contiguous(memory_format=layout(net))
                    if run is None:
                        pixels = len(images) * len(isps) * views[0, 0].numel()
                        run = forward_of(net, views[:AT_ONCE], pixels, self.spec.task.runtime)
                    logits = logits_of(run, views)
                    end = {0: "before", len(isps) - 1: "after"}.get(i, "between the two")
                    check_finite(
                        logits, [data.images[n] for n in batch.tolist()], f"developed as {end}"
                    )
                    parts[i].append(targets.outcomes_of(logits, batch).cpu())
                    drawn = targets.masks(logits) if i in (0, len(isps) - 1) else None
                    if drawn is not None:
                        masks[min(i, 1)] += [encode(mask, bits=8) for mask in drawn.cpu().numpy()]
                on_batch()
        return torch.stack([torch.cat(part) for part in parts]), masks

    def _masks(
        self, outcomes: np.ndarray, masks: list[list[bytes]], test: np.ndarray
    ) -> dict[int, MaskPair]:
        """Return the masks of the images, or frames of tiles, that lose most."""
        if not masks[0]:
            return {}
        targets = self.material.targets
        measure, wholes = next(iter(targets.measures.values())), Wholes(self.material, test)
        before, after = (
            wholes.values(measure, measure.features(outcomes[i], targets.truth[test]))
            for i in (0, -1)
        )
        return {
            int(wholes.numbers[i]): MaskPair(*(wholes.joined_png(i, files) for files in masks))
            for i in most_harmed(before, after)
        }

    def views(self) -> Mapping[str, Develop]:
        before, after = self.spec.comparison.labels
        if self.trained_here:
            return {}
        return {before: self.ends.develop(0), after: self.ends.develop(self.ends.coalitions[-1])}

    def matched(self, units: Iterable[Finished[ComparisonRecord]]) -> Mapping[str, Matched]:
        tested = join(unit.record for unit in units)
        return {self.spec.comparison.labels[0]: Matched(tested.images, tested.outcomes[0])}

    def withhold(self, result: ComparisonResult) -> ComparisonResult:
        return undecided(result, result.findings[0].headline)

    def line(self, record: ComparisonRecord) -> str:
        metric, values = next(iter(self.material.targets.measures)), {}
        for row in record.rows:
            if row["metric"] == metric:
                values[row["coalition"]] = row["value"]
        before, after = values[0], values[max(values)]
        which = training.label(record.fold, 0, len(self.material.splits))
        return (
            f"{which}: {style.metric(metric, inside=True)} {before:.3f} before, {after:.3f} after"
        )

    def analyze(
        self, units: Iterable[Finished[ComparisonRecord]], failed: Mapping[str, str]
    ) -> ComparisonResult:
        stand_ins = next((unit.record.stand_ins for unit in units), [])
        stages = self._between(stand_ins).stages
        result = analyze(self.spec, self.material, stages, units, failed)
        return replace(
            result,
            moved=self.sensor.moved if self.sensor else [],
            not_moved=self.sensor.not_moved if self.sensor else [],
            stand_ins=[*filter(None, stand_ins)],
        )

    def illustrate(
        self,
        result: ComparisonResult,
        units: Iterable[Finished[ComparisonRecord]],
        pictures: Gallery,
    ) -> ComparisonResult:
        """Add the images that lose most."""
        tested = join(unit.record for unit in units)
        given = answers(self.material, tested, (0, -1))
        develops = [self.ends.develop(i) for i in (0, self.ends.coalitions[-1])]
        return illustrate(result, self.material, tested, given, develops, pictures)

    def needs(self) -> list[str]:
        """Tabulate how many images, or groups, the margin takes."""
        comparison, targets = self.spec.comparison, self.material.targets.take(self.material.tested)
        right = targets.right_outcomes()
        of = self.material.clusters(self.material.tested)
        measure = next(iter(targets.measures.values()))
        features = measure.features(np.stack([right, right]), targets.truth)
        given = Answers(measure, np.stack([right, right]), targets.truth, features, of)
        least = test_of(given, 0).needed(comparison.margin, comparison.alpha)
        unit = "images" if self.material.data.groups is None else "groups"
        table = needs(comparison.margin, comparison.alpha)
        scale = least / (table[0].images or 1)  # of this metric and these groups to single images
        rows = [
            f"  if {metric_drop(need)}: about {ceil(scale * need.images)}"
            for need in table
            if need.images is not None
        ]
        there = int(of.max()) + 1
        return [
            f"{unit} that non-inferiority at the margin {comparison.margin:g} takes with a chance "
            f"of {100 * POWER:.0f} % (there are {there}):",
            *rows,
        ]

    def about(self) -> str:
        images = counted(len(self.material.data), "image")
        if self.spec.data.name == PAIRS:
            return f"{counted(len(self.material.data), 'pair')} of pictures"
        if len(self.fitted_to):
            tested = counted(len(self.material.tested), "image")
            others = counted(len(self.fitted_to), "other image")
            return (
                f"{tested}, each developed by at most {2**MOST} ISPs: "
                f"before, after, and those between them; {others}, to which "
                f"an ISP is fitted in place of a black box"
            )
        stages = ", ".join(stage.name for stage in self.ends.stages)
        return (
            f"{images}, each developed by {len(self.ends.coalitions)} ISPs: before, after, "
            f"and those between them, which differ in {stages}"
        )

    def measure(self) -> float:
        """Estimate from a few images of training and of tests."""
        data, targets, splits = self.material
        if self.trained_here:
            net, seconds = seconds_of_training(
                self.material, 0, self.ends.develop(0), self.spec.task
            )
        else:
            net, seconds = networks.load_checkpoint(self.spec.task, targets, data.size), 0.0
        test = torch.from_numpy(splits[0].test)
        each = seconds_an_image(
            lambda count: self._test(net, test[:count], "cpu", lambda: None, self.ends),
            min(BATCH, len(test)),
        )
        more = 2**MOST / len(self.ends.coalitions) if len(self.fitted_to) else 1
        return seconds + more * each * len(test)
