"""Drift optimization: train the network behind each setting, and test it after every epoch.

Section 2.3 of the paper. All settings see the same folds, the same initial weights and the same
batches and augmentation, so that differences are the settings'.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from msgspec import structs
from torch import nn

from rawdrift import isp as isps
from rawdrift.checks import InputError
from rawdrift.configurations import is_external, is_file
from rawdrift.controls import training
from rawdrift.controls.experiment import Experiment, Progress
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import (
    Material,
    compute_views,
    isp_inputs,
    read_isp,
    read_split,
    training_seed,
)
from rawdrift.controls.optimization import flipped, learned, pictures, selection
from rawdrift.controls.optimization.analysis import analyze
from rawdrift.controls.optimization.physics import signal
from rawdrift.controls.optimization.records import (
    Epoch,
    OptimizationRecord,
    Pictures,
    Unit,
    learned_isps,
    left_physics,
    pipeline,
    rows,
)
from rawdrift.controls.optimization.result import Diverged, OptimizationResult
from rawdrift.controls.optimization.settings import course_of, front_of, states
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.controls.training import CHECKPOINT_EVERY, seconds_of_training
from rawdrift.controls.trust import Matched, joined
from rawdrift.models import networks, weights
from rawdrift.models.evaluate import answer
from rawdrift.models.fronts import NeuralISP
from rawdrift.models.precision import resolve_precision
from rawdrift.models.train import DivergedError, train
from rawdrift.report import style
from rawdrift.runs.store import Finished
from rawdrift.text import counted


class DriftOptimization(Experiment[Unit, OptimizationRecord, OptimizationResult]):
    """Settings at intensities, on the same folds with the same draws."""

    columns: ClassVar = (
        "setting", "intensity", "fold", "repeat", "epoch", "step", "split", "metric", "value"
    )  # fmt: skip
    record: ClassVar = OptimizationRecord

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
        if is_file(what.isp):
            read_isp(what.isp, cameras)
        develop = learned.learnable(what, cameras)
        learned.box(develop, cameras, what.bounds)
        isp = develop.isps[0]
        self.isp_steps = {name: type(step) for name, step in isp.steps.items()}
        if "neural" in what.settings:
            NeuralISP(cameras)  # raises if its package is missing
        if "static-best" in what.settings:
            selection.check(first)
        self.units = [
            Unit(setting, intensity, fold, repeat)
            for intensity in what.intensities
            for setting in what.settings
            if setting not in what.same
            for fold in range(len(first.splits))
            for repeat in range(spec.task.repeats)
        ]
        self.inputs = [
            *(material.data.fingerprint() for material in self.materials.values()),
            networks.fingerprint(spec.task, first.targets, first.data.size),
            *(isp_inputs(what.isp, isp) if is_file(what.isp) or is_external(what.isp) else ()),
        ]
        self.step = "epoch"

    def _read(self, intensity: float) -> Material:
        data = replace(self.spec.data, intensity=intensity)
        try:
            return read_split(data, self.spec.task, self.spec.optimization.folds, self.spec.seed)
        except InputError as error:
            if intensity == 1.0:
                raise
            raise InputError(
                f"optimization.intensities names {intensity:g}, which the data can't give: {error}"
            ) from None

    def steps(self, unit: Unit) -> int:
        return self.spec.task.epochs * _trainings(unit)

    def compute(
        self, unit: Unit, device: str, checkpoint: Path, progress: Progress
    ) -> OptimizationRecord:
        material = self.materials[unit.intensity]
        data, targets, splits = material
        split = splits[unit.fold]
        train_images, test = map(torch.from_numpy, split)
        what, task = self.spec.optimization, self.spec.task
        seed = training_seed(self.spec.seed, unit.fold, unit.repeat)
        fit = partial(
            train, task=task, seed=seed, on_epoch=progress, checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
        )  # fmt: skip
        scores = selection.Scores(checkpoint.with_suffix(".scores"), self.inputs)
        choice = None
        if unit.setting == "static-best":
            choice = selection.choose(unit, material, what.channels, task, fit, seed, scores)
        if is_external(what.isp) and unit.setting == "frozen":
            compute_views(
                learned.parametrized(what.isp, data.cameras, what.channels).isps[:1], data
            )
        front = front_of(unit, what, material, choice.chosen if choice else None, seed)
        start = states(front, data, test)
        signals = [signal(data, train_images, camera) for camera in range(len(data.cameras))]
        shown = pictures.choose(material, split.test) if unit.fold == unit.repeat == 0 else []
        course = course_of(unit, what, task, material, front, signals, shown)
        before = pictures.views(material, shown, front) if shown else []
        diverged, net = None, None
        try:
            net = fit(data, targets, train_images, front, course=course)
        except DivergedError as error:
            last = course.history[-1] if course.history else {"epoch": 0, "step": 0}
            diverged = Diverged(
                **unit._asdict(), epoch=last["epoch"] + 1, after_step=last["step"], why=str(error)
            )
        trained = list(learned_isps(unit, what, data.cameras, start, course.history))
        settings = [unit.setting, *(n for n, other in what.same.items() if other == unit.setting)]
        shots = None
        if net is not None and shown:
            shots = Pictures(
                images=shown,
                before=before,
                after=pictures.views(material, shown, front),
                stages=pictures.through(material, shown[0], front, net),
                first=course.history[0]["masks"],
                last=course.history[-1]["masks"],
            )
        record = OptimizationRecord(
            **unit._asdict(),
            rows=list(rows(unit, settings, course.history, diverged)),
            precision=resolve_precision(task.precision),
            history=[Epoch(entry["step"], entry["outcomes"]) for entry in course.history],
            isps=trained,
            violations=[
                violation
                for isp, seen in zip(trained, signals, strict=False)
                for violation in left_physics(isp, self.isp_steps, seen)
            ],
            diverged=diverged,
            choice=choice,
            pictures=shots,
        )
        if net is not None and what.save_networks:
            folder = checkpoint.parent.parent / "networks"
            weights.save(
                nn.ModuleDict({"front": front, "net": net}),
                folder / f"{unit.name}.safetensors",
                targets.names,
            )
        scores.path.unlink(missing_ok=True)
        return record

    def line(self, record: OptimizationRecord) -> str:
        unit = record.unit
        if record.diverged:
            return f"{unit.label}: diverged in epoch {record.diverged.epoch}"
        last = [row for row in record.rows if row["split"] == "test"]
        metric = next(row["metric"] for row in last if row["metric"] != "loss")
        value = [row["value"] for row in last if row["metric"] == metric][-1]
        chosen = f" with {record.choice.chosen}" if record.choice else ""
        which = training.label(unit.fold, unit.repeat, len(self.material.splits))
        where = f"{unit.setting} at {unit.intensity:g} {which}"
        return f"{where}{chosen}: {style.metric(metric, inside=True)} {value:.3f}"

    def analyze(
        self, units: Iterable[Finished[OptimizationRecord]], failed: Mapping[str, str]
    ) -> OptimizationResult:
        return analyze(self.spec, self.materials, self.isp_steps, units, failed)

    def matched(self, units: Iterable[Finished[OptimizationRecord]]) -> Mapping[str, Matched]:
        """The answers after the last epoch at the highest intensity."""
        highest = max(self.materials)
        found: dict[str, list[Matched]] = {}
        for unit in units:
            record = unit.record
            if record.intensity == highest and record.repeat == 0 and record.diverged is None:
                test = self.materials[highest].splits[record.fold].test
                answers = np.array(record.history[-1].outcomes)
                found.setdefault(record.setting, []).append(Matched(test, answers))
        return {setting: joined(parts) for setting, parts in found.items()}

    def illustrate(
        self,
        result: OptimizationResult,
        units: Iterable[Finished[OptimizationRecord]],
        gallery: Gallery,
    ) -> OptimizationResult:
        samples, stages = [], []
        for intensity, material in self.materials.items():
            records = (u.record for u in units if u.record.intensity == intensity)
            views, gradients = pictures.write(records, material, gallery)
            samples += views
            stages += gradients
        image = pictures.choose(self.material, self.material.splits[0].test)[0]
        several = len(self.materials) > 1
        trained = [unit.record for unit in units]
        what = self.spec.optimization
        return structs.replace(
            result,
            flips=flipped.find(what, self.materials, result, trained, gallery),
            samples=samples,
            stages=stages,
            less_light=pictures.in_less_light(self.materials, image, gallery) if several else [],
        )

    def deliver(
        self,
        result: OptimizationResult,
        units: Iterable[Finished[OptimizationRecord]],
        folder: Path,
    ) -> None:
        """Write the learned ISPs, as `rd.isp.load` takes them."""
        for number, isp in enumerate(result.isps):
            cameras = self.materials[isp.intensity].data.cameras
            camera = cameras[number % len(cameras)]
            if isp.file:
                final = pipeline(self.spec.optimization, camera, isp.final)
                isps.save(final, folder / isp.file, camera)

    def about(self) -> str:
        images = len(next(iter(self.materials.values())).data)
        return (
            f"{counted(images, 'image')} at each intensity, "
            f"{counted(self.spec.task.epochs, 'epoch')} a training"
        )

    def measure(self) -> float:
        unit = next((u for u in self.units if u.setting == "learned"), self.units[0])
        material = self.materials[unit.intensity]
        data, targets, splits = material
        task = self.spec.task
        front = front_of(unit, self.spec.optimization, material, None, 0)
        net, seconds = seconds_of_training(material, 0, front, task)
        test = torch.from_numpy(splits[0].test)
        few = test[: task.batch_size]
        started = time.monotonic()
        answer(front, net, data, targets, few)
        seconds += task.epochs * (time.monotonic() - started) * len(test) / len(few)
        return seconds * sum(map(_trainings, self.units)) / len(self.units)


def _trainings(unit: Unit) -> int:
    return 1 + selection.TRAININGS * (unit.setting == "static-best")
