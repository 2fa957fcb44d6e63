"""From raw samples to demosaiced colors where they are linear in the samples around.

Such a demosaicing is a table (4, 3, K, K): for each pixel of the 2x2 cell, by row and column, and
for each of R, G, B, the taps on the mosaic around.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.filters import across_taps, fold
from rawdrift.isp.fused.gpu.tiles import (
    COLUMNS,
    ROWS,
    along,
    half_tile,
    halves,
    inside,
    launch,
    lines,
    place,
    strip,
    tile,
    tiles,
)

_STRIP = 32  # rows of one parity that one program sums up for the gradient of the table


def corrected(raw: Tensor, full: float, black: Tensor, span: Tensor) -> Tensor:
    """Mosaics (N, H, W) of floats, or of integers up to `full`, with the black level corrected.

    black, span: (2, 2) by row and column of the cell.
    """
    out = torch.empty(raw.shape, device=raw.device)
    # PyTorch divides on the CPU, but multiplies by the reciprocal on a GPU: so does this.
    unit = 1.0 if raw.is_floating_point() else full
    launch(
        _corrected,
        (tiles(*raw.shape),),
        raw,
        out,
        raw,
        1 / unit if raw.is_cuda else unit,
        black,
        span,
        *raw.shape[1:],
        fuse=False,
        DIVIDE=not raw.is_cuda,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
    )
    return out


def table_adjoint(grad: Tensor, table: Tensor) -> Tensor:
    """Gradient (N, H, W) of the mosaics from that of the colors (N, 3, H, W)."""
    n, _, rows, columns = grad.shape
    size = table.shape[-1]
    out = grad.new_empty(n, rows + size - 1, columns + size - 1)
    launch(
        _table_adjoint,
        halves(*out.shape),
        grad,
        out,
        grad,
        table,
        rows,
        columns,
        SIZE=size,
        ROWS=ROWS // 2,
        COLUMNS=COLUMNS,
    )
    return fold(out, size // 2, size // 2)


def table_gradient(grad: Tensor, mosaics: Tensor, size: int) -> Tensor:
    """Gradient (4, 3, K, K) of the table from that of the colors (N, 3, H, W). float64."""
    n, rows, columns = mosaics.shape
    padded = triton.next_power_of_2(size * size)
    strips = -(-((rows + 1) // 2) // _STRIP)
    programs = n * strips * -(-((columns + 1) // 2) // COLUMNS)
    parts = grad.new_empty(programs, 4, 3, padded)
    launch(
        _table_gradient,
        (programs, 4),
        grad,
        parts,
        grad,
        mosaics,
        rows,
        columns,
        SIZE=size,
        TAPS=padded,
        STRIP=_STRIP,
        COLUMNS=COLUMNS,
    )
    return parts.sum(0, dtype=torch.float64)[..., : size * size].view(4, 3, size, size)


@triton.jit
def _corrected(
    out,
    raw,
    unit,
    black,
    span,
    rows,
    columns,
    DIVIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    at, mask = place(r, c, rows, columns)
    x = tl.load(raw + start + at, mask=mask, other=0).to(tl.float32)
    if DIVIDE:
        x = tl.div_rn(x, unit)
    else:
        x *= unit
    site = (r % 2)[:, None] * 2 + (c % 2)[None, :]
    x = tl.div_rn(x - tl.load(black + site), tl.load(span + site))
    tl.store(out + start + at, x, mask=mask)


@triton.jit
def colors(source, table, image, r, c, rows, columns, SIZE: tl.constexpr):
    """Demosaiced R, G, B of a half tile, whose rows have the parity of the program's second index.

    source: mosaics; or, with SIZE 0 and no table, their demosaiced colors.
    """
    if SIZE == 0:
        at, mask = place(r, c, rows, columns)
        at += image * 3 * rows * columns
        red = tl.load(source + at, mask=mask, other=0.0)
        green = tl.load(source + rows * columns + at, mask=mask, other=0.0)
        blue = tl.load(source + 2 * rows * columns + at, mask=mask, other=0.0)
    else:
        taps: tl.constexpr = SIZE * SIZE
        even = table + tl.program_id(1) * 6 * taps
        odd = even + 3 * taps
        is_odd = (c % 2 == 1)[None, :]
        red = tl.zeros([r.shape[0], c.shape[0]], tl.float32)
        green = tl.zeros([r.shape[0], c.shape[0]], tl.float32)
        blue = tl.zeros([r.shape[0], c.shape[0]], tl.float32)
        mosaic = source + image * rows * columns
        for i in tl.static_range(SIZE):
            line = lines(mosaic, r, i - SIZE // 2, rows, columns)
            for j in tl.static_range(SIZE):
                x = along(line, c, j - SIZE // 2, columns)
                at = i * SIZE + j
                red += tl.where(is_odd, tl.load(odd + at), tl.load(even + at)) * x
                at += taps
                green += tl.where(is_odd, tl.load(odd + at), tl.load(even + at)) * x
                at += taps
                blue += tl.where(is_odd, tl.load(odd + at), tl.load(even + at)) * x
    return red, green, blue


@triton.jit
def _table_adjoint(
    out,
    grad,
    table,
    rows,
    columns,
    SIZE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """out: with the margins that demosaicing read, to be folded."""
    taps: tl.constexpr = SIZE * SIZE
    out_rows, out_columns = rows + SIZE - 1, columns + SIZE - 1
    image, r, c = half_tile(out_rows, out_columns, ROWS, COLUMNS)
    is_odd = (c % 2 == 1)[None, :]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for i in tl.static_range(SIZE):
        row = table + (tl.program_id(1) + i) % 2 * 6 * taps
        for j in tl.static_range(SIZE):
            at = row + i * SIZE + j
            for color in tl.static_range(3):
                even = tl.load(at + (3 * (j % 2) + color) * taps)
                odd = tl.load(at + (3 * (1 - j % 2) + color) * taps)
                plane = grad + (image * 3 + color) * rows * columns
                g = inside(plane, r - i, c - j, rows, columns)
                total += tl.where(is_odd, odd, even) * g
    at, mask = place(r, c, out_rows, out_columns)
    tl.store(out + image * out_rows * out_columns + at, total, mask=mask)


@triton.jit
def _table_gradient(
    parts,
    grad,
    mosaics,
    rows,
    columns,
    SIZE: tl.constexpr,
    TAPS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """As `_taps_gradient`, over the pixels of one site of the cell."""
    site = tl.program_id(1)
    image, first, count, cell = strip((rows + 1) // 2, (columns + 1) // 2, STRIP, COLUMNS)
    c = 2 * cell + site % 2
    tap = tl.arange(0, TAPS)
    i, j = tap // SIZE - SIZE // 2, tap % SIZE - SIZE // 2
    red = tl.zeros([TAPS, COLUMNS], tl.float32)
    green = tl.zeros([TAPS, COLUMNS], tl.float32)
    blue = tl.zeros([TAPS, COLUMNS], tl.float32)
    plane = grad + image * 3 * rows * columns
    for k in range(count):
        r = 2 * (first + k) + site // 2 + tl.arange(0, 1)
        x = across_taps(mosaics + image * rows * columns, r, c, i, j, rows, columns)
        red += x * inside(plane, r, c, rows, columns)
        green += x * inside(plane + rows * columns, r, c, rows, columns)
        blue += x * inside(plane + 2 * rows * columns, r, c, rows, columns)
    at = parts + (tl.program_id(0) * 4 + site) * 3 * TAPS + tap
    tl.store(at, tl.sum(red, 1))
    tl.store(at + TAPS, tl.sum(green, 1))
    tl.store(at + 2 * TAPS, tl.sum(blue, 1))
