"""The units of drift optimization, and what is recorded of each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.controls import training
from rawdrift.controls.optimization import learned
from rawdrift.controls.optimization.physics import violations
from rawdrift.controls.optimization.result import (
    Choice,
    Clipped,
    Diverged,
    LearnedISP,
    PathPoint,
    Values,
    Violation,
)
from rawdrift.controls.optimization.spec import Optimization
from rawdrift.isp.file import to_toml
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step
from rawdrift.runs.store import Record

History = Sequence[Mapping[str, Any]]  # see `models.train.Course`


class Unit(NamedTuple):
    """One training, tested after each epoch."""

    setting: str
    intensity: float
    fold: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.setting}_{self.intensity:g}_{training.name(self.fold, self.repeat)}"

    @property
    def label(self) -> str:
        return f"{self.setting} at {self.intensity:g} {training.label(self.fold, self.repeat)}"

    @property
    def title(self) -> str:
        """The name of files for users."""
        of = training.label(self.fold, self.repeat).replace(" repeat", "-repeat").replace(" ", "")
        return f"{self.setting}-{self.intensity:g}-{of}"


class Epoch(msgspec.Struct, frozen=True):
    """The answers to the test images after an epoch.

    step: of the optimizer. outcomes: a class for each image, or counts of pixels for each mask;
    see `models.targets.Targets.outcome`.
    """

    step: int
    outcomes: list[Any]


class StagePictures(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of an ISP and its gradient; see `result.StageView`. view, gradient: PNG files."""

    name: str
    view: bytes
    view_white: float
    gradient: bytes
    gradient_white: float
    gradient_mean: float


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """Some test images as the network saw them before and after the training, as PNG files.

    images: their numbers in the data. first, last: the masks that were answered after the first
    epoch and after the last; empty unless answers are masks. stages: the first of these images on
    its way through the trained ISP; empty without an ISP.
    """

    images: list[int]
    before: list[bytes]
    after: list[bytes]
    stages: list[StagePictures]
    first: list[bytes] = []
    last: list[bytes] = []


class OptimizationRecord(Record, frozen=True, kw_only=True):
    """What a training gave.

    history: after each epoch. isps, violations: of each camera, if they are learned.
    diverged: None of a training that came to its end. choice: of static-best alone.
    pictures: of the first fold's first training alone.
    """

    setting: str
    intensity: float
    fold: int
    repeat: int
    history: list[Epoch]
    isps: list[LearnedISP]
    violations: list[Violation]
    diverged: Diverged | None
    choice: Choice | None
    pictures: Pictures | None

    @property
    def unit(self) -> Unit:
        return Unit(self.setting, self.intensity, self.fold, self.repeat)


def rows(
    unit: Unit, settings: Sequence[str], history: History, diverged: Diverged | None
) -> Iterator[dict[str, Any]]:
    """Yield the measurements after each epoch, once for each setting that the unit stands for.

    Recalls are of the last epoch alone. A training that diverged also has the row `diverged`.
    """
    for setting in settings:
        where = {**unit._asdict(), "setting": setting}
        for entry in history:
            at = {**where, "epoch": entry["epoch"], "step": entry["step"]}
            mean = sum(entry["losses"]) / len(entry["losses"])
            train = {"loss": mean, **entry["train"]}
            for split, scores in (("train", train), ("test", entry["test"])):
                for metric, value in scores.items():
                    if metric.startswith("recall:") and entry is not history[-1]:
                        continue
                    yield {**at, "split": split, "metric": metric, "value": value}
        if diverged is not None:
            at = {**where, "epoch": diverged.epoch, "step": diverged.after_step}
            yield {**at, "split": "train", "metric": "diverged", "value": 1}


def learned_isps(
    unit: Unit,
    what: Optimization,
    cameras: Sequence[Camera],
    start: Sequence[Mapping[str, Any]],
    history: History,
) -> Iterator[LearnedISP]:
    """Yield the ISP of each camera at the start and after each epoch; none if it is not learned.

    start: `settings.states` before the training.
    """
    if not history or not history[0]["isps"]:
        return
    for number, (camera, begin) in enumerate(zip(cameras, start, strict=True)):
        path = [
            PathPoint(
                epoch=entry["epoch"],
                step=entry["step"],
                values=entry["isps"][number]["values"],
                clipped=Clipped(**entry["isps"][number]["clipped"]),
            )
            for entry in history
        ]
        final = path[-1].values
        which = f"-camera{number + 1}" if len(cameras) > 1 else ""
        savable = _is_savable(pipeline(what, camera, final), camera)
        yield LearnedISP(
            **unit._asdict(),
            camera=camera.name,
            file=f"isps/{unit.title}{which}.toml" if savable else None,
            configuration=what.isp,
            initial=begin["values"],
            clipped=Clipped(**begin["clipped"]),
            final=final,
            path=path,
        )


def pipeline(what: Optimization, camera: Camera, values: Values) -> Pipeline:
    """Return the ISP that is learned with these parameters."""
    isp = learned.parametrized(what.isp, [camera], what.channels).isps[0]
    learned.restore(isp, values)
    return isp


def _is_savable(isp: Pipeline, camera: Camera) -> bool:
    try:
        to_toml(isp, camera)
    except InputError:
        return False
    return True


def left_physics(
    isp: LearnedISP, steps: Mapping[str, type[Step]], signal: list[float]
) -> Iterator[Violation]:
    """Yield the parameters that left physics: since when, and whether they still have at the end.

    steps: of the ISP. signal: of the camera, see `physics.signal`.
    """
    first: dict[str, tuple[PathPoint, str]] = {}
    last: dict[str, str] = {}
    for at in isp.path:
        last = {v.parameter: v.what for v in violations(steps, isp.initial, at.values, signal)}
        for parameter, what in last.items():
            first.setdefault(parameter, (at, what))
    for parameter, (at, what) in first.items():
        yield Violation(
            intensity=isp.intensity,
            setting=isp.setting,
            fold=isp.fold,
            repeat=isp.repeat,
            camera=isp.camera,
            parameter=parameter,
            epoch=at.epoch,
            step=at.step,
            what=what,
            at_end=last.get(parameter),
        )
