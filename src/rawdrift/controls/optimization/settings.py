"""What stands before the network in each setting, and how it is learned."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.controls.material import Material
from rawdrift.controls.optimization import learned, pictures
from rawdrift.controls.optimization.physics import clipped
from rawdrift.controls.optimization.records import Unit
from rawdrift.controls.optimization.spec import Optimization
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.models.chain import Develop, Front, Normalize
from rawdrift.models.evaluate import answer
from rawdrift.models.fronts import NeuralISP, Packed
from rawdrift.models.spec import Task
from rawdrift.models.train import Course, DivergedError, seeded


def front_of(
    unit: Unit, what: Optimization, material: Material, configuration: str | None, seed: int
) -> Front:
    """Return what stands before the network, as it is before the training.

    configuration: that static-best has chosen.
    """
    data, _, splits = material
    if unit.setting == "direct":
        return Packed(data.cameras, what.direct_channels)
    if unit.setting == "neural":
        with seeded(seed):
            front = NeuralISP(data.cameras)
        train = torch.from_numpy(splits[unit.fold].train)
        front.normalize = Normalize.of(front.develop, data, train)
        return front
    if unit.setting == "learned":
        return learned.learnable(what, data.cameras)
    if configuration is not None:
        return Develop.static(configuration, data.cameras, what.channels)
    return learned.parametrized(what.isp, data.cameras, what.channels).requires_grad_(False)


def course_of(
    unit: Unit,
    what: Optimization,
    task: Task,
    material: Material,
    front: Front,
    signals: Sequence[Sequence[float]],
    shown: Sequence[int] = (),
) -> Course:
    """Return how the front is learned, if it is, and tested after each epoch.

    signals: of each camera's training images, see `physics.signal`. shown: the images whose masks
    are kept of each epoch.
    """
    cameras = material.data.cameras
    course = Course(
        schedule=what.isp_schedule or task.schedule,
        running=is_running(unit.setting, what),
        follow=partial(_follow, unit, material, material.splits[unit.fold], shown),
    )
    if isinstance(front, NeuralISP):
        course.lr = {name: task.lr for name, _ in front.named_parameters()}
    if isinstance(front, Develop) and unit.setting == "learned":
        rate = task.lr if what.isp_lr is None else what.isp_lr
        above = [_above(*pair) for pair in zip(cameras, signals, strict=True)]
        course.lr = learned.rates(front, what, rate, above)
        course.penalty = learned.penalty(front, what, cameras)
        course.after_step = partial(learned.project, learned.box(front, cameras, what.bounds))
    return course


def is_running(setting: str, what: Optimization) -> bool:
    """Whether views are normalized by running statistics, which follow what is learned."""
    if setting in ("learned", "frozen-matched"):
        return what.normalization == "running"
    return setting == "neural"


def states(front: Front, data: RawDataset, test: Tensor) -> list[dict[str, Any]]:
    """Return the `values` of each camera's ISP and what is `clipped` of these images, as plain
    values; empty without an ISP."""
    pipelines = front.isps if isinstance(front, Develop) else ()
    return [
        {"values": learned.values(isp), "clipped": clipped(isp, data, test, camera)}
        for camera, isp in enumerate(pipelines)
    ]


def _follow(
    unit: Unit,
    material: Material,
    split: Split,
    shown: Sequence[int],
    front: Front,
    net: nn.Module,
    loss: nn.Module,
) -> dict[str, Any]:
    data, targets, _ = material
    test = torch.from_numpy(split.test)
    outcomes, value = answer(front, net, data, targets, test, loss)
    if not torch.isfinite(torch.tensor(value)):
        raise DivergedError("the loss of the test images is not finite")
    return {
        "outcomes": outcomes.tolist(),
        "test": {"loss": value, **targets.scores(outcomes, test)},
        "isps": states(front, data, test) if unit.setting == "learned" else [],
        "masks": pictures.masks(material, shown, front, net),
    }


def _above(camera: Camera, signal: Sequence[float]) -> float:
    """Return the signal above the black level, the mean of its sites; 0 if it is unknown."""
    above = (seen - black for seen, black in zip(signal, camera.black_level, strict=True))
    mean = sum(above) / len(signal)
    return mean if mean > 0 else 0.0
