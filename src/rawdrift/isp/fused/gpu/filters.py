"""Filters under mirrored borders, and their gradients: correlation and the median of nine."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rawdrift.isp.fused.gpu.tiles import (
    COLUMNS,
    ROWS,
    along,
    inside,
    launch,
    lines,
    mirror,
    near,
    place,
    strip,
    tile,
    tiles,
)

_STRIP = 64  # rows that one program sums up for the gradient of taps


def correlate(
    x: Tensor, taps: Tensor, base: Tensor | None = None, keep: Tensor | None = None
) -> Tensor:
    """Planes (N, H, W) correlated with taps (K, L), plus `keep` times planes `base`."""
    out = torch.empty_like(x)
    launch(
        _correlate,
        (tiles(*x.shape),),
        x,
        out,
        x,
        base,
        keep,
        taps,
        *x.shape[1:],
        HEIGHT=taps.shape[0],
        WIDTH=taps.shape[1],
        ADD=base is not None,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
    )
    return out


def adjoint(grad: Tensor, taps: Tensor) -> Tensor:
    """Gradient (N, H, W) of what was correlated with taps (K, L), from that of the result."""
    n, rows, columns = grad.shape
    height, width = taps.shape
    out = grad.new_empty(n, rows + height - 1, columns + width - 1)
    launch(
        _adjoint,
        (tiles(*out.shape),),
        grad,
        out,
        grad,
        taps,
        rows,
        columns,
        HEIGHT=height,
        WIDTH=width,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
    )
    return fold(out, height // 2, width // 2)


def taps_gradient(grad: Tensor, x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Gradient of taps (K, L) that planes x (N, H, W) were correlated with. float64."""
    n, rows, columns = x.shape
    count = shape[0] * shape[1]
    programs = n * -(-rows // _STRIP) * -(-columns // COLUMNS)
    padded = triton.next_power_of_2(count)
    parts = x.new_empty(programs, padded)
    launch(
        _taps_gradient,
        (programs,),
        x,
        parts,
        grad,
        x,
        rows,
        columns,
        HEIGHT=shape[0],
        WIDTH=shape[1],
        TAPS=padded,
        STRIP=_STRIP,
        COLUMNS=COLUMNS,
    )
    return parts.sum(0, dtype=torch.float64)[:count].view(shape)


def fold(x: Tensor, rows: int, columns: int) -> Tensor:
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
def _correlate(
    out,
    x,
    base,
    keep,
    taps,
    rows,
    columns,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ADD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    image, r, c = tile(rows, columns, ROWS, COLUMNS)
    start = image * rows * columns
    at, mask = place(r, c, rows, columns)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    if ADD:
        total += tl.load(keep) * tl.load(base + start + at, mask=mask, other=0.0)
    for i in tl.static_range(HEIGHT):
        line = lines(x + start, r, i - HEIGHT // 2, rows, columns)
        for j in tl.static_range(WIDTH):
            total += tl.load(taps + i * WIDTH + j) * along(line, c, j - WIDTH // 2, columns)
    tl.store(out + start + at, total, mask=mask)


@triton.jit
def _adjoint(
    out,
    grad,
    taps,
    rows,
    columns,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """out: with the margins that the correlation read, to be folded."""
    out_rows, out_columns = rows + HEIGHT - 1, columns + WIDTH - 1
    image, r, c = tile(out_rows, out_columns, ROWS, COLUMNS)
    start = image * rows * columns
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for i in tl.static_range(HEIGHT):
        for j in tl.static_range(WIDTH):
            total += tl.load(taps + i * WIDTH + j) * inside(
                grad + start, r - i, c - j, rows, columns
            )
    at, mask = place(r, c, out_rows, out_columns)
    tl.store(out + image * out_rows * out_columns + at, total, mask=mask)


@triton.jit
def _taps_gradient(
    parts,
    grad,
    x,
    rows,
    columns,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    TAPS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A tile is one row here, and its samples at all taps are a matrix (taps, columns)."""
    image, first, count, c = strip(rows, columns, STRIP, COLUMNS)
    start = image * rows * columns
    tap = tl.arange(0, TAPS)
    i, j = tap // WIDTH - HEIGHT // 2, tap % WIDTH - WIDTH // 2
    sums = tl.zeros([TAPS, COLUMNS], tl.float32)
    for k in range(count):
        r = first + k + tl.arange(0, 1)
        g = inside(grad + start, r, c, rows, columns)
        sums += g * across_taps(x + start, r, c, i, j, rows, columns)
    tl.store(parts + tl.program_id(0) * TAPS + tap, tl.sum(sums, 1))


@triton.jit
def across_taps(plane, r, c, i, j, rows, columns):
    """Samples at each of the taps (i, j) around one row of columns: (taps, columns)."""
    row = mirror(r + i, rows)
    column = mirror(c[None, :] + j[:, None], columns)
    return tl.load(plane + row[:, None] * columns + column)


def median_adjoint(grad: Tensor, x: Tensor, medians: Tensor) -> Tensor:
    """Gradient (N, H, W) of planes x whose 3x3 medians are known.

    grad: that of the medians, already shared among the samples that equal them.
    """
    n, rows, columns = x.shape
    out = grad.new_empty(n, rows + 2, columns + 2)
    launch(
        _median_adjoint,
        (tiles(*out.shape),),
        grad,
        out,
        grad,
        x,
        medians,
        rows,
        columns,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
    )
    return fold(out, 1, 1)


@triton.jit
def _median_adjoint(
    out, grad, x, medians, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """out: with a margin of one, to be folded."""
    image, r, c = tile(rows + 2, columns + 2, ROWS, COLUMNS)
    start = image * rows * columns
    sample = near(x + start, r, c, -1, -1, rows, columns)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            chosen = sample == inside(medians + start, r - i, c - j, rows, columns)
            total += tl.where(chosen, inside(grad + start, r - i, c - j, rows, columns), 0.0)
    at, mask = place(r, c, rows + 2, columns + 2)
    tl.store(out + image * (rows + 2) * (columns + 2) + at, total, mask=mask)


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
def _sorted_column(plane, r, c, j, rows, columns):
    top, middle = near(plane, r, c, -1, j, rows, columns), near(plane, r, c, 0, j, rows, columns)
    bottom = near(plane, r, c, 1, j, rows, columns)
    low, high = least(top, middle), greatest(top, middle)
    return least(low, bottom), greatest(low, least(high, bottom)), greatest(high, bottom)


@triton.jit
def median(plane, r, c, rows, columns):
    """Median of the 3x3 neighborhood, as in denoise.py."""
    low_a, middle_a, high_a = _sorted_column(plane, r, c, -1, rows, columns)
    low_b, middle_b, high_b = _sorted_column(plane, r, c, 0, rows, columns)
    low_c, middle_c, high_c = _sorted_column(plane, r, c, 1, rows, columns)
    return _median3(
        greatest(greatest(low_a, low_b), low_c),
        _median3(middle_a, middle_b, middle_c),
        least(least(high_a, high_b), high_c),
    )


@triton.jit
def equals(plane, value, r, c, rows, columns):
    """How many of the 3x3 neighborhood equal a value."""
    count = tl.zeros(value.shape, tl.float32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            count += (near(plane, r, c, i - 1, j - 1, rows, columns) == value).to(tl.float32)
    return count
