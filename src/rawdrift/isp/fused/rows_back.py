"""What single rows of gradients go through on the way back. See rows.py."""

import numpy as np

from rawdrift.isp.fused.compiled import exact, fast
from rawdrift.isp.fused.power import exp2, log2
from rawdrift.isp.fused.rows import PAD, f32
from rawdrift.isp.gamma import SLOPE_FLOOR

_FLOOR = f32(SLOPE_FLOOR)
_LOG2_FLOOR = f32(np.log2(SLOPE_FLOOR))


@exact
def load_gradient(s, row, grad, start, step, n):
    """n samples of the flat array of gradients, each `step` behind the last."""
    if step == 1:
        samples = grad[start : start + n]
        for j in range(n):
            s[row, PAD + j] = samples[j]
    elif step == 0:
        for j in range(n):
            s[row, PAD + j] = grad[start]
    else:
        for j in range(n):
            s[row, PAD + j] = grad[start + j * step]


@exact
def clip(x):
    """x in [0, 1]; NaN stays NaN."""
    low = f32(0) if x < f32(0) else x
    return f32(1) if low > f32(1) else low


@fast
def gamma_back(s, row, red, weights, after, before, of_exponent, exponent, floor_slope, n):
    """Multiply gradients by the slope of clip(x) ** exponent, as gamma.py has it.

    x: weights @ three rows from `red` on, plus the change of luma. of_exponent: has the gradients
    of the exponent added, but for a factor log(2).
    """
    a, b, c, less = weights[0], weights[1], weights[2], exponent - f32(1)
    green, blue = red + 1, red + 2
    for j in range((n + 63) // 64 * 64):
        x = a * s[red, PAD + j] + b * s[green, PAD + j] + c * s[blue, PAD + j]
        x = x + (s[after, PAD + j] - s[before, PAD + j])
        g, base = s[row, PAD + j], clip(x)
        log = log2(base)
        slope = exp2(less * log)
        y = slope * base
        s[of_exponent, PAD + j] += g * y * (log if log > _LOG2_FLOOR else _LOG2_FLOOR)
        slope = slope if base >= _FLOOR else floor_slope
        s[row, PAD + j] = g * exponent * slope if base == x else f32(0)


@fast
def add_luma(s, linear, y, luma, n):
    """To gradients of linear RGB, that of Y beyond their sum, times Y's weights."""
    a, b, c = luma[0], luma[1], luma[2]
    green, blue = linear + 1, linear + 2
    for j in range((n + 63) // 64 * 64):
        r, g, t = s[linear, PAD + j], s[green, PAD + j], s[blue, PAD + j]
        z = s[y, PAD + j] - (r + g + t)
        s[linear, PAD + j] = r + a * z
        s[green, PAD + j] = g + b * z
        s[blue, PAD + j] = t + c * z


@fast
def add_scaled(s, out, row, weight, n):
    for j in range((n + 63) // 64 * 64):
        s[out, PAD + j] += weight * s[row, PAD + j]


@fast
def share(s, g, medians, a, b, c, n):
    """Divide gradients by how many of the 3x3 samples around equal the median."""
    for j in range((n + 63) // 64 * 64):
        m, count = s[medians, PAD + j], f32(0)
        count += f32(1) if s[a, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[a, PAD + j] == m else f32(0)
        count += f32(1) if s[a, PAD + 1 + j] == m else f32(0)
        count += f32(1) if s[b, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[b, PAD + j] == m else f32(0)
        count += f32(1) if s[b, PAD + 1 + j] == m else f32(0)
        count += f32(1) if s[c, PAD - 1 + j] == m else f32(0)
        count += f32(1) if s[c, PAD + j] == m else f32(0)
        count += f32(1) if s[c, PAD + 1 + j] == m else f32(0)
        s[g, PAD + j] /= count


@fast
def add_chosen(s, out, row, g, medians, weight, n):
    """Add the gradients of medians in one row to the samples that equal them, and to margins."""
    for j in range((n + 2 + 63) // 64 * 64):
        v = s[row, PAD - 1 + j]
        t = s[g, PAD - 2 + j] if s[medians, PAD - 2 + j] == v else f32(0)
        t += s[g, PAD - 1 + j] if s[medians, PAD - 1 + j] == v else f32(0)
        t += s[g, PAD + j] if s[medians, PAD + j] == v else f32(0)
        s[out, PAD - 1 + j] += weight * t
