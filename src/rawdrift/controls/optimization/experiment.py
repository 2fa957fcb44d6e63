"""Drift optimization as an experiment."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from rawdrift.checks import InputError
from rawdrift.controls.experiment import Experiment, Tell
from rawdrift.controls.material import Material, fold_seed, read
from rawdrift.controls.optimization import learned, pictures, selection
from rawdrift.controls.optimization.analysis import headline, summarize
from rawdrift.controls.optimization.physics import signal
from rawdrift.controls.optimization.records import isp_record, rows
from rawdrift.controls.optimization.settings import course_of, front_of, states
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.controls.optimization.unit import Unit
from rawdrift.models import build as models
from rawdrift.models import weights
from rawdrift.models.evaluate import answer
from rawdrift.models.fronts import NeuralISP
from rawdrift.models.train import Course, DivergedError, resolve_precision, train
from rawdrift.runs.store import Record, Records

CHECKPOINT_EVERY = 60.0  # seconds: what a kill costs, at most and beside the epoch under way


class DriftOptimization(Experiment[Unit]):
    """Settings at intensities, on the same folds with the same draws."""

    columns: ClassVar = (
        "setting", "intensity", "fold", "epoch", "step", "split", "metric", "value"
    )  # fmt: skip

    def __init__(self, spec: OptimizationSpec) -> None:
        self.spec = spec
        what = spec.optimization
        self.materials = {i: self._read(i) for i in what.intensities}
        self.material = first = next(iter(self.materials.values()))
        for intensity, material in self.materials.items():
            if material.data.images != first.data.images:
                raise InputError(
                    f"the images at intensity {intensity:g} are not those at "
                    f"{what.intensities[0]:g}: settings can't be compared over intensities"
                )
        cameras = first.data.cameras
        learned.box(learned.learnable(what, cameras), cameras, what.bounds)
        if "neural" in what.settings:
            NeuralISP(cameras)  # whether its package is there
        if "static-best" in what.settings:
            selection.check(first)
        self.units = [
            Unit(setting, intensity, fold)
            for intensity in what.intensities
            for setting in what.settings
            if setting not in what.same
            for fold in range(what.folds)
        ]
        self.inputs = [
            *(material.data.fingerprint() for material in self.materials.values()),
            models.fingerprint(spec.task, first.targets, first.data.size),
        ]
        self.step = "epoch"

    def _read(self, intensity: float) -> Material:
        data = replace(self.spec.data, intensity=intensity)
        try:
            return read(data, self.spec.task, self.spec.optimization.folds, self.spec.seed)
        except InputError as error:
            if intensity == 1.0:
                raise
            raise InputError(
                f"optimization.intensities names {intensity:g}, which the data can't give: {error}"
            ) from None

    def steps(self, unit: Unit) -> int:
        return self.spec.task.epochs * _trainings(unit)

    def compute(self, unit: Unit, device: str, checkpoint: Path, tell: Tell) -> Record:
        material = self.materials[unit.intensity]
        data, targets, splits = material
        split = splits[unit.fold]
        what, task = self.spec.optimization, self.spec.task
        seed = fold_seed(self.spec.seed, unit.fold)
        fit = partial(
            train, task=task, seed=seed, on_epoch=tell, checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
        )  # fmt: skip
        choice = None
        scores = selection.Scores(checkpoint.with_suffix(".scores"), self.inputs)
        if unit.setting == "static-best":
            choice = selection.choose(material, split.train, what.channels, fit, seed, scores)
        configuration = choice["chosen"] if choice else what.isp
        front = front_of(unit, what, material, configuration, seed)
        starts = states(front, data, torch.from_numpy(split.test))
        signals = [signal(data, camera) for camera in range(len(data.cameras))]
        course = course_of(unit, what, task, material, front, signals)
        before = pictures.before(material, split.test, front) if unit.fold == 0 else {}
        diverged, net = None, None
        try:
            net = fit(data, targets, torch.from_numpy(split.train), front, course=course)
        except DivergedError as error:
            done = course.history[-1] if course.history else {"epoch": 0, "step": 0}
            diverged = {"epoch": done["epoch"] + 1, "after_step": done["step"], "why": str(error)}
        settings = [unit.setting, *(n for n, other in what.same.items() if other == unit.setting)]
        record: Record = {
            **unit._asdict(),
            "rows": list(rows(unit, settings, course.history, diverged)),
            "diverged": diverged,
            "history": [
                {key: entry[key] for key in ("epoch", "step", "losses", "outcomes")}
                for entry in course.history
            ],
            "isps": [
                isp_record(
                    i, data.cameras[i].name, configuration, start, course.history, signals[i]
                )
                for i, start in enumerate(starts)
            ],
            "choice": choice,
            "precision": resolve_precision(task.precision),
        }
        if net is not None and what.save_networks:
            folder = checkpoint.parent.parent / "networks"
            weights.save(nn.ModuleDict({"front": front, "net": net}), folder / unit.name)
        if before and net is not None:
            record["pictures"] = before | pictures.after(material, split.test, front, net)
        scores.path.unlink(missing_ok=True)
        return record

    def line(self, record: Record) -> str:
        unit = Unit(record["setting"], record["intensity"], record["fold"])
        if record["diverged"]:
            return f"{unit.label}: diverged in epoch {record['diverged']['epoch']}"
        last = [row for row in record["rows"] if row["split"] == "test"]
        metric = next(row["metric"] for row in last if row["metric"] != "loss")
        value = [row["value"] for row in last if row["metric"] == metric][-1]
        chosen = f" with {record['choice']['chosen']}" if record["choice"] else ""
        return f"{unit.label}/{self.spec.optimization.folds}{chosen}: {metric} {value:.3f}"

    def summarize(
        self, records: Records, failed: Mapping[str, str], folder: Path
    ) -> dict[str, Any]:
        return summarize(self.spec, self.materials, records, failed, folder)

    def headline(self, summary: Mapping[str, Any]) -> dict[str, float]:
        return headline(summary)

    def about(self) -> str:
        images = len(next(iter(self.materials.values())).data)
        return f"{images} images at each intensity, {self.spec.task.epochs} epochs a training"

    def measure(self) -> float:
        """From epochs of a few images in the dearest of the settings with an ISP."""
        unit = next((u for u in self.units if u.setting == "learned"), self.units[0])
        material = self.materials[unit.intensity]
        data, targets, splits = material
        what, task = self.spec.optimization, replace(self.spec.task, epochs=1)
        indices = torch.from_numpy(splits[0].train)
        front = front_of(unit, what, material, what.isp, 0)
        took: list[tuple[float, int]] = []
        for batches in (1, 1, 3):  # the first time something may be compiled
            few = indices[: batches * task.batch_size]
            started = time.monotonic()
            net = train(data, targets, few, front, task, seed=0, course=Course())
            answer(front, net, data, targets, few)
            took.append((time.monotonic() - started, len(few)))
        images = max(took[-1][1] - took[-2][1], 1)
        seconds = max(took[-1][0] - took[-2][0], 0.0) / images
        trainings = sum(map(_trainings, self.units)) / len(self.units)
        return trainings * self.spec.task.epochs * len(indices) * seconds


def _trainings(unit: Unit) -> int:
    return 1 + selection.TRAININGS * (unit.setting == "static-best")
