"""From demosaiced colors to views: color, the planes that are filtered, denoising, gamma; and back.

The colors are computed again wherever they are needed (see `colors`), which is cheaper than to read
them from memory. Planes are Y, or Y, U, V; the latter are all that is left of the colors.

constants: (2, 3, 3), YUV from RGB and its inverse.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.filters import equals, greatest, least, median
from rawdrift.isp.fused.gpu.linear import colors
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers
from rawdrift.isp.fused.gpu.tiles import (
    COLUMNS,
    ROWS,
    along,
    half_tile,
    halves,
    inside,
    launch,
    lines,
    mixed,
    mixed_back,
    place,
)
from rawdrift.isp.gamma import SLOPE_FLOOR


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


def from_views(
    grad: Tensor, source: Tensor, planes: Tensor, numbers: Numbers, layout: Layout
) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor]:
    """From the gradient (N, 3, H, W) of views, whose arguments are as those of `to_views`:

    that of linear R, G, B, (N, 3, H, W), where Y alone is filtered; that of the denoised planes,
    (N * P, H, W); with a median, these planes themselves; and that of the exponent, float64.
    """
    n, _, rows, columns = grad.shape
    programs = halves(n, rows, columns)
    linear = torch.empty_like(grad) if layout.planes == 1 else None
    change = torch.empty_like(planes)
    medians = torch.empty_like(planes) if layout.median else None
    parts = grad.new_empty(programs)
    launch(
        _from_views,
        programs,
        grad,
        linear,
        change,
        medians,
        parts,
        grad,
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
        FLOOR=SLOPE_FLOOR,
        ROWS=ROWS // 2,
        COLUMNS=COLUMNS,
    )
    return linear, change, medians, parts.sum(dtype=torch.float64)


def from_planes(
    linear: Tensor | None, change: Tensor, source: Tensor, numbers: Numbers, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Gradients of the demosaiced colors (N, 3, H, W) and of the color matrix (3, 3), float64.

    linear: as `from_views` gave it; change: gradient (N * P, H, W) of the planes.
    """
    n, (rows, columns) = len(source), source.shape[-2:]
    programs = halves(n, rows, columns)
    out = source.new_empty(n, 3, rows, columns)
    parts = source.new_empty(*programs, 3, 3)
    launch(
        _from_planes,
        programs,
        source,
        out,
        parts,
        linear,
        change,
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
    return out, parts.sum((0, 1), dtype=torch.float64)


@triton.jit
def _slope(x, grad, exponent, FLOOR: tl.constexpr):
    """Gradients of x and of the exponent in clip(x, 0, 1) ** exponent, as in gamma.py."""
    base = clipped(x, FLOOR)
    change = grad * exponent * power(base, exponent - 1)
    of_exponent = grad * power(clipped(x, 0.0), exponent) * tl.log(base)
    return tl.where((x >= 0) & (x <= 1), change, 0.0), of_exponent


@triton.jit
def _from_views(
    linear,
    change,
    medians,
    parts,
    grad,
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
    FLOOR: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = half_tile(rows, columns, ROWS, COLUMNS)
    red, green, blue, y, u, v = linear_view(
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
    e, size = tl.load(exponent), rows * columns
    start = image * 3 * size
    red, e_red = _slope(red, inside(grad + start, r, c, rows, columns), e, FLOOR)
    green, e_green = _slope(green, inside(grad + start + size, r, c, rows, columns), e, FLOOR)
    blue, e_blue = _slope(blue, inside(grad + start + 2 * size, r, c, rows, columns), e, FLOOR)
    program = tl.program_id(0) * 2 + tl.program_id(1)
    tl.store(parts + program, tl.sum(tl.sum(e_red + e_green + e_blue, 1), 0))
    at, mask = place(r, c, rows, columns)
    if PLANES == 1:
        tl.store(linear + start + at, red, mask=mask)
        tl.store(linear + start + size + at, green, mask=mask)
        tl.store(linear + start + 2 * size + at, blue, mask=mask)
    for p in tl.static_range(PLANES):
        if PLANES == 1:
            z, g = y, red + green + blue
        else:
            g = mixed_back(constants + 9, p, red, green, blue)
            z = y if p == 0 else (u if p == 1 else v)
        plane = (image * PLANES + p) * size
        if MEDIAN:  # equal samples share the gradient
            tl.store(medians + plane + at, z, mask=mask)
            g /= tl.maximum(equals(planes + plane, z, r, c, rows, columns), 1.0)
        tl.store(change + plane + at, g, mask=mask)


@triton.jit
def _from_planes(
    out,
    parts,
    linear,
    change,
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
    size = rows * columns
    start = image * 3 * size
    if PLANES == 1:
        red = inside(linear + start, r, c, rows, columns)
        green = inside(linear + start + size, r, c, rows, columns)
        blue = inside(linear + start + 2 * size, r, c, rows, columns)
        y = inside(change + image * size, r, c, rows, columns) - (red + green + blue)
        red += tl.load(constants) * y
        green += tl.load(constants + 1) * y
        blue += tl.load(constants + 2) * y
    else:
        y = inside(change + start, r, c, rows, columns)
        u = inside(change + start + size, r, c, rows, columns)
        v = inside(change + start + 2 * size, r, c, rows, columns)
        red = mixed_back(constants, 0, y, u, v)
        green = mixed_back(constants, 1, y, u, v)
        blue = mixed_back(constants, 2, y, u, v)
    at, mask = place(r, c, rows, columns)
    for k in tl.static_range(3):
        g = mixed_back(color, k, red, green, blue)
        tl.store(out + start + k * size + at, g, mask=mask)
    first, second, third = colors(source, table, image, r, c, rows, columns, SIZE)
    part = parts + (tl.program_id(0) * 2 + tl.program_id(1)) * 9
    for k in tl.static_range(3):
        g = red if k == 0 else (green if k == 1 else blue)
        tl.store(part + 3 * k, tl.sum(tl.sum(g * first, 1), 0))
        tl.store(part + 3 * k + 1, tl.sum(tl.sum(g * second, 1), 0))
        tl.store(part + 3 * k + 2, tl.sum(tl.sum(g * third, 1), 0))
