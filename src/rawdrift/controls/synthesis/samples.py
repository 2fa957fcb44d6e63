"""Pictures for the report: of the images that lose most, and all views of one image."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rawdrift import files
from rawdrift.controls.material import Material
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.corruptions import corrupt
from rawdrift.isp.develop import encode, picture
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.chain import developed
from rawdrift.models.evaluate import Case

SAMPLES = 6
AMPLIFIED = 4  # times the difference of two views, in its picture
MIDDLE = 256  # pixels that are shown of an image of which all views are


def samples(
    spec: SynthesisSpec,
    material: Material,
    grid: Grid,
    row: int,
    case: Case,
    folder: Path,
    isps: Mapping[str, Pipeline],
) -> list[dict[str, Any]]:
    """Write both views of the images on which a pipeline's model loses most under a case, and their
    difference, to `folder`/samples; returns their names, and what was answered.

    The difference is drifted minus matched, `AMPLIFIED` times, around a middle gray.
    """
    data, targets, _ = material
    own, at = int(grid.own[row]), grid.cases.index(case)
    matched, drifted = (grid.measure.of(grid.features[row, column]) for column in (own, at))
    lost = np.nan_to_num(matched - drifted)
    order = np.lexsort((np.arange(len(data)), np.nan_to_num(drifted, nan=2.0), -lost))
    shutil.rmtree(folder / "samples" / case.kind, ignore_errors=True)  # of another worst pair
    found = []
    for number, index in enumerate(order[:SAMPLES].tolist()):
        as_trained, as_tested = _views(spec, material, grid, row, case, index, isps)
        change = (0.5 + AMPLIFIED * (as_tested - as_trained)).clamp(0, 1)
        sample: dict[str, Any] = {"image": data.images[index]}
        views = {"matched_view": as_trained, "view": as_tested, "change": change}
        for key, shown in views.items():
            sample[key] = f"samples/{case.kind}/{number}-{_FILES[key]}.png"
            files.write(folder / sample[key], encode(picture(shown), bits=8))
        sample |= {
            "matched_score": _number(matched[index]),
            "score": _number(drifted[index]),
        }
        if targets.kind == "classification":
            sample["label"] = targets.names[int(grid.truth[index])]
            sample["matched_prediction"] = targets.names[int(grid.outcomes[row, own, index])]
            sample["prediction"] = targets.names[int(grid.outcomes[row, at, index])]
        found.append(sample)
    return found


_FILES = {"matched_view": "matched", "view": "drifted", "change": "change"}


def every_view(
    spec: SynthesisSpec,
    material: Material,
    index: int,
    folder: Path,
    isps: Mapping[str, Pipeline],
) -> dict[str, Any]:
    """Write the middle of one image as all pipelines develop it, to `folder`/samples/views; returns
    the names."""
    data = material.data
    camera = data.cameras[int(data.camera_index[index])]
    synthesis = spec.synthesis
    views = developed(data.mosaics[index], camera, synthesis.pipelines, synthesis.channels, isps)
    top, left = (max(0, (length - MIDDLE) // 2) for length in data.size)
    found = {}
    for name, view in views.items():
        middle = view[:, top : top + MIDDLE, left : left + MIDDLE].float()
        found[name] = f"samples/views/{name.replace(',', '-')}.png"
        files.write(folder / found[name], encode(picture(middle), bits=8))
    return {"image": data.images[index], "cropped": max(data.size) > MIDDLE, "views": found}


def _views(
    spec: SynthesisSpec,
    material: Material,
    grid: Grid,
    row: int,
    case: Case,
    index: int,
    isps: Mapping[str, Pipeline],
) -> tuple[Tensor, Tensor]:
    """Of one image, as in training and as in the test."""
    data, train = material.data, grid.trained[row]
    camera = data.cameras[int(data.camera_index[index])]
    names = [train, case.name] if case.kind == "isp" else [train]
    views = developed(data.mosaics[index], camera, names, spec.synthesis.channels, isps)
    own = views[train].float()
    if case.kind == "isp":
        return own, views[case.name]
    seeds, table = [(spec.seed, index)], spec.synthesis.severity_table
    return own, corrupt(own, case.name, case.severity, seeds, table)


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
