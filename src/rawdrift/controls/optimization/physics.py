"""What of a learned ISP no camera could have: numbers that have left physics."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rawdrift.camera.read import to_unit
from rawdrift.cfa import offsets
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step

SAMPLED = 64  # images that the signal is taken from


class Violation(NamedTuple):
    """A parameter, by name, and in words what is wrong with it."""

    parameter: str
    what: str


def signal(data: RawDataset, camera: int) -> list[float]:
    """The median of the raw values at R, G in red rows, G in blue rows and B, of a few images."""
    taken = torch.nonzero(data.camera_index == camera).flatten()
    taken = taken[:: max(1, len(taken) // SAMPLED)]
    mosaics: Tensor = to_unit(data.mosaics[taken], data.cameras[camera].bit_depth)
    return [
        float(mosaics[:, row::2, column::2].median())
        for row, column in offsets(data.cameras[camera].cfa)
    ]


def clipped(isp: Pipeline, data: RawDataset, indices: Tensor, camera: int) -> dict[str, float]:
    """The shares of the values of this camera's views that are `black`, 0, and `white`, 1, of a few
    of these images: there the gradient of the ISP is none."""
    taken = indices[data.camera_index[indices] == camera]
    mosaics = data.mosaics[taken[:: max(1, len(taken) // SAMPLED)]]
    if not len(mosaics):
        return {"black": 0.0, "white": 0.0}
    with torch.no_grad():
        views = isp(mosaics.to(next(iter(isp.state_dict().values())).device))
    return {
        "black": float((views <= 0).float().mean()),
        "white": float((views >= 1).float().mean()),
    }


def violations(
    steps: Mapping[str, type[Step]],
    start: Mapping[str, Any],
    values: Mapping[str, Any],
    signal: list[float],
) -> Iterator[Violation]:
    """Yield what has left physics, of the parameters of an ISP with these steps.

    start: the same at the camera's values, which stand for physics even where they look odd: white
        balance and color matrix may have signs that cancel. signal: see there.
    """
    for name, value in values.items():
        step, _, number = name.partition(".")
        now, before = (np.asarray(x, dtype=np.float64) for x in (value, start[name]))
        for what in steps[step].numbers[number].not_physical(now, before, signal):
            yield Violation(name, what)
