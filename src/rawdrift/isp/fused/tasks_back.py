"""The tasks of the backward pass: a part of one mosaic goes through the pipeline, and back.

As in tasks.py, a part is treated as an image of its own. Only its inner rectangle is written and
added up: the part must be larger than it by twice the pipeline's reach, except where the image
ends. First columns are even.
"""

from rawdrift.isp.fused import menon, menon_back
from rawdrift.isp.fused.bayer import bilinear, malvar
from rawdrift.isp.fused.bayer_back import (
    bilinear_back,
    bilinear_split,
    bilinear_sums,
    malvar_back,
    malvar_split,
    malvar_sums,
)
from rawdrift.isp.fused.compiled import exact, task
from rawdrift.isp.fused.finish import to_planes
from rawdrift.isp.fused.finish_back import finish_back, is_owned
from rawdrift.isp.fused.rows import PAD, SURE, weave
from rawdrift.isp.fused.sums import BLACK, BLOCK, dot, total
from rawdrift.isp.fused.tasks import load


def back_halves(reach: int) -> tuple[int, int, int]:
    """Rows of bilinear, Malvar's and Menon's; reach: of sharpening and denoising together."""
    kept = (2 * reach + menon_back.DELAY + 1) * menon_back.KEPT
    return (
        2 * (2 * reach + 3) + 4 + 3 * 6,
        2 * (2 * reach + 5) + 4 + 5 * 6,
        menon.SLOTS * menon.SLOT + 2 + kept + menon_back.SLOTS * menon_back.SLOT,
    )


@exact
def divide(s, row, by, first, n):
    at = (PAD + first) & SURE
    for j in range(n):
        s[row, at + j] /= by


@exact
def black_back(out, totals, s, halves, g, row, image, r, part, sites, back):
    """From row r of the corrected mosaic's gradient, halves from g on, to what is wanted of it.

    out: (images, H, W), or anything if it is not wanted; row: halves of the corrected mosaic;
    s: its first row is free.
    """
    first, last = part.first_column, part.last_column
    h = (first - part.left) // 2
    for p in range(2):
        count = (last - first + 1 - p) // 2
        if back.black:
            k = BLACK + 4 * (r % 2) + 2 * p
            total(totals, k, halves, g + p, h, count)
            dot(totals, k + 1, halves, g + p, row + p, 0, h, count)
    if back.mosaic:
        for p in range(2):
            divide(halves, g + p, sites.span[r % 2, p], h, (last - first + 1) // 2)
        weave(s, 0, halves, g, g + 1, part.right - part.left)
        to, at = out[image, part.top + r, first:last], PAD + ((first - part.left) & SURE)
        for j in range(len(to)):
            to[j] = s[0, at + j]


@task
def bilinear_back_task(
    s,
    halves,
    at,
    mosaic,
    grad,
    steps,
    image,
    part,
    sites,
    kernels,
    kinds,
    numbers,
    back,
    out,
    totals,
    block,
):
    """One part of one image. mosaic, sites, kernels, numbers: as for the forward pass.

    s, halves: `scratch` for the rings `at` and for `back_halves`; grad: flat gradients of views,
    (4,) `steps` from one image, color, row, column to the next; kinds: (2,) of sharpening and
    denoising, as in finish.py; out: gradients (images, H, W) of mosaics; totals: of numbers, see
    sums.py, those of the image and its columns from row `block`.
    """
    rows, n = part.bottom - part.top, part.right - part.left
    both = 2 * (numbers.reach_sharpen + numbers.reach_denoise)
    size = both + 3
    scratch = 2 * size
    ring = scratch + 4
    first, own = part.first_column - part.left, part.last_column - part.first_column
    chroma, red_row = sites.chroma, sites.red_row
    for t in range(rows + both + 2):
        if t < rows:
            load(halves, t % size * 2, mosaic, image, t, part, sites)
        r = t - 1
        if 0 <= r < rows:
            to = r % at.forward.colors_size * 3
            bilinear(s, to, halves, size, r, rows, n, chroma, red_row, kernels)
            to_planes(s, at.forward, r, numbers, n)
        r = finish_back(s, at, grad, steps, image, r, part, kinds, numbers, back, totals, block)
        if not (back.kernels or back.black or back.mosaic):
            continue
        if 0 <= r < rows:
            slot = ring + r % 3 * 6
            bilinear_split(halves, slot, s, at.work + 2, n)
            if back.kernels and is_owned(part, r):
                to = totals[block + (part.top + r) // BLOCK]
                bilinear_sums(to, halves, size, slot, r, rows, chroma, red_row, first, own)
        r -= 1
        if 0 <= r < rows and is_owned(part, r):
            to, row = totals[block + (part.top + r) // BLOCK], r % size * 2
            bilinear_back(halves, scratch, ring, r, rows, n, chroma, red_row, kernels)
            black_back(out, to, s[at.work :], halves, scratch, row, image, r, part, sites, back)
    return True


@task
def malvar_back_task(
    s,
    halves,
    at,
    mosaic,
    grad,
    steps,
    image,
    part,
    sites,
    kernels,
    kinds,
    numbers,
    back,
    out,
    totals,
    block,
):
    """The same with Malvar's demosaicing. kernels: as forward, and four for `malvar_back`."""
    rows, n = part.bottom - part.top, part.right - part.left
    both = 2 * (numbers.reach_sharpen + numbers.reach_denoise)
    size = both + 5
    scratch = 2 * size
    ring = scratch + 4
    first, own = part.first_column - part.left, part.last_column - part.first_column
    chroma, red_row = sites.chroma, sites.red_row
    rest = kernels[4, 0, 0] != 0
    for t in range(rows + both + 4):
        if t < rows:
            load(halves, t % size * 2, mosaic, image, t, part, sites)
        r = t - 2
        if 0 <= r < rows:
            to = r % at.forward.colors_size * 3
            malvar(s, to, halves, size, r, rows, n, chroma, red_row, kernels, scratch)
            to_planes(s, at.forward, r, numbers, n)
        r = finish_back(s, at, grad, steps, image, r, part, kinds, numbers, back, totals, block)
        if not (back.kernels or back.black or back.mosaic):
            continue
        if 0 <= r < rows:
            slot = ring + r % 5 * 6
            malvar_split(halves, slot, s, at.work + 2, r, n, chroma, red_row)
            if back.kernels and is_owned(part, r):
                to = totals[block + (part.top + r) // BLOCK]
                malvar_sums(to, halves, size, slot, r, rows, chroma, first, own)
        r -= 2
        if 0 <= r < rows and is_owned(part, r):
            to, row = totals[block + (part.top + r) // BLOCK], r % size * 2
            malvar_back(halves, scratch, ring, r, rows, n, chroma, kernels[5:], rest, scratch + 2)
            black_back(out, to, s[at.work :], halves, scratch, row, image, r, part, sites, back)
    return True


@task
def menon_back_task(
    s,
    halves,
    at,
    mosaic,
    grad,
    steps,
    image,
    part,
    sites,
    kernels,
    kinds,
    numbers,
    back,
    out,
    totals,
    block,
):
    """The same with Menon's demosaicing. kernels: (3, 5)."""
    rows, n = part.bottom - part.top, part.right - part.left
    both = 2 * (numbers.reach_sharpen + numbers.reach_denoise)
    size = both + menon_back.DELAY + 1
    scratch = menon.SLOTS * menon.SLOT
    kept = scratch + 2
    ring = kept + size * menon_back.KEPT
    chroma, red_row = sites.chroma, sites.red_row
    taps = kernels.reshape(3, 5, 1)
    for t in range(rows + menon.DELAY + both + menon_back.DELAY):
        if t < rows:
            load(halves, menon.slot(0, t, rows), mosaic, image, t, part, sites)
        r = t - menon.DELAY
        to = at.forward.colors + max(r, 0) % at.forward.colors_size * 3
        menon_back.keep_first(halves, 0, kept, size, t, rows, n, chroma)
        menon.menon(s, to, halves, 0, t, rows, n, chroma, red_row, kernels, scratch)
        menon_back.keep(halves, 0, kept, size, t, rows, n)
        if 0 <= r < rows:
            to_planes(s, at.forward, r, numbers, n)
        r = finish_back(s, at, grad, steps, image, r, part, kinds, numbers, back, totals, block)
        if not (back.kernels or back.black or back.mosaic):
            continue
        if 0 <= r < rows:
            slot = ring + r % menon_back.SLOTS * menon_back.SLOT
            malvar_split(halves, slot, s, at.work + 2, r, n, chroma, red_row)
        menon_back.back(
            halves, ring, kept, size, r, part, chroma, taps, scratch, totals, block, back.kernels
        )
        r -= menon_back.DELAY
        if 0 <= r < rows and is_owned(part, r):
            to, row = totals[block + (part.top + r) // BLOCK], kept + r % size * menon_back.KEPT
            slot = ring + r % menon_back.SLOTS * menon_back.SLOT + 4
            black_back(out, to, s[at.work :], halves, slot, row, image, r, part, sites, back)
    return True
