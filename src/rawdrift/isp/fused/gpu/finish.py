"""From demosaiced colors to views: color, the planes that are filtered, denoising and gamma.

The colors are computed again wherever they are needed (see `colors`), which is cheaper than to read
them from memory. Planes are Y, or Y, U, V; the latter are all that is left of the colors.

constants: (2, 3, 3), YUV from RGB and its inverse.
"""

import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.bayer import colors
from rawdrift.isp.fused.gpu.median import greatest, least, median
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers
from rawdrift.isp.fused.gpu.tiles import (
    COLUMNS,
    ROWS,
    along,
    half_tile,
    halves,
    launch,
    lines,
    mixed,
    place,
)


def to_planes(source: Tensor, numbers: Numbers, layout: Layout) -> Tensor:
    """Planes (N * P, H, W) of mosaics (N, H, W) or demosaiced colors (N, 3, H, W)."""
    n, (rows, columns) = len(source), source.shape[-2:]
    out = source.new_empty(n * layout.planes, rows, columns)
    launch(
        _to_planes,
        halves(n, rows, columns),
        source,
        out,
        source,
        numbers.demosaic,
        numbers.color,
        numbers.constants,
        rows,
        columns,
        SIZE=layout.size,
        PLANES=layout.planes,
        ROWS=ROWS // 2,
        COLUMNS=COLUMNS,
    )
    return out


def to_views(out: Tensor, source: Tensor, planes: Tensor, numbers: Numbers, layout: Layout) -> None:
    """Write views (N, 3, H, W) of sharpened planes and of what they were made from."""
    n, _, rows, columns = out.shape
    launch(
        _to_views,
        halves(n, rows, columns),
        source,
        out,
        source,
        planes,
        numbers.demosaic,
        numbers.color,
        numbers.denoise,
        numbers.exponent,
        numbers.constants,
        rows,
        columns,
        SIZE=layout.size,
        PLANES=layout.planes,
        MEDIAN=layout.median,
        ROWS=ROWS // 2,
        COLUMNS=COLUMNS,
    )


@triton.jit
def corrected_colors(source, table, color, image, r, c, rows, columns, SIZE: tl.constexpr):
    """Linear R, G, B of a half tile, after white balance and color correction."""
    red, green, blue = colors(source, table, image, r, c, rows, columns, SIZE)
    return (
        mixed(color, 0, red, green, blue),
        mixed(color, 1, red, green, blue),
        mixed(color, 2, red, green, blue),
    )


@triton.jit
def _to_planes(
    out,
    source,
    table,
    color,
    constants,
    rows,
    columns,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = half_tile(rows, columns, ROWS, COLUMNS)
    red, green, blue = corrected_colors(source, table, color, image, r, c, rows, columns, SIZE)
    at, mask = place(r, c, rows, columns)
    for p in tl.static_range(PLANES):
        y = mixed(constants, p, red, green, blue)
        tl.store(out + (image * PLANES + p) * rows * columns + at, y, mask=mask)


@triton.jit
def denoised(plane, kernel, r, c, rows, columns, MEDIAN: tl.constexpr):
    """A tile of a sharpened plane, after the median or the 5x5 kernel."""
    if MEDIAN:
        z = median(plane, r, c, rows, columns)
    else:
        z = tl.zeros([r.shape[0], c.shape[0]], tl.float32)
        for i in tl.static_range(5):
            line = lines(plane, r, i - 2, rows, columns)
            for j in tl.static_range(5):
                z += tl.load(kernel + i * 5 + j) * along(line, c, j - 2, columns)
    return z


@triton.jit
def clipped(x, low):
    return least(greatest(x, low), 1.0)


@triton.jit
def power(x, exponent):
    """x in [0, 1] to a positive power."""
    positive = tl.where(x > 0, x, 1.0)
    return tl.where(x > 0, tl.exp2(exponent * tl.log2(positive)), x)


@triton.jit
def linear_view(
    source,
    planes,
    table,
    color,
    kernel,
    constants,
    image,
    r,
    c,
    rows,
    columns,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    MEDIAN: tl.constexpr,
):
    """R, G, B of a half tile before gamma, and the denoised planes (Y again and again if alone)."""
    plane = planes + image * PLANES * rows * columns
    y = denoised(plane, kernel, r, c, rows, columns, MEDIAN)
    if PLANES == 1:
        red, green, blue = corrected_colors(source, table, color, image, r, c, rows, columns, SIZE)
        u, v = y, y
        change = y - mixed(constants, 0, red, green, blue)
        red, green, blue = red + change, green + change, blue + change
    else:
        u = denoised(plane + rows * columns, kernel, r, c, rows, columns, MEDIAN)
        v = denoised(plane + 2 * rows * columns, kernel, r, c, rows, columns, MEDIAN)
        red = mixed(constants + 9, 0, y, u, v)
        green = mixed(constants + 9, 1, y, u, v)
        blue = mixed(constants + 9, 2, y, u, v)
    return red, green, blue, y, u, v


@triton.jit
def _to_views(
    out,
    source,
    planes,
    table,
    color,
    kernel,
    exponent,
    constants,
    rows,
    columns,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    MEDIAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = half_tile(rows, columns, ROWS, COLUMNS)
    red, green, blue, _, _, _ = linear_view(
        source,
        planes,
        table,
        color,
        kernel,
        constants,
        image,
        r,
        c,
        rows,
        columns,
        SIZE,
        PLANES,
        MEDIAN,
    )
    e = tl.load(exponent)
    at, mask = place(r, c, rows, columns)
    view = out + image * 3 * rows * columns + at
    tl.store(view, power(clipped(red, 0.0), e), mask=mask)
    tl.store(view + rows * columns, power(clipped(green, 0.0), e), mask=mask)
    tl.store(view + 2 * rows * columns, power(clipped(blue, 0.0), e), mask=mask)
