"""What drift synthesis found: the numbers and pictures that its report shows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import rawdrift
from rawdrift import files, isp
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.statistics import paired_difference, spread, wilson
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.isp.develop import encode, picture
from rawdrift.runs.spec import SynthesisSpec, to_dict
from rawdrift.runs.store import Record

METRIC = "accuracy"
SAMPLES = 6


def summarize(
    spec: SynthesisSpec,
    data: RawDataset,
    splits: Sequence[Split],
    records: Sequence[Record],
    folder: Path,
) -> dict[str, Any]:
    """Everything that the report shows, from the records of all units."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in (row for record in records for row in record["rows"]):
        values[row["train"], row["test"]].append(row["value"])
        counts[row["train"], row["test"]] += row["n"]
    means = {pair: spread(v).mean for pair, v in values.items()}
    trained = spec.synthesis.train
    labels = data.counts()
    majority = max(labels, key=lambda label: labels[label])
    drops = {name: _drops(name, values) for name in trained}
    matched = [value for name in trained for value in values[name, name]]
    # A matched pair is no drift: the worst is sought among the others.
    drifted = [pair for pair in means if pair[0] != pair[1]]
    worst = min(drifted, key=lambda pair: means[pair])
    lost, won, n = _changed(data, splits, records, worst)
    low, high = paired_difference(lost, won, n, confidence=1 - 0.05 / len(drifted))  # Bonferroni
    return {
        "kind": "synthesis",
        "version": rawdrift.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": to_dict(spec),
        "data": {
            "name": spec.data.name,
            "root": spec.data.root,
            "images": len(data),
            "height": data.size[0],
            "width": data.size[1],
            "classes": labels,
            "left_out": dict(data.left_out),
            "groups": None if data.groups is None else len(set(data.groups)),
            "cameras": [camera.name for camera in data.cameras],
            "majority": {"label": majority, "share": labels[majority] / len(data)},
        },
        "metric": METRIC,
        "train": trained,
        "test": list(CONFIGURATIONS),
        "folds": len(splits),
        "cells": [
            {
                "train": pair[0],
                "test": pair[1],
                **spread(v)._asdict(),
                "folds": len(v),
                "n": counts[pair],
                **dict(zip(("low", "high"), _interval(records, pair, counts[pair]), strict=True)),
            }
            for pair, v in values.items()
        ],
        "ranking": _ranking(trained, values, means, drops),
        "best": {t: max(trained, key=lambda name: means[name, t]) for t in CONFIGURATIONS},
        "average_drop": spread([drop for name in trained for drop in drops[name]])._asdict(),
        "matched": spread(matched)._asdict(),
        "worst": {
            "train": worst[0],
            "test": worst[1],
            "mean": means[worst],
            "matched": means[worst[0], worst[0]],
            "drop": means[worst[0], worst[0]] - means[worst],
            "low": low,
            "high": high,
            "is_drop": low > 0,
            "images": _samples(spec, data, splits, records, worst, folder),
        },
        "device": records[0]["device"],
        "precision": spec.task.precision,
        "training_s": round(sum(record["seconds"] for record in records), 1),
    }


def _drops(name: str, values: Mapping[tuple[str, str], Sequence[float]]) -> list[float]:
    """By fold: matched accuracy minus the mean over the eleven other test pipelines."""
    others = [values[name, test] for test in CONFIGURATIONS if test != name]
    return [
        matched - spread(fold).mean
        for matched, *fold in zip(values[name, name], *others, strict=True)
    ]


def _changed(
    data: RawDataset, splits: Sequence[Split], records: Sequence[Record], pair: tuple[str, str]
) -> tuple[int, int, int]:
    """Images that drift makes wrong, that it makes right, and all of them, over the folds."""
    assert data.labels is not None
    before: list[Tensor] = []
    after: list[Tensor] = []
    for record in (record for record in records if record["train"] == pair[0]):
        labels = data.labels[torch.from_numpy(splits[record["fold"]].test)]
        for right, name in ((before, pair[0]), (after, pair[1])):
            right.append(torch.tensor(record["predictions"][name]) == labels)
    matched, drifted = torch.cat(before), torch.cat(after)
    return int((matched & ~drifted).sum()), int((~matched & drifted).sum()), len(matched)


def _interval(records: Sequence[Record], pair: tuple[str, str], n: int) -> tuple[float, float]:
    """Wilson's interval of the accuracy over the images of all folds, each tested once."""
    right = sum(
        row["value"] * row["n"]
        for record in records
        for row in record["rows"]
        if (row["train"], row["test"]) == pair
    )
    return wilson(right / n, n)


def _ranking(
    trained: Sequence[str],
    values: Mapping[tuple[str, str], Sequence[float]],
    means: Mapping[tuple[str, str], float],
    drops: Mapping[str, Sequence[float]],
) -> list[dict[str, Any]]:
    """Training pipelines by their mean accuracy over all test pipelines (Table 5)."""
    overall = {
        name: spread(
            [
                spread(fold).mean
                for fold in zip(*(values[name, test] for test in CONFIGURATIONS), strict=True)
            ]
        )
        for name in trained
    }
    ranked = sorted(trained, key=lambda name: -overall[name].mean)
    rows = []
    for rank, name in enumerate(ranked, start=1):
        worst = min(CONFIGURATIONS, key=lambda test: means[name, test])
        rows.append(
            {
                "rank": rank,
                "train": name,
                **overall[name]._asdict(),
                "matched": means[name, name],
                "drop": spread(drops[name]).mean,
                "worst_test": worst,
                "worst": means[name, worst],
            }
        )
    return rows


def _samples(
    spec: SynthesisSpec,
    data: RawDataset,
    splits: Sequence[Split],
    records: Sequence[Record],
    pair: tuple[str, str],
    folder: Path,
) -> list[dict[str, str]]:
    """Pictures of the pair's images, first those that it gets wrong and the matched one right."""
    assert data.labels is not None
    candidates = []
    for record in (record for record in records if record["train"] == pair[0]):
        test = splits[record["fold"]].test.tolist()
        matched, drifted = (record["predictions"][name] for name in pair)
        for index, before, after in zip(test, matched, drifted, strict=True):
            label = int(data.labels[index])
            candidates.append(
                (not (before == label != after), after == label, index, before, after)
            )
    samples = []
    for number, (_, _, index, before, after) in enumerate(sorted(candidates)[:SAMPLES]):
        camera = data.cameras[int(data.camera_index[index])]
        views = isp.views(data.mosaics[index], camera, pair, spec.synthesis.channels)
        names = [f"samples/{number}-{kind}.png" for kind in ("matched", "drifted")]
        for name, view in zip(names, (views[pair[0]], views[pair[1]]), strict=True):
            files.write(folder / name, encode(picture(view), bits=8))
        samples.append(
            {
                "image": data.images[index],
                "label": data.classes[int(data.labels[index])],
                "matched_prediction": data.classes[before],
                "prediction": data.classes[after],
                "matched_view": names[0],
                "view": names[1],
            }
        )
    return samples
