"""A power function for SIMD: x ** e of a clipped x with no branch, no table and no call."""

import numpy as np

from rawdrift.isp.fused.compiled import fast

f32 = np.float32
i32 = np.int32

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
_ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it rounds a small float to an integer

Numbers = tuple[np.float32, ...]  # of a power function, see `numbers_of`


def numbers_of(exponent: float) -> Numbers:
    """What `power` takes for x ** exponent, which is from 0.02 to 50.

    The logarithm's numbers times the exponent, and the largest x that is taken for 0: its power is
    2**-126, or it is the smallest normal float32.
    """
    # The logarithm is a polynomial of 1 - m, so that 1 is one constant for the loops to keep.
    taps = [exponent * float(c) * (-1) ** (i + 1) for i, c in enumerate(_LOG2)]
    zero = 2.0 ** (-126 / max(1.0, exponent))
    return tuple(f32(value) for value in (*taps, exponent * 2.0**-23, zero))


_LOGARITHM = numbers_of(1.0)


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
    n = s + _ROUND
    f = s + (_ROUND - n)
    q = _EXP2[4]
    q = q * f + _EXP2[3]
    q = q * f + _EXP2[2]
    q = q * f + _EXP2[1]
    q = q * f + _EXP2[0]
    q = q * f + _ONE
    return i32(f32(q).view(i32) + i32(f32(n).view(i32) << i32(23))).view(f32)


@fast
def exp2(s):
    """The same, where s under -126 counts as -126."""
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
