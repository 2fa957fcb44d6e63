"""Mirror borders and correlation, for every neighborhood operation.

A border is extended by mirror reflection that does not repeat the edge sample
(`numpy.pad(mode="reflect")`). A Bayer mosaic keeps its pattern under it, and any size works.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Array = np.ndarray[Any, Any]

# The standard deviation, in pixels, of a Gaussian that does not blur.
NO_BLUR = 1e-3


def extend(x: Tensor, rows: int, columns: int) -> Tensor:
    """Mirror (..., H, W) at its edges to (..., H + 2 rows, W + 2 columns). H and W at least 2."""
    while rows or columns:
        # One reflection reaches as far as the image; a small image is mirrored repeatedly.
        down, right = min(rows, x.shape[-2] - 1), min(columns, x.shape[-1] - 1)
        x = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (right, right, down, down), mode="reflect").view(
            *x.shape[:-2], x.shape[-2] + 2 * down, x.shape[-1] + 2 * right
        )
        rows, columns = rows - down, columns - right
    return x


def correlate(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate (..., H, W) with a kernel of odd size, with mirrored borders; with K kernels
    (K, rows, columns), each image with each: (K, ..., H, W).

    It adds shifted images, which for one channel is several times faster than `conv2d`, and exact
    on every device.
    """
    height, width = x.shape[-2:]
    taps = kernel.to(x)
    extended = extend(x, taps.shape[-2] // 2, taps.shape[-1] // 2)
    if taps.ndim > 2:
        taps = taps[(..., *[None] * x.ndim)].movedim(0, 2)
    total: Tensor | None = None
    for i, line in enumerate(taps.unbind()):
        rows = extended[..., i : i + height, :]
        for j, tap in enumerate(line.unbind()):
            shifted = rows[..., j : j + width]
            total = tap * shifted if total is None else total.addcmul_(tap, shifted)
    assert total is not None
    return total


def along_rows(x: Tensor, taps: Tensor) -> Tensor:
    """Correlate each row of (..., H, W) with (K,) taps."""
    return correlate(x, taps[None, :])


def along_columns(x: Tensor, taps: Tensor) -> Tensor:
    """Correlate each column of (..., H, W) with (K,) taps."""
    return correlate(x, taps[:, None])


def gaussian_taps(sigma: Tensor, largest: float | None = None) -> Tensor:
    """Return a normalized Gaussian, cut at 4 sigma as in SciPy: (2 * int(4 sigma + 0.5) + 1,) taps.

    largest: in a compiled or exported graph, whose shapes can't depend on numbers, there are as
    many taps as this sigma has, the outer ones zero. A larger sigma is an error there.
    """
    sigma = sigma.clamp(min=NO_BLUR)  # a learned sigma may fall to zero
    if largest is not None and torch.compiler.is_compiling():
        torch._assert_async(
            sigma.detach() <= largest,
            f"a Gaussian has become wider than the sigma of {largest} that its graph was made for",
        )
        t = _offsets(_reach(largest), sigma)
        weights = torch.exp(-0.5 * (t / sigma) ** 2)
        weights = torch.where(t.abs() <= torch.floor(4 * sigma.detach() + 0.5), weights, 0)
    else:
        t = _offsets(_reach(float(sigma.detach())), sigma)
        weights = torch.exp(-0.5 * (t / sigma) ** 2)
    return weights / weights.sum()


def sigma_back(sigma: float, taps: Array, of_taps: Array) -> Array:
    """Return the gradient () of sigma from that of the taps that `gaussian_taps` made of it."""
    if sigma < NO_BLUR:
        return np.zeros(())
    squares = (np.arange(len(taps)) - len(taps) // 2) ** 2
    return np.asarray(of_taps @ (taps * (squares - taps @ squares)) / sigma**3)


def _reach(sigma: float) -> int:
    return int(4 * sigma + 0.5)


def _offsets(reach: int, like: Tensor) -> Tensor:
    return torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
