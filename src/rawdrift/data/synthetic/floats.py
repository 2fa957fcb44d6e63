"""What NumPy's own functions take long for in float32, by way of float64: the same values."""

import numpy as np

from rawdrift.data.synthetic.texture import Array


def hypot(x: Array, y: Array) -> Array:
    """Length of float32 vectors (x, y), as the C library's hypotf rounds it."""
    squares = np.square(x, dtype=np.float64) + np.square(y, dtype=np.float64)
    length: Array = np.sqrt(squares, out=squares).astype(np.float32)
    return length


def remainder(x: Array, period: float) -> Array:
    """Of float32 values after division by a period, in [0, period]."""
    wide, divisor = x.astype(np.float64), float(np.float32(period))
    wide -= np.floor(wide / divisor) * divisor
    return wide.astype(np.float32)
