"""What drift synthesis found: the numbers and pictures that its report shows."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rawdrift
from rawdrift import files, isp
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.statistics import effective_size, paired_difference, spread, wilson
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.isp.develop import encode, picture
from rawdrift.runs.spec import SynthesisSpec, to_dict
from rawdrift.runs.store import Record

METRIC = "accuracy"
SAMPLES = 6

Pair = tuple[str, str]  # trained on, tested on
Right = Mapping[Pair, NDArray[np.float64]]  # (N,) 1 where the answer to an image is right, else 0


def summarize(
    spec: SynthesisSpec,
    data: RawDataset,
    splits: Sequence[Split],
    records: Sequence[Record],
    folder: Path,
) -> dict[str, Any]:
    """Everything that the report shows, from the records of all units; also samples/*.png.

    Means are over images, each tested once; standard deviations over folds. Intervals allow for
    images of one group being alike.
    """
    assert data.labels is not None
    labels = data.labels.numpy()
    fold = np.empty(len(data), dtype=np.int64)
    for number, split in enumerate(splits):
        fold[split.test] = number
    trained = spec.synthesis.train
    answers = {pair: np.empty(len(data), np.int64) for pair in product(trained, CONFIGURATIONS)}
    for record in records:
        for test, predicted in record["predictions"].items():
            answers[record["train"], test][splits[record["fold"]].test] = predicted
    right = {pair: (predicted == labels).astype(float) for pair, predicted in answers.items()}
    groups = None if data.groups is None else np.unique(data.groups, return_inverse=True)[1]

    cells = _cells(right, fold, groups)
    worst = _worst(cells)
    pair = worst["train"], worst["test"]
    counts = data.counts()
    majority = max(counts, key=lambda label: counts[label])
    drops = {name: _drops(name, right, fold) for name in trained}
    matched = [value for name in trained for value in _by_fold(right[name, name], fold)]
    return {
        "kind": "synthesis",
        "version": rawdrift.__version__,
        "created": max(record["finished"] for record in records),
        "spec": to_dict(spec),
        "data": {
            "name": spec.data.name,
            "root": spec.data.root,
            "images": len(data),
            "height": data.size[0],
            "width": data.size[1],
            "classes": counts,
            "left_out": dict(data.left_out),
            "groups": None if groups is None else int(groups.max()) + 1,
            "cameras": [camera.name for camera in data.cameras],
            "majority": {"label": majority, "share": counts[majority] / len(data)},
        },
        "metric": METRIC,
        "train": trained,
        "test": list(CONFIGURATIONS),
        "folds": len(splits),
        "cells": cells,
        "ranking": _ranking(trained, right, fold, drops),
        "best": {
            test: max(trained, key=lambda name: right[name, test].mean()) for test in CONFIGURATIONS
        },
        "average_drop": spread([drop for name in trained for drop in drops[name]])._asdict(),
        "matched": {
            "mean": float(np.mean([right[name, name].mean() for name in trained])),
            "std": spread(matched).std,
        },
        "worst": {**worst, "images": _samples(spec, data, answers, pair, folder)},
        "recall": [
            {
                "train": pair[0],
                "test": test,
                "label": name,
                "value": float(right[pair[0], test][labels == index].mean()),
            }
            for test in pair
            for index, name in enumerate(data.classes)
        ],
        "duration_s": round(sum(record["seconds"] for record in records), 1),
        **{
            key: ", ".join(sorted({str(record[key]) for record in records}))
            for key in ("device", "precision", "threads", "torch")
        },
    }


def _by_fold(values: NDArray[Any], fold: NDArray[np.int64]) -> list[float]:
    """The mean of each fold's images."""
    return [float(values[fold == number].mean()) for number in range(int(fold.max()) + 1)]


def _cells(
    right: Right, fold: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> list[dict[str, Any]]:
    """By pair: accuracy with Wilson's interval; and the drop from the matched pair, with an
    interval that holds for all pairs at once (Bonferroni)."""
    confidence = 1 - 0.05 / sum(train != test for train, test in right)
    cells = []
    for (train, test), values in right.items():
        mean = float(values.mean())
        low, high = wilson(mean, effective_size(values, groups))
        cell = {
            "train": train,
            "test": test,
            "mean": mean,
            "std": spread(_by_fold(values, fold)).std,
            "folds": int(fold.max()) + 1,
            "n": len(values),
            "low": low,
            "high": high,
        }
        if train != test:
            changed = right[train, train] - values
            n = effective_size(changed, groups)
            lost, won = (float((changed == sign).mean()) * n for sign in (1, -1))
            low, high = paired_difference(lost, won, n, confidence)
            cell |= {"drop": float(changed.mean()), "drop_low": low, "drop_high": high}
        cells.append(cell)
    return cells


def _worst(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The largest drop; one that is clearly a drop goes before all that are not."""
    drifted = [cell for cell in cells if "drop" in cell]
    worst = max(drifted, key=lambda cell: (cell["drop_low"] > 0, cell["drop"]))
    return {
        "train": worst["train"],
        "test": worst["test"],
        "mean": worst["mean"],
        "matched": worst["mean"] + worst["drop"],
        "drop": worst["drop"],
        "low": worst["drop_low"],
        "high": worst["drop_high"],
        "is_drop": worst["drop_low"] > 0,
    }


def _drops(name: str, right: Right, fold: NDArray[np.int64]) -> list[float]:
    """By fold: matched accuracy minus the mean over the eleven other test pipelines."""
    others = np.mean([right[name, test] for test in CONFIGURATIONS if test != name], axis=0)
    return _by_fold(right[name, name] - others, fold)


def _ranking(
    trained: Sequence[str],
    right: Right,
    fold: NDArray[np.int64],
    drops: Mapping[str, Sequence[float]],
) -> list[dict[str, Any]]:
    """Training pipelines by their mean accuracy over all test pipelines (Table 5)."""
    overall = {name: np.mean([right[name, t] for t in CONFIGURATIONS], axis=0) for name in trained}
    ranked = sorted(trained, key=lambda name: -overall[name].mean())
    rows = []
    for rank, name in enumerate(ranked, start=1):
        worst = min(CONFIGURATIONS, key=lambda test: right[name, test].mean())
        rows.append(
            {
                "rank": rank,
                "train": name,
                "mean": float(overall[name].mean()),
                "std": spread(_by_fold(overall[name], fold)).std,
                "matched": float(right[name, name].mean()),
                "drop": spread(drops[name]).mean,
                "worst_test": worst,
                "worst": float(right[name, worst].mean()),
            }
        )
    return rows


def _samples(
    spec: SynthesisSpec,
    data: RawDataset,
    answers: Mapping[Pair, NDArray[np.int64]],
    pair: Pair,
    folder: Path,
) -> list[dict[str, str]]:
    """Pictures of the pair's images, first those that it gets wrong and the matched one right."""
    assert data.labels is not None
    labels = data.labels.numpy()
    before, after = answers[pair[0], pair[0]], answers[pair]
    lost, wrong = (before == labels) & (after != labels), after != labels
    order = np.lexsort((np.arange(len(data)), ~wrong, ~lost))
    shutil.rmtree(folder / "samples", ignore_errors=True)  # of another worst pair
    samples = []
    for number, index in enumerate(order[:SAMPLES].tolist()):
        camera = data.cameras[int(data.camera_index[index])]
        views = isp.views(data.mosaics[index], camera, pair, spec.synthesis.channels)
        names = [f"samples/{number}-{kind}.png" for kind in ("matched", "drifted")]
        for name, view in zip(names, (views[pair[0]], views[pair[1]]), strict=True):
            files.write(folder / name, encode(picture(view), bits=8))
        samples.append(
            {
                "image": data.images[index],
                "label": data.classes[int(labels[index])],
                "matched_prediction": data.classes[int(before[index])],
                "prediction": data.classes[int(after[index])],
                "matched_view": names[0],
                "view": names[1],
            }
        )
    return samples
