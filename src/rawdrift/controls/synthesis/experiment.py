"""Train on static pipelines, test on all twelve and on common corruptions (paper, section 2.1).

Every pipeline gets the same folds, initial weights and order of images, so that differences are the
pipelines'. A trained model of the user's own is tested in the same way, without training.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rawdrift import configurations, imports
from rawdrift.controls import training
from rawdrift.controls.experiment import Experiment, Progress
from rawdrift.controls.gallery import Gallery, most_harmed
from rawdrift.controls.material import (
    compute_views,
    isp_inputs,
    read_isp,
    read_split,
    training_seed,
)
from rawdrift.controls.synthesis.analysis import analyze
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.result import MaskPair, SynthesisRecord, SynthesisResult
from rawdrift.controls.synthesis.samples import illustrate
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.controls.training import (
    CHECKPOINT_EVERY,
    seconds_an_image,
    seconds_of_training,
)
from rawdrift.controls.trust import Matched, joined
from rawdrift.controls.wholes import Wholes
from rawdrift.isp.external import External
from rawdrift.isp.presets import static
from rawdrift.models import networks
from rawdrift.models.case import Case
from rawdrift.models.chain import BATCH, Develop
from rawdrift.models.evaluate import Answers, evaluate
from rawdrift.models.precision import resolve_precision
from rawdrift.models.train import train
from rawdrift.report import style
from rawdrift.runs.store import Finished
from rawdrift.text import counted

_MEASURED = 4  # cases that a plan measures


class Unit(NamedTuple):
    """One training and its tests: a pipeline, a fold and a repeat."""

    train: str
    fold: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{configurations.file_name(self.train)}_{training.name(self.fold, self.repeat)}"

    @property
    def label(self) -> str:
        return f"{self.train} {training.label(self.fold, self.repeat)}"


class DriftSynthesis(Experiment[Unit, SynthesisRecord, SynthesisResult]):
    """A grid of training pipelines and folds."""

    columns: ClassVar = (
        "train", "test_kind", "test", "severity", "fold", "repeat", "metric", "value", "n"
    )  # fmt: skip
    record: ClassVar = SynthesisRecord

    def __init__(self, spec: SynthesisSpec) -> None:
        self.spec = spec
        self.trained_here = spec.task.checkpoint is None
        self.material = read_split(spec.data, spec.task, spec.synthesis.folds, spec.seed)
        data, targets, splits = self.material
        self.isps = {
            configurations.label(path): read_isp(path, data.cameras)[1]
            for path in spec.synthesis.files
        }
        for camera in {camera.cfa: camera for camera in data.cameras}.values():
            for name in {*spec.synthesis.train, *spec.synthesis.test} & {*configurations.NAMES}:
                static(name, camera)  # which says at once what a camera's mosaics can't have
        self.cases = spec.synthesis.cases
        self.units = [
            Unit(name, fold, repeat)
            for name in spec.synthesis.train
            for fold in range(len(splits))
            for repeat in range(spec.task.repeats)
        ]
        self.inputs = [data.fingerprint(), networks.fingerprint(spec.task, targets, data.size)]
        for path in spec.synthesis.files:
            self.inputs += isp_inputs(path, self.isps[configurations.label(path)])
        own = filter(imports.is_import, spec.synthesis.corruptions)
        self.inputs += [imports.checksum(name, "synthesis.corruptions") for name in own]
        self.step = "epoch" if self.trained_here else "batch"

    def steps(self, unit: Unit) -> int:
        return training.steps(self.spec.task, len(self.material.data))

    def compute(
        self, unit: Unit, device: str, checkpoint: Path, progress: Progress
    ) -> SynthesisRecord:
        """Train one network, or load the user's, and test it."""
        data, targets, splits = self.material
        test = torch.from_numpy(splits[unit.fold].test)
        compute_views(self.isps.values(), data)
        if self.trained_here:
            net = self._train(unit, checkpoint, progress)
        else:
            net = networks.load_checkpoint(self.spec.task, targets, data.size)
        on_batch = (lambda: None) if self.trained_here else progress
        answers = self._test(net, unit.train, test, self.cases, device, on_batch)
        rows = [
            {
                "train": unit.train,
                "test_kind": case.kind,
                "test": case.name,
                "severity": case.severity,
                "fold": unit.fold,
                "repeat": unit.repeat,
                "metric": metric,
                "value": value,
                "n": len(test),
            }
            for case in self.cases
            for metric, value in targets.scores(answers.outcomes[case.key], test).items()
        ]
        precision = self.spec.task.precision
        return SynthesisRecord(
            rows=rows,
            precision=resolve_precision(precision) if self.trained_here else "32",
            train=unit.train,
            fold=unit.fold,
            repeat=unit.repeat,
            outcomes={key: outcomes.tolist() for key, outcomes in answers.outcomes.items()},
            distance=answers.distance,
            masks=self._masks(answers, Case("isp", unit.train), test.numpy()),
        )

    def _masks(
        self, answers: Answers, own: Case, test: NDArray[np.int64]
    ) -> dict[str, dict[int, MaskPair]]:
        """Return the masks of the images that lose most in each case, if answers are masks; of
        tiles, those of whole frames."""
        targets, files = self.material.targets, answers.masks
        measure, truth = next(iter(targets.measures.values())), targets.truth[test]
        wholes = Wholes(self.material, test)
        alone = {
            key: wholes.values(measure, measure.features(answers.outcomes[key].numpy(), truth))
            for key in files
        }
        return {
            key: {
                int(wholes.numbers[i]): MaskPair(
                    wholes.joined_png(i, files[own.key]), wholes.joined_png(i, files[key])
                )
                for i in most_harmed(alone[own.key], alone[key])
            }
            for key in files
            if key != own.key
        }

    def _test(
        self,
        net: nn.Module,
        own: str,
        images: torch.Tensor,
        cases: Sequence[Case],
        device: str = "cpu",
        on_batch: Progress = lambda: None,
    ) -> Answers:
        data, targets, _ = self.material
        synthesis = self.spec.synthesis
        return evaluate(
            net,
            data,
            targets,
            images,
            own,
            cases,
            channels=synthesis.channels,
            isps=self.isps,
            table=synthesis.severity_table,
            precision=synthesis.precision,
            runtime=self.spec.task.runtime,
            seed=self.spec.seed,
            device=device,
            on_batch=on_batch,
        )

    def _train(self, unit: Unit, checkpoint: Path, progress: Progress) -> nn.Module:
        data, targets, splits = self.material
        return train(
            data,
            targets,
            torch.from_numpy(splits[unit.fold].train),
            self._develop(unit.train),
            self.spec.task,
            seed=training_seed(self.spec.seed, unit.fold, unit.repeat),
            on_epoch=progress,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
        )

    def _develop(self, name: str) -> Develop:
        isp = self.isps.get(name)
        if isinstance(isp, External):
            return Develop.external(isp, self.material.data.cameras)
        if name in self.isps:
            return Develop([deepcopy(self.isps[name])])  # whoever trains may move it
        return Develop.static(name, self.material.data.cameras, self.spec.synthesis.channels)

    def views(self) -> Mapping[str, Develop]:
        own = self.spec.synthesis.train[0]
        names = () if self.trained_here else (own, *self.spec.synthesis.pipelines)
        return {name: self._develop(name) for name in names}

    def matched(self, units: Iterable[Finished[SynthesisRecord]]) -> Mapping[str, Matched]:
        found: dict[str, list[Matched]] = {}
        for unit in units:
            record = unit.record
            if record.repeat == 0:
                answers = np.array(record.outcomes[Case("isp", record.train).key])
                test = self.material.splits[record.fold].test
                found.setdefault(record.train, []).append(Matched(test, answers))
        return {train: joined(parts) for train, parts in found.items()}

    def line(self, record: SynthesisRecord) -> str:
        metric = next(iter(self.material.targets.measures))
        isp = dict.fromkeys(self.spec.synthesis.pipelines, math.inf)  # where it isn't defined
        for row in record.rows:
            if (row["test_kind"], row["metric"]) == ("isp", metric):
                isp[row["test"]] = row["value"]
        worst = min(isp, key=lambda name: isp[name])
        which = training.label(record.fold, record.repeat, len(self.material.splits))
        return (
            f"{record.train} {which}: matched "
            f"{style.metric(metric, inside=True)} {isp[record.train]:.3f}, lowest "
            f"{isp[worst]:.3f} on {worst}"
        )

    def analyze(
        self, units: Iterable[Finished[SynthesisRecord]], failed: Mapping[str, str]
    ) -> SynthesisResult:
        return analyze(self.spec, self.material, units, failed)

    def illustrate(
        self,
        result: SynthesisResult,
        units: Iterable[Finished[SynthesisRecord]],
        pictures: Gallery,
    ) -> SynthesisResult:
        """Add samples of the worst pairs, and all views of the first image."""
        records = (unit.record for unit in units)
        repeats = self.spec.task.repeats
        grid = Grid(self.material, self.cases, result.train, records, self.spec.seed, repeats)
        return illustrate(result, grid, self.spec, self.material, self.isps, pictures)

    def about(self) -> str:
        return (
            f"{counted(len(self.material.data), 'image')}, each tested in "
            f"{counted(len(self.cases), 'case')} by every "
            f"pipeline's models"
        )

    def measure(self) -> float:
        """Estimate from a few images of training and of tests."""
        data, targets, splits = self.material
        name = self.spec.synthesis.train[0]
        if self.trained_here:
            develop = self._develop(name)
            net, seconds = seconds_of_training(self.material, 0, develop, self.spec.task)
        else:
            net, seconds = networks.load_checkpoint(self.spec.task, targets, data.size), 0.0
        test = torch.from_numpy(splits[0].test)
        most = min(BATCH, len(test))
        some = self.cases[:: max(1, len(self.cases) // _MEASURED)]
        each = seconds_an_image(lambda count: self._test(net, name, test[:count], some), most)
        return seconds + each * len(test) * len(self.cases) / len(some)
