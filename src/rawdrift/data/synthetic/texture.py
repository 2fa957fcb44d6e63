"""Smooth random fields, of which scenes are made."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32
Rng = np.random.Generator


def texture(rng: Rng, y: Array, x: Array, scale: float) -> Array:
    """Smooth noise (H, W) of mean 0 and variance 1 whose blobs measure about `scale`.

    y, x: (H,) and (W,) evenly spaced coordinates of the rows and columns, ascending.
    """
    rows, columns = _weights(y, scale), _weights(x, scale)
    knots = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    # Not with `@`: its threads and torch's would wait for each other.
    noise: Array = np.einsum("ik,jk->ij", rows, np.einsum("jl,kl->jk", columns, knots))
    return noise


def _weights(at: Array, scale: float) -> Array:
    """(n, knots): how much each knot of a grid that is `scale` apart counts at each place."""
    # Knots cover the pixels' outer edges, so that their number does not depend on how fine pixels
    # are, and two more on each side, up to where their weight has fallen to e^-8.
    step = float(at[-1] - at[0]) / (len(at) - 1)
    count = math.ceil(round(len(at) * step / scale, 3)) + 4
    knots = (float(at[0]) - step / 2 + scale * (np.arange(count) - 2)).astype(np.float32)
    weights = np.exp(-2 * ((at[:, None] - knots) / scale) ** 2)
    weights[weights < 1e-30] = 0  # too small to count, and processors are slow below 1e-38
    return weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))  # type: ignore[no-any-return]
