"""Gamma: linear rows to rows of views, and the gradients of that."""

from typing import Any, NamedTuple

import numpy as np

from rawdrift.compiled import LINE, before_line, exact, fast, inlined, store_line
from rawdrift.isp.constants import SLOPE_FLOOR
from rawdrift.isp.fused.power import Power, clipped_power, exp2, log2, power_line
from rawdrift.isp.fused.rows import PAD, SURE, f32

_SAMPLES = 64  # of a row, that are written at once


class Correction(NamedTuple):
    """Its numbers, float32."""

    on: bool  # whether there is gamma correction at all
    exponent: np.float32
    power: Power  # of x ** exponent
    floor_slope: np.float32  # of base ** (exponent - 1) below SLOPE_FLOOR


@inlined
def _as_it_is(s, work, difference, luma, at, power):
    for i in range(_SAMPLES):
        s[work, i] = s[difference, at + i] + s[luma, at + i]


@inlined
def _by_polynomials(s, work, difference, luma, at, power):
    for i in range(_SAMPLES):
        s[work, i] = clipped_power(s[difference, at + i] + s[luma, at + i], power.taps)


@inlined
def _by_tables(s, work, difference, luma, at, power):
    for i in range(0, _SAMPLES, LINE):
        power_line(s[work], i, s[difference], s[luma], at + i, power.tables)


def _writer(curve: Any) -> Any:
    """The part that writes a row of a view, which is a curve of linear values."""

    @fast
    def to_view(out, s, work, first, difference, luma, power):
        """out = curve(difference + luma), a row of a view, from column `first` of two rows.

        work: a row of scratch.
        """
        n, at, scratch = len(out), (PAD + first) & SURE, s[work]
        begin = min(before_line(out), n)
        end = begin + (n - begin) // _SAMPLES * _SAMPLES
        for j in range(begin, end, _SAMPLES):
            curve(s, work, difference, luma, at + j, power)
            for i in range(0, _SAMPLES, LINE):
                store_line(out, j + i, scratch, i)
        for start, stop in ((0, begin), (end, n)):
            if start < stop:
                curve(s, work, difference, luma, at + start, power)
                for j in range(start, stop):
                    out[j] = s[work, j - start]

    return to_view


to_view, to_view_by_tables = _writer(_by_polynomials), _writer(_by_tables)
to_linear_view = _writer(_as_it_is)


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
def _clip(x):
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
        g, base = s[row, PAD + j], _clip(x)
        log = log2(base)
        slope = exp2(less * log)
        y = slope * base
        s[of_exponent, PAD + j] += g * y * (log if log > _LOG2_FLOOR else _LOG2_FLOOR)
        slope = slope if base >= _FLOOR else floor_slope
        s[row, PAD + j] = g * exponent * slope if base == x else f32(0)
