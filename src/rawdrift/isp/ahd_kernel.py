"""AHD demosaicing by a compiled kernel: the values of the steps in ahd.py, without gradients."""

import numpy as np
import torch
from torch import Tensor

from rawdrift.compiled import exact, inlined, look_up, put, task
from rawdrift.machine import empty, for_each
from rawdrift.neighborhood import extend

f32, i32 = np.float32, np.int32
MARGIN = 6  # beyond the reach of a choice, and even
_STRIP = 24  # rows that are in work at a time
_FULL = f32(65535)


def demosaiced(
    x: Tensor, parity: tuple[int, int], taps: Tensor, xyz: Tensor, roots: Tensor
) -> Tensor:
    """Return the views (..., 3, H, W) of balanced mosaics (..., H, W), on the CPU.

    x: float32 or float64, as the views are. parity: of the rows with red, and of the columns with
    red. taps: (5,) of green along a line; xyz: (3, 3); roots: (65536,) of CIE L*a*b*.
    """
    height, width = x.shape[-2:]
    mosaics = extend(x, MARGIN, MARGIN).reshape(-1, height + 2 * MARGIN, width + 2 * MARGIN)
    images = np.ascontiguousarray(mosaics.numpy())
    shape = (*x.shape[:-2], 3, height, width)
    out = empty(*shape) if images.dtype == f32 else np.empty(shape, images.dtype)
    views = out.reshape(-1, 3, height, width)
    # The choice is made with the digits of float32, as in the steps.
    numbers = [
        np.ascontiguousarray(t.numpy(), dtype=dtype)
        for t, dtype in ((taps, images.dtype), (xyz, f32), (roots, f32))
    ]

    def work(place: tuple[int, int]) -> bool:
        image, top = place
        bottom = min(top + _STRIP, height)
        return _develop(images[image], views[image], top, bottom, *parity, *numbers)

    places = [(i, top) for i in range(len(images)) for top in range(0, height, _STRIP)]
    for_each(work, places, torch.get_num_threads())
    return torch.from_numpy(out)


# Each function writes rows of n columns. Loops read by `look_up` and write by `put`, so that LLVM
# makes SIMD of them.


@exact
def _green(out, a, b, c, d, e, taps, own, n):
    """Green from five samples around, between the two beside. own: parity of the columns that are
    not green."""
    ta, tb, tc, td, te = taps[0], taps[1], taps[2], taps[3], taps[4]
    for j in range(n):
        left, here, right = look_up(b, j), look_up(c, j), look_up(d, j)
        t = ta * look_up(a, j) + tb * left + tc * here + td * right + te * look_up(e, j)
        t = min(max(t, min(left, right)), max(left, right))
        put(out, j, t if (j & 1) == own else here)


@exact
def _minus(out, a, b, n):
    for j in range(n):
        put(out, j, look_up(a, j) - look_up(b, j))


@exact
def _mean(out, a, b, n):
    half = f32(0.5)
    for j in range(n):
        put(out, j, half * look_up(a, j) + half * look_up(b, j))


@exact
def _color(out, green, at_own, at_green, own, n):
    """A color from what it differs from green by, at the two kinds of columns."""
    for j in range(n):
        x, y = look_up(at_own, j), look_up(at_green, j)
        put(out, j, look_up(green, j) + (x if (j & 1) == own else y))


@inlined
def _whole(value):
    return f32(i32(max(min(f32(value), f32(1)), f32(0)) * _FULL))


@inlined
def _root(roots, value):
    return look_up(roots, i32(max(min(value + f32(0.5), _FULL), f32(0))))


@exact
def _lab(light, a, b, red, green, blue, xyz, roots, n):
    xr, xg, xb = xyz[0, 0], xyz[0, 1], xyz[0, 2]
    yr, yg, yb = xyz[1, 0], xyz[1, 1], xyz[1, 2]
    zr, zg, zb = xyz[2, 0], xyz[2, 1], xyz[2, 2]
    for j in range(n):
        r, g, t = _whole(look_up(red, j)), _whole(look_up(green, j)), _whole(look_up(blue, j))
        x = _root(roots, xr * r + xg * g + xb * t)
        y = _root(roots, yr * r + yg * g + yb * t)
        z = _root(roots, zr * r + zg * g + zb * t)
        put(light, j, f32(i32(f32(64) * (f32(116) * y - f32(16)))))
        put(a, j, f32(i32(f32(32000) * (x - y))))
        put(b, j, f32(i32(f32(12800) * (y - z))))


@exact
def _change(light, tint, l0, a0, b0, l1, a1, b1, n):
    """How much two rows of L*a*b* differ, in lightness, and squared in color."""
    for j in range(n):
        a, b = look_up(a1, j) - look_up(a0, j), look_up(b1, j) - look_up(b0, j)
        put(light, j, abs(look_up(l1, j) - look_up(l0, j)))
        put(tint, j, a * a + b * b)


@exact
def _limit(out, left, right, up, down, n):
    for j in range(n):
        along = max(look_up(left, j), look_up(right, j))
        put(out, j, min(along, max(look_up(up, j), look_up(down, j))))


@inlined
def _is_near(light, tint, most_light, most_tint, j):
    near = (look_up(light, j) <= most_light) & (look_up(tint, j) <= most_tint)
    return f32(1) if near else f32(0)


@exact
def _alike(out, lights, tints, l0, t0, l1, t1, l2, t2, l3, t3, n):
    """How many of four neighbors look alike."""
    for j in range(n):
        most, tint = look_up(lights, j), look_up(tints, j)
        t = _is_near(l0, t0, most, tint, j) + _is_near(l1, t1, most, tint, j)
        put(out, j, t + _is_near(l2, t2, most, tint, j) + _is_near(l3, t3, most, tint, j))


@exact
def _sum3(out, a, b, c, n):
    for j in range(n):
        put(out, j, look_up(a, j) + look_up(b, j) + look_up(c, j))


@exact
def _choose(out, score, a, b, n):
    half = f32(0.5)
    for j in range(n):
        s, x, y = look_up(score, j), look_up(a, j), look_up(b, j)
        put(out, j, x if s > f32(0) else y if s < f32(0) else (x + y) * half)


def _strip(x, out, top, bottom, red_row, red_column, taps, xyz, roots):
    """Rows `top` to `bottom` of a view (3, H, W), of a mosaic with margins."""
    n, first = x.shape[1], top + MARGIN - 3  # the row of the mosaic that is row 0 of scratch
    rows, m, k = bottom - top + 6, n - 4, n - 2 * MARGIN
    # By direction and row; the last four: of lightness and color.
    greens, steps = np.zeros((2, rows, n), x.dtype), np.zeros((2, rows, n), x.dtype)
    means, colors = np.zeros((2, rows, n), x.dtype), np.zeros((2, rows, 3, n), x.dtype)
    lab, beside = np.zeros((2, rows, 3, n), f32), np.zeros((2, rows, 2, n), f32)
    above, limits = np.zeros((2, rows, 2, n), f32), np.zeros((2, n), f32)
    alike, votes, work = np.zeros((2, n), f32), np.zeros((rows, n), f32), np.zeros((2, n), x.dtype)
    more, score = np.zeros(n, f32), np.zeros(n, f32)
    for i in range(rows):
        r = first + i
        own, row = red_column if r % 2 == red_row else 1 - red_column, x[r]
        _green(greens[0, i, 2:], row, row[1:], row[2:], row[3:], row[4:], taps, own, m)
        up, down = x[r - 1, 2:], x[r + 1, 2:]
        _green(greens[1, i, 2:], x[r - 2, 2:], up, row[2:], down, x[r + 2, 2:], taps, own, m)
        for d in range(2):
            _minus(steps[d, i], row, greens[d, i], n)
            _mean(means[d, i, 1:], steps[d, i], steps[d, i, 2:], n - 2)
    for i in range(1, rows - 1):
        is_red = (first + i) % 2 == red_row
        own, mine = (red_column, 0) if is_red else (1 - red_column, 2)
        for d in range(2):
            green, rgb, t = greens[d, i], colors[d, i], lab[d, i]
            _mean(work[0], steps[d, i - 1], steps[d, i + 1], n)
            _mean(work[1], means[d, i - 1], means[d, i + 1], n)
            _color(rgb[mine], green, steps[d, i], means[d, i], own, n)
            _color(rgb[2 - mine], green, work[1], work[0], own, n)
            rgb[1, :] = green
            _lab(t[0], t[1], t[2], rgb[0], green, rgb[2], xyz, roots, n)
            u, s = lab[d, i - 1], beside[d, i]
            _change(s[0, 1:], s[1, 1:], t[0], t[1], t[2], t[0, 1:], t[1, 1:], t[2, 1:], n - 1)
            s = above[d, i]
            _change(s[0], s[1], u[0], u[1], u[2], t[0], t[1], t[2], n)
    for i in range(2, rows - 2):
        h, v, w = beside[0, i], above[1, i], above[1, i + 1]
        for q in range(2):
            _limit(limits[q], h[q], h[q, 1:], v[q], w[q], n - 1)
        for d in range(2):
            h, v, w = beside[d, i], above[d, i], above[d, i + 1]
            _alike(
                alike[d], limits[0], limits[1],
                h[0], h[1], h[0, 1:], h[1, 1:], v[0], v[1], w[0], w[1], n - 1,
            )  # fmt: skip
        _minus(more, alike[0], alike[1], n)
        _sum3(votes[i, 1:], more, more[1:], more[2:], n - 2)
    for y in range(top, bottom):
        i = y - top + 3
        _sum3(score, votes[i - 1], votes[i], votes[i + 1], n)
        for c in range(3):
            a, b = colors[0, i, c, MARGIN:], colors[1, i, c, MARGIN:]
            _choose(out[c, y], score[MARGIN:], a, b, k)
    return True


_develop = task(_strip)
