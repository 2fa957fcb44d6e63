"""The best of the twelve static pipelines, by validation inside the training images of a fold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import Unit
from rawdrift.controls.optimization.result import Choice
from rawdrift.data.splits import validation
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop
from rawdrift.models.evaluate import answer
from rawdrift.models.train import Course, DivergedError

TRAININGS = len(CONFIGURATIONS)


class Scores:
    """Validation scores of the pipelines that are done, kept in a file through a kill.

    inputs: fingerprints of what they depend on beside the spec of the run folder; a file with
        other ones is ignored.
    """

    def __init__(self, path: Path, inputs: list[str]):
        self.path = path
        self.inputs = [*inputs, str(torch.__version__), str(torch.get_num_threads())]

    def read(self) -> dict[str, float | None]:
        """Return the scores by pipeline; none if the file is missing."""
        try:
            content = msgspec.json.decode(self.path.read_bytes(), type=_Content)
        except (FileNotFoundError, msgspec.DecodeError):
            return {}
        return content.scores if content.inputs == self.inputs else {}

    def write(self, scores: dict[str, float | None]) -> None:
        """Write the file, whole or not at all."""
        files.write(self.path, msgspec.json.encode(_Content(self.inputs, scores)))


class _Content(msgspec.Struct):
    inputs: list[str]
    scores: dict[str, float | None]


def check(material: Material) -> None:
    """Raise InputError if the training images of a fold can't be split again."""
    for split in material.splits:
        validation(material.data, split.train, 0)


def choose(
    unit: Unit,
    material: Material,
    channels: Channels,
    fit: Callable[..., Any],
    seed: int,
    scores: Scores,
) -> Choice:
    """Train each of the twelve on four fifths of the fold's training images, and choose the one
    that is best on the last fifth; of equals, the first.

    fit: `models.train.train` with the settings of the unit. scores: of those that are done
    already; the others are added.

    Raises DivergedError if all of them diverge.
    """
    data, targets, splits = material
    split = validation(data, splits[unit.fold].train, seed)
    held_out = torch.from_numpy(split.test)
    metric = next(iter(targets.measures))
    by_name = scores.read()
    for name in CONFIGURATIONS:
        if name in by_name:
            continue
        develop = Develop.static(name, data.cameras, channels)
        try:
            net = fit(data, targets, torch.from_numpy(split.train), develop, course=Course())
            outcomes, _ = answer(develop, net, data, targets, held_out)
            scored = targets.scores(outcomes, held_out)
        except DivergedError:
            by_name[name] = None
        else:
            if metric not in scored:
                raise InputError(
                    f"{metric} is not defined on the {len(held_out)} images of the inner "
                    f"validation: none of them counts; choose another metric"
                )
            by_name[name] = scored[metric]
        scores.write(by_name)
    finite = {name: value for name, value in by_name.items() if value is not None}
    if not finite:
        raise DivergedError("the training has diverged on each of the twelve pipelines")
    return Choice(
        intensity=unit.intensity,
        fold=unit.fold,
        chosen=max(finite, key=lambda name: finite[name]),
        metric=metric,
        validation=by_name,
        images=len(held_out),
    )
