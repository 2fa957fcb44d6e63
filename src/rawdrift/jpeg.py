"""Views through JPEG files, as libjpeg encodes and decodes them.

Only what loses something is computed: colors to luma and chroma, fewer samples of chroma, the
cosine transform, rounding to the quantization tables, and the way back. The coding of the numbers
in the file, which takes most of libjpeg's time, loses nothing. The pixels are the same, bit by bit:
8-bit integers, the "slow" integer transforms, and smooth ("fancy") upsampling, libjpeg's defaults.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawdrift.compiled import allocating, exact, fast, inlined, task

Array = np.ndarray[Any, Any]

i32 = np.int32
f32 = np.float32
u16 = np.uint16
u64 = np.uint64
LANES = 32  # blocks that are transformed at once

SUBSAMPLING = {"444": (1, 1), "422": (1, 2), "420": (2, 2)}
"""Rows and columns of the image for each of chroma."""

# Tables K.1 and K.2 of the standard (ITU-T T.81), row by row.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *4 * ((99, 99, 99, 99, 99, 99, 99, 99),),
)


def compressed(views: Tensor, quality: int, subsampling: str) -> Tensor:
    """Return views (..., 3, H, W) in [0, 1] as JPEG files of 8 bits give them back, on the CPU.

    quality: 1 to 100, with libjpeg's tables. subsampling: of chroma, a key of `SUBSAMPLING`.
    """
    images = views.detach().to("cpu").reshape(-1, *views.shape[-3:]).contiguous()
    out = torch.empty_like(images)
    compress(images, out, quality, subsampling)
    return out.view(views.shape).to(views.device)


def compress(images: Tensor, out: Tensor, quality: int, subsampling: str) -> None:
    """The same, of (N, 3, H, W) on the CPU, into `out`."""
    for image, new in zip(images.numpy(), out.numpy(), strict=True):
        _through_jpeg(image, new, *_tables(quality), *SUBSAMPLING[subsampling])


@lru_cache
def _tables(quality: int) -> tuple[Array, Array]:
    """Return the quantization tables of luma and chroma: (8, 8) int32."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = ((np.array(table) * percent + 50) // 100 for table in (LUMA, CHROMA))
    return luma.clip(1, 255).astype(i32), chroma.clip(1, 255).astype(i32)


@exact
def _blocks(n):
    """n or a little more, a multiple of 8."""
    return -(-n // 8) * 8


# Colors. Their numbers are multiples of 1/65536 below 256, which float32 holds exactly. A loop
# writes one row, so that LLVM makes SIMD of it.


@exact
def _round_levels(samples, levels):
    for x in range(len(samples)):
        levels[x] = f32(np.rint(samples[x] * f32(255)))


@fast
def _to_ycc(levels, planes, y):
    """Luma, blue and red from 0 to 255; the last column is repeated up to the end of the row."""
    r, g, b, n = levels[0], levels[1], levels[2], levels.shape[1]
    out, middle = planes[0, y], f32(128.5 - 1 / 65536)
    for x in range(n):
        rest = f32(38470 / 65536) * g[x] + f32(7471 / 65536) * b[x] + f32(0.5)
        out[x] = i32(f32(19595 / 65536) * r[x] + rest)
    out = planes[1, y]
    for x in range(n):
        rest = f32(-11059 / 65536) * r[x] - f32(21709 / 65536) * g[x] + middle
        out[x] = i32(f32(0.5) * b[x] + rest)
    out = planes[2, y]
    for x in range(n):
        rest = f32(-27439 / 65536) * g[x] - f32(5329 / 65536) * b[x] + middle
        out[x] = i32(f32(0.5) * r[x] + rest)
    for k in range(3):
        for x in range(n, planes.shape[2]):
            planes[k, y, x] = planes[k, y, n - 1]


@fast
def _to_rgb(luma, blue, red, image, y):
    out = image[0, y]
    for x in range(len(out)):
        more = f32(91881 / 65536) * (f32(red[x]) - f32(128))
        out[x] = _sample(luma[x], more, out)
    out = image[1, y]
    for x in range(len(out)):
        more = f32(-22554 / 65536) * (f32(blue[x]) - f32(128))
        out[x] = _sample(luma[x], more - f32(46802 / 65536) * (f32(red[x]) - f32(128)), out)
    out = image[2, y]
    for x in range(len(out)):
        more = f32(116130 / 65536) * (f32(blue[x]) - f32(128))
        out[x] = _sample(luma[x], more, out)


@inlined
def _sample(luma, more, out):
    """A level / 255, as a division rounds it."""
    level = f32(luma) + np.floor(more + f32(0.5))
    level, real = min(max(level, f32(0)), f32(255)), out.dtype.type
    return real(level) * real(1 / 256) + real(level) * real(1 / 65280)


# Samples of chroma. Those in words of two are reached without steps of 2, so by SIMD.


@exact
def _reduce(upper, lower, out):
    """Means of words of two rows; halves are rounded up and down in turn."""
    for x in range(len(out)):
        above = (upper[x] & u16(255)) + (upper[x] >> u16(8))
        below = (lower[x] & u16(255)) + (lower[x] >> u16(8))
        out[x] = u16(above + below + (u16(x) & u16(1)) + u16(1)) >> u16(2)


@exact
def _enlarge(here, near, left, right, sums, words):
    """A row of chroma, in words: three quarters of the nearest sample and one of the next.

    left, right: 16ths that are added to the samples of a word.
    """
    n = len(words)
    for x in range(n):
        sums[x + 1] = u16(3) * here[x] + near[x]
    sums[0], sums[n + 1] = sums[1], sums[n]
    for x in range(n):
        first = u16(u16(3) * sums[x + 1] + sums[x] + left) >> u16(4)
        second = u16(u16(3) * sums[x + 1] + sums[x + 2] + right) >> u16(4)
        words[x] = first | second << u16(8)


# Blocks of 8x8. LANES of them lie side by side: sample k of block j is s[k * LANES + j].


@exact
def _unpack(words, s, first):
    """Samples of some blocks, less 128, from words: the eight samples of a block each."""
    s = s[first:]
    for j in range(len(words)):
        word = words[j]
        s[j] = i32(word & u64(255)) - 128
        s[j + LANES] = i32(word >> u64(8) & u64(255)) - 128
        s[j + 2 * LANES] = i32(word >> u64(16) & u64(255)) - 128
        s[j + 3 * LANES] = i32(word >> u64(24) & u64(255)) - 128
        s[j + 4 * LANES] = i32(word >> u64(32) & u64(255)) - 128
        s[j + 5 * LANES] = i32(word >> u64(40) & u64(255)) - 128
        s[j + 6 * LANES] = i32(word >> u64(48) & u64(255)) - 128
        s[j + 7 * LANES] = i32(word >> u64(56)) - 128


@inlined
def _byte(value):
    return min(max(i32(value), i32(0)), i32(255))


@inlined
def _packed(sample, place):
    return u64(_byte(sample + 128)) << u64(8 * place)


@exact
def _pack(words, s, first):
    """The way back."""
    s = s[first:]
    for j in range(len(words)):
        low = _packed(s[j], 0) | _packed(s[j + LANES], 1)
        low |= _packed(s[j + 2 * LANES], 2) | _packed(s[j + 3 * LANES], 3)
        high = _packed(s[j + 4 * LANES], 4) | _packed(s[j + 5 * LANES], 5)
        high |= _packed(s[j + 6 * LANES], 6) | _packed(s[j + 7 * LANES], 7)
        words[j] = low | high


@exact
def _round(s, table):
    """Round to multiples of the table; the transform has left a factor of 8."""
    for k in range(64):
        step = table[k // 8, k % 8]
        half = f32(4 * step + 0.5)  # the 0.5 so that no quotient falls short of a whole number
        share = f32(1) / f32(8 * step)
        for j in range(k * LANES, (k + 1) * LANES):
            steps = i32((f32(abs(s[j])) + half) * share)
            s[j] = i32((steps if s[j] > 0 else -steps) * step)


# The transforms of Loeffler, Ligtenberg and Moschytz, in 8192ths, as in jfdctint.c and jidctint.c.


@inlined
def _odd(a, b, c, d):
    """The four products that the odd coefficients share, of both directions."""
    last = i32(9633 * (a + b + c + d))
    first, second = i32(-7373 * (a + d)), i32(-20995 * (b + c))
    third, fourth = i32(last - 16069 * (a + c)), i32(last - 3196 * (b + d))
    return (
        i32(2446 * a + first + third),
        i32(16819 * b + second + fourth),
        i32(25172 * c + second + third),
        i32(12299 * d + first + fourth),
    )


@inlined
def _transform(s, first, step, bits):
    """The cosine transform of 8 samples, `step` apart; the result is divided by 2**(bits - 13)."""
    n = step * LANES
    half = i32(1 << (bits - 1))
    for j in range(first, first + LANES):
        a, b, c, d = s[j], s[j + n], s[j + 2 * n], s[j + 3 * n]
        e, f, g, h = s[j + 4 * n], s[j + 5 * n], s[j + 6 * n], s[j + 7 * n]
        ah, bg, cf, de = i32(a + h), i32(b + g), i32(c + f), i32(d + e)
        outer, inner = i32(ah - de), i32(bg - cf)
        both = i32(4433 * (outer + inner) + half)
        s[j] = i32(8192 * (ah + de + bg + cf) + half) >> bits
        s[j + 4 * n] = i32(8192 * (ah + de - bg - cf) + half) >> bits
        s[j + 2 * n] = i32(both + 6270 * outer) >> bits
        s[j + 6 * n] = i32(both - 15137 * inner) >> bits
        seven, five, three, one = _odd(i32(d - e), i32(c - f), i32(b - g), i32(a - h))
        s[j + 7 * n] = i32(seven + half) >> bits
        s[j + 5 * n] = i32(five + half) >> bits
        s[j + 3 * n] = i32(three + half) >> bits
        s[j + n] = i32(one + half) >> bits


@inlined
def _transform_back(s, first, step, bits):
    """Eight samples from their cosine transform; the result is divided by 2**(bits - 13)."""
    n = step * LANES
    half = i32(1 << (bits - 1))
    for j in range(first, first + LANES):
        a, c, e, g = s[j], s[j + 2 * n], s[j + 4 * n], s[j + 6 * n]
        both = i32(4433 * (c + g))
        minor, major = i32(both - 15137 * g), i32(both + 6270 * c)
        plus, minus = i32(8192 * (a + e) + half), i32(8192 * (a - e) + half)
        seven, five, three, one = _odd(s[j + 7 * n], s[j + 5 * n], s[j + 3 * n], s[j + n])
        s[j] = i32(plus + major + one) >> bits
        s[j + 7 * n] = i32(plus + major - one) >> bits
        s[j + n] = i32(minus + minor + three) >> bits
        s[j + 6 * n] = i32(minus + minor - three) >> bits
        s[j + 2 * n] = i32(minus - minor + five) >> bits
        s[j + 5 * n] = i32(minus - minor - five) >> bits
        s[j + 3 * n] = i32(plus - major + seven) >> bits
        s[j + 4 * n] = i32(plus - major - seven) >> bits


@allocating
def _requantize(plane, rows, columns, table):
    """Transform the blocks of a plane, round them to multiples of the table, and transform back.

    plane: words of eight samples. Of its rows and words, so many are used; the last row is repeated
    below.
    """
    s = np.zeros(64 * LANES, i32)
    count = columns * (_blocks(rows) // 8)
    for first in range(0, count, LANES):
        end = min(first + LANES, count)
        block = first
        while block < end:  # along a row of blocks
            top, left = 8 * (block // columns), block % columns
            n = min(end - block, columns - left)
            for y in range(8):
                words = plane[min(top + y, rows - 1), left : left + n]
                _unpack(words, s, 8 * y * LANES + block - first)
            block += n
        for y in range(8):
            _transform(s, y * 8 * LANES, 1, 11)
        for x in range(8):
            _transform(s, x * LANES, 8, 15)
        _round(s, table)
        for x in range(8):
            _transform_back(s, x * LANES, 8, 11)
        for y in range(8):
            _transform_back(s, y * 8 * LANES, 1, 18)
        block = first
        while block < end:
            top, left = 8 * (block // columns), block % columns
            n = min(end - block, columns - left)
            for y in range(8):
                words = plane[top + y, left : left + n]
                _pack(words, s, 8 * y * LANES + block - first)
            block += n


# One image


@task
def _through_jpeg(image, out, luma, chroma, tall, wide):
    """Make of image (3, H, W) what a JPEG file gives back.

    luma, chroma: tables (8, 8). tall, wide: rows and columns for each sample of chroma.
    """
    height, width = image.shape[1:]
    rows, columns = -(-height // tall), -(-width // wide)  # of chroma
    planes = np.empty((3, _blocks(height), 2 * _blocks(-(-width // 2))), np.uint8)
    small = np.empty((2, _blocks(rows), _blocks(columns)), np.uint8)
    levels = np.empty((3, width), f32)
    for y in range(height):
        for k in range(3):
            _round_levels(image[k, y], levels[k])
        _to_ycc(levels, planes, y)
    pairs = planes.view(u16)
    for k in range(2):
        for y in range(rows):
            if wide == 1:
                small[k, y] = planes[k + 1, y, : small.shape[2]]
            else:
                lower = pairs[k + 1, min(y * tall + tall, height) - 1]
                _reduce(pairs[k + 1, y * tall], lower, small[k, y])
        _requantize(small[k].view(u64), rows, -(-columns // 8), chroma)
    _requantize(planes[0].view(u64), height, -(-width // 8), luma)
    line, sums = np.empty((2, columns * wide), np.uint8), np.empty(columns + 2, u16)
    for y in range(height):
        for k in range(2):
            here = small[k, y // tall]
            if wide == 1:
                line[k] = here[:columns]
            elif columns <= 2:
                for x in range(len(line[k])):
                    line[k, x] = here[x // 2]
            elif tall == 1:
                _enlarge(here, here, u16(4), u16(8), sums, line[k].view(u16))
            else:
                near = small[k, min(max(y // 2 + 2 * (y % 2) - 1, 0), rows - 1)]
                _enlarge(here, near, u16(8), u16(7), sums, line[k].view(u16))
        _to_rgb(planes[0, y], line[0], line[1], out, y)
