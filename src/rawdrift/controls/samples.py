"""Pictures of the images that lose most, for the report."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rawdrift import files, isp
from rawdrift.controls.grid import Grid, Material
from rawdrift.corruptions import corrupt
from rawdrift.isp.develop import encode, picture
from rawdrift.runs.spec import SynthesisSpec
from rawdrift.tasks.evaluate import Case

SAMPLES = 6


def samples(
    spec: SynthesisSpec, material: Material, grid: Grid, row: int, case: Case, folder: Path
) -> list[dict[str, Any]]:
    """Write both views of the images on which a pipeline's model loses most under a case, to
    `folder`/samples; returns their names, and what was answered.
    """
    data, targets, _ = material
    own, at = int(grid.own[row]), grid.cases.index(case)
    matched, drifted = (grid.measure.of(grid.features[row, column]) for column in (own, at))
    lost = np.nan_to_num(matched - drifted)
    order = np.lexsort((np.arange(len(data)), np.nan_to_num(drifted, nan=2.0), -lost))
    shutil.rmtree(folder / "samples" / case.kind, ignore_errors=True)  # of another worst pair
    found = []
    for number, index in enumerate(order[:SAMPLES].tolist()):
        names = [f"samples/{case.kind}/{number}-{what}.png" for what in ("matched", "drifted")]
        for name, view in zip(names, _views(spec, material, grid, row, case, index), strict=True):
            files.write(folder / name, encode(picture(view), bits=8))
        sample = {
            "image": data.images[index],
            "matched_view": names[0],
            "view": names[1],
            "matched_score": _number(matched[index]),
            "score": _number(drifted[index]),
        }
        if targets.kind == "classification":
            sample["label"] = targets.names[int(grid.truth[index])]
            sample["matched_prediction"] = targets.names[int(grid.outcomes[row, own, index])]
            sample["prediction"] = targets.names[int(grid.outcomes[row, at, index])]
        found.append(sample)
    return found


def _views(
    spec: SynthesisSpec, material: Material, grid: Grid, row: int, case: Case, index: int
) -> tuple[Tensor, Tensor]:
    """Of one image, as in training and as in the test."""
    data, train = material.data, grid.trained[row]
    camera = data.cameras[int(data.camera_index[index])]
    names = [train, case.name] if case.kind == "isp" else [train]
    views = isp.views(data.mosaics[index], camera, names, spec.synthesis.channels)
    own = views[train].float()
    if case.kind == "isp":
        return own, views[case.name]
    seeds, table = [(spec.seed, index)], spec.synthesis.severity_table
    return own, corrupt(own, case.name, case.severity, seeds, table)


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
