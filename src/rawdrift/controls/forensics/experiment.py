"""Drift forensics: searches over folds, groups of parameters and regularizations.

Section 2.2 and Figure 3 of the paper. The task model of each fold is trained once, kept in the run
folder, frozen, and attacked with the fold's own test images. Sensitivity, envelope and signature
are those of the first fold's model. The user's own model is not trained but attacked with all
images.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from rawdrift import configurations, imports
from rawdrift import isp as isps
from rawdrift.checks import InputError
from rawdrift.controls.evidence import Signature
from rawdrift.controls.experiment import Experiment, Progress
from rawdrift.controls.forensics.analysis import SIGNATURE, analyze
from rawdrift.controls.forensics.chain import BATCH, Chain
from rawdrift.controls.forensics.gradient_search import PROBES, search_chain
from rawdrift.controls.forensics.kept import Kept
from rawdrift.controls.forensics.pictures import illustrate
from rawdrift.controls.forensics.records import (
    EnvelopeRecord,
    Features,
    ForensicsRecord,
    SearchRecord,
    SensitivityRecord,
    envelope_rows,
    search_rows,
    sensitivity_rows,
)
from rawdrift.controls.forensics.result import GRADIENT, FoldSearch, ForensicsResult, Found, Visited
from rawdrift.controls.forensics.sensor_settings import with_sensor
from rawdrift.controls.forensics.signing import sign
from rawdrift.controls.forensics.sobol import sensitivity
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.forensics.spec import ForensicsSpec
from rawdrift.controls.forensics.tolerance import envelope
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import isp_inputs, read, read_isp
from rawdrift.data.dataset import RawDataset
from rawdrift.models import networks
from rawdrift.models.train import resolve_precision
from rawdrift.runs.store import Finished

ALL, EACH = "all", "each"


class Unit(NamedTuple):
    """One search, or what is done once for the first fold's model."""

    kind: str  # search, sensitivity or envelope
    fold: int
    group: str = ALL
    regularization: float = 0.0

    @property
    def name(self) -> str:
        parts = [self.kind, f"fold{self.fold}"]
        if self.kind == "search":
            parts += [re.sub(r"[^\w.]", "-", self.group), f"{self.regularization:g}"]
        return "_".join(parts)

    @property
    def label(self) -> str:
        of = f" of {self.group}, λ {self.regularization:g}," if self.kind == "search" else ""
        return f"{self.kind}{of} fold {self.fold + 1}"


class DriftForensics(Experiment[Unit, ForensicsRecord, ForensicsResult]):
    """Searches by fold, group and regularization; sensitivity and envelope of the first model.

    In results.csv, `metric` names what `value` is. A search has, by `method` ("default" is the
    camera's own setting), the task's metric, the loss, the distance, the evaluations, and the value
    of each axis. The sensitivity has "first_order" and "total_order" of an axis (`group`) by
    "sobol", and the metric `at` values of the axis by "one-at-a-time". The envelope has the
    interval of an axis from `low` to `high`, "alone" and "together".
    """

    columns: ClassVar = (
        "fold", "group", "regularization", "method", "at", "metric", "value", "low", "high", "n"
    )  # fmt: skip
    record: ClassVar = ForensicsRecord

    def __init__(self, spec: ForensicsSpec) -> None:
        self.spec = spec
        settings = spec.forensics
        self.trained_here = spec.task.checkpoint is None
        folds = settings.folds if self.trained_here else None
        self.material = read(spec.data, spec.task, folds, spec.seed)
        data, targets, splits = self.material
        if len(data.cameras) > 1:
            names = ", ".join(camera.name for camera in data.cameras[:3])
            raise InputError(
                f"forensics takes the data of one camera, got {len(data.cameras)} ({names}, ...); "
                f"for raw files of one camera with their own white balance, put a camera.toml that "
                f"serves all into the folder; put images of other cameras into other folders"
            )
        if configurations.is_file(settings.isp):
            self.camera, isp = read_isp(settings.isp, data.cameras)
        else:
            self.camera = data.cameras[0]
            isp = isps.static(settings.isp, self.camera, settings.channels)
        self.isp = with_sensor(isp, self.camera, spec.seed) if settings.sensor else isp
        ranges = None if isinstance(settings.space, str) else settings.space
        self.space = ParameterSpace.around(self.isp, ranges)
        self.groups = _groups(settings.groups, self.space, list(self.isp.steps))
        if settings.metric is not None:
            targets.check_metric(settings.metric, "forensics.metric")
        by_name = targets.measures_by(settings.metric or targets.metric)
        self.metric, self.measure_of_metric = next(iter(by_name.items()))
        count = (settings.models or len(splits)) if self.trained_here else 1
        self.tests = [_some(split.test, data, settings.images) for split in splits[:count]]
        self.models = [
            Kept(self.material, fold, isp, spec.task, spec.seed) for fold in range(count)
        ]
        self.units = [
            Unit("search", fold, group, regularization)
            for group in self.groups  # neighbors are of other folds: trained at the same time
            for regularization in settings.regularizations
            for fold in range(count)
        ]
        self.units += [Unit("sensitivity", 0)] * bool(settings.samples)
        self.units += [Unit("envelope", 0)] * settings.envelope
        self.inputs = [data.fingerprint(), networks.fingerprint(spec.task, targets, data.size)]
        if configurations.is_file(settings.isp):
            self.inputs += isp_inputs(settings.isp, isp)
        if settings.metric is not None and imports.is_import(settings.metric):
            self.inputs.append(imports.checksum(settings.metric, "forensics.metric"))
        self.step = "unit"

    def steps(self, unit: Unit) -> int:
        return 1

    def test_data(self, fold: int) -> RawDataset:
        """The images that a fold's model is attacked with, with what the task learns of them."""
        index = self.tests[fold]
        data, truth = self.material.data.take(index), self.material.targets.values[index]
        if self.material.targets.of_pixels:
            return replace(data, labels=None, masks=truth)
        return replace(data, labels=truth, masks=None) if self.material.targets.of_classes else data

    def asked(self, fold: int) -> dict[str, Any]:
        """Metric and targets of a fold's images, and the loss where cross entropy does not fit."""
        targets = self.material.targets
        is_usual = targets.of_classes or targets.of_pixels
        everything = torch.arange(len(self.material.data))
        return {
            "metric": self.metric,
            "targets": targets.take(torch.tensor(self.tests[fold])),
            "loss": None if is_usual else targets.loss(self.spec.task, everything),
        }

    def compute(
        self, unit: Unit, device: str, checkpoint: Path, progress: Progress
    ) -> ForensicsRecord:
        net = self.models[unit.fold].get(checkpoint.parents[1]).to(device)
        self.isp.to(device)
        record: ForensicsRecord
        if unit.kind == "search":
            record = self._search(unit, net)
        elif unit.kind == "sensitivity":
            record = self._sensitivity(unit, net)
        else:
            record = self._envelope(unit, net)
        progress()
        return record

    def _search(self, unit: Unit, net: nn.Module) -> SearchRecord:
        settings, data = self.spec.forensics, self.test_data(unit.fold)
        everything = torch.arange(len(self.material.data))
        loss = self.material.targets.loss(self.spec.task, everything)
        asked = self.asked(unit.fold) | {"loss": loss}
        chain = Chain(net, self.isp, data, distance=settings.distance, **asked)
        space, weight = self.groups[unit.group], unit.regularization
        rivals = settings.rivals if unit.group == next(iter(self.groups)) else []
        result = search_chain(
            chain, space, weight, settings.restarts, settings.steps, rivals, self.spec.seed
        )
        search = FoldSearch(
            unit.fold,
            result.baseline,
            {GRADIENT: result.gradient, **result.rivals},
            list(result.warnings),
        )
        shared = {"group": unit.group, "regularization": weight, "n": len(data)}

        def features(found: Found) -> list[list[float]]:
            setting = np.array([*found.parameters.values()])
            exact: list[list[float]] = chain.exact(space, setting).features.tolist()
            return exact

        return SearchRecord(
            rows=list(search_rows(shared, self.metric, chain.baseline.loss, search)),
            precision=self.precision,
            group=unit.group,
            regularization=weight,
            search=search,
            trajectory=[Visited(v.start, v.loss, v.metric, v.distance) for v in result.trajectory],
            features=Features(
                default=chain.baseline.features.tolist(),
                gradient=features(search.gradient),
                worst=features(search.worst),
            ),
        )

    def _sensitivity(self, unit: Unit, net: nn.Module) -> SensitivityRecord:
        settings, data = self.spec.forensics, self.test_data(unit.fold)
        found = sensitivity(
            net, self.isp, data, self.space, samples=settings.samples,
            confidence=settings.confidence, seed=self.spec.seed, **self.asked(unit.fold),
        )  # fmt: skip
        return SensitivityRecord(
            fold=unit.fold,
            rows=list(sensitivity_rows({"fold": unit.fold, "n": len(data)}, found)),
            precision=self.precision,
            sensitivity=found,
        )

    def _envelope(self, unit: Unit, net: nn.Module) -> EnvelopeRecord:
        settings, data = self.spec.forensics, self.test_data(unit.fold)
        safe = envelope(
            net, self.isp, data, self.space, max_drop=settings.max_drop,
            confidence=settings.confidence, cameras=settings.cameras, seed=self.spec.seed,
            **self.asked(unit.fold),
        )  # fmt: skip
        signature = None
        if not safe.is_empty:
            signature = dict(sign(safe, net, self.isp, data, self.camera, self.spec).content)
        return EnvelopeRecord(
            fold=unit.fold,
            rows=list(envelope_rows({"fold": unit.fold, "n": len(data)}, safe)),
            precision=self.precision,
            envelope=safe,
            signature=signature,
        )

    @property
    def precision(self) -> str:
        """The arithmetic of the networks."""
        return resolve_precision(self.spec.task.precision) if self.trained_here else "32-true"

    def line(self, record: ForensicsRecord) -> str:
        fold = f"fold {record.fold + 1}/{len(self.tests)}"
        if isinstance(record, SearchRecord):
            return (
                f"{fold}, {record.group}, λ {record.regularization:g}: {self.metric} "
                f"{record.search.default:.3f} to {record.search.worst.metric:.3f}"
            )
        if isinstance(record, SensitivityRecord):
            if not record.sensitivity.variance:
                return f"{fold}, sensitivity: the same at every setting"
            return f"{fold}, sensitivity: {record.sensitivity.by_importance()[0]} matters most"
        safe = record.envelope
        if safe.is_empty:
            return f"{fold}, envelope: {safe.warnings[0]}"
        return (
            f"{fold}, envelope: {len(safe.box)} axes; all together may go at least "
            f"{safe.scale:.2f} times as far as each alone"
        )

    def analyze(
        self, units: Iterable[Finished[ForensicsRecord]], failed: Mapping[str, str]
    ) -> ForensicsResult:
        return analyze(self, units, failed)

    def illustrate(
        self,
        result: ForensicsResult,
        units: Iterable[Finished[ForensicsRecord]],
        pictures: Gallery,
    ) -> ForensicsResult:
        return illustrate(self, result, units, pictures)

    def deliver(
        self,
        result: ForensicsResult,
        units: Iterable[Finished[ForensicsRecord]],
        folder: Path,
    ) -> None:
        """Write signature.json, the signature of the envelope."""
        for unit in units:
            if isinstance(unit.record, EnvelopeRecord) and unit.record.signature is not None:
                Signature(unit.record.signature).save(folder / SIGNATURE)

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
        """About how often all images pass through the net; one with a gradient counts as three."""
        settings, axes = self.spec.forensics, len(self.space)
        if unit.kind == "sensitivity":
            return (settings.samples + 10) * (axes + 2)
        if unit.kind == "envelope":
            corners = min(1 << axes, 256)
            return 50 * axes + 2 * corners + 100 + settings.cameras
        methods = 1 + len(settings.rivals) * (unit.group == next(iter(self.groups)))
        ascents = settings.restarts * (3 * settings.steps + 1) + settings.restarts // 2 * PROBES
        return methods * (ascents + 2 * len(self.groups[unit.group]))


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
            groups[name] = space.only([name])
    return groups


def _some(test: Any, data: RawDataset, most: int | None) -> list[int]:
    """At most so many of the test images, evenly over labels."""
    if most is None or len(test) <= most:
        return [int(i) for i in test]
    labels = np.zeros(len(test)) if data.labels is None else data.labels.numpy()[test]
    by_label = test[np.argsort(labels, kind="stable")]
    return sorted(int(i) for i in by_label[np.linspace(0, len(test) - 1, most).round().astype(int)])
