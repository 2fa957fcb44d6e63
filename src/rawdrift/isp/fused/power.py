"""A power function for SIMD: x ** e of a clipped x with no branch, no table and no call."""

import numpy as np

from rawdrift.isp.fused.compiled import exact, fast

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
_ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it rounds a small float to an integer


@exact
def clip(x):
    """x in [0, 1]; NaN stays NaN."""
    low = f32(0) if x < f32(0) else x
    return f32(1) if low > f32(1) else low


@fast
def log2(x):
    """Base-2 logarithm of a normal positive float32, absolute error under 4e-7."""
    bits = f32(x).view(i32)
    # x = m * 2**k with sqrt(1/2) <= m < sqrt(2), so that the logarithm of 1 is exactly 0.
    k = i32(i32(bits - _SQRT_HALF) >> i32(23))
    t = i32(bits - i32(k << i32(23))).view(f32) - f32(1)
    p = _LOG2[6]
    p = p * t + _LOG2[5]
    p = p * t + _LOG2[4]
    p = p * t + _LOG2[3]
    p = p * t + _LOG2[2]
    p = p * t + _LOG2[1]
    p = p * t + _LOG2[0]
    return p * t + f32(k)


@fast
def exp2(s):
    """2 ** s of a float32 up to 127, relative error under 2e-7; s under -126 counts as -126."""
    s = f32(-126) if s < f32(-126) else s
    n = s + _ROUND
    f = s - (n - _ROUND)
    q = _EXP2[4]
    q = q * f + _EXP2[3]
    q = q * f + _EXP2[2]
    q = q * f + _EXP2[1]
    q = q * f + _EXP2[0]
    q = q * f + f32(1)
    return i32(f32(q).view(i32) + i32(f32(n).view(i32) << i32(23))).view(f32)


@fast
def power(x, e):
    """clip(x, 0, 1) ** e in float32 for 0.2 <= e <= 5, absolute error under 5e-7; 0 and 1 exact."""
    c = clip(x)
    v = exp2(e * log2(c))
    return v if c > f32(0) else c
