"""Drift synthesis: train on one static pipeline, test on all twelve (Section 2.1 of the paper)."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from rawdrift import data as datasets
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.summary import METRIC, summarize
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split, fit_for_folds, k_fold
from rawdrift.runs.spec import SynthesisSpec
from rawdrift.runs.store import Record, Store
from rawdrift.tasks import models
from rawdrift.tasks.metrics import accuracy
from rawdrift.tasks.task import Develop, predictions
from rawdrift.tasks.train import resolve_precision, train

COLUMNS = ("train", "test_kind", "test", "severity", "fold", "metric", "value", "n")


class Unit(NamedTuple):
    """One training: a pipeline and a fold."""

    train: str
    fold: int

    @property
    def name(self) -> str:
        return f"{self.train.replace(',', '-')}_fold{self.fold}"


def run(spec: SynthesisSpec, out: str | Path) -> dict[str, Any]:
    """Run a drift synthesis experiment, or go on with it, in the folder `out`.

    Writes spec.yaml, results.csv (one row a measurement), summary.json and samples of the worst
    pair; returns the summary. Every pipeline sees the same folds, the same initial weights and the
    same order of images, so that differences are the pipelines'.

    Raises InputError where the data or the folder do not fit the spec.
    """
    store = Store(Path(out), spec, COLUMNS)
    data = _load(spec)
    splits = k_fold(data, spec.synthesis.folds, spec.seed)
    inputs = [data.fingerprint(), models.fingerprint(spec.task.model, spec.task.weights)]
    with store:
        return _run(spec, store, data, splits, inputs)


def _run(
    spec: SynthesisSpec, store: Store, data: RawDataset, splits: Sequence[Split], inputs: list[str]
) -> dict[str, Any]:
    units = [Unit(name, fold) for name in spec.synthesis.train for fold in range(len(splits))]
    names = [unit.name for unit in units]
    if any(record["inputs"] != inputs for record in store.records(names)):
        raise InputError(
            f"the data or the weights have changed since {store.folder} was begun; "
            f"choose a new folder"
        )
    missing = set(store.missing(names))
    todo = [unit for unit in units if unit.name in missing]
    if len(todo) < len(units):
        tqdm.write(f"{len(units) - len(todo)} of {len(units)} trainings are done already")
    with tqdm(total=len(todo) * spec.task.epochs, unit="epoch", disable=None) as bar:
        for number, unit in enumerate(todo):
            bar.set_description(f"train on {unit.train}, fold {unit.fold + 1}/{len(splits)}")
            record = _run_unit(spec, data, splits[unit.fold], unit, bar)
            store.append(unit.name, {"inputs": inputs, **record})
            store.write_results(names)
            tqdm.write(_line(unit, record, len(splits), left=len(todo) - 1 - number))

    store.write_results(names)
    summary = summarize(spec, data, splits, store.records(names), store.folder)
    store.write_summary(summary)
    return summary


def _load(spec: SynthesisSpec) -> RawDataset:
    data = datasets.load(spec.data)
    if data.labels is None:
        found = (
            f"{spec.data.root}/manifest.csv has no column label"
            if spec.data.root
            else f"data.name {spec.data.name} has masks alone, not a label an image"
        )
        raise InputError(f"{found}; classification needs one")
    data = fit_for_folds(data.without(spec.data.exclude, "excluded"), spec.synthesis.folds)
    for label, why in data.left_out.items():
        tqdm.write(f"left out: label {label!r}, {why}")
    return data


def _run_unit(spec: SynthesisSpec, data: RawDataset, split: Split, unit: Unit, bar: Any) -> Record:
    """Train one network and test it on all twelve pipelines."""
    assert data.labels is not None
    started = time.monotonic()
    channels = spec.synthesis.channels
    task = spec.task
    # One seed a fold, whatever the pipeline and the order of trainings.
    seed = int(np.random.SeedSequence([spec.seed, unit.fold]).generate_state(1)[0])
    net = train(
        data,
        torch.from_numpy(split.train),
        Develop.static(unit.train, data.cameras, channels),
        model=task.model,
        weights=task.weights,
        epochs=task.epochs,
        lr=task.lr,
        schedule=task.schedule,
        batch_size=task.batch_size,
        augment=task.augment == "weak",
        precision=task.precision,
        seed=seed,
        on_epoch=bar.update,
    )
    test = torch.from_numpy(split.test)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predicted = predictions(net, data, test, CONFIGURATIONS, channels, device)
    labels = data.labels[test]
    rows = [
        {
            "train": unit.train,
            "test_kind": "isp",
            "test": name,
            "severity": 0,
            "fold": unit.fold,
            "metric": METRIC,
            "value": accuracy(predicted[name], labels, len(data.classes)),
            "n": len(test),
        }
        for name in CONFIGURATIONS
    ]
    return {
        "train": unit.train,
        "fold": unit.fold,
        "rows": rows,
        "predictions": {name: classes.tolist() for name, classes in predicted.items()},
        "device": device,
        "precision": resolve_precision(task.precision),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
    }


def _line(unit: Unit, record: Record, folds: int, left: int) -> str:
    values = {row["test"]: row["value"] for row in record["rows"]}
    return (
        f"{unit.train} fold {unit.fold + 1}/{folds}: matched accuracy {values[unit.train]:.3f}, "
        f"lowest {min(values.values()):.3f} on {min(values, key=lambda name: values[name])} "
        f"({record['seconds']:.0f} s; {left} to go, about {left * record['seconds'] / 60:.1f} min)"
    )
