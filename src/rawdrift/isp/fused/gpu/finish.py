"""From demosaiced colors to views: color, the planes that are filtered, denoising, gamma; and back.

The colors are computed again wherever they are needed (see `colors`), which is cheaper than to read
them from memory. Planes are Y, or Y, U, V; the latter are all that is left of the colors.

constants: (2, 3, 3), YUV from RGB and its inverse.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.constants import SLOPE_FLOOR
from rawdrift.isp.fused.gpu.filters import equals, greatest, least, median
from rawdrift.isp.fused.gpu.linear import colors
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers
from rawdrift.isp.fused.gpu.tiles import (
    correlated,
    half_tile,
    halves,
    inside,
    launch,
    mixed,
    plane,
    product,
    product_back,
    put,
    put_three,
    three,
    total,
    zeros,
)

_FLOOR = tl.constexpr(SLOPE_FLOOR)


def to_planes(source: Tensor, numbers: Numbers, layout: Layout) -> Tensor:
    """Planes (N * P, H, W) of mosaics (N, H, W) or demosaiced colors (N, 3, H, W)."""
    out = source.new_empty(len(source) * layout.planes, *source.shape[-2:])
    _launch(_to_planes, source, numbers, layout, out)
    return out


def to_views(out: Tensor, source: Tensor, planes: Tensor, numbers: Numbers, layout: Layout) -> None:
    """Write views (N, 3, H, W) of sharpened planes and of what they were made from."""
    values = out, planes, numbers.denoise, numbers.exponent
    _launch(_to_views, source, numbers, layout, *values, MEDIAN=layout.median)


def from_views(
    grad: Tensor, source: Tensor, planes: Tensor, numbers: Numbers, layout: Layout
) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor]:
    """From the gradient (N, 3, H, W) of views, whose arguments are as those of `to_views`:

    that of linear R, G, B, (N, 3, H, W), where Y alone is filtered; that of the denoised planes,
    (N * P, H, W); with a median, these planes themselves; and that of the exponent, float64.
    """
    linear = torch.empty_like(grad) if layout.planes == 1 else None
    change = torch.empty_like(planes)
    medians = torch.empty_like(planes) if layout.median else None
    parts = grad.new_empty(halves(*_shape(source)))
    values = parts, linear, change, medians, grad, planes, numbers.denoise, numbers.exponent
    _launch(_from_views, source, numbers, layout, *values, MEDIAN=layout.median)
    return linear, change, medians, parts.sum(dtype=torch.float64)


def from_planes(
    linear: Tensor | None, change: Tensor, source: Tensor, numbers: Numbers, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Gradients of the demosaiced colors (N, 3, H, W) and of the color matrix (3, 3), float64.

    linear: as `from_views` gave it; change: gradient (N * P, H, W) of the planes.
    """
    n, rows, columns = shape = _shape(source)
    out = source.new_empty(n, 3, rows, columns)
    parts = source.new_empty(*halves(*shape), 3, 3)
    _launch(_from_planes, source, numbers, layout, out, parts, linear, change)
    return out, parts.sum((0, 1), dtype=torch.float64)


def _shape(source: Tensor) -> tuple[int, int, int]:
    return len(source), source.shape[-2], source.shape[-1]


def _launch(
    kernel: Any, source: Tensor, numbers: Numbers, layout: Layout, *values: Any, **constants: Any
) -> None:
    """Run a kernel on half tiles; after the values it takes what colors and planes are made of."""
    launch(
        kernel,
        _shape(source),
        *values,
        source,
        numbers.demosaic,
        numbers.color,
        numbers.constants,
        grid=halves(*_shape(source)),
        SIZE=layout.size,
        PLANES=layout.planes,
        **constants,
    )


@triton.jit
def _to_planes(
    out, source, table, color, constants, rows, columns, SIZE: tl.constexpr, PLANES: tl.constexpr
):
    t = half_tile(rows, columns)
    red, green, blue = colors(source, table, t, SIZE)
    red, green, blue = product(color, red, green, blue)
    for p in tl.static_range(PLANES):
        put(plane(out, t, p, PLANES), t, mixed(constants, 3 * p, red, green, blue))


@triton.jit
def denoised(plane, kernel, t, MEDIAN: tl.constexpr):
    """A tile of a sharpened plane, after the median or the 5x5 kernel."""
    return median(plane, t) if MEDIAN else correlated(plane, kernel, t, 5, 5, zeros(t))


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
    t,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    MEDIAN: tl.constexpr,
):
    """R, G, B of a half tile before gamma, and the denoised planes (Y again and again if alone)."""
    y = denoised(plane(planes, t, 0, PLANES), kernel, t, MEDIAN)
    if PLANES == 1:
        red, green, blue = colors(source, table, t, SIZE)
        red, green, blue = product(color, red, green, blue)
        u, v = y, y
        change = y - mixed(constants, 0, red, green, blue)
        red, green, blue = red + change, green + change, blue + change
    else:
        u = denoised(plane(planes, t, 1, PLANES), kernel, t, MEDIAN)
        v = denoised(plane(planes, t, 2, PLANES), kernel, t, MEDIAN)
        red, green, blue = product(constants + 9, y, u, v)
    return red, green, blue, y, u, v


@triton.jit
def _to_views(
    out,
    planes,
    kernel,
    exponent,
    source,
    table,
    color,
    constants,
    rows,
    columns,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    MEDIAN: tl.constexpr,
):
    t = half_tile(rows, columns)
    red, green, blue, _, _, _ = linear_view(
        source, planes, table, color, kernel, constants, t, SIZE, PLANES, MEDIAN
    )
    e = tl.load(exponent)
    red, green, blue = clipped(red, 0.0), clipped(green, 0.0), clipped(blue, 0.0)
    put_three(out, t, power(red, e), power(green, e), power(blue, e))


@triton.jit
def _slope(x, grad, exponent):
    """Gradients of x and of the exponent in clip(x, 0, 1) ** exponent, as in gamma.py."""
    base = clipped(x, _FLOOR)
    change = grad * exponent * power(base, exponent - 1)
    of_exponent = grad * power(clipped(x, 0.0), exponent) * tl.log(base)
    return tl.where((x >= 0) & (x <= 1), change, 0.0), of_exponent


@triton.jit
def _from_views(
    parts,
    linear,
    change,
    medians,
    grad,
    planes,
    kernel,
    exponent,
    source,
    table,
    color,
    constants,
    rows,
    columns,
    SIZE: tl.constexpr,
    PLANES: tl.constexpr,
    MEDIAN: tl.constexpr,
):
    t = half_tile(rows, columns)
    red, green, blue, y, u, v = linear_view(
        source, planes, table, color, kernel, constants, t, SIZE, PLANES, MEDIAN
    )
    e = tl.load(exponent)
    of_red, of_green, of_blue = three(grad, t)
    red, e_red = _slope(red, of_red, e)
    green, e_green = _slope(green, of_green, e)
    blue, e_blue = _slope(blue, of_blue, e)
    program = tl.program_id(0) * 2 + tl.program_id(1)
    tl.store(parts + program, total(e_red + e_green + e_blue))
    if PLANES == 1:
        put_three(linear, t, red, green, blue)
        y_grad, u_grad, v_grad = red + green + blue, y, y
    else:
        y_grad, u_grad, v_grad = product_back(constants + 9, red, green, blue)
    for p in tl.static_range(PLANES):
        z = y if p == 0 else (u if p == 1 else v)
        g = y_grad if p == 0 else (u_grad if p == 1 else v_grad)
        if MEDIAN:  # equal samples share the gradient
            put(plane(medians, t, p, PLANES), t, z)
            g /= tl.maximum(equals(plane(planes, t, p, PLANES), t, z), 1.0)
        put(plane(change, t, p, PLANES), t, g)


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
):
    t = half_tile(rows, columns)
    if PLANES == 1:
        red, green, blue = three(linear, t)
        y = inside(plane(change, t), t) - (red + green + blue)
        red += tl.load(constants) * y
        green += tl.load(constants + 1) * y
        blue += tl.load(constants + 2) * y
    else:
        y, u, v = three(change, t)
        red, green, blue = product_back(constants, y, u, v)
    back_red, back_green, back_blue = product_back(color, red, green, blue)
    put_three(out, t, back_red, back_green, back_blue)
    first, second, third = colors(source, table, t, SIZE)
    part = parts + (tl.program_id(0) * 2 + tl.program_id(1)) * 9
    for k in tl.static_range(3):
        g = red if k == 0 else (green if k == 1 else blue)
        tl.store(part + 3 * k, total(g * first))
        tl.store(part + 3 * k + 1, total(g * second))
        tl.store(part + 3 * k + 2, total(g * third))
