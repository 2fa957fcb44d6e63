"""Shared by all kernels: tiles of an image, mirrored neighbors, and the launch.

Kernels see images as planes (rows, columns) one behind the other in memory. A program works on one
tile of one image. A tile is a tuple: the index of its image, 64-bit; its rows and its columns,
which may stand out of the image; and how many rows and columns the image has, 32-bit.
"""

from typing import Any

import torch
import triton
import triton.language as tl

ROWS, COLUMNS = tl.constexpr(16), tl.constexpr(64)  # of a tile


def launch(
    kernel: Any,
    shape: tuple[int, ...],
    *values: Any,
    grid: tuple[int, ...] | None = None,
    fuse: bool = True,
    **constants: Any,
) -> None:
    """Run a kernel on the device of its first value, a tensor.

    shape: (N, H, W) of the images that are cut into tiles; the kernel takes H and W after the
    values. grid: how many programs there are, one for each tile if not given. fuse: whether a
    product and a sum may be rounded once instead of twice.
    """
    with torch.cuda.device_of(values[0]):
        kernel[grid or (tiles(*shape),)](*values, *shape[1:], enable_fp_fusion=fuse, **constants)


def tiles(images: int, rows: int, columns: int, height: int = ROWS.value) -> int:
    """The number of tiles, each of `height` rows."""
    count: int = images * -(-rows // height) * -(-columns // COLUMNS.value)
    return count


def halves(images: int, rows: int, columns: int) -> tuple[int, int]:
    """Programs of a kernel that works on rows of one parity at a time, see `half_tile`."""
    return tiles(images, -(-rows // 2) * 2, columns), 2


@triton.jit
def strip(rows, columns, HEIGHT: tl.constexpr):
    """The image of this program, the first row of its tile of that height, and the columns."""
    across = (columns + COLUMNS - 1) // COLUMNS
    down = (rows + HEIGHT - 1) // HEIGHT
    program = tl.program_id(0)
    first = program // across % down * HEIGHT
    c = program % across * COLUMNS + tl.arange(0, COLUMNS)
    return (program // (across * down)).to(tl.int64), first, c


@triton.jit
def tile(rows, columns):
    """The tile of this program."""
    image, first, c = strip(rows, columns, ROWS)
    return image, first + tl.arange(0, ROWS), c, rows, columns


@triton.jit
def half_tile(rows, columns):
    """The tile of this program, of rows of one parity only: that of its second index."""
    image, first, c = strip((rows + 1) // 2, columns, ROWS // 2)
    return image, 2 * (first + tl.arange(0, ROWS // 2)) + tl.program_id(1), c, rows, columns


@triton.jit
def without_margins(t, rows, columns):
    """The same pixels of an image that has that many rows and columns less at the end."""
    image, r, c, all_rows, all_columns = t
    return image, r, c, all_rows - rows, all_columns - columns


@triton.jit
def zeros(t):
    """Zero at each pixel of a tile."""
    _, r, c, _, _ = t
    return tl.zeros([r.shape[0], c.shape[0]], tl.float32)


@triton.jit
def plane(x, t, p=0, PLANES: tl.constexpr = 1):
    """Where plane p of the tile's image begins, if x has that many planes of each image."""
    image, _, _, rows, columns = t
    return x + (image * PLANES + p) * rows * columns


@triton.jit
def place(t):
    """Where the samples of a tile are in their plane, and which of them are in the image."""
    _, r, c, rows, columns = t
    return r[:, None] * columns + c[None, :], (r < rows)[:, None] & (c < columns)[None, :]


@triton.jit
def mirror(i, n):
    """Reflection at 0 and n - 1 that does not repeat the edge, as often as needed. n at least 2."""
    period = 2 * n - 2
    i = tl.abs(i) % period
    return tl.minimum(i, period - i)


@triton.jit
def lines(plane, t, i):
    """Where the lines i rows below those of a tile begin, mirrored at the borders."""
    _, r, _, rows, columns = t
    return plane + mirror(r + i, rows)[:, None] * columns


@triton.jit
def along(line, t, j):
    """The samples of lines j columns right of a tile, mirrored at the borders."""
    _, _, c, _, columns = t
    return tl.load(line + mirror(c + j, columns)[None, :])


@triton.jit
def near(plane, t, i, j):
    """The samples i rows below and j columns right of a tile, mirrored at the borders."""
    return along(lines(plane, t, i), t, j)


@triton.jit
def across_taps(plane, t, i, j):
    """Samples at each of the taps (i, j) around a tile of one row: (taps, columns)."""
    _, r, c, rows, columns = t
    column = mirror(c[None, :] + j[:, None], columns)
    return tl.load(plane + mirror(r + i, rows)[:, None] * columns + column)


@triton.jit
def correlated(plane, taps, t, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, total):
    """A total plus a plane correlated with taps (HEIGHT, WIDTH)."""
    for i in tl.static_range(HEIGHT):
        line = lines(plane, t, i - HEIGHT // 2)
        for j in tl.static_range(WIDTH):
            total += tl.load(taps + i * WIDTH + j) * along(line, t, j - WIDTH // 2)
    return total


@triton.jit
def inside(plane, t, i=0, j=0):
    """The samples i rows below and j columns right of a tile, zero outside of the image."""
    image, r, c, rows, columns = t
    r, c = r + i, c + j
    at, mask = place((image, r, c, rows, columns))
    return tl.load(plane + at, mask=mask & (r >= 0)[:, None] & (c >= 0)[None, :], other=0.0)


@triton.jit
def put(plane, t, values):
    """Write the samples of a tile that are inside of the image."""
    at, mask = place(t)
    tl.store(plane + at, values, mask=mask)


@triton.jit
def three(x, t):
    """The samples of a tile in x (N, 3, H, W), zero outside of the image."""
    return (
        inside(plane(x, t, 0, 3), t),
        inside(plane(x, t, 1, 3), t),
        inside(plane(x, t, 2, 3), t),
    )


@triton.jit
def put_three(x, t, red, green, blue):
    """Write the samples of a tile into x (N, 3, H, W)."""
    put(plane(x, t, 0, 3), t, red)
    put(plane(x, t, 1, 3), t, green)
    put(plane(x, t, 2, 3), t, blue)


@triton.jit
def mixed(matrix, row, red, green, blue, STEP: tl.constexpr = 1):
    """Row of matrix (3, 3) @ colors, whose elements are STEP apart."""
    return (
        tl.load(matrix + row) * red
        + tl.load(matrix + row + STEP) * green
        + tl.load(matrix + row + 2 * STEP) * blue
    )


@triton.jit
def product(matrix, red, green, blue):
    """Matrix (3, 3) @ colors."""
    return (
        mixed(matrix, 0, red, green, blue),
        mixed(matrix, 3, red, green, blue),
        mixed(matrix, 6, red, green, blue),
    )


@triton.jit
def product_back(matrix, red, green, blue):
    """Transposed matrix (3, 3) @ colors."""
    return (
        mixed(matrix, 0, red, green, blue, 3),
        mixed(matrix, 1, red, green, blue, 3),
        mixed(matrix, 2, red, green, blue, 3),
    )


@triton.jit
def total(x):
    """The sum of a tile."""
    return tl.sum(tl.sum(x, 1), 0)
