"""Power functions for SIMD: x ** e of a clipped x with no branch and no call.

One is made of polynomials, and one, in half the time, of tables that a register holds.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from rawdrift.compiled import LINE, fast, has, intrinsic
from rawdrift.isp.fused.rows import Array, f32, i32

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


def taps_of(exponent: float) -> tuple[np.float32, ...]:
    """The numbers that `clipped_power` takes for x ** exponent, which is from 0.02 to 50.

    The logarithm's numbers times the exponent, and the largest x that is taken for 0: its power is
    2**-126, or it is the smallest normal float32.
    """
    # The logarithm is a polynomial of 1 - m, so that 1 is one constant for the loops to keep.
    taps = [exponent * float(c) * (-1) ** (i + 1) for i, c in enumerate(_LOG2)]
    zero = 2.0 ** (-126 / max(1.0, exponent))
    return tuple(f32(value) for value in (*taps, exponent * 2.0**-23, zero))


_LOGARITHM = taps_of(1.0)


@fast
def scaled_log2(x, taps):
    """The logarithm of a normal positive float32, times the exponent of its taps."""
    bits = f32(x).view(i32)
    # x = m * 2**k with sqrt(1/2) <= m < sqrt(2), so that the logarithm of 1 is exactly 0.
    k = i32(i32(bits - _SQRT_HALF) & _ABOVE)  # times 2**23
    t = _ONE - i32(bits - k).view(f32)
    p = taps[6]
    p = p * t + taps[5]
    p = p * t + taps[4]
    p = p * t + taps[3]
    p = p * t + taps[2]
    p = p * t + taps[1]
    p = p * t + taps[0]
    return p * t + f32(k) * taps[7]


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
def clipped_power(x, taps):
    """clip(x, 0, 1) ** e in float32; 0 and 1 exact, NaN stays NaN. taps: those of e.

    Absolute error under 5e-7, or under 2e-6 where e is over 2.
    """
    zero = taps[8]
    c = zero if x < zero else x
    c = _ONE if c > _ONE else c
    v = normal_exp2(scaled_log2(c, taps))
    return v if c > zero else c - c


# With tables

# x = m * 2**k with 1 <= m < 2. The power of m is a quadratic polynomial on each 32nd of its range,
# and that of 2**k a product of two, by the upper and the lower bits of k. AVX-512 looks up each of
# 16 numbers in a register by 4 bits, or in two registers by 5.

_TABLED = 0.25, 2.2  # exponents, for which the error is below 3e-7

_UPPER, _LOWER, _FIRST, _SECOND, _THIRD = 0, 1, 3, 5, 7  # rows of tables


def tables_of(exponent: float) -> Array:
    """What `power_line` takes for x ** exponent: (9, LINE) float32."""
    upper = 2.0 ** (32 * exponent * (np.arange(16) - 3))
    upper[0] = 0  # of 0, and of what is below 2**-95
    upper[4:] = np.nan  # of NaN: other numbers have been clipped
    upper[8] = 0  # of -0
    lower = 2.0 ** (exponent * (np.arange(32) - 31))
    # Interpolation at Chebyshev's nodes, each coefficient after the last one has been rounded.
    m = 1 + (np.arange(32) + 0.5 + 0.5 * np.cos(np.pi / 6 * np.array([[1], [3], [5]]))) / 32
    rest = m**exponent
    slopes = np.diff(rest, axis=0) / np.diff(m, axis=0)
    third = (np.diff(slopes, axis=0)[0] / (m[2] - m[0])).astype(f32)
    rest -= third * m**2
    second = ((rest[2] - rest[0]) / (m[2] - m[0])).astype(f32)
    first = (rest - second * m).mean(0).astype(f32)
    first[0] = f32(1) - (second[0] + third[0])  # 1 stays 1
    return np.concatenate([upper, lower, first, second, third]).astype(f32).reshape(9, LINE)


@intrinsic
def power_line(context, out, i, a, b, j, tables):
    """out[i : i + LINE] = (a + b)[j : j + LINE] clipped to [0, 1], to the power of the tables.

    0 and 1 exact, NaN stays NaN.
    """

    def generate(context, builder, signature, arguments):
        if not has("avx512f"):
            return context.get_dummy_value()  # nobody calls it
        line, words = ir.VectorType(ir.FloatType(), LINE), ir.VectorType(ir.IntType(32), LINE)

        def at(array, *indices):
            data = context.make_array(signature.args[array])(context, builder, arguments[array])
            return builder.bitcast(builder.gep(data.data, indices), line.as_pointer())

        def load(array, index):
            values = builder.load(at(array, index))
            values.align = 4
            return values

        def table(row):
            values = load(5, ir.IntType(64)(LINE * row))
            values.set_metadata("invariant.load", builder.module.add_metadata([]))
            return values

        def call(name, *values):
            kind = ir.FunctionType(line, [value.type for value in values])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

        def in_one(row, index):
            return call("llvm.x86.avx512.permvar.sf.512", table(row), index)

        def in_two(row, index):
            name = "llvm.x86.avx512.vpermi2var.ps.512"
            return call(name, table(row), index, table(row + 1))

        def every(kind, value):
            return kind([value] * LINE)

        x = builder.fadd(load(2, arguments[4]), load(3, arguments[4]))
        zero, one = every(line, 0.0), every(line, 1.0)
        x = builder.select(builder.fcmp_ordered(">", zero, x), zero, x)
        x = builder.select(builder.fcmp_ordered("<", one, x), one, x)
        bits = builder.bitcast(x, words)
        upper, lower, part = (builder.lshr(bits, every(words, n)) for n in (28, 23, 18))
        bits = builder.or_(builder.and_(bits, every(words, 0x7FFFFF)), every(words, 0x3F800000))
        m = builder.bitcast(bits, line)
        power = call("llvm.fma.v16f32", in_two(_THIRD, part), m, in_two(_SECOND, part))
        power = call("llvm.fma.v16f32", power, m, in_two(_FIRST, part))
        scale = builder.fmul(in_one(_UPPER, upper), in_two(_LOWER, lower))
        builder.store(builder.fmul(scale, power), at(0, arguments[1])).align = 4
        return context.get_dummy_value()

    return types.void(out, types.intp, a, b, types.intp, tables), generate


class Power(NamedTuple):
    """The numbers of a power function."""

    taps: tuple[np.float32, ...]
    tables: Array
    is_tabled: bool


def power_of(exponent: float) -> Power:
    """The numbers of x ** exponent, which is from 0.02 to 50. Tables serve fewer exponents."""
    low, high = _TABLED
    is_tabled = low <= exponent <= high and has("avx512f")
    tables = tables_of(exponent) if is_tabled else np.zeros((0, LINE), f32)
    return Power(taps_of(exponent), tables, is_tabled)
