"""Drift synthesis: train on static pipelines, test on all twelve and on common corruptions.

Section 2.1 of the paper. Every pipeline sees the same folds, the same initial weights and the same
order of images, so that differences are the pipelines'. A trained model of the user's own is tested
in the same way, without training.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from rawdrift import data as datasets
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.grid import Material
from rawdrift.controls.summary import headline, summarize
from rawdrift.data.splits import Split, fit_for_folds, k_fold
from rawdrift.runs.executor import Compute, Failed
from rawdrift.runs.spec import SynthesisSpec, to_yaml
from rawdrift.runs.store import Record, Store
from rawdrift.runs.tracker import tracker
from rawdrift.tasks import models
from rawdrift.tasks.evaluate import Case, evaluate
from rawdrift.tasks.metrics import over_set
from rawdrift.tasks.targets import Targets
from rawdrift.tasks.task import BATCH, Develop
from rawdrift.tasks.train import resolve_precision, train

COLUMNS = ("train", "test_kind", "test", "severity", "fold", "metric", "value", "n")
CHECKPOINT_EVERY = 60.0  # seconds: what a kill costs, at most and beside the epoch under way


class Unit(NamedTuple):
    """One training and its tests: a pipeline and a fold."""

    train: str
    fold: int

    @property
    def name(self) -> str:
        return f"{self.train.replace(',', '-')}_fold{self.fold}"


class Job(NamedTuple):
    """An experiment with its data."""

    material: Material
    units: list[Unit]
    inputs: list[str]  # what all results depend on beside the spec
    step: str  # what progress is counted in
    steps: int  # of one unit


def run(
    spec: SynthesisSpec, out: str | Path, compute: Compute | None = None, tracking: str = "none"
) -> dict[str, Any]:
    """Run a drift synthesis experiment, or go on with it, in the folder `out`.

    Writes spec.yaml, results.csv (one row a measurement), summary.json and samples of the worst
    pair; returns the summary. A unit that fails is told of and does not stop the rest; it is tried
    again when the run is started again.

    compute: where units run; the same numbers for the same number of threads.
    tracking: "none", or "mlflow".

    Raises InputError where the data or the folder do not fit the spec, and if every unit fails.
    """
    compute = compute or Compute()
    executing = compute.executor()
    store = Store(Path(out), spec, COLUMNS)
    job = _JOBS[to_yaml(spec)] = prepare(spec)
    names = [unit.name for unit in job.units]
    with store, _threads(compute.unit_threads):
        for record in store.records(names):
            _check_inputs(record, job, store.folder)
        tracked = tracker(tracking, store.folder, spec)
        missing = set(names)
        for name in names:
            held = store.read(name)
            if held is not None:
                tracked.log(name, held)
                missing.discard(name)
        store.write_results(names)
        if len(missing) < len(names):
            tqdm.write(f"{len(names) - len(missing)} of {len(names)} trainings are done already")
        todo = [unit for unit in job.units if unit.name in missing]
        failed: dict[Unit, str] = {}
        with tqdm(total=len(todo) * job.steps, unit=job.step, disable=None) as bar:
            tell = bar.update if compute.kind == "inline" else None
            work = partial(_work, spec, store.folder, compute.unit_threads, tell)
            for unit, found in executing.map(work, todo):
                if tell is None:
                    bar.update(job.steps)
                if isinstance(found, Failed):
                    failed[unit] = found.reason
                    tqdm.write(f"{unit.train} fold {unit.fold + 1} failed: {found.reason}")
                    continue
                record = found.result
                _check_inputs(record, job, store.folder)
                store.append(unit.name, record)
                _checkpoint(store.folder, unit).unlink(missing_ok=True)
                tracked.log(unit.name, record)
                missing.discard(unit.name)
                tqdm.write(_line(record, job, left=len(missing) - len(failed)))
        store.write_results(names)
        reasons = {unit.name: reason for unit, reason in failed.items()}
        records = store.records(names)
        summary = summarize(spec, job.material, cases(spec), records, reasons, store.folder)
        store.write_summary(summary)
        tracked.finish(headline(summary))
        return summary


# The last experiment that this process has read the data of: a worker's next unit has them at hand.
_JOBS: dict[str, Job] = {}


def prepare(spec: SynthesisSpec) -> Job:
    """Read the data, and split them."""
    _JOBS.clear()
    data = datasets.load(spec.data).without(spec.data.exclude, "excluded")
    if Targets.of(data, spec.task).kind == "segmentation":
        data = replace(data, labels=None, classes=())  # splits need not care
    if spec.task.checkpoint is None:
        data = fit_for_folds(data, spec.synthesis.folds)
        splits = k_fold(data, spec.synthesis.folds, spec.seed)
        step, steps = "epoch", spec.task.epochs
    else:
        everything = np.arange(len(data))
        splits = [Split(everything[:0], everything)]
        step, steps = "batch", -(-len(data) // BATCH)
    for label, why in data.left_out.items():
        tqdm.write(f"left out: label {label!r}, {why}")
    targets = Targets.of(data, spec.task)
    return Job(
        Material(data, targets, splits),
        [Unit(name, fold) for name in spec.synthesis.train for fold in range(len(splits))],
        [data.fingerprint(), models.fingerprint(spec.task, targets, data.size)],
        step,
        steps,
    )


def _work(
    spec: SynthesisSpec,
    folder: Path,
    threads: int | None,
    tell: Callable[[], object] | None,
    unit: Unit,
) -> Record:
    """Train one network, or load the user's, and test it: the record of a unit."""
    key = to_yaml(spec)
    if key not in _JOBS:
        _JOBS[key] = prepare(spec)
    job = _JOBS[key]
    data, targets, splits = job.material
    started = time.monotonic()
    tell = tell or (lambda: None)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    test = torch.from_numpy(splits[unit.fold].test)
    with _threads(threads):
        trained = spec.task.checkpoint is None
        if trained:
            net = _train(spec, job, folder, unit, tell)
        else:
            net = models.load_checkpoint(spec.task, targets, data.size)
        answers = evaluate(
            net,
            data,
            targets,
            test,
            unit.train,
            cases(spec),
            channels=spec.synthesis.channels,
            table=spec.synthesis.severity_table,
            seed=spec.seed,
            device=device,
            on_batch=(lambda: None) if trained else tell,
        )
        used = torch.get_num_threads()
    rows = [
        {
            "train": unit.train,
            "test_kind": case.kind,
            "test": case.name,
            "severity": case.severity,
            "fold": unit.fold,
            "metric": metric,
            "value": value,
            "n": len(test),
        }
        for case in cases(spec)
        for metric, value in over_set(answers.outcomes[case.key], targets, test).items()
    ]
    return {
        "inputs": job.inputs,
        "train": unit.train,
        "fold": unit.fold,
        "rows": rows,
        "outcomes": {key: found.tolist() for key, found in answers.outcomes.items()},
        "distance": answers.distance,
        "device": device,
        "precision": resolve_precision(spec.task.precision) if trained else "32-true",
        "threads": used,
        "torch": torch.__version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
    }


def cases(spec: SynthesisSpec) -> list[Case]:
    """All twelve pipelines, then each corruption at each severity."""
    synthesis = spec.synthesis
    return [Case("isp", name) for name in CONFIGURATIONS] + [
        Case("corruption", name, severity)
        for name in synthesis.corruptions
        for severity in synthesis.severities
    ]


def _train(
    spec: SynthesisSpec, job: Job, folder: Path, unit: Unit, tell: Callable[[], object]
) -> nn.Module:
    data, targets, splits = job.material
    return train(
        data,
        targets,
        torch.from_numpy(splits[unit.fold].train),
        Develop.static(unit.train, data.cameras, spec.synthesis.channels),
        spec.task,
        # One seed a fold, whatever the pipeline and the order of trainings.
        seed=int(np.random.SeedSequence([spec.seed, unit.fold]).generate_state(1)[0]),
        on_epoch=tell,
        checkpoint=_checkpoint(folder, unit),
        checkpoint_every=CHECKPOINT_EVERY,
    )


def _checkpoint(folder: Path, unit: Unit) -> Path:
    return folder / "records" / f"{unit.name}.ckpt"


def _check_inputs(record: Record, job: Job, folder: Path) -> None:
    if record["inputs"] != job.inputs:
        raise InputError(
            f"the data or the weights have changed since {folder} was begun; choose a new folder"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """With that many threads of torch inside; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _line(record: Record, job: Job, left: int) -> str:
    metric = record["rows"][0]["metric"]
    isp = {
        r["test"]: r["value"]
        for r in record["rows"]
        if (r["test_kind"], r["metric"]) == ("isp", metric)
    }
    worst = min(isp, key=lambda name: isp[name])
    return (
        f"{record['train']} fold {record['fold'] + 1}/{len(job.material.splits)}: matched {metric} "
        f"{isp[record['train']]:.3f}, lowest {isp[worst]:.3f} on {worst} "
        f"({record['seconds']:.0f} s; {left} to go, about {left * record['seconds'] / 60:.1f} min)"
    )
