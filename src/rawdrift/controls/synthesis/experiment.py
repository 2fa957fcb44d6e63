"""Drift synthesis: train on static pipelines, test on all twelve and on common corruptions.

Section 2.1 of the paper. Every pipeline sees the same folds, the same initial weights and the same
order of images, so that differences are the pipelines'. A trained model of the user's own is tested
in the same way, without training.
"""

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from rawdrift.controls import experiment
from rawdrift.controls.experiment import Experiment, Tell
from rawdrift.controls.material import Material, fold_seed, read, read_isp
from rawdrift.controls.synthesis.analysis import headline, summarize
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.isp import learned
from rawdrift.models import build as models
from rawdrift.models import weights
from rawdrift.models.chain import BATCH, Develop
from rawdrift.models.evaluate import Case, evaluate
from rawdrift.models.metrics import over_set
from rawdrift.models.spec import Task
from rawdrift.models.train import resolve_precision, train
from rawdrift.runs.executor import Compute
from rawdrift.runs.store import Record, Records

CHECKPOINT_EVERY = 60.0  # seconds: what a kill costs, at most and beside the epoch under way


class Unit(NamedTuple):
    """One training and its tests: a pipeline and a fold."""

    train: str
    fold: int

    @property
    def name(self) -> str:
        return f"{self.train.replace(',', '-')}_fold{self.fold}"

    @property
    def label(self) -> str:
        return f"{self.train} fold {self.fold + 1}"


def run(
    spec: SynthesisSpec, out: str | Path, compute: Compute | None = None, tracking: str = "none"
) -> dict[str, Any]:
    """Run a drift synthesis experiment, or go on with it, in the folder `out`: `experiment.run`.

    Beside the records it leaves samples of the worst pair.
    """
    return experiment.run(DriftSynthesis, spec, out, compute, tracking)


class DriftSynthesis(Experiment[Unit]):
    """A grid of training pipelines and folds."""

    columns: ClassVar = (
        "train", "test_kind", "test", "severity", "fold", "metric", "value", "n"
    )  # fmt: skip

    def __init__(self, spec: SynthesisSpec) -> None:
        self.spec = spec
        self.trained_here = spec.task.checkpoint is None
        folds = spec.synthesis.folds if self.trained_here else None
        self.material = read(spec.data, spec.task, folds, spec.seed)
        data, targets, splits = self.material
        self.isps = {
            learned.label(path): read_isp(path, data.cameras)[1]
            for path in spec.synthesis.isps or ()
        }
        self.cases = cases(spec)
        self.units = [
            Unit(name, fold) for name in spec.synthesis.train for fold in range(len(splits))
        ]
        self.inputs = [data.fingerprint(), models.fingerprint(spec.task, targets, data.size)]
        self.inputs += [weights.checksum(path) for path in spec.synthesis.isps or ()]
        self.step = "epoch" if self.trained_here else "batch"

    def steps(self, unit: Unit) -> int:
        if self.trained_here:
            return self.spec.task.epochs
        return -(-len(self.material.data) // BATCH)

    def compute(self, unit: Unit, device: str, checkpoint: Path, tell: Tell) -> Record:
        """Train one network, or load the user's, and test it."""
        data, targets, splits = self.material
        test = torch.from_numpy(splits[unit.fold].test)
        if self.trained_here:
            net = self._train(unit, checkpoint, tell)
        else:
            net = models.load_checkpoint(self.spec.task, targets, data.size)
        answers = evaluate(
            net,
            data,
            targets,
            test,
            unit.train,
            self.cases,
            channels=self.spec.synthesis.channels,
            isps=self.isps,
            table=self.spec.synthesis.severity_table,
            precision=self.spec.synthesis.precision,
            seed=self.spec.seed,
            device=device,
            on_batch=(lambda: None) if self.trained_here else tell,
        )
        rows = [
            {
                "train": unit.train,
                "test_kind": case.kind,
                "test": case.name,
                "severity": case.severity,
                "fold": unit.fold,
                "metric": metric,
                "value": value,
                "n": len(test),
            }
            for case in self.cases
            for metric, value in over_set(answers.outcomes[case.key], targets, test).items()
        ]
        precision = self.spec.task.precision
        return {
            "train": unit.train,
            "fold": unit.fold,
            "rows": rows,
            "outcomes": {key: found.tolist() for key, found in answers.outcomes.items()},
            "distance": answers.distance,
            "precision": resolve_precision(precision) if self.trained_here else "32-true",
        }

    def _train(self, unit: Unit, checkpoint: Path, tell: Tell) -> nn.Module:
        data, targets, splits = self.material
        return train(
            data,
            targets,
            torch.from_numpy(splits[unit.fold].train),
            self._develop(unit.train),
            self.spec.task,
            seed=fold_seed(self.spec.seed, unit.fold),
            on_epoch=tell,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
        )

    def _develop(self, name: str) -> Develop:
        if name in self.isps:
            return Develop([deepcopy(self.isps[name])])  # whoever trains may move it
        return Develop.static(name, self.material.data.cameras, self.spec.synthesis.channels)

    def line(self, record: Record) -> str:
        metric = record["rows"][0]["metric"]
        isp = {
            r["test"]: r["value"]
            for r in record["rows"]
            if (r["test_kind"], r["metric"]) == ("isp", metric)
        }
        worst = min(isp, key=lambda name: isp[name])
        return (
            f"{record['train']} fold {record['fold'] + 1}/{len(self.material.splits)}: matched "
            f"{metric} {isp[record['train']]:.3f}, lowest {isp[worst]:.3f} on {worst}"
        )

    def summarize(
        self, records: Records, failed: Mapping[str, str], folder: Path
    ) -> dict[str, Any]:
        return summarize(self.spec, self.material, self.cases, records, failed, folder, self.isps)

    def headline(self, summary: Mapping[str, Any]) -> dict[str, float]:
        return headline(summary)

    def about(self) -> str:
        return (
            f"{len(self.material.data)} images, each tested in {len(self.cases)} cases by every "
            f"pipeline's models"
        )

    def measure(self) -> float:
        """From two batches of training and one of tests after a first one of each."""
        data, targets, splits = self.material
        name, channels = self.spec.synthesis.train[0], self.spec.synthesis.channels
        if self.trained_here:
            develop = self._develop(name)
            net, seconds = seconds_of_training(self.material, 0, develop, self.spec.task)
        else:
            net, seconds = models.load_checkpoint(self.spec.task, targets, data.size), 0.0
        test = torch.from_numpy(splits[0].test)
        few = test[:BATCH]
        for _ in range(2):
            started = time.monotonic()
            evaluate(
                net, data, targets, few, name, self.cases, channels=channels, isps=self.isps,
                table=self.spec.synthesis.severity_table, precision=self.spec.synthesis.precision,
            )  # fmt: skip
            took_tests = time.monotonic() - started
        return seconds + took_tests * len(test) / len(few)


def seconds_of_training(
    material: Material, fold: int, develop: Develop, task: Task
) -> tuple[nn.Module, float]:
    """A network trained for two batches more than a first one, and how long a fold's training
    takes by them."""
    data, targets, splits = material
    indices = torch.from_numpy(splits[fold].train)
    took = []
    for batches in (1, 3):
        few = indices[: batches * task.batch_size]
        started = time.monotonic()
        net = train(data, targets, few, develop, replace(task, epochs=1), seed=0)
        took.append((time.monotonic() - started, len(few)))
    images = max(took[1][1] - took[0][1], 1)
    seconds = task.epochs * len(indices) * (took[1][0] - took[0][0]) / images
    return net, max(0.0, seconds)


def cases(spec: SynthesisSpec) -> list[Case]:
    """All twelve pipelines, those of files, then each corruption at each severity."""
    synthesis = spec.synthesis
    return [Case("isp", name) for name in synthesis.pipelines] + [
        Case("corruption", name, severity)
        for name in synthesis.corruptions
        for severity in synthesis.severities
    ]
