"""What of a learned ISP no camera could have: numbers that have left physics."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.camera.read import to_unit
from rawdrift.cfa import SITES, offsets
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline

GAMMA = 0.5, 5.0  # of displays and their inverses, with room
SUM = 0.25  # by which the sum of a kernel's weights may change: its gain on flat ground
SINGULAR = 0.02  # of the determinant at the camera's values, relative
BELOW = 0.05  # of the signal, that a black level may be below zero
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
    start: dict[str, Any], values: dict[str, Any], signal: list[float]
) -> Iterator[Violation]:
    """What has left physics, of the parameters of an ISP.

    start: the same at the camera's values, which stand for physics even where they look odd: white
        balance and color matrix may have signs that cancel. signal: see there.
    """
    for name, value in values.items():
        now, then = np.asarray(value), np.asarray(start[name])
        _, _, quantity = name.partition(".")
        if quantity == "level":
            for site, level, seen in zip(SITES, now, signal, strict=True):
                if level >= seen:
                    yield Violation(
                        name, f"{site}: {level:.3g} is above the median signal, {seen:.3g}"
                    )
                elif level < -BELOW * seen:
                    yield Violation(name, f"{site}: {level:.3g} is below zero")
        elif quantity == "gains":
            for color, gain, camera in zip("RGB", now, then, strict=True):
                if gain * camera <= 0:
                    yield Violation(name, f"{color}: {gain:.3g} has lost the sign of {camera:.3g}")
        elif quantity == "matrix":
            whole = float(np.linalg.det(then))
            share = float(np.linalg.det(now)) / whole if whole else 1.0
            if share <= 0:
                yield Violation(name, "it mirrors colors: its determinant has changed its sign")
            elif share < SINGULAR:
                yield Violation(
                    name, f"it is nearly singular: {share:.2g} of the camera's determinant"
                )
        elif quantity == "gamma" and not GAMMA[0] <= float(now) <= GAMMA[1]:
            yield Violation(name, f"{float(now):.3g} is not from {GAMMA[0]:g} to {GAMMA[1]:g}")
        elif quantity == "radius" and float(now) <= 0:
            yield Violation(name, f"{float(now):.3g} px is not above zero")
        elif quantity.startswith("kernel"):
            for index, (total, held) in enumerate(zip(_sums(now), _sums(then), strict=True)):
                if abs(total - held) > SUM * abs(held):
                    which = f" {index}" if now.shape != then.shape[-2:] else ""
                    yield Violation(name, f"the sum{which} is {total:.3g} in place of {held:.3g}")


def _sums(kernels: NDArray[Any]) -> NDArray[Any]:
    """Of the weights of each kernel, of one line or square."""
    size = kernels.shape[-1]
    if kernels.ndim > 1 and kernels.shape[-2] == size:
        return np.atleast_1d(kernels.sum((-2, -1)))
    return np.atleast_1d(kernels.sum(-1))
