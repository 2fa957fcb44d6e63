"""The sweep of drift forensics: searches over folds, groups of parameters and regularizations.

Section 2.2 and Figure 3 of the paper. The task model of each fold is trained once, kept in the run
folder, frozen, and attacked with the fold's own test images. Sensitivity, envelope and signature
are of the first fold's model; of the user's own one, without training, they are of all images.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from rawdrift import configurations
from rawdrift import isp as isps
from rawdrift.checks import InputError, choose
from rawdrift.controls import experiment
from rawdrift.controls.experiment import Experiment, Tell
from rawdrift.controls.forensics.analysis import headline, summarize
from rawdrift.controls.forensics.chain import BATCH, Chain
from rawdrift.controls.forensics.gradient_search import PROBES, search_chain
from rawdrift.controls.forensics.kept import Kept
from rawdrift.controls.forensics.records import envelope_record, search_record, sensitivity_record
from rawdrift.controls.forensics.sensor_settings import with_sensor
from rawdrift.controls.forensics.signing import sign
from rawdrift.controls.forensics.sobol import sensitivity
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.forensics.spec import ForensicsSpec
from rawdrift.controls.forensics.tolerance import envelope
from rawdrift.controls.forensics.unit import Unit, groups_of
from rawdrift.controls.material import read, read_isp
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models import build as models
from rawdrift.models import losses, weights
from rawdrift.models.train import resolve_precision
from rawdrift.runs.executor import Compute
from rawdrift.runs.store import Record, Records
from rawdrift.statistics.measures import classification, segmentation


def run(
    spec: ForensicsSpec, out: str | Path, compute: Compute | None = None, tracking: str = "none"
) -> dict[str, Any]:
    """Run a drift forensics experiment, or go on with it, in the folder `out`: `experiment.run`.

    Beside the records it leaves models/*.safetensors, samples, and signature.json.
    """
    return experiment.run(DriftForensics, spec, out, compute, tracking)


class DriftForensics(Experiment[Unit]):
    """Searches by fold, group and regularization; sensitivity and envelope of the first model.

    Rows: `metric` names what `value` is. Of a search, by `method` ("default" is the camera's own
    setting): the task's metric, loss, distance, evaluations, and by the names of axes the setting
    that was found. Of the sensitivity: "first_order" and "total_order" of an axis (`group`) by
    "sobol", and the metric `at` values of the axis by "one-at-a-time". Of the envelope: "alone" and
    "together", the interval of an axis from `low` to `high`.
    """

    columns: ClassVar = (
        "fold", "group", "regularization", "method", "at", "metric", "value", "low", "high", "n"
    )  # fmt: skip

    def __init__(self, spec: ForensicsSpec) -> None:
        self.spec = spec
        asked = spec.forensics
        self.trained_here = spec.task.checkpoint is None
        folds = asked.folds if self.trained_here else None
        self.material = read(spec.data, spec.task, folds, spec.seed)
        data, targets, splits = self.material
        if len(data.cameras) > 1:
            names = ", ".join(camera.name for camera in data.cameras)
            raise InputError(
                f"forensics is of one camera, but the data are of {names}; put the images of each "
                f"into a folder of its own"
            )
        if configurations.is_file(asked.isp):
            self.camera, isp = read_isp(asked.isp, data.cameras)
        else:
            self.camera = data.cameras[0]
            isp = isps.static(asked.isp, self.camera, asked.channels)
        self.isp = with_sensor(isp, self.camera, spec.seed) if asked.sensor else isp
        ranges = None if isinstance(asked.space, str) else asked.space
        self.space = ParameterSpace.around(self.isp, ranges)
        self.groups = groups_of(asked.groups, self.space, list(self.isp.steps))
        of_masks = targets.kind == "segmentation"
        measures = segmentation() if of_masks else classification(targets.outputs)
        self.metric = choose("forensics.metric", asked.metric or next(iter(measures)), measures)
        self.scores = measures[self.metric]
        count = (asked.models or len(splits)) if self.trained_here else 1
        self.tests = [_some(split.test, data, asked.images) for split in splits[:count]]
        self.models = [
            Kept(self.material, fold, isp, spec.task, spec.seed) for fold in range(count)
        ]
        self.units = [
            Unit("search", fold, group, regularization)
            for group in self.groups  # neighbors are of other folds: trained at the same time
            for regularization in asked.regularizations
            for fold in range(count)
        ]
        self.units += [Unit("sensitivity", 0)] * bool(asked.samples)
        self.units += [Unit("envelope", 0)] * asked.envelope
        self.inputs = [data.fingerprint(), models.fingerprint(spec.task, targets, data.size)]
        if configurations.is_file(asked.isp):
            self.inputs.append(weights.checksum(asked.isp))
        self.step = "unit"

    def steps(self, unit: Unit) -> int:
        return 1

    def test_data(self, fold: int) -> RawDataset:
        """The images that a fold's model is attacked with, with what the task learns of them."""
        index = self.tests[fold]
        data, truth = self.material.data.take(index), self.material.targets.values[index]
        if self.material.targets.kind == "segmentation":
            return replace(data, labels=None, masks=truth)
        return replace(data, labels=truth, masks=None)

    def compute(self, unit: Unit, device: str, checkpoint: Path, tell: Tell) -> Record:
        net = self.models[unit.fold].get(checkpoint.parents[1]).to(device)
        isp, data = self.isp.to(device), self.test_data(unit.fold)
        work = {
            "search": self._search,
            "sensitivity": self._sensitivity,
            "envelope": self._envelope,
        }
        found = work[unit.kind](unit, net, isp, data)
        tell()
        precision = self.spec.task.precision
        return {
            "kind": unit.kind,
            "fold": unit.fold,
            **found,
            "precision": resolve_precision(precision) if self.trained_here else "32-true",
        }

    def _search(self, unit: Unit, net: nn.Module, isp: Pipeline, data: RawDataset) -> Record:
        asked = self.spec.forensics
        everything = torch.arange(len(self.material.data))
        loss = losses.build(self.spec.task, self.material.targets, everything)
        chain = Chain(net, isp, data, self.metric, loss, asked.distance)
        space = self.groups[unit.group]
        rivals = asked.rivals if unit.group == next(iter(self.groups)) else []
        result = search_chain(
            chain, space, unit.regularization, asked.restarts, asked.steps, rivals, self.spec.seed
        )
        return search_record(unit, result, chain, space)

    def _sensitivity(self, unit: Unit, net: nn.Module, isp: Pipeline, data: RawDataset) -> Record:
        asked = self.spec.forensics
        found = sensitivity(
            net, isp, data, self.space,
            metric=self.metric, samples=asked.samples, confidence=asked.confidence,
            seed=self.spec.seed,
        )  # fmt: skip
        return sensitivity_record(unit, found, asked.samples, len(data))

    def _envelope(self, unit: Unit, net: nn.Module, isp: Pipeline, data: RawDataset) -> Record:
        asked = self.spec.forensics
        found = envelope(
            net, isp, data, self.space,
            max_drop=asked.max_drop, confidence=asked.confidence, metric=self.metric,
            cameras=asked.cameras, seed=self.spec.seed,
        )  # fmt: skip
        signature = sign(found, net, isp, data, self.camera, self.spec)
        return envelope_record(unit, found, signature.content, len(data))

    def line(self, record: Record) -> str:
        fold = f"fold {record['fold'] + 1}/{len(self.tests)}"
        if record["kind"] == "search":
            worst = record["methods"][record["worst"]]
            return (
                f"{fold}, {record['group']}, λ {record['regularization']:g}: {self.metric} "
                f"{record['baseline']:.3f} to {worst['metric']:.3f}"
            )
        if record["kind"] == "sensitivity":
            if not record["sensitivity"]["variance"]:
                return f"{fold}, sensitivity: the same at every setting"
            indices = record["sensitivity"]["indices"]
            most = max(indices, key=lambda name: indices[name]["total"]["value"])
            return f"{fold}, sensitivity: most of {most}"
        content = record["signature"]
        return (
            f"{fold}, envelope: {len(content['box'])} axes, all together at {content['scale']:.2f} "
            f"of what each may alone"
        )

    def summarize(
        self, records: Records, failed: Mapping[str, str], folder: Path
    ) -> dict[str, Any]:
        return summarize(self, records, failed, folder)

    def headline(self, summary: Mapping[str, Any]) -> dict[str, float]:
        return headline(summary)

    def about(self) -> str:
        counts = ", ".join(str(len(test)) for test in self.tests)
        return (
            f"{len(self.space)} axes; {len(self.groups)} groups of parameters with "
            f"{len(self.spec.forensics.regularizations)} regularizations, searched with {counts} "
            f"test images of {len(self.tests)} models"
        )

    def measure(self) -> float:
        """From a few batches of training, and one pass of the test images through a model."""
        net, training = self.models[0].measure()
        few = self.material.data.mosaics[torch.tensor(self.tests[0][:BATCH])]
        with torch.inference_mode():
            for _ in range(2):  # kernels are compiled in the first
                started = time.monotonic()
                net(self.isp(few).float())
                took = time.monotonic() - started
        seconds = took * len(self.tests[0]) / len(few)
        passes = sum(self.cost(unit) for unit in self.units)
        return (len(self.tests) * training + passes * seconds) / len(self.units)

    def cost(self, unit: Unit) -> float:
        """About how often it sends all images through the net; with a gradient, as three."""
        asked, axes = self.spec.forensics, len(self.space)
        if unit.kind == "sensitivity":
            return (asked.samples + 10) * (axes + 2)
        if unit.kind == "envelope":
            return 28 * axes + 300 + asked.cameras
        methods = 1 + len(asked.rivals) * (unit.group == next(iter(self.groups)))
        ascents = asked.restarts * (3 * asked.steps + 1) + asked.restarts // 2 * PROBES
        return methods * (ascents + 2 * len(self.groups[unit.group]))


def _some(test: Any, data: RawDataset, most: int | None) -> list[int]:
    """At most so many of the test images, evenly over labels."""
    if most is None or len(test) <= most:
        return [int(i) for i in test]
    labels = np.zeros(len(test)) if data.labels is None else data.labels.numpy()[test]
    by_label = test[np.argsort(labels, kind="stable")]
    return sorted(int(i) for i in by_label[np.linspace(0, len(test) - 1, most).round().astype(int)])
