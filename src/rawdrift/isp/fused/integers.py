"""Views as the integers of picture files. No torch."""

import numpy as np

from rawdrift.compiled import exact, task
from rawdrift.isp.fused.power import ROUND
from rawdrift.isp.fused.rows import Array, f32, i32


def quantize(view: Array, first: int, out: Array) -> None:
    """Rows of a view as those of a picture, rounded to nearest.

    view: (3, H, W) float32 in [0, 1], from row `first` on; out: (rows, W, 3) uint8 or uint16. Both
    in C order.
    """
    _quantized(view, first, out.reshape(len(out), -1), f32(np.iinfo(out.dtype).max))


def quantized(view, first, out, full):
    for row in range(len(out)):
        _row(out, row, view, first + row, full)
    return True


@exact
def _row(out, row, view, r, full):
    """Row r of three colors, color after color of each pixel."""
    for j in range(view.shape[2]):
        # The lowest bits of the sum are the integer.
        red = f32(f32(view[0, r, j] * full) + ROUND)
        green = f32(f32(view[1, r, j] * full) + ROUND)
        blue = f32(f32(view[2, r, j] * full) + ROUND)
        out[row, 3 * j] = red.view(i32)
        out[row, 3 * j + 1] = green.view(i32)
        out[row, 3 * j + 2] = blue.view(i32)


_quantized = task(quantized)
