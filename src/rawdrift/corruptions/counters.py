"""Random numbers on the CPU, each from its place in an array: many at once, by SIMD.

Philox4x32-10 (Salmon et al., SC 2011), as in cuRAND and in torch on GPUs: four words of 32 bits are
a function of a counter and a key.
"""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaln, xlogy

from rawdrift.compiled import exact, inlined, look_up, put, task

Array = np.ndarray[Any, Any]

f32 = np.float32
i32 = np.int32
u32 = np.uint32
u64 = np.uint64
WORD = u64(0xFFFFFFFF)
HALF = u64(32)
CHUNK = 256  # counters at once: their words stay in the first level of the cache


@inlined
def _round(a, b, c, d, low, high):
    first, second = u64(0xD2511F53) * a, u64(0xCD9E8D57) * c
    return (second >> HALF) ^ b ^ low, second & WORD, (first >> HALF) ^ d ^ high, first & WORD


@exact
def fill(words, key, counter):
    """Fill words (4 * CHUNK,) from counters `counter`, ...: CHUNK first words, then the second."""
    for i in range(CHUNK):
        here = u64(counter + i)
        low, high = key & WORD, key >> HALF
        a, b, c, d = here & WORD, here >> HALF, u64(0), u64(0)
        for _ in range(10):
            a, b, c, d = _round(a, b, c, d, low, high)
            low, high = (low + u64(0x9E3779B9)) & WORD, (high + u64(0xBB67AE85)) & WORD
        words[i], words[CHUNK + i] = u32(a), u32(b)
        words[2 * CHUNK + i], words[3 * CHUNK + i] = u32(c), u32(d)


@exact
def _scale(words, out, first, low, width):
    out = out[first : first + 4 * CHUNK]
    for i in range(len(out)):
        out[i] = low + width * f32(words[i] >> u32(8))


@task
def uniform(out, key, low, high):
    """Fill out (n,), float32, with numbers uniform in [low, high)."""
    words = np.empty(4 * CHUNK, u32)
    for first in range(0, len(out), 4 * CHUNK):
        fill(words, u64(key), first // 4)
        _scale(words, out, first, f32(low), f32((high - low) / 2**24))


# Poisson counts

# A count of a rate is the sum of independent counts of rates that add up to it: those of the rate's
# digits, by tables, and that of the rest, which is below 1/64 and seldom counts anything.

DIGITS = 64
MOST = float(DIGITS**2)  # rates are below this
LARGE, ONES, PARTS = 10, 7, 4  # bits of a place in the tables of 64, 1 and 1/64 times a digit


def poisson(rates: Array, out: Array, key: int) -> None:
    """Fill out (n,), float32, with Poisson counts of rates (n,), float32, in [0, MOST)."""
    large = rates.max(initial=0) >= DIGITS
    tables = _tables(DIGITS, LARGE if large else 0), _tables(1, ONES), _tables(1 / DIGITS, PARTS)
    _poisson(rates, out, key, large, *tables)


@cache
def _tables(value: float, bits: int) -> Array:
    """Return Walker's alias tables of the rates 0, value, ..., (DIGITS - 1) value, as one: uint32.

    The upper bits of a random word are a place in a table, and its lower bits, if they are not
    below the upper bits of the entry there, lead to another place: the lower bits of the entry. A
    place is a count less `_lowest`.
    """
    return np.array([_alias(digit * value, bits) for digit in range(DIGITS)], u32).ravel()


def _alias(rate: float, bits: int) -> list[int]:
    places, whole = 2**bits, 2 ** (32 - bits)
    counts = np.arange(places) + _lowest.py_func(rate)
    chances = np.exp(xlogy(counts, rate) - rate - gammaln(counts + 1))
    shares = (chances * (places / chances.sum())).tolist()
    others = list(range(places))
    small = [place for place in others if shares[place] < 1]
    large = [place for place in others if shares[place] >= 1]
    while small and large:
        place, other = small.pop(), large[-1]
        others[place] = other
        shares[other] -= 1 - shares[place]
        if shares[other] < 1:
            small.append(large.pop())
    own = [min(round(share * whole), whole - 1) for share in shares]
    return [part * places + other for part, other in zip(own, others, strict=True)]


@inlined
def _lowest(rate):
    """The least count in a table: the others' chances are below 1e-12."""
    return max(0, int(rate) - 512)


@inlined
def _count(tables, bits, digit, word):
    entry = look_up(tables, (digit << i32(bits)) + i32(word >> u32(32 - bits)))
    own = word & u32(2 ** (32 - bits) - 1) < entry >> u32(bits)
    return i32(word >> u32(32 - bits) if own else entry & u32(2**bits - 1))


@exact
def _counts(words, rates, tables, out):
    """Counts of the rates less a multiple of DIGITS."""
    for i in range(len(out)):
        rate = look_up(rates, i)
        whole = i32(rate)
        rest = rate - f32(whole)
        part = i32(rest * f32(DIGITS))
        rest -= f32(part) / f32(DIGITS)
        count = _count(tables[1], ONES, whole & i32(DIGITS - 1), look_up(words, i))
        count += _count(tables[2], PARTS, part, look_up(words, CHUNK + i))
        # One minus the chances of no count, of one at most, and of two, as series.
        word = f32(look_up(words, 2 * CHUNK + i)) * f32(2**-32)
        square = rest * rest
        count += word < rest - square * (f32(1 / 2) - rest * (f32(1 / 6) - rest * f32(1 / 24)))
        count += word < square * (f32(1 / 2) - rest * (f32(1 / 3) - rest * f32(1 / 8)))
        count += word < square * rest * (f32(1 / 6) - rest * f32(1 / 8))
        put(out, i, f32(count))


@exact
def _large_counts(words, rates, tables, out):
    """Counts of the multiples of DIGITS."""
    for i in range(len(out)):
        digit = i32(i32(look_up(rates, i)) // i32(DIGITS))
        count = _count(tables[0], LARGE, digit, look_up(words, 3 * CHUNK + i))
        put(out, i, f32(count + _lowest(DIGITS * digit)))


@exact
def _add(more, out):
    for i in range(len(out)):
        out[i] += more[i]


@task
def _poisson(rates, out, key, large, *tables):
    words, more = np.empty(4 * CHUNK, u32), np.empty(CHUNK, f32)
    for first in range(0, len(out), CHUNK):
        fill(words, u64(key), first)
        chunk = slice(first, first + CHUNK)
        _counts(words, rates[chunk], tables, out[chunk])
        if large:
            _large_counts(words, rates[chunk], tables, more[: len(out) - first])
            _add(more, out[chunk])
