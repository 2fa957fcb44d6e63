"""The best of the twelve static pipelines, by validation inside the training images of a fold."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS, taking
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import Unit
from rawdrift.controls.optimization.result import Choice
from rawdrift.data.splits import validation
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop
from rawdrift.models.evaluate import answer
from rawdrift.models.spec import Task
from rawdrift.models.train import Course, DivergedError
from rawdrift.text import counted

TRAININGS = len(CONFIGURATIONS)

ByName = dict[str, tuple[float, float] | None]
"""Metric and loss of each pipeline on the inner validation; None if its training diverged."""


class Scores:
    """Validation scores and losses of the pipelines that are done, kept in a file through a kill.

    inputs: fingerprints of what they depend on beside the spec of the run folder; a file with
        other ones is ignored.
    """

    def __init__(self, path: Path, inputs: list[str]):
        self.path = path
        self.inputs = [*inputs, str(torch.__version__), str(torch.get_num_threads())]

    def read(self) -> ByName:
        """Return what is in the file; nothing if it is missing."""
        try:
            content = msgspec.json.decode(self.path.read_bytes(), type=_Content)
        except (FileNotFoundError, msgspec.DecodeError, RecursionError):
            return {}
        return content.scores if content.inputs == self.inputs else {}

    def write(self, scores: ByName) -> None:
        """Write the file, whole or not at all."""
        files.write(self.path, msgspec.json.encode(_Content(self.inputs, scores)))


class _Content(msgspec.Struct):
    inputs: list[str]
    scores: ByName


def check(material: Material) -> None:
    """Raise InputError if the training images of a fold can't be split again."""
    for split in material.splits:
        validation(material.data, split.train, 0)


def choose(
    unit: Unit,
    material: Material,
    channels: Channels,
    task: Task,
    fit: Callable[..., Any],
    seed: int,
    scores: Scores,
) -> Choice:
    """Train each of the twelve on four fifths of the fold's training images, and choose the one
    that is best on the last fifth; of equals, the one with the lowest loss.

    fit: `models.train.train` with the task and the settings of the unit. scores: of those that are
    done already; the others are added.

    Raises DivergedError if all of them diverge.
    """
    data, targets, splits = material
    split = validation(data, splits[unit.fold].train, seed)
    inner, held_out = torch.from_numpy(split.train), torch.from_numpy(split.test)
    loss = targets.loss(task, inner)
    metric = next(iter(targets.measures))
    by_name = scores.read()
    shared = set(CONFIGURATIONS).intersection(*(taking(c.cfa) for c in data.cameras))
    for name in filter(shared.__contains__, CONFIGURATIONS):
        if name in by_name:
            continue
        develop = Develop.static(name, data.cameras, channels)
        try:
            net = fit(data, targets, inner, develop, course=Course())
            outcomes, mean_loss = answer(develop, net, data, targets, held_out, loss)
            if not math.isfinite(mean_loss):
                raise DivergedError("the loss of the inner validation is not finite")
            scored = targets.scores(outcomes, held_out)
        except DivergedError:
            by_name[name] = None
        else:
            if metric not in scored:
                images = counted(len(held_out), "image")
                raise InputError(
                    f"{metric} is not defined on the {images} of the inner "
                    f"validation: none of them counts; choose another metric"
                )
            by_name[name] = scored[metric], mean_loss
        scores.write(by_name)
    finite = {name: (value[0], -value[1]) for name, value in by_name.items() if value}
    if not finite:
        raise DivergedError("the training has diverged on each of the twelve pipelines")
    return Choice(
        intensity=unit.intensity,
        fold=unit.fold,
        repeat=unit.repeat,
        chosen=max(finite, key=lambda name: finite[name]),
        metric=metric,
        validation={name: value and value[0] for name, value in by_name.items()},
        losses={name: value and value[1] for name, value in by_name.items()},
        images=len(held_out),
    )
