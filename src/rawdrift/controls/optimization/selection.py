"""The best of the twelve static pipelines, by validation inside the training images of a fold."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rawdrift import files
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.material import Material
from rawdrift.data.splits import Indices, validation
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop
from rawdrift.models.evaluate import answer
from rawdrift.models.metrics import over_set
from rawdrift.models.train import Course, DivergedError
from rawdrift.statistics.measures import classification, segmentation

TRAININGS = len(CONFIGURATIONS)


class Scores:
    """The validation of pipelines that are done, kept in a file through a kill.

    inputs: what they depend on beside the spec of the run folder that the file is in; those of
        others are passed over.
    """

    def __init__(self, path: Path, inputs: list[str]):
        self.path = path
        self.inputs = [*inputs, torch.__version__, str(torch.get_num_threads())]

    def read(self) -> dict[str, float | None]:
        """By pipeline; empty where the file is missing."""
        try:
            held = json.loads(self.path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return dict(held["scores"]) if held["inputs"] == self.inputs else {}

    def write(self, scores: Mapping[str, float | None]) -> None:
        """Whole or not at all."""
        files.write(self.path, json.dumps({"inputs": self.inputs, "scores": scores}))


def check(material: Material) -> None:
    """InputError where training images can't be split again."""
    for split in material.splits:
        validation(material.data, split.train, 0)


def choose(
    material: Material,
    indices: Indices,
    channels: Channels,
    fit: Callable[..., Any],
    seed: int,
    scores: Scores,
) -> dict[str, Any]:
    """Train on each of the twelve with four fifths of the training images, and take the one that
    is best on the last fifth, the first one of equals. fit: `tasks.train.train` of the unit.
    scores: of those that are done already, and of the others when they are.

    `chosen`, and `validation`, the metric by pipeline; None of one that diverged.
    """
    data, targets, _ = material
    split = validation(data, indices, seed)
    held_out = torch.from_numpy(split.test)
    of_masks = targets.kind == "segmentation"
    metric = next(iter(segmentation() if of_masks else classification(targets.outputs)))
    found = scores.read()
    for name in CONFIGURATIONS:
        if name in found:
            continue
        course = Course()
        develop = Develop.static(name, data.cameras, channels)
        try:
            net = fit(data, targets, torch.from_numpy(split.train), develop, course=course)
            outcomes, _ = answer(develop, net, data, targets, held_out)
            found[name] = over_set(outcomes, targets, held_out)[metric]
        except DivergedError:
            found[name] = None
        scores.write(found)
    scored = {name: value for name, value in found.items() if value is not None}
    if not scored:
        raise DivergedError("the training has diverged on each of the twelve pipelines")
    best = max(scored, key=lambda name: scored[name])
    return {"chosen": best, "metric": metric, "validation": found, "images": len(held_out)}
