"""Filters under mirrored borders, and their gradients: correlation and the median of nine."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.tiles import (
    across_taps,
    correlated,
    inside,
    launch,
    near,
    plane,
    put,
    strip,
    tile,
    tiles,
    without_margins,
    zeros,
)

_STRIP = tl.constexpr(64)  # rows that one program sums up for the gradient of taps


def correlate(
    x: Tensor, taps: Tensor, base: Tensor | None = None, keep: Tensor | None = None
) -> Tensor:
    """Planes (N, H, W) correlated with taps (K, L), plus `keep` times planes `base`."""
    out = torch.empty_like(x)
    size: dict[str, Any] = {"HEIGHT": taps.shape[0], "WIDTH": taps.shape[1]}
    launch(_correlate, x.shape, out, x, base, keep, taps, **size)
    return out


def adjoint(grad: Tensor, taps: Tensor) -> Tensor:
    """Gradient (N, H, W) of what was correlated with taps (K, L), from that of the result."""
    size: dict[str, Any] = {"HEIGHT": taps.shape[0], "WIDTH": taps.shape[1]}
    return folded(_adjoint, grad, taps.shape, grad, taps, **size)


def taps_gradient(grad: Tensor, x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Gradient of taps (K, L) that planes x (N, H, W) were correlated with. float64."""
    count = shape[0] * shape[1]
    images, rows, columns = x.shape
    programs = tiles(images, rows, columns, _STRIP.value)
    padded = triton.next_power_of_2(count)
    parts = x.new_empty(programs, padded)
    size: dict[str, Any] = {"HEIGHT": shape[0], "WIDTH": shape[1], "TAPS": padded}
    launch(_taps_gradient, x.shape, parts, grad, x, grid=(programs,), **size)
    return parts.sum(0, dtype=torch.float64)[:count].view(shape)


def median_adjoint(grad: Tensor, x: Tensor, medians: Tensor) -> Tensor:
    """Gradient (N, H, W) of planes x whose 3x3 medians are known.

    grad: that of the medians, already shared among the samples that equal them.
    """
    return folded(_median_adjoint, grad, (3, 3), grad, x, medians)


def folded(kernel: Any, grad: Tensor, size: tuple[int, ...], *values: Any, **named: Any) -> Tensor:
    """What a kernel writes with the margins that (K, L) neighborhoods read, without them.

    grad: (..., H, W), of the result. named: the kernel's constants, and the grid as a function of
    the shape with margins.
    """
    shape = len(grad), grad.shape[-2] + size[0] - 1, grad.shape[-1] + size[1] - 1
    out = grad.new_empty(shape)
    if "grid" in named:
        named["grid"] = named["grid"](*shape)
    launch(kernel, shape, out, *values, **named)
    return _fold(out, size[0] // 2, size[1] // 2)


def _fold(x: Tensor, rows: int, columns: int) -> Tensor:
    """Adjoint of `neighborhood.extend`: (N, H + 2 rows, W + 2 columns) to (N, H, W). Changes x."""
    steps = []
    height, width = x.shape[-2] - 2 * rows, x.shape[-1] - 2 * columns
    while rows or columns:  # as there
        down, right = min(rows, height - 1), min(columns, width - 1)
        steps.append((down, right))
        rows, columns = rows - down, columns - right
        height, width = height + 2 * down, width + 2 * right
    for down, right in reversed(steps):
        x = _fold_rows(_fold_rows(x, down).mT, right).mT
    return x.contiguous()


def _fold_rows(x: Tensor, n: int) -> Tensor:
    if not n:
        return x
    x[:, n + 1 : 2 * n + 1] += x[:, :n].flip(1)
    x[:, -2 * n - 1 : -n - 1] += x[:, -n:].flip(1)
    return x[:, n:-n]


@triton.jit
def _correlate(out, x, base, keep, taps, rows, columns, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    t = tile(rows, columns)
    total = zeros(t)
    if base is not None:
        total += tl.load(keep) * inside(plane(base, t), t)
    put(plane(out, t), t, correlated(plane(x, t), taps, t, HEIGHT, WIDTH, total))


@triton.jit
def _adjoint(out, grad, taps, rows, columns, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """rows, columns: with the margins that the correlation read."""
    wide = tile(rows, columns)
    t = without_margins(wide, HEIGHT - 1, WIDTH - 1)
    total = zeros(t)
    for i in tl.static_range(HEIGHT):
        for j in tl.static_range(WIDTH):
            total += tl.load(taps + i * WIDTH + j) * inside(plane(grad, t), t, -i, -j)
    put(plane(out, wide), wide, total)


@triton.jit
def _taps_gradient(
    parts, grad, x, rows, columns, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, TAPS: tl.constexpr
):
    """A tile is one row here, and its samples at all taps are a matrix (taps, columns)."""
    image, first, c = strip(rows, columns, _STRIP)
    tap = tl.arange(0, TAPS)
    i, j = tap // WIDTH - HEIGHT // 2, tap % WIDTH - WIDTH // 2
    sums = tl.zeros([TAPS, c.shape[0]], tl.float32)
    for k in range(tl.minimum(_STRIP, rows - first)):
        t = (image, first + k + tl.arange(0, 1), c, rows, columns)
        sums += inside(plane(grad, t), t) * across_taps(plane(x, t), t, i, j)
    tl.store(parts + tl.program_id(0) * TAPS + tap, tl.sum(sums, 1))


@triton.jit
def _median_adjoint(out, grad, x, medians, rows, columns):
    """rows, columns: with a margin of one."""
    wide = tile(rows, columns)
    t = without_margins(wide, 2, 2)
    sample = near(plane(x, t), t, -1, -1)
    total = zeros(t)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            chosen = sample == inside(plane(medians, t), t, -i, -j)
            total += tl.where(chosen, inside(plane(grad, t), t, -i, -j), 0.0)
    put(plane(out, wide), wide, total)


@triton.jit
def least(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def greatest(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _median3(a, b, c):
    return greatest(least(a, b), least(greatest(a, b), c))


@triton.jit
def _sorted_column(plane, t, j):
    top, middle, bottom = near(plane, t, -1, j), near(plane, t, 0, j), near(plane, t, 1, j)
    low, high = least(top, middle), greatest(top, middle)
    return least(low, bottom), greatest(low, least(high, bottom)), greatest(high, bottom)


@triton.jit
def median(plane, t):
    """Median of the 3x3 neighborhood, as in denoise.py."""
    low_a, middle_a, high_a = _sorted_column(plane, t, -1)
    low_b, middle_b, high_b = _sorted_column(plane, t, 0)
    low_c, middle_c, high_c = _sorted_column(plane, t, 1)
    return _median3(
        greatest(greatest(low_a, low_b), low_c),
        _median3(middle_a, middle_b, middle_c),
        least(least(high_a, high_b), high_c),
    )


@triton.jit
def equals(plane, t, value):
    """How many of the 3x3 neighborhood equal a value."""
    count = zeros(t)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            count += (near(plane, t, i - 1, j - 1) == value).to(tl.float32)
    return count
