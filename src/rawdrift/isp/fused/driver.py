"""The tasks of the CPU engine: a part of a mosaic goes through all stages row by row, or back.

Row t of the mosaic is loaded; then every stage does the one row that it can do now, some rows
behind (its delay). What later stages read stays in rings of rows, in the first levels of the cache.
Going back, the forward pass is computed again in longer rings, with every stage's gradient behind.
"""

from typing import Any, NamedTuple

import numpy as np

from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.fused import denoise, linear, menon, sharpen
from rawdrift.isp.fused.black_level import load, load_back
from rawdrift.isp.fused.color import colors_back, split, to_planes
from rawdrift.isp.fused.compiled import LINE, allocating, exact, fence, inlined, task
from rawdrift.isp.fused.denoise import change_back, denoise_back, denoised
from rawdrift.isp.fused.gamma import Power, gamma_back, load_gradient, to_linear_view, to_view
from rawdrift.isp.fused.rows import (
    EXPONENT,
    Array,
    Halves,
    Ring,
    between,
    is_owned,
    place,
    sum3,
    total,
    totals_of,
    zero,
)
from rawdrift.isp.fused.sharpen import sharpen_back, sharpen_margins, sharpen_sums, sharpened
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.menon import Menon2007


class Numbers(NamedTuple):
    """The numbers behind demosaicing, float32. P planes are filtered: 0, 1 (Y) or 3 (Y, U, V)."""

    color: Array  # (3, 3): demosaiced colors to RGB, after color correction
    plain: bool  # whether that changes nothing
    difference: Array  # (3, 3): demosaiced colors to RGB minus luma, after color correction
    planes: Array  # (P, 3): demosaiced colors to the planes
    back: Array  # (3, 3): YUV to RGB, to each color Y as it is
    slots: Array  # (3, 3) int64: view by kinds of sharpening and denoising, -1 where not wanted
    sharpen: Array  # (3, 3)
    blur: Array  # (9,) or (17,): Gaussian of the unsharp mask
    amount: np.float32
    denoise: Array  # (5, 5)
    lines: Array  # (2, 5): taps along columns and rows where the kernel is their product, or zeros
    gamma: bool
    exponent: np.float32
    power: Power  # of x ** exponent
    reach_sharpen: int  # rows to each side
    reach_denoise: int
    margin: int  # columns of the planes that are mirrored


class Back(NamedTuple):
    """The numbers of the way back, and which gradients are wanted."""

    luma: Array  # (3,) float32: Y from RGB
    planes: Array  # (P, 3) float32: gradients of linear RGB to those of denoised planes
    colors: Array  # (3, 3) float32: gradients of linear RGB (or Y, U, V) to those of colors
    column: Array  # (5, 1) float32: Numbers.lines along columns
    line: Array  # (5,) float32: those along rows, flipped
    blur: Array  # (9, 1) or (17, 1) float32: Numbers.blur times -amount
    ones: Array  # (3, 1) float32
    floor_slope: np.float32  # of base ** (exponent - 1) below SLOPE_FLOOR
    gamma: bool
    color: bool
    sharpen: bool
    denoise: bool
    kernels: bool  # of demosaicing
    black: bool
    mosaic: bool


class Rows(NamedTuple):
    """Where rows of scratch are kept: those of the forward pass, then those of gradients.

    S and N: reaches of sharpening and denoising.
    """

    colors: Ring  # 3: red, green, blue
    planes: Ring  # P, or a row that stays zero
    sharp: tuple[Ring, Ring, Ring]  # P sharpened planes by kind of sharpening, see sharpen.py
    work: int  # 3 that any function may use
    after: int  # P: denoised planes

    linear: Ring  # 3 of linear RGB, S + N + 1
    denoised: Ring  # P denoised planes, 2 N + 1
    change: Ring  # P of denoised planes, divided by ties for a median, 2 N + 1
    of_sharp: Ring  # P of sharpened planes, 2 S + 1
    along: Ring  # P of the same, through the unsharp mask's blur along rows, 2 S + 1
    blurred: Ring  # P planes blurred along columns, 2 N + 1
    of_exponent: int  # 1
    of_planes: int  # P
    of_colors: int  # 3


class Demosaicing(NamedTuple):
    """A demosaicing stage: how it is declared to the driver. See linear.py for what parts do."""

    forward: Any
    kept: Any  # `forward`, keeping what `back` needs
    back: Any
    delay: int  # rows that colors are behind the mosaic
    back_delay: int  # rows that the mosaic's gradient is behind that of colors
    reach: int  # rows and columns to each side that a color depends on
    rings: tuple[int, int]  # rows of the mosaic in work at a time, and halves for each
    kept_halves: int  # for each row, or 0 if what is kept is the mosaic itself
    gradients: tuple[int, int]  # as `rings`


DEMOSAICING: dict[Any, Demosaicing] = {
    Bilinear: Demosaicing(
        forward=linear.bilinear,
        kept=linear.bilinear,
        back=linear.bilinear_back,
        delay=linear.BILINEAR_DELAY,
        back_delay=linear.BILINEAR_DELAY,
        reach=1,
        rings=(3, 2),
        kept_halves=0,
        gradients=(3, linear.GRADIENTS),
    ),
    Malvar2004: Demosaicing(
        forward=linear.malvar,
        kept=linear.malvar,
        back=linear.malvar_back,
        delay=linear.MALVAR_DELAY,
        back_delay=linear.MALVAR_DELAY,
        reach=2,
        rings=(5, 2),
        kept_halves=0,
        gradients=(5, linear.GRADIENTS),
    ),
    Menon2007: Demosaicing(
        forward=menon.menon,
        kept=menon.menon_kept,
        back=menon.menon_back,
        delay=menon.DELAY,
        back_delay=menon.BACK_DELAY,
        reach=menon.DELAY,
        rings=(menon.SLOTS, menon.SLOT),
        kept_halves=menon.KEPT,
        gradients=(menon.GRADIENT_SLOTS, menon.GRADIENTS),
    ),
}


# Where rows are


class _Stack:
    """Rings one behind the other."""

    def __init__(self) -> None:
        self.count = 0

    def rows(self, count: int) -> int:
        self.count += count
        return self.count - count

    def ring(self, size: int, count: int) -> Ring:
        return Ring(self.rows(size * count), size, count)


def rows_of(numbers: Numbers, *, back: bool) -> tuple[Rows, int]:
    """Where rows are, and how many there are."""
    stack, p = _Stack(), len(numbers.planes)
    s, n = numbers.reach_sharpen, numbers.reach_denoise
    both = s + n
    colors = stack.ring(2 * both + 1 if back else both + 1, 3)
    planes = stack.ring(2 * both + 1 if back else max(2 * s, s + 2 * n) + 1, max(p, 1))
    sharp = planes
    kinds = [planes]
    for slots in numbers.slots[1:]:
        if slots.max() >= 0:
            sharp = stack.ring(2 * n + 1, p)
        kinds.append(sharp)
    size = int(back)
    return (
        Rows(
            colors=colors,
            planes=planes,
            sharp=(kinds[0], kinds[1], kinds[2]),
            work=stack.rows(3),
            after=stack.rows(p),
            linear=stack.ring(size * (both + 1), 3),
            denoised=stack.ring(size * (2 * n + 1), p),
            change=stack.ring(size * (2 * n + 1), p),
            of_sharp=stack.ring(size * (2 * s + 1), p),
            along=stack.ring(size * (2 * s + 1), p),
            blurred=stack.ring(size * (2 * n + 1), p),
            of_exponent=stack.rows(size),
            of_planes=stack.rows(size * p),
            of_colors=stack.rows(size * 3),
        ),
        stack.count,
    )


def halves_of(stage: Demosaicing, numbers: Numbers, *, back: bool) -> tuple[Halves, int]:
    """Where halves are, and how many there are."""
    stack = _Stack()
    behind = 2 * (numbers.reach_sharpen + numbers.reach_denoise)  # rows, of the colors' gradient
    size, count = stage.rings
    if back and not stage.kept_halves:
        size += behind
    return (
        Halves(
            mosaic=stack.ring(size, count),
            kept=stack.ring(behind + stage.back_delay + 1 if back else 0, stage.kept_halves),
            gradients=stack.ring(*(stage.gradients if back else (0, 0))),
            out=stack.rows(2 if back else 0),
            work=stack.rows(2),
        ),
        stack.count,
    )


# Forward

# Every demosaicing has tasks of its own, in which these names have its values: see the end.
demosaic: Any = None
demosaic_kept: Any = None
demosaic_back: Any = None
DELAY = BACK_DELAY = 0


def forward(s, halves, at, at_halves, mosaic, out, part, sites, kernels, numbers):
    """One part of one image. False, with the rest left undone, if a sample is not sane.

    s, halves: rows of scratch for the rings `at` and `at_halves`; mosaic: (images, H, W) of three
    types, of which one is not empty; out: four (images, 3, H, W) that begin a line of the cache;
    kernels: of the demosaicing.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    for t in range(rows + DELAY + numbers.reach_sharpen + numbers.reach_denoise):
        if t < rows and not load(halves, place(at_halves.mosaic, t), mosaic, t, part, sites):
            return False
        r = t - DELAY
        colors = place(at.colors, max(r, 0))
        demosaic(s, colors, halves, at_halves, t, rows, n, sites, kernels)
        if 0 <= r < rows:
            split(s, at, r, numbers, n)
        finish(out, r, part, s, at, numbers)
    fence()
    return True


@inlined
def finish(out, t, part, s, at, numbers):
    """Once row t of the planes is there: rows of sharpening, and rows of views."""
    rows, n = part.bottom - part.top, part.right - part.left
    count = len(numbers.planes)
    r = t - numbers.reach_sharpen
    if 0 <= r < rows:
        for kind in range(1, 3):
            if max(numbers.slots[kind, 0], numbers.slots[kind, 1], numbers.slots[kind, 2]) >= 0:
                for p in range(count):
                    to = place(at.sharp[kind], r) + p
                    sharpened(s, to, at.work, at, p, r, kind, rows, numbers, n)
    r -= numbers.reach_denoise
    if not is_owned(part, r):
        return
    for kind in range(3):
        ring = at.sharp[kind]
        for way in range(3):
            view = numbers.slots[kind, way]
            if view < 0:
                continue
            after = place(ring, r)
            if way != denoise.NONE:
                after = at.after
                for p in range(count):
                    denoised(s, after + p, ring, p, at.work, r, way, rows, numbers, n)
            write(out[view], r, part, s, at, after, numbers)


@inlined
def write(out, r, part, s, at, after, numbers):
    """Row r of a view, of the planes from row `after` on. out: (images, 3, H, W)."""
    n, first, row = part.right - part.left, part.first_column - part.left, part.top + r
    _, _, height, width = out.shape
    for c in range(3):
        to = out[part.image, c, row, part.first_column : part.last_column]
        before = -(((part.image * 3 + c) * height + row) * width + part.first_column) % LINE
        difference = place(at.colors, r) + c
        if len(numbers.planes) == 3:
            difference = at.work
            u, v = numbers.back[c, 1], numbers.back[c, 2]
            between(s, difference, after + 1, after + 2, u, v, n)
        if numbers.gamma:
            to_view(to, before, s, at.work + 1, first, difference, after, numbers.power)
        else:
            to_linear_view(to, before, s, at.work + 1, first, difference, after)


# Back


def backward(
    s,
    halves,
    at,
    at_halves,
    mosaic,
    grad,
    strides,
    part,
    sites,
    kernels,
    kinds,
    numbers,
    back,
    out,
    totals,
):
    """One part of one image. The first arguments are as those of `forward`.

    grad: flat gradients of views, with (4,) strides of image, color, row, column; kinds: (2,) of
    sharpening and denoising; out: gradients (images, H, W) of mosaics; totals: see rows.py.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    behind = 2 * (numbers.reach_sharpen + numbers.reach_denoise)
    for t in range(rows + DELAY + behind + BACK_DELAY):
        if t < rows:
            load(halves, place(at_halves.mosaic, t), mosaic, t, part, sites)
        r = t - DELAY
        colors = place(at.colors, max(r, 0))
        demosaic_kept(s, colors, halves, at_halves, t, rows, n, sites, kernels)
        if 0 <= r < rows:
            to_planes(s, at, r, numbers, n)
        r = finish_back(s, at, grad, strides, r, part, kinds, numbers, back, totals)
        if not (back.kernels or back.black or back.mosaic):
            continue
        gradient, row = demosaic_back(
            s, at.of_colors, halves, at_halves, r, part, sites, kernels, totals, back.kernels
        )
        r -= BACK_DELAY
        if 0 <= r < rows and is_owned(part, r):
            to, work, black = totals_of(totals, part, r), at.work, back.black
            load_back(out, to, s, work, halves, gradient, row, r, part, sites, black, back.mosaic)
    return True


@allocating
def finish_back(s, at, grad, strides, t, part, kinds, numbers, back, totals):
    """What can be done once row t of the planes is there.

    Returns the row whose gradients of colors are complete, at at.of_colors; it may be outside.
    """
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.planes)
    kind, way = kinds
    ring = at.sharp[kind]
    r = t - numbers.reach_sharpen
    if 0 <= r < rows and kind != sharpen.NONE:
        for p in range(count):
            blurred = place(at.blurred, r) + p
            sharpened(s, place(ring, r) + p, blurred, at, p, r, kind, rows, numbers, n)
    r -= numbers.reach_denoise
    if 0 <= r < rows:
        to = totals_of(totals, part, r)
        view_back(s, at, grad, strides, r, part, kinds, numbers, back, to)
        for p in range(count):
            sum3_planes(s, at, r, p, back, n)
            change_back(s, at, ring, r, p, way, part, back, to)
    r -= numbers.reach_denoise
    if 0 <= r < rows:
        to = totals_of(totals, part, r)
        for p in range(count):
            denoise_back(s, place(at.of_sharp, r) + p, at, ring, r, p, way, rows, numbers, back, n)
            sharpen_margins(s, at, r, p, kind, numbers, n)
            if back.sharpen and kind != sharpen.NONE and is_owned(part, r):
                sharpen_sums(s, at, r, p, kind, part, numbers, to)
    r -= numbers.reach_sharpen
    if 0 <= r < rows:
        for p in range(count):
            sharpen_back(s, at.of_planes + p, at, r, p, kind, rows, numbers, back, n)
        colors_back(s, at, r, part, numbers, back, totals_of(totals, part, r))
    return r


@exact
def sum3_planes(s, at, r, p, back, n):
    """The gradient of denoised plane p from that of linear RGB."""
    red = place(at.linear, r)
    sum3(s, place(at.change, r) + p, red, red + 1, red + 2, back.planes[p], n)


@exact
def view_back(s, at, grad, strides, r, part, kinds, numbers, back, totals):
    """Row r of the gradient of linear RGB, from that of the view. totals: of the row."""
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.planes)
    kind, way = kinds
    before = place(at.planes, r)
    after = place(at.sharp[kind], r)
    if way != denoise.NONE:
        after = place(at.denoised, r)
        for p in range(count):
            denoised(s, after + p, at.sharp[kind], p, at.work, r, way, rows, numbers, n)
    red, weights = place(at.colors, r), numbers.color
    if count == 3:
        red, before, weights = after, after, numbers.back  # Y, U, V, and no change to add
    zero(s, at.of_exponent, n)
    for c in range(3):
        to = place(at.linear, r) + c
        start = part.image * strides[0] + c * strides[1]
        start += (part.top + r) * strides[2] + part.left * strides[3]
        load_gradient(s, to, grad, start, strides[3], n)
        if numbers.gamma:
            gamma_back(
                s,
                to,
                red,
                weights[c],
                after,
                before,
                at.of_exponent,
                numbers.exponent,
                back.floor_slope,
                n,
            )
    if back.gamma and is_owned(part, r):
        first, own = part.first_column - part.left, part.last_column - part.first_column
        total(totals, EXPONENT, s, at.of_exponent, first, own)


FORWARD = {
    step: task(forward, demosaic=stage.forward, DELAY=stage.delay)
    for step, stage in DEMOSAICING.items()
}
BACKWARD = {
    step: task(
        backward,
        demosaic_kept=stage.kept,
        demosaic_back=stage.back,
        DELAY=stage.delay,
        BACK_DELAY=stage.back_delay,
    )
    for step, stage in DEMOSAICING.items()
}
