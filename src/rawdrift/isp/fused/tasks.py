"""The tasks of the fused CPU engine: a part of one mosaic goes through the whole pipeline.

A part is a rectangle of the mosaic that begins at an even row and column. It is treated as an image
of its own with mirrored borders, and only its inner rectangle is written: the part must be larger
than it by the pipeline's reach, except where the image ends.
"""

from typing import NamedTuple

import numpy as np

from rawdrift.isp.fused.bayer import bilinear, malvar
from rawdrift.isp.fused.compiled import allocating, inlined, task
from rawdrift.isp.fused.finish import Array, finish, reaches, rings, to_luma, to_planes
from rawdrift.isp.fused.menon import DELAY, SLOT, SLOTS, menon, slot
from rawdrift.isp.fused.nontemporal import fence
from rawdrift.isp.fused.rows import PAD, f32, read


class Part(NamedTuple):
    """Where a part lies in the image, and which rectangle of it is written; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int
    first_row: int
    last_row: int
    first_column: int
    last_column: int


class Sites(NamedTuple):
    """The mosaic's numbers."""

    kind: int  # of samples: 0 float32, 1 uint8, 2 uint16
    unit: np.float32  # DN at full scale
    black: Array  # (2, 2) float32, by row and column parity
    span: Array  # (2, 2) float32
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red


@allocating
def rows_for(n, count):
    """Empty rows for n columns, whose columns 0 begin lines of the cache."""
    columns = 2 * PAD + (n + 63) // 64 * 64 + 64
    memory = np.zeros(count * columns + 16, f32)
    first = -memory.ctypes.data // 4 % 16
    return memory[first : first + count * columns].reshape(count, columns)


@inlined
def load(s, even, mosaic, image, r, part, sites):
    """Row r of the part to two halves. True if it is sane."""
    size = (4, 1, 2)[sites.kind]
    raw = mosaic[image, part.top + r, part.left * size : part.right * size]
    n, parity = part.right - part.left, r % 2
    black, span = sites.black[parity], sites.span[parity]
    return read(s, even, even + 1, raw, sites.kind, n, sites.unit, black, span)


@task
def bilinear_task(mosaic, image, out, part, sites, kernels, numbers):
    """One part of one image. mosaic: (images, H, bytes of a row); out: four (images, 3, H, W).

    kernels: of the demosaicing. False, with the rest left undone, if a sample is not sane.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    at, count = rings(numbers)
    s = rows_for(n, count)
    halves = rows_for((n + 1) // 2, 6)  # three rows of the mosaic
    sharpen, denoise = reaches(numbers)
    for t in range(rows + 1 + sharpen + denoise):
        if t < rows and not load(halves, t % 3 * 2, mosaic, image, t, part, sites):
            return False
        r = t - 1
        if 0 <= r < rows:
            to = at.colors + r % at.colors_size * 3
            bilinear(s, to, halves, 3, r, rows, n, sites.chroma, sites.red_row, kernels)
            if len(numbers.planes) == 1:
                to_luma(s, at, r, numbers, n)
            else:
                to_planes(s, at, r, numbers, n)
        finish(out, image, r, part, s, at, numbers)
    fence()
    return True


@task
def malvar_task(mosaic, image, out, part, sites, kernels, numbers):
    """The same with Malvar's demosaicing."""
    rows, n = part.bottom - part.top, part.right - part.left
    at, count = rings(numbers)
    s = rows_for(n, count)
    halves = rows_for((n + 1) // 2, 12)  # five rows of the mosaic, and scratch
    sharpen, denoise = reaches(numbers)
    for t in range(rows + 2 + sharpen + denoise):
        if t < rows and not load(halves, t % 5 * 2, mosaic, image, t, part, sites):
            return False
        r = t - 2
        if 0 <= r < rows:
            to = at.colors + r % at.colors_size * 3
            malvar(s, to, halves, 5, r, rows, n, sites.chroma, sites.red_row, kernels, 10)
            if len(numbers.planes) == 1:
                to_luma(s, at, r, numbers, n)
            else:
                to_planes(s, at, r, numbers, n)
        finish(out, image, r, part, s, at, numbers)
    fence()
    return True


@task
def menon_task(mosaic, image, out, part, sites, kernels, numbers):
    """The same with Menon's demosaicing."""
    rows, n = part.bottom - part.top, part.right - part.left
    at, count = rings(numbers)
    s = rows_for(n, count)
    halves = rows_for((n + 1) // 2, SLOTS * SLOT + 2)
    sharpen, denoise = reaches(numbers)
    for t in range(rows + DELAY + sharpen + denoise):
        if t < rows and not load(halves, slot(0, t, rows), mosaic, image, t, part, sites):
            return False
        r = t - DELAY
        to = at.colors + max(r, 0) % at.colors_size * 3
        menon(s, to, halves, 0, t, rows, n, sites.chroma, sites.red_row, kernels, SLOTS * SLOT)
        if 0 <= r < rows:
            if len(numbers.planes) == 1:
                to_luma(s, at, r, numbers, n)
            else:
                to_planes(s, at, r, numbers, n)
        finish(out, image, r, part, s, at, numbers)
    fence()
    return True
