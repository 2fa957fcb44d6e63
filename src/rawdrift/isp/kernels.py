"""What the kernels of several steps have in common: knobs, and what no camera could have.

A tensor holds one kernel or several; each is a square, or a line where the last two sizes differ.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawdrift.isp.number import Array, Knob, Number, relative

SUM = 0.25  # by which the sum of a kernel's weights may change: its gain on flat ground


def center(kernel: Tensor) -> Tensor:
    """1 at the center of each kernel, else 0."""
    mask = torch.zeros_like(kernel)
    size = kernel.shape[-1]
    mask[(..., size // 2, size // 2) if _is_square(kernel.shape) else (..., size // 2)] = 1
    return mask


def neighbors(kernel: Tensor, strength: Tensor) -> Tensor:
    """All weights but the central ones times `strength`."""
    middle = center(kernel)
    return kernel * (middle + strength * (1 - middle))


def blended(kernel: Tensor, strength: Tensor) -> Tensor:
    """From no filter at 0 through the kernel at 1 and beyond. A sum of 1 stays."""
    middle = center(kernel)
    return middle + strength * (kernel - middle)


def other_sum(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
    """Name the kernels whose weights no longer have about the sum that they had."""
    several = value.ndim > (2 if _is_square(value.shape) else 1)
    for index, (total, before) in enumerate(zip(_sums(value), _sums(start), strict=True)):
        if abs(total - before) > SUM * abs(before):
            which = f" {index}" if several else ""
            yield f"the sum{which} is {total:.3g} in place of {before:.3g}"


def _is_square(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and shape[-2] == shape[-1]


def _sums(kernels: Array) -> Array:
    return np.atleast_1d(kernels.sum((-2, -1) if _is_square(kernels.shape) else -1))


# How strongly a filter acts.
BLENDED = Knob(turn=blended, default=1.0, drift=relative(0.5))


def demosaicing(kernels: Sequence[Any]) -> Number:
    """The kernels of a demosaicing step, which drift by how strongly they look at neighbors."""
    return Number(
        shape=np.shape(kernels),
        default=kernels,
        drift=relative(0.05),
        knobs={"strength": Knob(turn=neighbors, default=1.0, drift=relative(0.05))},
        implausible=other_sum,
    )
