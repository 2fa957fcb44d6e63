"""Demosaiced colors to linear RGB, by planes that are filtered, and back.

White balance and color correction are one matrix. The planes are Y, whose change is added to red,
green and blue; or Y, U, V, from which red, green and blue are made; or none, if nothing filters.
"""

from typing import NamedTuple

from rawdrift.compiled import exact, fast, inlined, summing
from rawdrift.isp.fused.rows import COLOR, PAD, SURE, Array, f32, is_owned, mirror, place, sum3


class Color(NamedTuple):
    """Its numbers, float32. P planes are filtered: 0, 1 (Y) or 3 (Y, U, V)."""

    matrix: Array  # (3, 3): demosaiced colors to linear RGB
    plain: bool  # whether that changes nothing
    difference: Array  # (3, 3): demosaiced colors to RGB minus luma
    planes: Array  # (P, 3): demosaiced colors to the planes
    to_rgb: Array  # (3, 3): YUV to RGB, to each color Y as it is
    margin: int  # columns of the planes that are mirrored
    luma: Array  # (3,): Y from RGB
    planes_back: Array  # (P, 3): gradients of linear RGB to those of denoised planes
    colors_back: Array  # (3, 3): gradients of linear RGB (or Y, U, V) to those of colors


@inlined
def to_planes(s, at, r, numbers, n):
    """Row r of the planes, with margins, from the row of colors, which stays."""
    red = place(at.colors, r)
    for p in range(len(numbers.planes)):
        to = place(at.planes, r) + p
        sum3(s, to, red, red + 1, red + 2, numbers.planes[p], n)
        mirror(s, to, n, numbers.margin)


@inlined
def split(s, at, r, numbers, n):
    """Row r of the planes, with margins; in place of the colors stays what the planes lack.

    That is what red, green and blue differ from Y; or red, green and blue, where nothing filters.
    """
    red = place(at.colors, r)
    if len(numbers.planes) == 1:
        to = place(at.planes, r)
        _to_differences(s, to, red, numbers.planes[0], numbers.difference, n)
        mirror(s, to, n, numbers.margin)
    elif len(numbers.planes) == 3:
        to_planes(s, at, r, numbers, n)
    elif not numbers.plain:
        _mix(s, red, numbers.matrix, n)


@fast
def _to_differences(s, y, red, luma, weights, n):
    """Luma of three rows of colors to row y; what colors differ from it takes their place.

    luma: (3,); weights: (3, 3), from colors to color minus luma.
    """
    green, blue = red + 1, red + 2
    ya, yb, yc = luma[0], luma[1], luma[2]
    ra, rb, rc = weights[0, 0], weights[0, 1], weights[0, 2]
    ga, gb, gc = weights[1, 0], weights[1, 1], weights[1, 2]
    ba, bb, bc = weights[2, 0], weights[2, 1], weights[2, 2]
    for j in range((n + 63) // 64 * 64):
        r, g, b = s[red, PAD + j], s[green, PAD + j], s[blue, PAD + j]
        s[y, PAD + j] = ya * r + yb * g + yc * b
        s[red, PAD + j] = ra * r + rb * g + rc * b
        s[green, PAD + j] = ga * r + gb * g + gc * b
        s[blue, PAD + j] = ba * r + bb * g + bc * b


@fast
def _mix(s, red, weights, n):
    """Three rows of colors times (3, 3), in place."""
    green, blue = red + 1, red + 2
    ra, rb, rc = weights[0, 0], weights[0, 1], weights[0, 2]
    ga, gb, gc = weights[1, 0], weights[1, 1], weights[1, 2]
    ba, bb, bc = weights[2, 0], weights[2, 1], weights[2, 2]
    for j in range((n + 63) // 64 * 64):
        r, g, b = s[red, PAD + j], s[green, PAD + j], s[blue, PAD + j]
        s[red, PAD + j] = ra * r + rb * g + rc * b
        s[green, PAD + j] = ga * r + gb * g + gc * b
        s[blue, PAD + j] = ba * r + bb * g + bc * b


@exact
def planes_back(s, at, r, p, numbers, n):
    """Row r of the gradient of denoised plane p, at.change, from that of linear RGB."""
    red = place(at.linear, r)
    sum3(s, place(at.change, r) + p, red, red + 1, red + 2, numbers.planes_back[p], n)


@exact
def colors_back(s, at, r, part, numbers, wants_matrix, totals):
    """Row r of the gradient of colors, at at.of_colors, from those of the planes and of RGB.

    Adds the row to its totals of the matrix if they are wanted.
    """
    n, count = part.right - part.left, len(numbers.planes)
    g = at.of_planes if count == 3 else place(at.linear, r)
    if count == 1:
        _add_luma(s, g, at.of_planes, numbers.luma, n)
    for c in range(3):
        sum3(s, at.of_colors + c, g, g + 1, g + 2, numbers.colors_back[c], n)
    if wants_matrix and is_owned(part, r):
        first, own = part.first_column - part.left, part.last_column - part.first_column
        _dots_colors(totals, COLOR, s, g, place(at.colors, r), first, own)


@fast
def _add_luma(s, linear, y, luma, n):
    """To gradients of linear RGB, that of Y beyond their sum, times Y's weights."""
    a, b, c = luma[0], luma[1], luma[2]
    green, blue = linear + 1, linear + 2
    for j in range((n + 63) // 64 * 64):
        r, g, t = s[linear, PAD + j], s[green, PAD + j], s[blue, PAD + j]
        z = s[y, PAD + j] - (r + g + t)
        s[linear, PAD + j] = r + a * z
        s[green, PAD + j] = g + b * z
        s[blue, PAD + j] = t + c * z


@summing
def _dots_colors(totals, k, s, g, row, first, n):
    """Products of each of three rows from g with each of three from `row`."""
    at = (PAD + first) & SURE
    for i in range(3):
        a = b = c = f32(0)
        for j in range(n):
            v = s[g + i, at + j]
            a += v * s[row, at + j]
            b += v * s[row + 1, at + j]
            c += v * s[row + 2, at + j]
        totals[k + 3 * i] += a
        totals[k + 3 * i + 1] += b
        totals[k + 3 * i + 2] += c
