"""Smooth random fields, from which scenes are made, and fast arithmetic in float32."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32
Rng = np.random.Generator


def texture(rng: Rng, y: Array, x: Array, scale: float) -> Array:
    """Return smooth noise (H, W) of mean 0 and variance 1 whose blobs measure about `scale`.

    y, x: (H,) and (W,) evenly spaced coordinates of the rows and columns, ascending.
    """
    rows, columns = _weights(y, scale), _weights(x, scale)
    knots = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    # Not `@`: its threads and torch's would wait for each other.
    noise: Array = np.einsum("ik,jk->ij", rows, np.einsum("jl,kl->jk", columns, knots))
    return noise


def _weights(at: Array, scale: float) -> Array:
    """Return the weight of each knot of a grid, `scale` apart, at each place: (n, knots)."""
    # Knots cover the pixels' outer edges, so that their number does not depend on the size of the
    # pixels, and two more on each side, up to where their weight has fallen to e^-8.
    step = float(at[-1] - at[0]) / (len(at) - 1)
    count = math.ceil(round(len(at) * step / scale, 3)) + 4
    knots = (float(at[0]) - step / 2 + scale * (np.arange(count) - 2)).astype(np.float32)
    weights = np.exp(-2 * ((at[:, None] - knots) / scale) ** 2)
    weights[weights < 1e-30] = 0  # too small to count, and processors are slow below 1e-38
    return weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))  # type: ignore[no-any-return]


def hypot(x: Array, y: Array) -> Array:
    """Return the length of float32 vectors (x, y), rounded as hypotf in C, but faster."""
    squares = np.square(x, dtype=np.float64) + np.square(y, dtype=np.float64)
    length: Array = np.sqrt(squares, out=squares).astype(np.float32)
    return length
