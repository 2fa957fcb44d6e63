"""The tasks of the fused CPU engine: a part of one mosaic goes through the whole pipeline.

A part is a rectangle of the mosaic that begins at an even row and column. It is treated as an image
of its own with mirrored borders, and only its inner rectangle is written: the part must be larger
than it by the pipeline's reach, except where the image ends.
"""

from typing import NamedTuple

import numpy as np

from rawdrift.isp.fused.bayer import bilinear, malvar
from rawdrift.isp.fused.compiled import inlined, task
from rawdrift.isp.fused.finish import Array, finish, to_luma, to_planes
from rawdrift.isp.fused.menon import DELAY, SLOT, SLOTS, menon, slot
from rawdrift.isp.fused.nontemporal import fence
from rawdrift.isp.fused.rows import correct, mirror_halves, read, read_integers


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


HALVES = (6, 12, SLOTS * SLOT + 2)  # rows of bilinear, Malvar's and Menon's demosaicing


class Sites(NamedTuple):
    """The mosaic's numbers."""

    kind: int  # of samples: 0 float32, 1 uint8, 2 uint16
    unit: np.float32  # DN at full scale
    black: Array  # (2, 2) float32, by row and column parity
    span: Array  # (2, 2) float32
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red


@inlined
def load(s, even, mosaic, image, r, part, sites):
    """Row r of the part to two halves, black level corrected. True if it is sane."""
    floats, small, words = mosaic
    row, left, right = part.top + r, part.left, part.right
    n, odd, sane = right - left, even + 1, True
    if sites.kind == 0:
        sane = read(s, even, odd, floats[image, row, left:right], n)
    elif sites.kind == 1:
        read_integers(s, even, odd, small[image, row, left:right], n, sites.unit)
    else:
        read_integers(s, even, odd, words[image, row, left:right], n, sites.unit)
    black, span = sites.black[r % 2], sites.span[r % 2]
    correct(s, even, black[0], span[0], (n + 1) // 2)
    correct(s, odd, black[1], span[1], (n + 1) // 2)
    mirror_halves(s, even, odd, n, 2)
    return sane


@task
def bilinear_task(s, halves, at, mosaic, image, out, part, sites, kernels, numbers):
    """One part of one image. mosaic: `mosaics`; out: four (images, 3, H, W).

    s, halves: `scratch` for the rings `at` and for HALVES; kernels: of the demosaicing.
    False, with the rest left undone, if a sample is not sane.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    reach = numbers.reach_sharpen + numbers.reach_denoise
    for t in range(rows + 1 + reach):
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
def malvar_task(s, halves, at, mosaic, image, out, part, sites, kernels, numbers):
    """The same with Malvar's demosaicing."""
    rows, n = part.bottom - part.top, part.right - part.left
    reach = numbers.reach_sharpen + numbers.reach_denoise
    for t in range(rows + 2 + reach):
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
def menon_task(s, halves, at, mosaic, image, out, part, sites, kernels, numbers):
    """The same with Menon's demosaicing."""
    rows, n = part.bottom - part.top, part.right - part.left
    reach = numbers.reach_sharpen + numbers.reach_denoise
    for t in range(rows + DELAY + reach):
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
