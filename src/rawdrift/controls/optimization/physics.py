"""Numbers of a learned ISP that no camera could have: they have left physics."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rawdrift.camera.read import to_unit
from rawdrift.cfa import layout, sampled
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Step

SAMPLED = 64  # images that the signal is taken from


class Violation(NamedTuple):
    """A parameter by name, and what is wrong with it, in words."""

    parameter: str
    what: str


def signal(data: RawDataset, indices: Tensor, camera: int) -> list[float]:
    """Return the median raw value at R, G in red rows, G in blue rows and B (at each site of the
    pattern), of a camera's images.

    It is of some of these images; NaN if none of them is the camera's.
    """
    taken = indices[data.camera_index[indices] == camera]
    taken = taken[:: max(1, len(taken) // SAMPLED)]
    mosaics: Tensor = to_unit(data.mosaics[taken], data.cameras[camera].bit_depth)
    cfa = data.cameras[camera].cfa
    values: list[list[Tensor]] = [[] for _ in layout(cfa).sites]
    for site, pixels in sampled(mosaics, cfa):
        values[site].append(pixels.flatten())
    return [float(torch.cat(pixels).median()) for pixels in values]


def clipped(isp: Pipeline, data: RawDataset, indices: Tensor, camera: int) -> dict[str, float]:
    """Return the shares of a camera's view values that are `black`, 0, and `white`, 1.

    They are of some of these images. Gamma has no gradient there.
    """
    taken = indices[data.camera_index[indices] == camera]
    mosaics = data.mosaics[taken[:: max(1, len(taken) // SAMPLED)]]
    if not len(mosaics):
        return {"black": 0.0, "white": 0.0}
    with torch.no_grad():
        device = next((value.device for value in isp.state_dict().values()), mosaics.device)
        views = isp(mosaics.to(device))
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
    """Yield the parameters of an ISP that have left physics; see `Number.not_physical`.

    steps: the classes of its steps, by name. start: the camera's own values, which count as
    physical even if they look odd: signs of white balance and color matrix may cancel. signal: what
    `signal` returns for the camera.
    """
    for name, value in values.items():
        step, _, number = name.partition(".")
        now, before = (np.asarray(x, dtype=np.float64) for x in (value, start[name]))
        for what in steps[step].numbers[number].not_physical(now, before, signal):
            yield Violation(name, what)
