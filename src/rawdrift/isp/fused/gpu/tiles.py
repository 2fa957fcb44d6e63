"""What every kernel shares: tiles of an image, mirrored neighbors, and the launch.

Kernels see images as planes (rows, columns) one behind the other in memory. A program works on one
tile of one plane or image; indices inside an image are 32-bit, the place of an image is 64-bit.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, COLUMNS = 16, 64  # of a tile


def launch(
    kernel: Any,
    programs: tuple[int, ...],
    on: Tensor,
    *values: Any,
    fuse: bool = True,
    **constants: Any,
) -> None:
    """Run that many programs of a kernel on the device of `on`.

    fuse: whether a product and a sum may be rounded once instead of twice.
    """
    with torch.cuda.device_of(on):
        kernel[programs](*values, enable_fp_fusion=fuse, **constants)


def tiles(images: int, rows: int, columns: int) -> int:
    """How many tiles there are."""
    return images * -(-rows // ROWS) * -(-columns // COLUMNS)


def halves(images: int, rows: int, columns: int) -> tuple[int, int]:
    """Programs of a kernel that works on rows of one parity at a time, see `half_tile`."""
    return tiles(images, -(-rows // 2) * 2, columns), 2


@triton.jit
def tile(rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The image of this program, and the rows and columns of its tile, which may stand out."""
    across = (columns + COLUMNS - 1) // COLUMNS
    down = (rows + ROWS - 1) // ROWS
    program = tl.program_id(0)
    image = program // (across * down)
    r = program // across % down * ROWS + tl.arange(0, ROWS)
    c = program % across * COLUMNS + tl.arange(0, COLUMNS)
    return image.to(tl.int64), r, c


@triton.jit
def strip(rows, columns, STRIP: tl.constexpr, COLUMNS: tl.constexpr):
    """The image of this program, and of its strip the first row, how many rows, and the columns."""
    across = (columns + COLUMNS - 1) // COLUMNS
    down = (rows + STRIP - 1) // STRIP
    program = tl.program_id(0)
    first = program // across % down * STRIP
    c = program % across * COLUMNS + tl.arange(0, COLUMNS)
    return (program // (across * down)).to(tl.int64), first, tl.minimum(STRIP, rows - first), c


@triton.jit
def half_tile(rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """As `tile`, of rows of one parity only: that of the program's second index."""
    image, r, c = tile((rows + 1) // 2, columns, ROWS, COLUMNS)
    return image, 2 * r + tl.program_id(1), c


@triton.jit
def place(r, c, rows, columns):
    """Where the samples of a tile are in their plane, and which of them are in the image."""
    return r[:, None] * columns + c[None, :], (r < rows)[:, None] & (c < columns)[None, :]


@triton.jit
def mirror(i, n):
    """Reflection at 0 and n - 1 that does not repeat the edge, as often as needed. n at least 2."""
    period = 2 * n - 2
    i = tl.abs(i) % period
    return tl.minimum(i, period - i)


@triton.jit
def lines(plane, r, i, rows, columns):
    """Where the lines i rows below those of a tile begin, mirrored at the borders."""
    return plane + mirror(r + i, rows)[:, None] * columns


@triton.jit
def along(line, c, j, columns):
    """The samples of lines j columns right of a tile, mirrored at the borders."""
    return tl.load(line + mirror(c + j, columns)[None, :])


@triton.jit
def near(plane, r, c, i, j, rows, columns):
    """The samples i rows below and j columns right of a tile, mirrored at the borders."""
    return along(lines(plane, r, i, rows, columns), c, j, columns)


@triton.jit
def inside(plane, r, c, rows, columns):
    """The samples of a tile, zero outside of the image."""
    at, mask = place(r, c, rows, columns)
    return tl.load(plane + at, mask=mask & (r >= 0)[:, None] & (c >= 0)[None, :], other=0.0)


@triton.jit
def mixed(matrix, row, red, green, blue):
    """Row of matrix (3, 3) @ colors."""
    at = matrix + 3 * row
    return tl.load(at) * red + tl.load(at + 1) * green + tl.load(at + 2) * blue


@triton.jit
def mixed_back(matrix, column, red, green, blue):
    """Row of transposed matrix (3, 3) @ colors."""
    at = matrix + column
    return tl.load(at) * red + tl.load(at + 3) * green + tl.load(at + 6) * blue
