"""Borders and Gaussian blur. Borders are named as in `numpy.pad`: edge, reflect, symmetric."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Border = Literal["edge", "reflect", "symmetric"]


def blurred(x: Tensor, sigma: float, truncate: float = 4, border: Border = "edge") -> Tensor:
    """Blur (..., H, W) by a Gaussian of `sigma` pixels, cut at `truncate` sigma.

    One matrix product for the columns and one for the rows: exact for every border, size and sigma.
    """
    reach = int(truncate * sigma + 0.5)
    if reach == 0:
        return x
    for _ in range(2):
        matrix = _matrix(x.shape[-2], sigma, reach, border, x.dtype, x.device)
        x = _banded(matrix, x, reach).mT
    return x


def _banded(matrix: Tensor, x: Tensor, reach: int) -> Tensor:
    """Return matrix @ x for a matrix that is zero beyond `reach` of its diagonal."""
    n, block = len(matrix), 64
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for first in range(0, n, block):
        rows = slice(first, first + block)
        band = slice(max(first - reach, 0), first + block + reach)
        out[..., rows, :] = matrix[rows, band] @ x[..., band, :]
    return out


def gaussian(sigma: float, reach: int) -> Tensor:
    """Return normalized Gaussian weights at -reach, ..., reach: (2 reach + 1,) float64."""
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()


def extended(x: Tensor, reach: int, border: Border) -> Tensor:
    """Extend (..., H, W) to (..., H + 2 reach, W + 2 reach), for any reach and size."""
    rows, columns = (
        inside(torch.arange(-reach, n + reach, device=x.device), n, border) for n in x.shape[-2:]
    )
    return x.index_select(-2, rows).index_select(-1, columns)


def inside(position: Tensor, n: int, border: Border) -> Tensor:
    """Return the index, from 0 to n - 1, of the sample at a position beyond the border."""
    if border == "edge":
        return position.clamp(0, n - 1)
    repeated = int(border == "symmetric")  # is the edge sample
    period = max(2 * (n - 1 + repeated), 1)
    folded = position % period
    return torch.minimum(folded, period - repeated - folded)


@lru_cache(maxsize=16)
def _matrix(
    n: int, sigma: float, reach: int, border: Border, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return (n, n): each output sample as weights of the input samples."""
    with torch.inference_mode(False):  # it is cached, also for callers that need gradients
        position = torch.arange(n)[:, None] + torch.arange(-reach, reach + 1)
        weights = gaussian(sigma, reach).expand(n, -1)
        matrix = torch.zeros(n, n, dtype=torch.float64)
        matrix.scatter_add_(1, inside(position, n, border), weights)
        return matrix.to(device, dtype)
