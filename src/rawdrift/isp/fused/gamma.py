"""Gamma: linear rows to rows of views, and the gradients of that.

The power function is for SIMD: x ** e of a clipped x with no branch, no table and no call.
"""

from typing import Any, NamedTuple

import numpy as np

from rawdrift.compiled import LINE, exact, fast, store_line
from rawdrift.isp.constants import SLOPE_FLOOR
from rawdrift.isp.fused.rows import PAD, SURE, f32, i32

# Minimax polynomials (Remez): log2(1 + t) / t on [sqrt(1/2) - 1, sqrt(2) - 1], to 3e-7, and
# (2**f - 1) / f on [-1/2, 1/2], to 1e-7, both relative to their argument.
_LOG2 = tuple(
    f32(c)
    for c in (
        1.442699670791626,
        -0.7213758230209351,
        0.48046624660491943,
        -0.3589631915092468,
        0.2972504496574402,
        -0.27268660068511963,
        0.17065849900245667,
    )
)
_EXP2 = tuple(
    f32(c)
    for c in (
        0.6931472420692444,
        0.24022234976291656,
        0.055503085255622864,
        0.009671861305832863,
        0.001340723829343915,
    )
)
_SQRT_HALF = i32(0x3F3504F3)  # bits of sqrt(1/2)
_ABOVE = i32(-0x800000)  # masks the bits above those of the fraction
_ONE = f32(1)
ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it rounds a small float, halves to even

Power = tuple[np.float32, ...]  # the numbers of a power function, see `power_of`


def power_of(exponent: float) -> Power:
    """The numbers that `power` takes for x ** exponent, which is from 0.02 to 50.

    The logarithm's numbers times the exponent, and the largest x that is taken for 0: its power is
    2**-126, or it is the smallest normal float32.
    """
    # The logarithm is a polynomial of 1 - m, so that 1 is one constant for the loops to keep.
    taps = [exponent * float(c) * (-1) ** (i + 1) for i, c in enumerate(_LOG2)]
    zero = 2.0 ** (-126 / max(1.0, exponent))
    return tuple(f32(value) for value in (*taps, exponent * 2.0**-23, zero))


_LOGARITHM = power_of(1.0)


class Correction(NamedTuple):
    """Its numbers, float32."""

    on: bool  # whether there is gamma correction at all
    exponent: np.float32
    power: Power  # of x ** exponent
    floor_slope: np.float32  # of base ** (exponent - 1) below SLOPE_FLOOR


@fast
def scaled_log2(x, numbers):
    """The logarithm of a normal positive float32, times the exponent of the numbers."""
    bits = f32(x).view(i32)
    # x = m * 2**k with sqrt(1/2) <= m < sqrt(2), so that the logarithm of 1 is exactly 0.
    k = i32(i32(bits - _SQRT_HALF) & _ABOVE)  # times 2**23
    t = _ONE - i32(bits - k).view(f32)
    p = numbers[6]
    p = p * t + numbers[5]
    p = p * t + numbers[4]
    p = p * t + numbers[3]
    p = p * t + numbers[2]
    p = p * t + numbers[1]
    p = p * t + numbers[0]
    return p * t + f32(k) * numbers[7]


@fast
def log2(x):
    """Base-2 logarithm of a normal positive float32, absolute error under 4e-7."""
    return scaled_log2(x, _LOGARITHM)


@fast
def normal_exp2(s):
    """2 ** s of a float32 from -126 to 127, relative error under 2e-7."""
    n = s + ROUND
    f = s + (ROUND - n)
    q = _EXP2[4]
    q = q * f + _EXP2[3]
    q = q * f + _EXP2[2]
    q = q * f + _EXP2[1]
    q = q * f + _EXP2[0]
    q = q * f + _ONE
    return i32(f32(q).view(i32) + i32(f32(n).view(i32) << i32(23))).view(f32)


@fast
def exp2(s):
    """2 ** s of a float32 up to 127, where s under -126 counts as -126."""
    return normal_exp2(f32(-126) if s < f32(-126) else s)


@fast
def power(x, numbers):
    """clip(x, 0, 1) ** e in float32; 0 and 1 exact, NaN stays NaN. numbers: those of e.

    Absolute error under 5e-7, or under 2e-6 where e is over 2.
    """
    zero = numbers[8]
    c = zero if x < zero else x
    c = _ONE if c > _ONE else c
    v = normal_exp2(scaled_log2(c, numbers))
    return v if c > zero else c - c


@fast
def _as_it_is(x, numbers):
    return x


def _writer(curve: Any) -> Any:
    """The part that writes a row of a view, which is a curve of linear values."""

    @fast
    def to_view(out, before, s, work, first, difference, luma, numbers):
        """out = curve(difference + luma), a row of a view, from column `first` of two rows.

        before: columns of `out` before its first line of the cache begins; work: a row of scratch.
        """
        n, scratch = len(out), s[work]
        begin = min(before, n)
        lines = (n - begin) // 64 * 64
        at = (PAD + first + begin) & SURE
        for j in range(0, lines, 64):
            for i in range(64):
                s[work, i] = curve(s[difference, at + j + i] + s[luma, at + j + i], numbers)
            for i in range(0, 64, LINE):
                store_line(out, begin + j + i, scratch, i)
        for start, end in ((0, begin), (begin + lines, n)):
            at = (PAD + first + start) & SURE
            for j in range(end - start):
                out[start + j] = curve(s[difference, at + j] + s[luma, at + j], numbers)

    return to_view


to_view = _writer(power)
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
