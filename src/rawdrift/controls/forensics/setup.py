"""What all parts of a forensics run work with: images, ISP, spaces and models."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from rawdrift import configurations
from rawdrift import isp as isps
from rawdrift.checks import InputError, choose
from rawdrift.controls.forensics.held_out import halve
from rawdrift.controls.forensics.kept import Kept
from rawdrift.controls.forensics.sensor_settings import SensorSettings, with_sensor
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.forensics.spec import ForensicsSpec
from rawdrift.controls.material import read_isp, read_split
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.external import External

__all__ = ["ALL", "EACH", "SensorSettings", "Setup", "with_sensor"]

ALL, EACH = "all", "each"


class Setup:
    """What a spec describes. Raises InputError if data and spec do not fit.

    material: images, right answers and folds. camera, isp: that drift, the ISP with the sensor if
    it is asked for; developing: the ISP alone. space: the axes; groups: those of each group that is
    searched, by name. metric, measure: by which models are compared. models: of the folds that are
    attacked. tests: the numbers of their test images; halves: of these, which the search uses and
    which not.
    """

    def __init__(self, spec: ForensicsSpec) -> None:
        self.spec = spec
        settings = spec.forensics
        self.trained_here = spec.task.checkpoint is None
        self.material = read_split(spec.data, spec.task, settings.folds, spec.seed)
        data, targets, splits = self.material
        if len(data.cameras) > 1:
            names = ", ".join(camera.name for camera in data.cameras[:3])
            raise InputError(
                f"forensics takes the data of one camera, got those of {names}, ...; "
                f"for raw files of one camera with their own white balance, put a camera.toml that "
                f"serves all into the folder; put images of other cameras into other folders"
            )
        if configurations.is_file(settings.isp) or configurations.is_external(settings.isp):
            self.camera, isp = read_isp(settings.isp, data.cameras)
        else:
            self.camera = data.cameras[0]
            isp = isps.static(settings.isp, self.camera, settings.channels)
        if isinstance(isp, External) and settings.sensor:
            raise InputError(
                f"forensics.sensor needs an ISP of rawdrift's, but {settings.isp!r} is a black "
                f"box; leave it out"
            )
        self.developing = isp
        self.isp = with_sensor(isp, self.camera, spec.seed) if settings.sensor else isp
        ranges = None if isinstance(settings.space, str) else settings.space
        self.space = ParameterSpace.around(self.isp, ranges)
        self.groups = _groups(settings.groups, self.space, list(self.isp.steps))
        if settings.metric is not None:
            targets.check_metric(settings.metric, "forensics.metric")
        by_name = targets.measures_by(settings.metric or targets.metric)
        self.metric, self.measure = next(iter(by_name.items()))
        count = (settings.models or len(splits)) if self.trained_here else 1
        if count > len(splits):
            raise InputError(
                f"forensics.models must be at most the number of folds ({len(splits)}), got {count}"
            )
        self.tests = [_some(split.test, data, settings.images) for split in splits[:count]]
        self.models = [
            Kept(self.material, fold, isp, spec.task, spec.seed) for fold in range(count)
        ]
        self.halves = [
            halve(self.material.clusters(test), targets.values[test], spec.seed, count)
            for test in self.tests
        ]

    def test_data(self, fold: int) -> RawDataset:
        """The images that a fold's model is attacked with, with what the task learns of them."""
        index = self.tests[fold]
        data, truth = self.material.data.take(index), self.material.targets.values[index]
        if self.material.targets.of_pixels:
            return replace(data, labels=None, masks=truth)
        return replace(data, labels=truth, masks=None) if self.material.targets.of_classes else data

    def asked(self, fold: int) -> dict[str, Any]:
        """Metric and targets of a fold's images, the loss where cross entropy does not fit, and
        the runtime."""
        targets = self.material.targets
        is_usual = targets.of_classes or targets.of_pixels
        everything = torch.arange(len(self.material.data))
        return {
            "metric": self.metric,
            "targets": targets.take(torch.tensor(self.tests[fold])),
            "loss": None if is_usual else targets.loss(self.spec.task, everything),
            "runtime": self.spec.task.runtime,
        }


def _groups(
    names: Sequence[str], space: ParameterSpace, steps: Sequence[str]
) -> dict[str, ParameterSpace]:
    """The space of each group that is searched, by name. steps: of the ISP, in order."""
    drifting = {name.partition(".")[0] for name in space.names}
    groups: dict[str, ParameterSpace] = {}
    for name in names:
        if name == ALL:
            groups[ALL] = space
        elif name == EACH:
            groups |= {step: space.only([step]) for step in steps if step in drifting}
        else:
            choose("name in forensics.groups", name, (ALL, EACH, *space.parts))
            groups[name] = space.only([name])
    return groups


def _some(test: Any, data: RawDataset, most: int | None) -> list[int]:
    """At most so many of the test images, evenly over labels."""
    if most is None or len(test) <= most:
        return [int(i) for i in test]
    labels = np.zeros(len(test)) if data.labels is None else data.labels.numpy()[test]
    by_label = test[np.argsort(labels, kind="stable")]
    return sorted(int(i) for i in by_label[np.linspace(0, len(test) - 1, most).round().astype(int)])
