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
def _clip(x):
    """x in [0, 1]; NaN stays NaN."""
    low = f32(0) if x < f32(0) else x
    return f32(1) if low > f32(1) else low


@inlined
def _back(s, i, g, row, red, weights, after, before, of_exponent, exponent, floor_slope):
    """The gradient of one linear value, at column i of scratch, from that of the view."""
    x = weights[0] * s[red, i] + weights[1] * s[red + 1, i] + weights[2] * s[red + 2, i]
    x = x + (s[after, i] - s[before, i])
    base = _clip(x)
    log = log2(base)
    slope = exp2((exponent - f32(1)) * log)
    y = slope * base
    s[of_exponent, i] += g * y * (log if log > _LOG2_FLOOR else _LOG2_FLOOR)
    slope = slope if base >= _FLOOR else floor_slope
    s[row, i] = g * exponent * slope if base == x else f32(0)


@fast
def _slopes(s, row, first, red, weights, after, before, of_exponent, exponent, floor_slope, n):
    """From column `first` on, of gradients that are in their row."""
    at = (PAD + first) & SURE
    for j in range((n - first + 63) // 64 * 64):
        i, g = at + j, s[row, at + j]
        _back(s, i, g, row, red, weights, after, before, of_exponent, exponent, floor_slope)


@fast
def _slopes_of(s, row, samples, red, weights, after, before, of_exponent, exponent, floor_slope):
    """The first columns, of gradients (64 k,) from outside: the processor fetches them while it
    computes."""
    for j in range(len(samples)):
        i, g = PAD + j, samples[j]
        _back(s, i, g, row, red, weights, after, before, of_exponent, exponent, floor_slope)


@exact
def load_gradient(s, row, first, grad, start, step, n):
    """Columns from `first` to n of the flat array of gradients, each `step` behind the last."""
    if step == 1:
        samples = grad[start + first : start + n]
        for j in range(len(samples)):
            s[row, PAD + first + j] = samples[j]
    elif step == 0:
        for j in range(first, n):
            s[row, PAD + j] = grad[start]
    else:
        for j in range(first, n):
            s[row, PAD + j] = grad[start + j * step]


@inlined
def gamma_back(s, row, grad, start, step, red, weights, after, before, of_exponent, numbers, n):
    """Gradients of one linear color to row `row`: those of the view, which are in a flat array from
    `start` on, each `step` behind the last, times the slope of clip(x) ** exponent as gamma.py has
    it.

    x: weights @ three rows from `red` on, plus the change of luma. of_exponent: has the gradients
    of the exponent added, but for a factor log(2).
    """
    exponent, floor_slope = numbers.exponent, numbers.floor_slope
    first = n // 64 * 64 if step == 1 else 0
    samples = grad[start : start + first]
    _slopes_of(s, row, samples, red, weights, after, before, of_exponent, exponent, floor_slope)
    load_gradient(s, row, first, grad, start, step, n)
    _slopes(s, row, first, red, weights, after, before, of_exponent, exponent, floor_slope, n)
