"""From demosaiced rows to views: luma, sharpening, denoising, color and gamma, a row at a time.

Rows live in rings, so that what later stages read stays in the first levels of the cache: row r
of the image is at `base + r % size * planes + plane` of the task's rows (see rows.py).
"""

from typing import Any, NamedTuple

import numpy as np

from rawdrift.isp.fused.bayer import between
from rawdrift.isp.fused.compiled import exact, inlined
from rawdrift.isp.fused.nontemporal import LINE
from rawdrift.isp.fused.power import Numbers
from rawdrift.isp.fused.rows import (
    add_line5,
    blur_column,
    blur_line,
    column5,
    cross3,
    filter3,
    line5,
    median,
    mirror,
    reflect,
    sharper,
    sum3,
    to_differences,
    to_view,
)

Array = np.ndarray[Any, Any]


class Finish(NamedTuple):
    """The numbers behind demosaicing, float32. P planes are filtered: 1 (Y) or 3 (Y, U, V)."""

    color: Array  # (3, 3): demosaiced colors to RGB, after color correction
    difference: Array  # (3, 3): demosaiced colors to RGB minus luma, after color correction
    planes: Array  # (P, 3): demosaiced colors to the planes
    back: Array  # (3, 3): YUV to RGB, to each color Y as it is
    slots: Array  # (2, 2) int64: view of [filter, unsharp][median, kernel], -1 where not wanted
    sharpen: Array  # (3, 3)
    blur: Array  # (9,) or (17,): Gaussian of the unsharp mask
    amount: np.float32
    denoise: Array  # (5, 5)
    lines: Array  # (2, 5): taps along columns and rows where the kernel is their product, or zeros
    exponent: np.float32
    reach_sharpen: int  # rows to each side
    reach_denoise: int
    power: Numbers  # of x ** exponent


class Rings(NamedTuple):
    """First rows, and sizes in rows of the image, of what `finish` keeps."""

    colors: int
    colors_size: int
    planes: int
    planes_size: int
    sharp: int
    sharp_size: int
    work: int


def rings(numbers: Finish) -> tuple[Rings, int]:
    """Where the rings are, and how many rows they take."""
    sharpen, denoise = numbers.reach_sharpen, numbers.reach_denoise
    p = len(numbers.planes)
    colors_size = sharpen + denoise + 1
    planes = 3 * colors_size
    planes_size = max(2 * sharpen, sharpen + denoise) + 1
    sharp = planes + p * planes_size
    sharp_size = 2 * denoise + 1
    work = sharp + 2 * p * sharp_size
    found = Rings(0, colors_size, planes, planes_size, sharp, sharp_size, work)
    return found, work + 3 + p


@inlined
def to_planes(s, at, r, numbers, n):
    """Row r of the planes that are filtered, with margins."""
    for p in range(len(numbers.planes)):
        to = at.planes + r % at.planes_size * len(numbers.planes) + p
        red = at.colors + r % at.colors_size * 3
        sum3(s, to, red, red + 1, red + 2, numbers.planes[p], n)
        mirror(s, to, n, numbers.reach_sharpen)


@inlined
def to_luma(s, at, r, numbers, n):
    """The same, where luma alone is filtered. Colors are left as what they differ from it."""
    to, red = at.planes + r % at.planes_size, at.colors + r % at.colors_size * 3
    to_differences(s, to, red, numbers.planes[0], numbers.difference, n)
    mirror(s, to, n, numbers.reach_sharpen)


@exact
def sharpened(s, out, blurred, at, p, r, kind, rows, numbers, n):
    """Row r of plane p sharpened: kind 0 by the 3x3 filter, 1 by the unsharp mask.

    blurred: the row for what the unsharp mask blurs along columns.
    """
    size, count = at.planes_size, len(numbers.planes)
    plane = at.planes + p
    row = plane + r % size * count
    if kind == 0:
        up = plane + reflect(r - 1, rows) % size * count
        down = plane + reflect(r + 1, rows) % size * count
        k = numbers.sharpen
        if k[0, 0] == 0 and k[0, 2] == 0 and k[2, 0] == 0 and k[2, 2] == 0:
            cross3(s, out, up, row, down, k, n)
        else:
            filter3(s, out, up, row, down, k, 0, n)
    else:
        blur_column(s, blurred, plane, size, count, r, rows, numbers.blur, n)
        blur_line(s, at.work + 1, blurred, numbers.blur[len(numbers.blur) // 2 :], 0, n)
        sharper(s, out, row, at.work + 1, numbers.amount, n)
    mirror(s, out, n, 2)


@exact
def denoised(s, out, ring, at, r, kind, rows, numbers, n):
    """Row r of a sharpened plane denoised: kind 0 by the median, 1 by the 5x5 kernel."""
    size, count = at.sharp_size, len(numbers.planes)
    b = ring + reflect(r - 1, rows) % size * count
    c = ring + r % size * count
    d = ring + reflect(r + 1, rows) % size * count
    if kind == 0:
        median(s, out, at.work, b, c, d, n)
        return
    a = ring + reflect(r - 2, rows) % size * count
    e = ring + reflect(r + 2, rows) % size * count
    if numbers.lines[0, 2] != 0:
        column5(s, at.work, a, b, c, d, e, numbers.lines[0], n)
        line5(s, out, at.work, numbers.lines[1], 0, n)
    else:
        line5(s, out, a, numbers.denoise[0], 0, n)
        add_line5(s, out, b, numbers.denoise[1], 0, n)
        add_line5(s, out, c, numbers.denoise[2], 0, n)
        add_line5(s, out, d, numbers.denoise[3], 0, n)
        add_line5(s, out, e, numbers.denoise[4], 0, n)


@inlined
def finish(out, image, t, part, s, at, numbers):
    """What can be done once row t of the planes is there: rows of sharpening, rows of views.

    out: four views (images, 3, H, W) that begin a line of the cache; part: the place of the task,
    see tasks.py.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    count = len(numbers.planes)
    r = t - numbers.reach_sharpen
    if 0 <= r < rows:
        for kind in range(2):
            if numbers.slots[kind, 0] >= 0 or numbers.slots[kind, 1] >= 0:
                for p in range(count):
                    to = at.sharp + (kind * at.sharp_size + r % at.sharp_size) * count + p
                    sharpened(s, to, at.work, at, p, r, kind, rows, numbers, n)
    r -= numbers.reach_denoise
    if not part.first_row <= part.top + r < part.last_row:
        return
    first = part.first_column - part.left
    after = at.work + 3
    for kind in range(2):
        ring = at.sharp + kind * at.sharp_size * count
        for way in range(2):
            view = numbers.slots[kind, way]
            if view < 0:
                continue
            for p in range(count):
                denoised(s, after + p, ring + p, at, r, way, rows, numbers, n)
            for c in range(3):
                row, column = part.top + r, part.first_column
                to = out[view][image, c, row, column : part.last_column]
                _, _, height, width = out[view].shape
                before = -(((image * 3 + c) * height + row) * width + column) % LINE
                difference = at.colors + r % at.colors_size * 3 + c
                if count == 3:
                    difference = at.work
                    u, v = numbers.back[c, 1], numbers.back[c, 2]
                    between(s, difference, after + 1, after + 2, u, v, n)
                to_view(to, before, s, at.work + 1, first, difference, after, numbers.power)
