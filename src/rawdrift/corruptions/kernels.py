"""Kernels of corruptions: of one image, float32 or float64, on the CPU. In each loop one row is
written, so that LLVM makes SIMD of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawdrift.compiled import (
    allocating,
    bits_of,
    exact,
    fast,
    fence,
    highest_bits,
    is_within,
    shr,
    store_row,
    task,
)

f32 = np.float32
i32 = np.int32
u64 = np.uint64


def each(kernel: Callable[..., Any], images: Tensor, *constants: Any, **named: Any) -> Tensor:
    """Return new images like the given: kernel(image, new, *constants) for each, on the CPU."""
    source = images.detach().cpu().contiguous()
    out = torch.empty_like(source)
    for image, new in zip(source.numpy(), out.numpy(), strict=True):
        kernel(image, new, *constants, **named)
    return out.to(images.device)


# Means of boxes. A part takes one row of all channels: a call costs as much as part of a row.


@allocating
def _boxes(n, boxes):
    """The first of n pixels of each box, and n; of pixels in a box, and of those that it fills.

    A pixel with its center on the line between two boxes is in the first, and filled by the second.
    """
    ends = 2 * n * np.arange(boxes + 1)
    return (ends + boxes) // (2 * boxes), (ends + boxes - 1) // (2 * boxes)


@exact
def _mean_rows(view, first, end, out):
    n = end - first
    for k in range(len(view)):
        row, mean = view[k, first], out[k]
        for x in range(len(row)):
            mean[x] = row[x]
        for y in range(first + 1, end):
            row = view[k, y]
            for x in range(len(row)):
                mean[x] += row[x]
        if n & (n - 1):
            for x in range(len(row)):
                mean[x] /= f32(n)
        elif n > 1:
            for x in range(len(row)):  # the same, and faster
                mean[x] *= f32(1 / n)


@exact
def _sum_columns(rows, weights, margin, out):
    """Sums of columns from each on, by weights."""
    for k in range(len(rows)):
        row, sums, weight = rows[k], out[k, margin:], weights[0]
        for x in range(len(weight)):
            sums[x] = weight[x] * row[x]
        for i in range(1, len(weights)):
            right, weight = row[i:], weights[i]
            for x in range(len(weight)):
                sums[x] += weight[x] * right[x]


@exact
def _take_behind(rows, margin, bit, behind, out):
    """Where the distance `behind` has this bit, from so many columns to the left."""
    for k in range(len(rows)):
        here, there = rows[k, margin:], rows[k, margin - (1 << bit) :]
        new = out[k, margin:]
        for x in range(len(behind)):
            own, other = here[x], there[x]
            new[x] = other if shr(behind[x], bit) & 1 else own


@exact
def _fill(rows, margin, first, end, out):
    """Write a row of each channel to several of `out`."""
    for k in range(len(rows)):
        for y in range(first, end):
            store_row(rows[k, margin:], out[k, y])


@exact
def _pixelate(view, out, tops, firsts, weights, behind, farthest, margin, lines):
    """Means of boxes, in place of their pixels.

    tops: of boxes in the view, firsts: in `out`. weights: of the columns from the first of a box
    in `out` on. behind: of that, by column, the farthest one. lines: three of each channel, for use
    in between, with a margin at both ends. Returns the highest bits in the view.
    """
    most = bits_of(view[0, 0, 0])
    for box in range(len(tops) - 1):
        means, sums, moved = lines[0], lines[1], lines[2]
        most = max(most, highest_bits(view, tops[box], tops[box + 1]))  # brings rows to the cache
        _mean_rows(view, tops[box], tops[box + 1], means)
        _sum_columns(means, weights, margin, sums)
        bit = 0
        while 1 << bit <= farthest:
            _take_behind(sums, margin, bit, behind, moved)
            sums, moved, bit = moved, sums, bit + 1
        _fill(sums, margin, firsts[box], firsts[box + 1], out)
    fence()
    return most


@task
def pixelate(view, out, rows, columns):
    """Reduce view (C, H, W) to the means of so many rows and columns of boxes, and enlarge them.

    True if the view surely lies in [0, 1].
    """
    channels, height, width = view.shape
    (tops, above), (lefts, before) = _boxes(height, rows), _boxes(width, columns)
    margin = (lefts[1:] - before[:-1]).max()
    weights = np.zeros((margin, width), view.dtype)
    behind = np.empty(width, i32)
    for box in range(columns):
        left, right, first = lefts[box], lefts[box + 1], before[box]
        weights[left - first : right - first, first] = 1 / (right - left)
        behind[first : before[box + 1]] = np.arange(before[box + 1] - first)
    lines = np.zeros((3, channels, margin + width + margin), view.dtype)
    most = _pixelate(view, out, tops, above, weights, behind, behind.max(), margin, lines)
    return is_within(most, view)


# Streaks


@fast
def _add_weighted(row, weight, out):
    for x in range(len(out)):
        out[x] += weight * row[x]


@exact
def _extend(row, reach, out):
    """Repeat the edges of a row so far beyond them."""
    n = len(row)
    for x in range(reach):
        out[x], out[reach + n + x] = row[0], row[n - 1]
    inner = out[reach:]
    for x in range(n):
        inner[x] = row[x]


@exact
def _streak(view, out, rows, columns, weights, lines):
    height, reach = view.shape[1], len(weights)
    for k in range(len(view)):
        for y in range(height):
            _extend(view[k, y], reach, lines[y])
        for y in range(height):
            out[k, y] = 0
            for i in range(reach):
                line = lines[min(max(y + rows[i], 0), height - 1)]
                _add_weighted(line[reach + columns[i] :], weights[i], out[k, y])


@task
def streak(view, out, rows, columns, weights):
    """The sum of view (C, H, W) so many rows below and columns to the right, by weights."""
    height, width = view.shape[1:]
    lines = np.empty((height, width + 2 * len(weights)), view.dtype)
    _streak(view, out, rows, columns, weights, lines)


# Crystals


@exact
def _draw(grains, rows, columns, weights, out):
    """Lines of falling height, at most 1, from grains (H, W), few of which are not 0.

    The edge is repeated beyond the border.
    """
    height, width = grains.shape
    reach = len(weights)
    out[:] = 0
    for y in range(height):
        for x in range(width):
            if grains[y, x] != 0:
                top, bottom = y - reach * (y == 0), y + reach * (y == height - 1)
                left, right = x - reach * (x == 0), x + reach * (x == width - 1)
                for v in range(top, bottom + 1):
                    for u in range(left, right + 1):
                        for i in range(reach):
                            to, at = v - rows[i], u - columns[i]
                            if 0 <= to < height and 0 <= at < width:
                                out[to, at] = min(out[to, at] + weights[i] * grains[y, x], f32(1))


@exact
def _sow(chance, share, out):
    for x in range(len(out)):
        out[x] = chance[x] < share


@exact
def _thin(chance, out):
    """Keep a share of 0.4."""
    for x in range(len(out)):
        place = chance[x] * f32(4096)
        out[x] = out[x] if place - np.floor(place) < f32(0.4) else f32(0)


@exact
def _raise(row, share, out):
    for x in range(len(out)):
        out[x] = max(out[x], share * row[x])


@task
def crystal(chance, out, grains, branches, *twigs):
    """Raise out (H, W) to a crystal: branches that grow from grains, and twigs from the branches.

    chance: (H, W) uniform in [0, 1). grains: their share of all pixels. branches, twigs: lines, as
    `streak` takes them.
    """
    buds, parts = np.empty_like(out), np.empty_like(out)
    for y in range(len(out)):
        _sow(chance[y], f32(grains), parts[y])
    _draw(parts, *branches, buds)
    for y in range(len(out)):
        _raise(buds[y], f32(1), out[y])
        _thin(chance[y], buds[y])
    for twig in twigs:
        _draw(buds, *twig, parts)
        for y in range(len(out)):
            _raise(parts[y], f32(0.8), out[y])


# Depths


@task
def depths(drops, out, most):
    """Steps to the next 0 of drops (H, W), straight or diagonal, at most so many."""
    height, width = drops.shape
    for down in (True, False):
        for i in range(height):
            y, before = (i, i - 1) if down else (height - 1 - i, height - i)
            for j in range(width):
                x, left = (j, j - 1) if down else (width - 1 - j, width - j)
                least = most if down else out[y, x]
                if i > 0:
                    for near in range(max(x - 1, 0), min(x + 2, width)):
                        least = min(least, out[before, near] + 1)
                if j > 0:
                    least = min(least, out[y, left] + 1)
                out[y, x] = least if drops[y, x] else 0


# Fractal clouds


@exact
def _centers(out, half, scale):
    """half: uint64, as are all indices: signed ones cost a comparison with 0 each."""
    size, step = u64(len(out)), u64(2) * half
    for y in range(half, size, step):
        above, here, below = out[y - half], out[y], out[(y + half) & (size - u64(1))]
        for x in range(half, size, step):
            left, right = x - half, (x + half) & (size - u64(1))
            around = above[left] + above[right] + below[left] + below[right]
            here[x] = around * f32(0.25) + scale * here[x]


@exact
def _sides(out, half, scale):
    size, step = u64(len(out)), u64(2) * half
    last = size - u64(1)  # all bits of an index
    for y in range(u64(0), size, half):
        above, here, below = out[(y - half) & last], out[y], out[(y + half) & last]
        for x in range(half - y % step, size, step):
            around = here[(x - half) & last] + here[(x + half) & last] + above[x] + below[x]
            here[x] = around * f32(0.25) + scale * here[x]


@exact
def _stretch(out, low, range_):
    for y in range(len(out)):
        for x in range(len(out)):
            out[y, x] = (out[y, x] - low) / range_


@task
def plasma(noise, out, decay):
    """The diamond-square algorithm on a torus, see `fog.plasma`; noise, out: (S, S)."""
    out[:] = noise
    out[0, 0] = 0
    step, scale = len(out), 1.0
    while step >= 2:
        half = step // 2
        _centers(out, u64(half), out.dtype.type(scale))
        _sides(out, u64(half), out.dtype.type(scale))
        step, scale = half, scale / decay**2
    low = out.min()
    _stretch(out, low, out.max() - low)


# Disks


@exact
def _mirrored(i, n):
    """The index in [0, n) that mirror reflection finds at i."""
    period = max(2 * n - 2, 1)
    i %= period
    return min(i, period - i)


@fast
def _add(a, b, c, out):
    for x in range(len(out)):
        out[x] = a[x] + b[x] + c[x]


@fast
def _weigh(sums, steps, line, margin):
    """Write the sum of the rows by their steps, with margins. False if all steps are 0."""
    first, end, n = 0, len(steps), sums.shape[1]
    while end > 0 and steps[end - 1] == 0:
        end -= 1
    while first < end and steps[first] == 0:
        first += 1
    if first == end:
        return False
    inner, a, row = line[margin:], steps[first], sums[first]
    for x in range(n):
        inner[x] = a * row[x]
    for d in range(first + 1, end - 1, 2):
        a, b, row, other = steps[d], steps[d + 1], sums[d], sums[d + 1]
        for x in range(n):
            inner[x] += a * row[x] + b * other[x]
    if (end - first) % 2 == 0:
        a, row = steps[end - 1], sums[end - 1]
        for x in range(n):
            inner[x] += a * row[x]
    for i in range(1, margin + 1):
        line[margin - i] = inner[_mirrored(-i, n)]
        inner[n - 1 + i] = inner[_mirrored(n - 1 + i, n)]
    return True


@fast
def _gather(line, c, out):
    """Add what is c columns to the left and to the right."""
    if c == 0:
        for x in range(len(out)):
            out[x] += line[x]
    else:
        right = line[2 * c :]
        for x in range(len(out)):
            out[x] += line[x] + right[x]


@exact
def _copy(row, out):
    for x in range(len(out)):
        out[x] = row[x]


@exact
def _correlate(view, out, steps, sums, line):
    """sums: of rows y - d to y + d, by d. line: one row with margins."""
    height, reach = view.shape[1], len(steps) - 1
    for k in range(len(view)):
        plane = view[k]
        for y in range(height):
            _copy(plane[y], sums[0])
            out[k, y] = 0
            for d in range(1, reach + 1):
                above, below = _mirrored(y - d, height), _mirrored(y + d, height)
                _add(sums[d - 1], plane[above], plane[below], sums[d])
            for c in range(reach + 1):
                if _weigh(sums, steps[c], line[reach - c :], c):
                    _gather(line[reach - c :], c, out[k, y])


@task
def correlate(view, out, steps):
    """The sum around each pixel of view (C, H, W) by weights that are mirrored both ways.

    steps: (R + 1, R + 1), of the view's type. The weight at c columns and d rows from the center is
    the sum of steps[c, d:]. Few of them are not 0 for a disk. Borders are mirrored without the
    edge.
    """
    width, reach = view.shape[2], len(steps) - 1
    sums = np.empty((reach + 1, width), view.dtype)
    _correlate(view, out, steps, sums, np.empty(width + 2 * reach, view.dtype))
