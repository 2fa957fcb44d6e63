"""Drift forensics: searches over folds, groups of parameters and regularizations.

Section 2.2 and Figure 3 of the paper. The task model of each fold is trained once, kept in the run
folder, frozen, and attacked with the fold's own test images. Sensitivity, envelope and signature
are those of the first fold's model. The user's own model is not trained but attacked with all
images.
"""

import re
import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from msgspec import structs
from torch import nn

from rawdrift import configurations, imports
from rawdrift.controls.evidence import Signature
from rawdrift.controls.experiment import Experiment, Progress
from rawdrift.controls.forensics.analysis import SIGNATURE, analyze
from rawdrift.controls.forensics.axes import group as group_words
from rawdrift.controls.forensics.chain import BATCH, Chain, Score
from rawdrift.controls.forensics.gradient_search import search_chain
from rawdrift.controls.forensics.methods import Budget
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
from rawdrift.controls.forensics.setup import ALL, Setup
from rawdrift.controls.forensics.signing import sign
from rawdrift.controls.forensics.sobol import sensitivity_of
from rawdrift.controls.forensics.spec import ForensicsSpec
from rawdrift.controls.forensics.tolerance import envelope_of
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import compute_views, isp_inputs
from rawdrift.controls.trust import Matched, joined
from rawdrift.isp.external import External
from rawdrift.models import networks
from rawdrift.models.chain import Develop
from rawdrift.models.precision import resolve_precision
from rawdrift.runs.store import Finished
from rawdrift.text import counted


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
    ends_early: ClassVar = True

    def __init__(self, spec: ForensicsSpec) -> None:
        self.spec = spec
        self.setup = setup = Setup(spec)
        self.material, settings = setup.material, spec.forensics
        data, targets, _ = setup.material
        self.units = [
            Unit("search", fold, group, regularization)
            for group in setup.groups  # neighbors are of other folds: trained at the same time
            for regularization in settings.regularizations
            for fold in range(len(setup.tests))
        ]
        self.units += [Unit("sensitivity", 0)] * bool(settings.samples)
        self.units += [Unit("envelope", 0)] * settings.envelope
        self.inputs = [data.fingerprint(), networks.fingerprint(spec.task, targets, data.size)]
        if configurations.is_file(settings.isp) or configurations.is_external(settings.isp):
            self.inputs += isp_inputs(settings.isp, setup.isp)
        if settings.metric is not None and imports.is_import(settings.metric):
            self.inputs.append(imports.checksum(settings.metric, "forensics.metric"))
        self.step = "unit"
        self._chains: dict[tuple[int, str], tuple[Chain, Chain]] = {}

    def steps(self, unit: Unit) -> int:
        return 1

    def compute(
        self, unit: Unit, device: str, checkpoint: Path, progress: Progress
    ) -> ForensicsRecord:
        compute_views([self.setup.isp], self.setup.material.data)
        self.setup.isp.to(device)
        if (unit.fold, device) not in self._chains:
            net = self.setup.models[unit.fold].get(checkpoint.parents[1]).to(device)
            self._chains[unit.fold, device] = self._chains_of(unit.fold, net)
        chain, searched = self._chains[unit.fold, device]
        record: ForensicsRecord
        if unit.kind == "search":
            record = self._search(unit, chain, searched)
        elif unit.kind == "sensitivity":
            record = self._sensitivity(unit, chain)
        else:
            record = self._envelope(unit, chain)
        for one in (chain, searched):
            one.forget_views()
        progress()
        return record

    def _chains_of(self, fold: int, net: nn.Module) -> tuple[Chain, Chain]:
        """Return the chain of a fold's test images, and that of those that are searched with.

        All units of a fold share them, so that nothing is computed twice.
        """
        settings, setup = self.spec.forensics, self.setup
        asked = setup.asked(fold)
        if not setup.material.targets.of_pixels:  # with the weights of classes
            everything = torch.arange(len(setup.material.data))
            asked["loss"] = setup.material.targets.loss(self.spec.task, everything)
        data = setup.test_data(fold)
        chain = Chain(net, setup.isp, data, distance=settings.distance, **asked)
        return chain, chain.take(setup.halves[fold].searched)

    def _search(self, unit: Unit, chain: Chain, searched: Chain) -> SearchRecord:
        settings, setup, weight = self.spec.forensics, self.setup, unit.regularization
        space = setup.groups[unit.group]
        trials = search_chain(
            searched,
            space,
            weight,
            settings.restarts,
            settings.steps,
            self._rivals(unit),
            self.spec.seed,
        )
        search = FoldSearch(
            unit.fold,
            searched.baseline.metric,
            {GRADIENT: trials.gradient, **trials.rivals},
            list(trials.warnings),
        )
        shared = {"group": unit.group, "regularization": weight, "n": len(searched.truth)}

        def exact(found: Found) -> Score:
            return chain.exact(space, np.array([*found.parameters.values()]))

        worst = exact(search.worst)
        return SearchRecord(
            rows=list(search_rows(shared, setup.metric, searched.baseline.loss, search)),
            precision=self.precision,
            group=unit.group,
            regularization=weight,
            search=search,
            trajectory=[
                Visited(v.part, v.start, v.loss, v.metric, v.distance) for v in trials.trajectory
            ],
            outcomes=chain.baseline.outcomes.tolist(),
            worst_outcomes=worst.outcomes.tolist(),
            features=Features(
                default=chain.baseline.features.tolist(),
                gradient=exact(search.gradient).features.tolist(),
                worst=worst.features.tolist(),
            ),
        )

    def _sensitivity(self, unit: Unit, chain: Chain) -> SensitivityRecord:
        settings, asked = self.spec.forensics, self.setup.asked(unit.fold)
        chain = chain.scored_by(asked["loss"])
        chain.check_baseline()
        found = sensitivity_of(
            chain, self.setup.space, settings.samples, confidence=settings.confidence,
            seed=self.spec.seed,
        )  # fmt: skip
        return SensitivityRecord(
            fold=unit.fold,
            rows=list(sensitivity_rows({"fold": unit.fold, "n": len(chain.truth)}, found)),
            precision=self.precision,
            sensitivity=found,
        )

    def _envelope(self, unit: Unit, chain: Chain) -> EnvelopeRecord:
        settings, setup = self.spec.forensics, self.setup
        chain = chain.scored_by(setup.asked(unit.fold)["loss"])
        chain.check_baseline()
        safe = envelope_of(
            chain, setup.space, settings.max_drop, settings.confidence, settings.cameras,
            self.spec.seed,
        )  # fmt: skip
        signature = None
        if isinstance(setup.isp, External):
            why = f"{settings.isp} is a black box, with which no other camera can be compared"
            safe = structs.replace(safe, warnings=(*safe.warnings, why))
        elif not safe.is_empty:
            data = setup.test_data(unit.fold)
            sealed = sign(safe, chain.net, setup.isp, data, setup.camera, self.spec)
            signature = dict(sealed.content)
        return EnvelopeRecord(
            fold=unit.fold,
            rows=list(envelope_rows({"fold": unit.fold, "n": len(chain.truth)}, safe)),
            precision=self.precision,
            envelope=safe,
            signature=signature,
        )

    @property
    def precision(self) -> str:
        """The arithmetic of the networks."""
        return resolve_precision(self.spec.task.precision) if self.setup.trained_here else "32"

    def line(self, record: ForensicsRecord) -> str:
        fold = f"fold {record.fold + 1}/{len(self.setup.tests)}"
        if isinstance(record, SearchRecord):
            search, metric = record.search, self.setup.metric
            before, after = search.default, search.worst.metric
            group = f"{fold}, {self._words(record.group)}, λ {record.regularization:g}"
            if not after < before:
                return f"{group}: nothing lowers {metric} {before:.3f}"
            return f"{group}: {metric} {before:.3f} to {after:.3f}, of the images searched with"
        if isinstance(record, SensitivityRecord):
            if not record.sensitivity.variance:
                return f"{fold}, sensitivity: the same at every setting"
            first = record.sensitivity.by_importance()[0]
            return f"{fold}, sensitivity: {self._words(first)} matters most"
        safe = record.envelope
        if safe.is_empty:
            return f"{fold}, envelope: {safe.warnings[0]}"
        axes = f"{fold}, envelope: {counted(len(safe.box), 'axis', 'axes')}"
        if len(safe.box) == 1:
            return axes
        return (
            f"{axes}; the box of all together reaches at least {safe.scale:.2f} times as far as "
            f"each alone"
        )

    def _words(self, group: str) -> str:
        return group_words(self.setup.space.axes, group)

    def analyze(
        self, units: Iterable[Finished[ForensicsRecord]], failed: Mapping[str, str]
    ) -> ForensicsResult:
        return analyze(self.setup, units, failed)

    def views(self) -> Mapping[str, Develop]:
        if self.setup.trained_here:
            return {}
        own, channels = self.spec.forensics.isp, self.spec.forensics.channels
        named = not (configurations.is_file(own) or configurations.is_external(own))
        others = configurations.taking(self.setup.camera.cfa) if named else ()
        return {
            configurations.label(own): Develop([deepcopy(self.setup.isp)]),
            **{
                name: Develop.static(name, [self.setup.camera], channels)
                for name in others
                if name != own
            },
        }

    def matched(self, units: Iterable[Finished[ForensicsRecord]]) -> Mapping[str, Matched]:
        folds = {
            unit.record.fold: Matched(
                np.array(self.setup.tests[unit.record.fold]), np.array(unit.record.outcomes)
            )
            for unit in units
            if isinstance(unit.record, SearchRecord)
        }
        return {"own setting": joined(list(folds.values()))}

    def withhold(self, result: ForensicsResult) -> ForensicsResult:
        return structs.replace(result, envelope=None, signature=None)

    def illustrate(
        self,
        result: ForensicsResult,
        units: Iterable[Finished[ForensicsRecord]],
        pictures: Gallery,
    ) -> ForensicsResult:
        return illustrate(self.setup, result, units, pictures)

    def deliver(
        self,
        result: ForensicsResult,
        units: Iterable[Finished[ForensicsRecord]],
        folder: Path,
    ) -> None:
        """Write signature.json, the signature of the envelope."""
        (folder / SIGNATURE).unlink(missing_ok=True)  # of an earlier result
        for unit in units:
            signature = getattr(unit.record, "signature", None)
            if signature is not None and result.signature is not None:
                Signature(signature).save(folder / SIGNATURE)

    def about(self) -> str:
        counts = ", ".join(str(len(test)) for test in self.setup.tests)
        return (
            f"axes: {len(self.setup.space)}; groups of parameters: {len(self.setup.groups)}; "
            f"regularizations: {len(self.spec.forensics.regularizations)}; models: "
            f"{len(self.setup.tests)}, searched with {counts} test images"
        )

    def measure(self) -> float:
        """From a few batches of training, and one pass of the test images through a model."""
        net, training = self.setup.models[0].measure()
        few = self.material.data.mosaics[torch.tensor(self.setup.tests[0][:BATCH])]
        with torch.inference_mode():
            for _ in range(2):  # kernels are compiled in the first
                started = time.monotonic()
                net(self.setup.isp(few).float())
                took = time.monotonic() - started
        seconds = took * len(self.setup.tests[0]) / len(few)
        passes = sum(self._passes(unit) for unit in self.units)
        return (len(self.setup.tests) * training + passes * seconds) / len(self.units)

    def cost(self, unit: Unit) -> float:
        """About how often the test images pass through the net; one with a gradient counts as
        three. The first unit of each model trains it."""
        first = next(one for one in self.units if one.fold == unit.fold)
        if self.spec.task.checkpoint is not None or unit != first:
            return self._passes(unit)
        images = len(self.material.splits[unit.fold].train) / len(self.setup.tests[unit.fold])
        return self._passes(unit) + 3 * self.spec.task.epochs * images

    def _passes(self, unit: Unit) -> float:
        """The same without the training."""
        settings, axes = self.spec.forensics, len(self.setup.space)
        if unit.kind == "sensitivity":
            return (settings.samples + 10) * (axes + 2)
        if unit.kind == "envelope":
            corners = min(1 << axes, 256)
            return 50 * axes + 2 * corners + 100 + settings.cameras
        methods = 1 + len(self._rivals(unit))
        axes = len(self.setup.groups[unit.group])
        return methods * sum(Budget.of(settings.restarts, settings.steps, axes, 3)) / 2

    def _rivals(self, unit: Unit) -> list[str]:
        """The methods to compare with: of the first group alone."""
        is_first = unit.group == next(iter(self.setup.groups))
        return self.spec.forensics.rivals if is_first else []
