"""From raw samples to demosaiced colors where they are linear in the samples around.

Such a demosaicing is a table (4, 3, K, K): for each pixel of the 2x2 cell, by row and column, and
for each of R, G, B, the taps on the mosaic around.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.filters import folded
from rawdrift.isp.fused.gpu.tiles import (
    across_taps,
    along,
    half_tile,
    halves,
    inside,
    launch,
    lines,
    place,
    plane,
    put,
    strip,
    three,
    tile,
    tiles,
    without_margins,
    zeros,
)

_STRIP = tl.constexpr(
    32
)  # rows of one parity that one program sums up for the gradient of the table


def corrected(raw: Tensor, full: float, black: Tensor, span: Tensor) -> Tensor:
    """Mosaics (N, H, W) of floats, or of integers up to `full`, with the black level corrected.

    black, span: (2, 2) by row and column of the cell.
    """
    out = torch.empty(raw.shape, device=raw.device)
    # PyTorch divides on the CPU, but multiplies by the reciprocal on a GPU: so does this.
    unit = 1.0 if raw.is_floating_point() else full
    divide = not raw.is_cuda
    unit = unit if divide else 1 / unit
    launch(_corrected, raw.shape, out, raw, unit, black, span, fuse=False, DIVIDE=divide)
    return out


def table_adjoint(grad: Tensor, table: Tensor) -> Tensor:
    """Gradient (N, H, W) of the mosaics from that of the colors (N, 3, H, W)."""
    size = table.shape[-1]
    return folded(_table_adjoint, grad, (size, size), grad, table, grid=halves, SIZE=size)


def table_gradient(grad: Tensor, mosaics: Tensor, size: int) -> Tensor:
    """Gradient (4, 3, K, K) of the table from that of the colors (N, 3, H, W). float64."""
    n, rows, columns = mosaics.shape
    programs = tiles(n, (rows + 1) // 2, (columns + 1) // 2, _STRIP.value)
    padded = triton.next_power_of_2(size * size)
    parts = grad.new_empty(programs, 4, 3, padded)
    grid = (programs, 4)
    launch(_table_gradient, mosaics.shape, parts, grad, mosaics, grid=grid, SIZE=size, TAPS=padded)
    return parts.sum(0, dtype=torch.float64)[..., : size * size].view(4, 3, size, size)


@triton.jit
def _corrected(out, raw, unit, black, span, rows, columns, DIVIDE: tl.constexpr):
    t = tile(rows, columns)
    _, r, c, _, _ = t
    at, mask = place(t)
    x = tl.load(plane(raw, t) + at, mask=mask, other=0).to(tl.float32)
    if DIVIDE:
        x = tl.div_rn(x, unit)
    else:
        x *= unit
    site = (r % 2)[:, None] * 2 + (c % 2)[None, :]
    x = tl.div_rn(x - tl.load(black + site), tl.load(span + site))
    put(plane(out, t), t, x)


@triton.jit
def _tap(even, odd, at, is_odd):
    """The tap of each column of a row, by its parity."""
    return tl.where(is_odd, tl.load(odd + at), tl.load(even + at))


@triton.jit
def colors(source, table, t, SIZE: tl.constexpr):
    """Demosaiced R, G, B of a half tile, whose rows have the parity of the program's second index.

    source: mosaics; or, with SIZE 0 and no table, their demosaiced colors.
    """
    if SIZE == 0:
        red, green, blue = three(source, t)
    else:
        _, _, c, _, _ = t
        taps: tl.constexpr = SIZE * SIZE
        even = table + tl.program_id(1) * 6 * taps
        odd = even + 3 * taps
        is_odd = (c % 2 == 1)[None, :]
        red, green, blue = zeros(t), zeros(t), zeros(t)
        for i in tl.static_range(SIZE):
            line = lines(plane(source, t), t, i - SIZE // 2)
            for j in tl.static_range(SIZE):
                x = along(line, t, j - SIZE // 2)
                at = i * SIZE + j
                red += _tap(even, odd, at, is_odd) * x
                green += _tap(even, odd, at + taps, is_odd) * x
                blue += _tap(even, odd, at + 2 * taps, is_odd) * x
    return red, green, blue


@triton.jit
def _table_adjoint(out, grad, table, rows, columns, SIZE: tl.constexpr):
    """rows, columns: with the margins that demosaicing read."""
    taps: tl.constexpr = SIZE * SIZE
    wide = half_tile(rows, columns)
    t = without_margins(wide, SIZE - 1, SIZE - 1)
    _, _, c, _, _ = t
    is_odd = (c % 2 == 1)[None, :]
    total = zeros(t)
    for i in tl.static_range(SIZE):
        row = table + (tl.program_id(1) + i) % 2 * 6 * taps
        for j in tl.static_range(SIZE):
            even, odd = row + 3 * (j % 2) * taps, row + 3 * (1 - j % 2) * taps
            for color in tl.static_range(3):
                tap = _tap(even, odd, color * taps + i * SIZE + j, is_odd)
                total += tap * inside(plane(grad, t, color, 3), t, -i, -j)
    put(plane(out, wide), wide, total)


@triton.jit
def _table_gradient(parts, grad, mosaics, rows, columns, SIZE: tl.constexpr, TAPS: tl.constexpr):
    """The gradient of taps over the pixels of one site of the cell, see filters._taps_gradient."""
    site = tl.program_id(1)
    image, first, cell = strip((rows + 1) // 2, (columns + 1) // 2, _STRIP)
    c = 2 * cell + site % 2
    tap = tl.arange(0, TAPS)
    i, j = tap // SIZE - SIZE // 2, tap % SIZE - SIZE // 2
    red = tl.zeros([TAPS, c.shape[0]], tl.float32)
    green = tl.zeros([TAPS, c.shape[0]], tl.float32)
    blue = tl.zeros([TAPS, c.shape[0]], tl.float32)
    for k in range(tl.minimum(_STRIP, (rows + 1) // 2 - first)):
        t = (image, 2 * (first + k) + site // 2 + tl.arange(0, 1), c, rows, columns)
        x = across_taps(plane(mosaics, t), t, i, j)
        of_red, of_green, of_blue = three(grad, t)
        red += x * of_red
        green += x * of_green
        blue += x * of_blue
    at = parts + (tl.program_id(0) * 4 + site) * 3 * TAPS + tap
    tl.store(at, tl.sum(red, 1))
    tl.store(at + TAPS, tl.sum(green, 1))
    tl.store(at + 2 * TAPS, tl.sum(blue, 1))
