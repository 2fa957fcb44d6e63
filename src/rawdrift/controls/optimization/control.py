"""The units of drift optimization: a setting, an intensity and a fold."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.controls.experiment import Experiment, Tell
from rawdrift.controls.material import Material, fold_seed, read
from rawdrift.controls.optimization import learned, pictures, selection
from rawdrift.controls.optimization.physics import signal, violations
from rawdrift.controls.optimization.summary import headline, summarize
from rawdrift.runs.optimization import OptimizationSpec
from rawdrift.runs.store import Record, Records
from rawdrift.tasks import models, weights
from rawdrift.tasks.course import Course, DivergedError
from rawdrift.tasks.evaluate import answer
from rawdrift.tasks.fronts import NeuralISP, Packed
from rawdrift.tasks.isolation import random_state
from rawdrift.tasks.metrics import over_set
from rawdrift.tasks.task import Develop, Front, Normalize
from rawdrift.tasks.train import resolve_precision, train

CHECKPOINT_EVERY = 60.0  # seconds: what a kill costs, at most and beside the epoch under way


class Unit(NamedTuple):
    """One training, tested after each epoch."""

    setting: str
    intensity: float
    fold: int

    @property
    def name(self) -> str:
        return f"{self.setting}_{self.intensity:g}_fold{self.fold}"

    @property
    def label(self) -> str:
        return f"{self.setting} at {self.intensity:g} fold {self.fold + 1}"


class DriftOptimization(Experiment[Unit]):
    """Settings at intensities, on the same folds with the same draws."""

    columns: ClassVar = (
        "setting", "intensity", "fold", "epoch", "step", "split", "metric", "value"
    )  # fmt: skip

    def __init__(self, spec: OptimizationSpec) -> None:
        self.spec = spec
        what = spec.optimization
        self.materials = {i: self._read(i) for i in what.intensities}
        first = next(iter(self.materials.values()))
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
        self.same = spec.optimization.same
        self.units = [
            Unit(setting, intensity, fold)
            for intensity in what.intensities
            for setting in what.settings
            if setting not in self.same
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
        trainings = 1 + selection.TRAININGS * (unit.setting == "static-best")
        return self.spec.task.epochs * trainings

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
        configuration = what.isp
        scores = selection.Scores(checkpoint.with_suffix(".scores"), self.inputs)
        if unit.setting == "static-best":
            choice = selection.choose(material, split.train, what.channels, fit, seed, scores)
            configuration = choice["chosen"]
        front = self._front(unit, configuration, seed)
        starts = [learned.values(isp) for isp in _isps(front)]
        signals = [signal(data, camera) for camera in range(len(data.cameras))]
        sides: list[learned.Side] = []
        penalty = None
        rates: dict[str, float] = {}
        if isinstance(front, NeuralISP):
            rates = {name: task.lr for name, _ in front.named_parameters()}
        elif isinstance(front, Develop) and unit.setting == "learned":
            rate = task.lr if what.isp_lr is None else what.isp_lr
            above = [_above(*pair) for pair in zip(data.cameras, signals, strict=True)]
            rates = learned.rates(front, what, rate, above)
            sides = learned.box(front, data.cameras, what.bounds)
            penalty = learned.penalty(front, what, data.cameras)
        test = torch.from_numpy(split.test)

        def follow(front: Front, net: nn.Module, loss: nn.Module) -> dict[str, Any]:
            outcomes, value = answer(front, net, data, targets, test, loss)
            if not torch.isfinite(torch.tensor(value)):
                raise DivergedError("the loss of the test images is not finite")
            now = [learned.values(isp) for isp in _isps(front)] if unit.setting == "learned" else []
            return {
                "outcomes": outcomes.tolist(),
                "test": {"loss": value, **over_set(outcomes, targets, test)},
                "isps": now,
            }

        course = Course(
            lr=rates,
            schedule=what.isp_schedule or task.schedule,
            running=unit.setting == "neural"
            or (unit.setting in ("learned", "frozen-matched") and what.normalization == "running"),
            penalty=penalty,
            after_step=partial(learned.project, sides),
            follow=follow,
        )
        before = pictures.views(material, split.test, front) if unit.fold == 0 else {}
        diverged, net = None, None
        try:
            net = fit(data, targets, torch.from_numpy(split.train), front, course=course)
        except DivergedError as error:
            done = course.history[-1] if course.history else {"epoch": 0, "step": 0}
            diverged = {"epoch": done["epoch"] + 1, "after_step": done["step"], "why": str(error)}
        scores.path.unlink(missing_ok=True)
        record: Record = {
            **unit._asdict(),
            "rows": list(self._rows(unit, course.history, diverged)),
            "diverged": diverged,
            "history": [
                {key: entry[key] for key in ("epoch", "step", "losses", "outcomes")}
                for entry in course.history
            ],
            "isps": [
                {
                    "camera": camera.name,
                    "configuration": configuration,
                    "initial": start,
                    "path": [
                        {
                            "epoch": entry["epoch"],
                            "step": entry["step"],
                            "values": entry["isps"][index],
                            "violations": [
                                v._asdict()
                                for v in violations(start, entry["isps"][index], signals[index])
                            ],
                        }
                        for entry in course.history
                        if entry["isps"]
                    ],
                }
                for index, (camera, start) in enumerate(zip(data.cameras, starts, strict=False))
            ],
            "choice": choice,
            "precision": resolve_precision(task.precision),
        }
        if net is not None and what.save_networks:
            folder = checkpoint.parent.parent / "networks"
            weights.save(nn.ModuleDict({"front": front, "net": net}), folder / unit.name)
        if before and net is not None:
            record["pictures"] = before | pictures.after(material, split.test, front, net)
        return record

    def _front(self, unit: Unit, configuration: str, seed: int) -> Front:
        data, _, splits = self.materials[unit.intensity]
        what = self.spec.optimization
        if unit.setting == "direct":
            return Packed(data.cameras, what.direct_channels)
        if unit.setting == "neural":
            with random_state(seed):
                front = NeuralISP(data.cameras)
            train = torch.from_numpy(splits[unit.fold].train)
            front.normalize = Normalize.of(front.develop, data, train)
            return front
        if unit.setting == "learned":
            return learned.learnable(what, data.cameras)
        if unit.setting == "static-best":
            return Develop.static(configuration, data.cameras, what.channels)
        develop = Develop.parametrized(configuration, data.cameras, what.channels)
        return develop.requires_grad_(False)

    def _rows(
        self, unit: Unit, history: list[dict[str, Any]], diverged: Mapping[str, Any] | None
    ) -> Iterator[dict[str, Any]]:
        names = [unit.setting, *(n for n, other in self.same.items() if other == unit.setting)]
        for setting in names:
            where = {**unit._asdict(), "setting": setting}
            for entry in history:
                at = {**where, "epoch": entry["epoch"], "step": entry["step"]}
                mean = sum(entry["losses"]) / len(entry["losses"])
                for split, found in (
                    ("train", {"loss": mean, **entry["train"]}),
                    ("test", entry["test"]),
                ):
                    for metric, value in found.items():
                        if metric.startswith("recall:") and entry is not history[-1]:
                            continue
                        yield {**at, "split": split, "metric": metric, "value": value}
            if diverged is not None:
                yield {
                    **where,
                    "epoch": diverged["epoch"],
                    "step": diverged["after_step"],
                    "split": "train",
                    "metric": "diverged",
                    "value": 1,
                }

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
        return summarize(self.spec, self.materials, self.same, records, failed, folder)

    def headline(self, summary: Mapping[str, Any]) -> dict[str, float]:
        return headline(summary)

    def about(self) -> str:
        images = len(next(iter(self.materials.values())).data)
        return f"{images} images at each intensity, {self.spec.task.epochs} epochs a training"

    def measure(self) -> float:
        """From epochs of a few images in the dearest of the settings with an ISP."""
        unit = next((u for u in self.units if u.setting == "learned"), self.units[0])
        data, targets, splits = self.materials[unit.intensity]
        task = replace(self.spec.task, epochs=1)
        indices = torch.from_numpy(splits[0].train)
        front = self._front(unit, self.spec.optimization.isp, 0)
        took: list[tuple[float, int]] = []
        for batches in (1, 1, 3):  # the first time something may be compiled
            few = indices[: batches * task.batch_size]
            started = time.monotonic()
            follow = partial(_answered, material=(data, targets, few))
            course = Course(follow=follow)
            train(data, targets, few, front, task, seed=0, course=course)
            took.append((time.monotonic() - started, len(few)))
        images = max(took[-1][1] - took[-2][1], 1)
        trainings = [1 + selection.TRAININGS * (u.setting == "static-best") for u in self.units]
        mean = sum(trainings) / len(trainings)
        seconds = max(took[-1][0] - took[-2][0], 0.0) / images
        return mean * self.spec.task.epochs * len(indices) * seconds


def _answered(
    front: Front, net: nn.Module, loss: nn.Module, material: tuple[Any, Any, Tensor]
) -> dict[str, Any]:
    data, targets, indices = material
    answer(front, net, data, targets, indices, loss)
    return {}


def _above(camera: Camera, signal: Sequence[float]) -> float:
    """The signal above the black level, the mean of the four sites."""
    above = (seen - black for seen, black in zip(signal, camera.black_level, strict=True))
    return max(0.0, sum(above) / len(signal))


def _isps(front: Front) -> list[Any]:
    return front.isps if isinstance(front, Develop) else []
