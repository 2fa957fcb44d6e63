"""The tasks of the CPU engine: a part of a mosaic goes through all stages row by row, or back.

Row t of the mosaic is loaded; then every stage does the one row that it can do now, some rows
behind (its delay). What later stages read stays in rings of rows, in the first levels of the cache.
Going back, the forward pass is computed again in longer rings, with every stage's gradient behind.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from rawdrift.compiled import exact, fence, inlined, with_names
from rawdrift.isp.fused import denoise, linear, menon, sharpen
from rawdrift.isp.fused.black_level import Sites, load, load_back, load_view
from rawdrift.isp.fused.color import Color, colors_back, planes_back, split, to_planes
from rawdrift.isp.fused.denoise import Denoising, change_back, denoise_back, denoised
from rawdrift.isp.fused.gamma import (
    Correction,
    gamma_back,
    load_gradient,
    to_linear_view,
    to_view,
    to_view_by_tables,
)
from rawdrift.isp.fused.plan import GIVEN
from rawdrift.isp.fused.rows import (
    EXPONENT,
    Array,
    Halves,
    Ring,
    between,
    block_of,
    end,
    gatherings,
    is_owned,
    part_at,
    place,
    scratch,
    total,
    zero,
)
from rawdrift.isp.fused.sharpen import (
    Sharpening,
    sharpen_back,
    sharpen_margins,
    sharpen_sums,
    sharpened,
)
from rawdrift.parallel import parts


class Numbers(NamedTuple):
    """The numbers behind demosaicing."""

    color: Color
    sharpen: Sharpening
    denoise: Denoising
    gamma: Correction
    slots: Array  # (3, 3) int64: view by kinds of sharpening and denoising, -1 where not wanted


class Wanted(NamedTuple):
    """Which gradients are wanted."""

    gamma: bool
    color: bool
    sharpen: bool
    denoise: bool
    kernels: bool  # of demosaicing
    black: bool
    mosaic: bool


class Gathered(NamedTuple):
    """Taps of kernels on the way back, see `rows.gatherings`."""

    kernels: Array  # (n, C, K, L), of demosaicing
    sharpen: Array  # (C, K, L)
    denoise: Array  # (C, K, L)


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
    delay: int  # rows that colors are behind the mosaic: as far as a color reaches to each side
    back_delay: int  # rows that the mosaic's gradient is behind that of colors
    rings: tuple[int, int]  # rows of the mosaic in work at a time, and halves of each
    kept_halves: int  # for each row, or 0 if what is kept is the mosaic itself
    rings_back: tuple[int, int]  # as `rings`, of the gradient of colors
    load: Any = load  # a row


def _linear(forward: Any, back: Any, reach: int) -> Demosaicing:
    size = 2 * reach + 1
    rings = (size, 2), 0, (size, linear.GRADIENTS)
    return Demosaicing(forward, forward, back, reach, reach, *rings)


DEMOSAICING: dict[str, Demosaicing] = {  # by the names of the steps
    "Bilinear": _linear(linear.bilinear, linear.bilinear_back, linear.BILINEAR_DELAY),
    "Malvar2004": _linear(linear.malvar, linear.malvar_back, linear.MALVAR_DELAY),
    "Menon2007": Demosaicing(
        forward=menon.menon,
        kept=menon.menon_kept,
        back=menon.menon_back,
        delay=menon.DELAY,
        back_delay=menon.BACK_DELAY,
        rings=(menon.SLOTS, menon.SLOT),
        kept_halves=menon.KEPT,
        rings_back=(menon.GRADIENT_SLOTS, menon.GRADIENTS),
    ),
    # A view in place of the mosaic: for steps behind a demosaicing that has no kernel here.
    GIVEN: Demosaicing(linear.given, None, None, 0, 0, (1, 6), 0, (0, 0), load_view),
}


# Where rows are


@exact
def rows_of(numbers, back):
    """Where rows are, ring behind ring, and how many there are. back: for the way back, too."""
    p, s, n = len(numbers.color.planes), numbers.sharpen.reach, numbers.denoise.reach
    both, size = s + n, 1 if back else 0
    colors = Ring(0, 2 * both + 1 if back else both + 1, 3)
    planes = Ring(end(colors), 2 * both + 1 if back else max(2 * s, s + 2 * n) + 1, max(p, 1))
    filtered = Ring(end(planes), 2 * n + 1 if has_kind(numbers, sharpen.FILTER) else 0, p)
    unsharp = Ring(end(filtered), 2 * n + 1 if has_kind(numbers, sharpen.UNSHARP) else 0, p)
    work = end(unsharp)
    after = work + 3
    linear = Ring(after + p, size * (both + 1), 3)
    denoised = Ring(end(linear), size * (2 * n + 1), p)
    change = Ring(end(denoised), size * (2 * n + 1), p)
    of_sharp = Ring(end(change), size * (2 * s + 1), p)
    along = Ring(end(of_sharp), size * (2 * s + 1), p)
    blurred = Ring(end(along), size * (2 * n + 1), p)
    of_exponent = end(blurred)
    of_planes = of_exponent + size
    of_colors = of_planes + size * p
    at = Rows(
        colors,
        planes,
        (planes, filtered, unsharp),
        work,
        after,
        linear,
        denoised,
        change,
        of_sharp,
        along,
        blurred,
        of_exponent,
        of_planes,
        of_colors,
    )
    return at, of_colors + size * 3


@exact
def halves_of(numbers, back, rings, kept_halves, rings_back, back_delay):
    """Where halves are, and how many there are. The last arguments are those of `Demosaicing`."""
    behind = 2 * (numbers.sharpen.reach + numbers.denoise.reach)  # rows, of the colors' gradient
    size, each = rings
    mosaic = Ring(0, size + behind if back and kept_halves == 0 else size, each)
    kept = Ring(end(mosaic), behind + back_delay + 1 if back else 0, kept_halves)
    size, each = rings_back
    gradients = Ring(end(kept), size if back else 0, each)
    out = end(gradients)
    work = out + (2 if back else 0)
    return Halves(mosaic, kept, gradients, out, work), work + 2


@exact
def has_kind(numbers, kind):
    """Whether a view is wanted that is sharpened in this way."""
    slots = numbers.slots
    return max(slots[kind, 0], slots[kind, 1], slots[kind, 2]) >= 0


# Forward

# Every demosaicing has tasks of its own, in which these names have its values: see the end.
demosaic: Any = None
demosaic_kept: Any = None
demosaic_back: Any = None
DELAY = BACK_DELAY = KEPT = 0
RINGS = RINGS_BACK = (0, 0)


def forward(i, parts, mosaic, out, sites, kernels, numbers):
    """Part i of those of the images. False, with the rest left undone, if a sample is not sane.

    mosaic: (images, H, W) of three types, of which one is not empty; out: four (images, 3, H, W);
    kernels: of the demosaicing.
    """
    part = part_at(parts, i)
    rows, n = part.bottom - part.top, part.right - part.left
    at, count = rows_of(numbers, False)
    at_halves, half_count = halves_of(numbers, False, RINGS, 0, (0, 0), 0)
    s, halves = scratch(n, count), scratch((n + 1) // 2, half_count)
    for t in range(rows + DELAY + numbers.sharpen.reach + numbers.denoise.reach):
        if t < rows and not load(halves, place(at_halves.mosaic, t), mosaic, t, part, sites):
            return False
        r = t - DELAY
        colors = place(at.colors, max(r, 0))
        demosaic(s, colors, halves, at_halves, t, rows, n, sites, kernels)
        if 0 <= r < rows:
            split(s, at, r, numbers.color, n)
        finish(out, r, part, s, at, numbers)
    fence()
    return True


@inlined
def finish(out, t, part, s, at, numbers):
    """Once row t of the planes is there: rows of sharpening, and rows of views."""
    rows, n = part.bottom - part.top, part.right - part.left
    count = len(numbers.color.planes)
    r = t - numbers.sharpen.reach
    if 0 <= r < rows:
        for kind in range(1, 3):
            if has_kind(numbers, kind):
                for p in range(count):
                    to = place(at.sharp[kind], r) + p
                    sharpened(
                        s, to, at.work, at.work + 1, at.planes, p, r, kind, rows, numbers.sharpen, n
                    )
    r -= numbers.denoise.reach
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
                    denoised(s, after + p, ring, p, at.work, r, way, rows, numbers.denoise, n)
            write(out[view], r, part, s, at, after, numbers)


@inlined
def write(out, r, part, s, at, after, numbers):
    """Row r of a view, of the planes from row `after` on. out: (images, 3, H, W)."""
    n, first, row = part.right - part.left, part.first_column - part.left, part.top + r
    for c in range(3):
        to = out[part.image, c, row, part.first_column : part.last_column]
        difference = place(at.colors, r) + c
        if len(numbers.color.planes) == 3:
            difference = at.work
            u, v = numbers.color.to_rgb[c, 1], numbers.color.to_rgb[c, 2]
            between(s, difference, after + 1, after + 2, u, v, n)
        power = numbers.gamma.power
        if not numbers.gamma.on:
            to_linear_view(to, s, at.work + 1, first, difference, after, power)
        elif power.is_tabled:
            to_view_by_tables(to, s, at.work + 1, first, difference, after, power)
        else:
            to_view(to, s, at.work + 1, first, difference, after, power)


# Back


class Back(NamedTuple):
    """What the way back takes. mosaic, sites, kernels, numbers: as for `forward`."""

    mosaic: tuple[Array, Array, Array]
    grad: Array  # flat gradients of views
    strides: tuple[int, ...]  # (4,) in it, of image, color, row, column
    sites: Sites
    kernels: Array
    kinds: tuple[int, int]  # of sharpening and denoising
    numbers: Numbers
    wants: Wanted
    out: Array  # gradients (images, H, W) of mosaics
    totals: Array  # see rows.py


def backward(i, parts, given):
    """Part i of those of the images. given: `Back`."""
    part, numbers = part_at(parts, i), given.numbers
    rows, n = part.bottom - part.top, part.right - part.left
    _, count = rows_of(numbers, True)
    _, half_count = halves_of(numbers, True, RINGS, KEPT, RINGS_BACK, BACK_DELAY)
    kind, way = given.kinds
    of_sharpen = sharpen.kernel_back(numbers.sharpen, kind)
    of_denoise = denoise.kernel_back(numbers.denoise, way)
    gathered = Gathered(
        gatherings(given.kernels, rows),
        gatherings(of_sharpen.reshape(1, *of_sharpen.shape), rows)[0],
        gatherings(of_denoise.reshape(1, *of_denoise.shape), rows)[0],
    )
    rows_back(scratch(n, count), scratch((n + 1) // 2, half_count), part, gathered, given)
    fence()
    return True


def rows_back(s, halves, part, gathered, given):
    """All rows of a part. s, halves: scratch; given: `Back`."""
    mosaic, grad, strides, sites, kernels, kinds, numbers, wants, out, totals = given
    rows, n = part.bottom - part.top, part.right - part.left
    at, _ = rows_of(numbers, True)
    at_halves, _ = halves_of(numbers, True, RINGS, KEPT, RINGS_BACK, BACK_DELAY)
    behind = 2 * (numbers.sharpen.reach + numbers.denoise.reach)
    for t in range(rows + DELAY + behind + BACK_DELAY):
        if t < rows:
            load(halves, place(at_halves.mosaic, t), mosaic, t, part, sites)
        r = t - DELAY
        colors = place(at.colors, max(r, 0))
        demosaic_kept(s, colors, halves, at_halves, t, rows, n, sites, kernels)
        if 0 <= r < rows:
            to_planes(s, at, r, numbers.color, n)
        r = finish_back(s, at, grad, strides, r, part, gathered, kinds, numbers, wants, totals)
        if not (wants.kernels or wants.black or wants.mosaic):
            continue
        gradient, row = demosaic_back(
            s,
            at.of_colors,
            halves,
            at_halves,
            r,
            part,
            sites,
            kernels,
            gathered.kernels,
            totals,
            wants.kernels,
        )
        r -= BACK_DELAY
        if 0 <= r < rows and is_owned(part, r):
            to, work, black = totals[block_of(part, r)], at.work, wants.black
            load_back(out, to, s, work, halves, gradient, row, r, part, sites, black, wants.mosaic)


@inlined
def finish_back(s, at, grad, strides, t, part, gathered, kinds, numbers, wants, totals):
    """Do all that is possible once row t of the planes is there.

    Returns the row whose gradients of colors are complete, at at.of_colors; it may be outside.
    """
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.color.planes)
    kind, way = kinds
    ring = at.sharp[kind]
    r = t - numbers.sharpen.reach
    if 0 <= r < rows and kind != sharpen.NONE:
        for p in range(count):
            blurred = place(at.blurred, r) + p
            to = place(ring, r) + p
            sharpened(s, to, blurred, at.work + 1, at.planes, p, r, kind, rows, numbers.sharpen, n)
    r -= numbers.denoise.reach
    if 0 <= r < rows:
        sums = totals[block_of(part, r)]
        view_back(s, at, grad, strides, r, part, kinds, numbers, wants, sums)
        for p in range(count):
            planes_back(s, at, r, p, numbers.color, n)
            change_back(s, at, ring, r, p, way, part, wants.denoise, sums)
    r -= numbers.denoise.reach
    if 0 <= r < rows:
        sums = totals[block_of(part, r)]
        for p in range(count):
            to, taps = place(at.of_sharp, r) + p, gathered.denoise
            denoise_back(s, to, at, ring, r, p, way, rows, numbers.denoise, taps, n)
            sharpen_margins(s, at, r, p, kind, numbers.sharpen, n)
            if wants.sharpen and kind != sharpen.NONE and is_owned(part, r):
                sharpen_sums(s, at, r, p, kind, part, numbers.sharpen.reach, sums)
    r -= numbers.sharpen.reach
    if 0 <= r < rows:
        for p in range(count):
            to, taps = at.of_planes + p, gathered.sharpen
            sharpen_back(s, to, at, r, p, kind, rows, numbers.sharpen, taps, n)
        colors_back(s, at, r, part, numbers.color, wants.color, totals[block_of(part, r)])
    return r


@exact
def view_back(s, at, grad, strides, r, part, kinds, numbers, wants, totals):
    """Row r of the gradient of linear RGB, from that of the view. totals: of the row."""
    rows, n, count = part.bottom - part.top, part.right - part.left, len(numbers.color.planes)
    kind, way = kinds
    before = place(at.planes, r)
    after = place(at.sharp[kind], r)
    if way != denoise.NONE:
        after = place(at.denoised, r)
        for p in range(count):
            denoised(s, after + p, at.sharp[kind], p, at.work, r, way, rows, numbers.denoise, n)
    red, weights = place(at.colors, r), numbers.color.matrix
    if count == 3:
        red, before, weights = after, after, numbers.color.to_rgb  # Y, U, V, and no change to add
    zero(s, at.of_exponent, n)
    for c in range(3):
        to = place(at.linear, r) + c
        start = part.image * strides[0] + c * strides[1]
        start += (part.top + r) * strides[2] + part.left * strides[3]
        step, w, of_exponent = strides[3], weights[c], at.of_exponent
        if numbers.gamma.on:
            gamma = numbers.gamma
            gamma_back(s, to, grad, start, step, red, w, after, before, of_exponent, gamma, n)
        else:
            load_gradient(s, to, 0, grad, start, step, n)
    if wants.gamma and is_owned(part, r):
        first, own = part.first_column - part.left, part.last_column - part.first_column
        total(totals, EXPONENT, s, at.of_exponent, first, own)


@cache
def forward_task(stage: Demosaicing) -> Callable[..., bool]:
    """The task `forward` with this demosaicing."""
    return parts(
        forward, demosaic=stage.forward, load=stage.load, DELAY=stage.delay, RINGS=stage.rings
    )


@cache
def backward_task(stage: Demosaicing) -> Callable[..., bool]:
    """The task `backward` with this demosaicing."""
    names = {
        "DELAY": stage.delay,
        "BACK_DELAY": stage.back_delay,
        "RINGS": stage.rings,
        "KEPT": stage.kept_halves,
        "RINGS_BACK": stage.rings_back,
    }
    every = with_names(rows_back, demosaic_kept=stage.kept, demosaic_back=stage.back, **names)
    return parts(backward, rows_back=exact(every), **names)
