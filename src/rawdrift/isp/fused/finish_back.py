"""The gradients of finish.py, a row at a time: from views back to demosaiced colors.

Rows of the forward pass are computed again and kept in longer rings. Behind the gradient of views
at row r, that of denoised planes is complete the reach of denoising later, and so on.
"""

from typing import NamedTuple

import numpy as np

from rawdrift.isp.fused.adjoint import clear, fold, gathering, zero
from rawdrift.isp.fused.compiled import allocating, exact
from rawdrift.isp.fused.finish import Array, Finish, Rings, denoised, sharpened
from rawdrift.isp.fused.rows import (
    add_line5,
    blur_column,
    blur_line,
    column5,
    f32,
    filter3,
    line5,
    nine,
    reflect,
    sum3,
)
from rawdrift.isp.fused.rows_back import (
    add_chosen,
    add_luma,
    add_scaled,
    gamma_back,
    load_gradient,
    share,
)
from rawdrift.isp.fused.sums import (
    BLOCK,
    BLUR,
    COLOR,
    DENOISE,
    EXPONENT,
    KEEP,
    SHARPEN,
    dot,
    dot_pair,
    dots3,
    dots5,
    dots9,
    dots_colors,
    total,
)


class Back(NamedTuple):
    """The numbers of the way back, and which gradients of numbers are wanted."""

    luma: Array  # (3,) float32: Y from RGB
    planes: Array  # (P, 3) float32: gradients of linear RGB to those of denoised planes
    colors: Array  # (3, 3) float32: gradients of linear RGB (or Y, U, V) to those of colors
    column: Array  # (5, 1) float32: Finish.lines along columns
    line: Array  # (5,) float32: those along rows, flipped
    blur: Array  # (9, 1) or (17, 1) float32: Finish.blur times -amount
    ones: Array  # (3, 1) float32
    floor_slope: np.float32  # of base ** (exponent - 1) below SLOPE_FLOOR
    gamma: bool
    color: bool
    sharpen: bool
    denoise: bool
    kernels: bool  # of demosaicing
    black: bool
    mosaic: bool


class BackRings(NamedTuple):
    """First rows of what `finish_back` keeps. Sizes follow from the reaches S and N."""

    forward: Rings
    linear: int  # N + S + 1 rows of gradients of linear RGB
    change: int  # 2 N + 1 rows of gradients of denoised planes, divided by ties for a median
    median: int  # 2 N + 1 rows of denoised planes
    sharp: int  # 2 S + 1 rows of gradients of sharpened planes
    along: int  # 2 S + 1 rows of the same, through the unsharp mask's blur along rows
    blurred: int  # 2 N + 1 rows of planes blurred along columns
    work: int  # P + 6


def back_rings(numbers: Finish) -> tuple[BackRings, int]:
    """Where the rings are, and how many rows they take."""
    sharpen, denoise = numbers.reach_sharpen, numbers.reach_denoise
    p, size = len(numbers.planes), 2 * (sharpen + denoise) + 1
    n, s = 2 * denoise + 1, 2 * sharpen + 1
    sharp = (3 + p) * size
    forward = Rings(0, size, 3 * size, size, sharp, n, sharp + p * n)
    linear = forward.work + 3
    change = linear + 3 * (denoise + sharpen + 1)
    median = change + p * n
    back = median + p * n
    along = back + p * s
    blurred = along + p * s
    work = blurred + p * n
    return BackRings(forward, linear, change, median, back, along, blurred, work), work + p + 6


@exact
def is_owned(part, r):
    """Whether row r of the part is one that it writes and adds up."""
    return part.first_row <= part.top + r < part.last_row


@exact
def from_view(s, at, grad, steps, image, r, part, kinds, numbers, back, totals):
    """Row r: gradients of linear RGB and of the denoised planes, from that of the view."""
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.planes)
    reach = numbers.reach_denoise
    size, forward = 2 * reach + 1, at.forward
    ring, slot = forward.sharp, r % size * count
    after = at.median + slot
    for p in range(count):
        denoised(s, after + p, ring + p, forward, r, kinds[1], rows, numbers, n)

    sharpen = numbers.reach_sharpen
    linear = at.linear + r % (reach + sharpen + 1) * 3
    of_exponent = at.work + 1
    zero(s, of_exponent, n)
    red, before = forward.colors + r % forward.colors_size * 3, forward.planes
    before += r % forward.planes_size * count
    weights = numbers.color
    if count == 3:
        red, before, weights = after, after, numbers.back  # Y, U, V, and no change to add
    for c in range(3):
        to = linear + c
        start = image * steps[0] + c * steps[1] + (part.top + r) * steps[2] + part.left * steps[3]
        load_gradient(s, to, grad, start, steps[3], n)
        gamma_back(
            s,
            to,
            red,
            weights[c],
            after,
            before,
            of_exponent,
            numbers.exponent,
            back.floor_slope,
            n,
        )
    first, own = part.first_column - part.left, part.last_column - part.first_column
    if back.gamma and is_owned(part, r):
        total(totals, EXPONENT, s, of_exponent, first, own)

    change = at.change + slot
    for p in range(count):
        sum3(s, change + p, linear, linear + 1, linear + 2, back.planes[p], n)
        if kinds[1] == 0:
            b = ring + reflect(r - 1, rows) % size * count + p
            d = ring + reflect(r + 1, rows) % size * count + p
            share(s, change + p, after + p, b, ring + slot + p, d, n)
        clear(s, change + p, n, 8)
        if kinds[1] == 1 and back.denoise and is_owned(part, r):
            for i in range(5):
                row = ring + reflect(r + i - 2, rows) % size * count + p
                dots5(totals, DENOISE + 5 * i, s, change + p, row, first, own)


@allocating
def denoise_back(s, out, at, r, p, kind, rows, numbers, back, n):
    """Row r of the gradient of sharpened plane p."""
    reach = numbers.reach_denoise
    size, count = 2 * reach + 1, len(numbers.planes)
    change = at.change + p
    b = reflect(r - 1, rows) % size * count
    c = r % size * count
    d = reflect(r + 1, rows) % size * count
    if kind == 0:
        zero(s, out, n)
        taps, row = gathering(back.ones, r, rows), at.forward.sharp + c + p
        for i, other in ((0, b), (1, c), (2, d)):
            if taps[i, 0] != 0:
                add_chosen(s, out, row, change + other, at.median + p + other, taps[i, 0], n)
        fold(s, out, n, 1)
        return
    a = change + reflect(r - 2, rows) % size * count
    e = change + reflect(r + 2, rows) % size * count
    if numbers.lines[0, 2] != 0:
        taps = gathering(back.column, r, rows).reshape(5)
        column5(s, at.work, a, change + b, change + c, change + d, e, taps, n)
        line5(s, out, at.work, back.line, -2, n + 4)
    else:
        taps = gathering(numbers.denoise, r, rows)
        line5(s, out, a, taps[0], -2, n + 4)
        add_line5(s, out, change + b, taps[1], -2, n + 4)
        add_line5(s, out, change + c, taps[2], -2, n + 4)
        add_line5(s, out, change + d, taps[3], -2, n + 4)
        add_line5(s, out, e, taps[4], -2, n + 4)
    fold(s, out, n, 2)


@exact
def sharpen_sums(s, at, r, p, kind, part, numbers, totals):
    """What row r gives to the gradients of sharpening's numbers."""
    rows, count = part.bottom - part.top, len(numbers.planes)
    first, own = part.first_column - part.left, part.last_column - part.first_column
    reach, size = numbers.reach_sharpen, at.forward.planes_size
    slot, planes = r % (2 * reach + 1) * count + p, at.forward.planes + p
    g, row = at.sharp + slot, planes + r % size * count
    if kind == 0:
        for i in range(3):
            to = planes + reflect(r + i - 1, rows) % size * count
            dots3(totals, SHARPEN + 3 * i, s, g, to, first, own)
        return
    dot(totals, KEEP, s, g, row, 0, first, own)
    blurred = at.blurred + r % (2 * numbers.reach_denoise + 1) * count + p
    dots9(totals, BLUR, s, g, nine(blurred, 1, 0, 0, 2), 1, first, own)
    along = at.along + slot
    dots9(totals, BLUR, s, along, nine(planes, size, count, r, rows), 0, first, own)
    for d in range(5, reach + 1):
        dot_pair(totals, BLUR + d, s, g, blurred, blurred, d, first, own)
        up = planes + reflect(r - d, rows) % size * count
        down = planes + reflect(r + d, rows) % size * count
        dot_pair(totals, BLUR + d, s, along, up, down, 0, first, own)


@allocating
def sharpen_back(s, out, at, r, p, kind, rows, numbers, back, n):
    """Row r of the gradient of plane p."""
    reach, count = numbers.reach_sharpen, len(numbers.planes)
    size = 2 * reach + 1
    slot = r % size * count + p
    if kind == 0:
        up = at.sharp + reflect(r - 1, rows) % size * count + p
        down = at.sharp + reflect(r + 1, rows) % size * count + p
        kernel = gathering(numbers.sharpen, r, rows)
        filter3(s, out, up, at.sharp + slot, down, kernel, -1, n + 2)
        fold(s, out, n, 1)
        return
    taps = gathering(back.blur, r, rows).reshape(-1)
    blur_column(s, out, at.along + p, size, count, r, rows, taps, n)
    add_scaled(s, out, at.sharp + slot, f32(1) + numbers.amount, n)


@allocating
def finish_back(s, at, grad, steps, image, t, part, kinds, numbers, back, totals, block):
    """What can be done once row t of the planes is there.

    Returns the row whose gradients of colors are complete, at.work + 2 and behind; there may be no
    such row. grad: flat; steps: (4,) from one image, color, row, column to the next;
    totals: rows for the blocks of the image, from `block` on.
    """
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.planes)
    sharpen, denoise = numbers.reach_sharpen, numbers.reach_denoise
    forward = at.forward
    r = t - sharpen
    if 0 <= r < rows:
        slot = r % (2 * denoise + 1) * count
        for p in range(count):
            blurred = at.blurred + slot + p
            sharpened(
                s, forward.sharp + slot + p, blurred, forward, p, r, kinds[0], rows, numbers, n
            )
    r -= denoise
    if 0 <= r < rows:
        to = totals[block + (part.top + r) // BLOCK]
        from_view(s, at, grad, steps, image, r, part, kinds, numbers, back, to)
    r -= denoise
    if 0 <= r < rows:
        slot = r % (2 * sharpen + 1) * count
        for p in range(count):
            g, along = at.sharp + slot + p, at.along + slot + p
            denoise_back(s, g, at, r, p, kinds[1], rows, numbers, back, n)
            clear(s, g, n, 2 * sharpen)
            if kinds[0] == 1:
                blur_line(s, along, g, numbers.blur[sharpen:], -sharpen, n + 2 * sharpen)
                fold(s, along, n, sharpen)
            if back.sharpen and is_owned(part, r):
                to = totals[block + (part.top + r) // BLOCK]
                sharpen_sums(s, at, r, p, kinds[0], part, numbers, to)
    r -= sharpen
    if 0 <= r < rows:
        planes, g = at.work + 5, at.work + 5
        for p in range(count):
            sharpen_back(s, planes + p, at, r, p, kinds[0], rows, numbers, back, n)
        if count == 1:
            g = at.linear + r % (denoise + sharpen + 1) * 3
            add_luma(s, g, planes, back.luma, n)
        for c in range(3):
            sum3(s, at.work + 2 + c, g, g + 1, g + 2, back.colors[c], n)
        if back.color and is_owned(part, r):
            to, red = (
                totals[block + (part.top + r) // BLOCK],
                forward.colors + r % forward.colors_size * 3,
            )
            first, own = part.first_column - part.left, part.last_column - part.first_column
            dots_colors(to, COLOR, s, g, red, first, own)
    return r
