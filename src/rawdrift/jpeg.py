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

from rawdrift.compiled import (
    add,
    bits_of,
    exact,
    fast,
    fence,
    highest_bits,
    inlined,
    is_within,
    mul,
    mul_high,
    mul_whole,
    shr,
    store_row,
    sub,
    task,
)

Array = np.ndarray[Any, Any]

i16 = np.int16
i32 = np.int32
f32 = np.float32
u16 = np.uint16
u64 = np.uint64
LANES = 32  # blocks that are transformed at once
ROWS = 8  # of an image that are taken at once, an even number

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
    for image, new in zip(images.numpy(), out.numpy(), strict=True):
        compress(image, new, quality, subsampling)
    return out.view(views.shape).to(views.device)


def compress(image: Array, out: Array, quality: int, subsampling: str) -> bool:
    """The same, of one image (3, H, W) into `out`. True if it surely lies in [0, 1]."""
    return _through_jpeg(image, out, *_tables(quality), *SUBSAMPLING[subsampling])


@lru_cache
def _tables(quality: int) -> tuple[Array, Array]:
    """Return what `_round` needs of luma and chroma: (8, 8, 4) uint16."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = ((np.array(table) * percent + 50) // 100 for table in (LUMA, CHROMA))
    return _divisors(luma.clip(1, 255)), _divisors(chroma.clip(1, 255))


def _divisors(steps: Array) -> Array:
    """Return steps, and for rounding by 8 of each: half, and the numbers of a product and a shift.

    n // (8 * step) is n * factor >> 16 >> shift for all n below 2**15.
    """
    bits = np.ceil(np.log2(steps)).astype(int) + 2
    factors = -(-(2 ** (bits + 16)) // (8 * steps))
    return np.stack([steps, 4 * steps, factors, bits], -1).astype(u16)


@exact
def _blocks(n):
    """n or a little more, a multiple of 8."""
    return -(-n // 8) * 8


# Rows are taken ROWS at a time, since a call costs as much as a few hundred samples. An inner loop
# writes one row, so that LLVM makes SIMD of it.


# Colors. Their numbers are multiples of 1/65536 below 256, which float32 holds exactly.


@exact
def _round_levels(image, top, rows, levels):
    """Some rows of an image, from 0 to 255."""
    for k in range(3):
        for y in range(rows):
            samples, out = image[k, top + y], levels[k, y]
            for x in range(len(samples)):
                out[x] = f32(np.rint(samples[x] * f32(255)))


@fast
def _to_ycc(levels, top, rows, planes):
    """Luma, blue and red of some rows, from 0 to 255; the last column is repeated to the end."""
    n, middle = levels.shape[2], f32(128.5 - 1 / 65536)
    for y in range(rows):
        r, g, b = levels[0, y], levels[1, y], levels[2, y]
        out = planes[0, top + y]
        for x in range(n):
            rest = f32(38470 / 65536) * g[x] + f32(7471 / 65536) * b[x] + f32(0.5)
            out[x] = i32(f32(19595 / 65536) * r[x] + rest)
        out = planes[1, top + y]
        for x in range(n):
            rest = f32(-11059 / 65536) * r[x] - f32(21709 / 65536) * g[x] + middle
            out[x] = i32(f32(0.5) * b[x] + rest)
        out = planes[2, top + y]
        for x in range(n):
            rest = f32(-27439 / 65536) * g[x] - f32(5329 / 65536) * b[x] + middle
            out[x] = i32(f32(0.5) * r[x] + rest)
        for k in range(3):
            for x in range(n, planes.shape[2]):
                planes[k, top + y, x] = planes[k, top + y, n - 1]


@fast
def _to_rgb(planes, chroma, top, rows, image, new):
    """Some rows of an image. new: a row of its type, for use in between."""
    n = image.shape[2]
    for y in range(rows):
        luma, blue, red = planes[0, top + y], chroma[0, y], chroma[1, y]
        for x in range(n):
            more = f32(91881 / 65536) * (f32(red[x]) - f32(128))
            new[x] = _sample(luma[x], more, new)
        store_row(new, image[0, top + y])
        for x in range(n):
            more = f32(-22554 / 65536) * (f32(blue[x]) - f32(128))
            new[x] = _sample(luma[x], more - f32(46802 / 65536) * (f32(red[x]) - f32(128)), new)
        store_row(new, image[1, top + y])
        for x in range(n):
            more = f32(116130 / 65536) * (f32(blue[x]) - f32(128))
            new[x] = _sample(luma[x], more, new)
        store_row(new, image[2, top + y])


@inlined
def _sample(luma, more, out):
    """A level / 255, as a division rounds it."""
    level = f32(luma) + np.floor(more + f32(0.5))
    level, real = min(max(level, f32(0)), f32(255)), out.dtype.type
    return real(level) * real(1 / 256) + real(level) * real(1 / 65280)


# Samples of chroma. Those in words of two are reached without steps of 2, so by SIMD.


@exact
def _copy(plane, rows, out):
    for y in range(rows):
        row, new = plane[y], out[y]
        for x in range(len(new)):
            new[x] = row[x]


@exact
def _reduce(words, tall, chroma, rows):
    """Means of words of one or two rows; halves are rounded up and down in turn."""
    for y in range(rows):
        upper, out = words[y * tall], chroma[y]
        lower = words[min(y * tall + tall, len(words)) - 1]
        for x in range(len(upper)):
            above = add(u16(upper[x] & u16(255)), shr(upper[x], 8))
            below = add(u16(lower[x] & u16(255)), shr(lower[x], 8))
            out[x] = shr(add(add(above, below), add(u16(x & 1), 1)), 2)


@exact
def _enlarge(chroma, tall, top, rows, words):
    """Some rows, in words: three quarters of the nearest sample of chroma and one of the next.

    chroma: rows with one more sample at each end.
    """
    # What is added to the samples of a word, in 16ths.
    left, right = (u16(8), u16(7)) if tall == 2 else (u16(4), u16(8))
    for y in range(rows):
        at = (top + y) // tall
        beside = at + (2 * (y % 2) - 1) * (tall - 1)
        here, near, out = chroma[at], chroma[min(max(beside, 0), len(chroma) - 1)], words[y]
        for x in range(len(out)):
            own = mul(_three_to_one(here[x + 1], near[x + 1]), 3)
            first = add(add(own, _three_to_one(here[x], near[x])), left)
            second = add(add(own, _three_to_one(here[x + 2], near[x + 2])), right)
            out[x] = shr(first, 4) | shr(second, 4) << u16(8)


@inlined
def _three_to_one(here, near):
    return add(mul(u16(here), 3), near)


@exact
def _repeat(chroma, wide, tall, top, rows, n, out):
    """The nearest samples of chroma for n pixels of some rows; few of them, if they are wide."""
    for y in range(rows):
        row, new = chroma[(top + y) // tall, 1:], out[y]
        if wide == 1:
            for x in range(n):
                new[x] = row[x]
        else:
            for x in range(n):
                new[x] = row[x // 2]


# Blocks of 8x8. LANES of them lie side by side: sample k of block j is s[k * LANES + j], and pair k
# of samples pairs[k * LANES + j].


@exact
def _unpack(plane, top, left, n, pairs):
    """Pairs of samples of n blocks, from words: the eight samples of a block each.

    The last row of the plane is repeated below.
    """
    for y in range(8):
        words, out = plane[min(top + y, len(plane) - 1), left:], pairs[4 * y * LANES :]
        for j in range(n):
            word = words[j]
            out[j] = u16(word)
            out[j + LANES] = u16(word >> u64(16))
            out[j + 2 * LANES] = u16(word >> u64(32))
            out[j + 3 * LANES] = u16(word >> u64(48))


@exact
def _pack(pairs, n, plane, top, left):
    """The way back."""
    for y in range(8):
        row, words = pairs[4 * y * LANES :], plane[top + y, left:]
        for j in range(n):
            low = u64(row[j]) | u64(row[j + LANES]) << u64(16)
            high = u64(row[j + 2 * LANES]) << u64(32) | u64(row[j + 3 * LANES]) << u64(48)
            words[j] = low | high


@exact
def _split(pairs, s):
    """Samples, less 128, of pairs."""
    for k in range(32):
        for j in range(k * LANES, (k + 1) * LANES):
            s[j + k * LANES] = i16(i16(pairs[j] & u16(255)) - 128)
            s[j + (k + 1) * LANES] = i16(i16(pairs[j] >> u16(8)) - 128)


@inlined
def _byte(sample):
    return u16(min(max(i16(sample + 128), i16(0)), i16(255)))


@exact
def _pair(s, pairs):
    """The way back."""
    for k in range(32):
        for j in range(k * LANES, (k + 1) * LANES):
            pairs[j] = _byte(s[j + k * LANES]) | _byte(s[j + (k + 1) * LANES]) << u16(8)


@exact
def _round(s, table):
    """Round to multiples of the steps in a table; the transform has left a factor of 8."""
    for k in range(64):
        step, half, factor, shift = table[k // 8, k % 8]
        for j in range(k * LANES, (k + 1) * LANES):
            steps = shr(mul_high(add(u16(abs(s[j])), half), factor), shift)
            rounded = i16(mul(steps, step))
            s[j] = rounded if s[j] > 0 else sub(i16(0), rounded)


# The transforms of Loeffler, Ligtenberg and Moschytz, in 8192ths, as in jfdctint.c and jidctint.c.


# As in libjpeg's SIMD, sums are of 16 bits, which those of no block exceed, and products of 32.


@inlined
def _odd(a, b, c, d):
    """The four products that the odd coefficients share, of both directions."""
    ac, bd = add(a, c), add(b, d)
    last = mul_whole(add(ac, bd), 9633)
    first, second = mul_whole(add(a, d), -7373), mul_whole(add(b, c), -20995)
    third, fourth = sub(last, mul_whole(ac, 16069)), sub(last, mul_whole(bd, 3196))
    return (
        add(add(mul_whole(a, 2446), first), third),
        add(add(mul_whole(b, 16819), second), fourth),
        add(add(mul_whole(c, 25172), second), third),
        add(add(mul_whole(d, 12299), first), fourth),
    )


@inlined
def _transform(s, first, step, bits):
    """The cosine transform of 8 samples, `step` apart; the result is divided by 2**(bits - 13)."""
    n = step * LANES
    half = i32(1 << (bits - 1))
    for j in range(first, first + LANES):
        a, b, c, d = s[j], s[j + n], s[j + 2 * n], s[j + 3 * n]
        e, f, g, h = s[j + 4 * n], s[j + 5 * n], s[j + 6 * n], s[j + 7 * n]
        ah, bg, cf, de = add(a, h), add(b, g), add(c, f), add(d, e)
        plus, more, outer, inner = add(ah, de), add(bg, cf), sub(ah, de), sub(bg, cf)
        both = add(mul_whole(add(outer, inner), 4433), half)
        s[j] = shr(add(mul_whole(add(plus, more), 8192), half), bits)
        s[j + 4 * n] = shr(add(mul_whole(sub(plus, more), 8192), half), bits)
        s[j + 2 * n] = shr(add(both, mul_whole(outer, 6270)), bits)
        s[j + 6 * n] = shr(sub(both, mul_whole(inner, 15137)), bits)
        seven, five, three, one = _odd(sub(d, e), sub(c, f), sub(b, g), sub(a, h))
        s[j + 7 * n] = shr(add(seven, half), bits)
        s[j + 5 * n] = shr(add(five, half), bits)
        s[j + 3 * n] = shr(add(three, half), bits)
        s[j + n] = shr(add(one, half), bits)


@inlined
def _transform_back(s, first, step, bits):
    """Eight samples from their cosine transform; the result is divided by 2**(bits - 13)."""
    n = step * LANES
    half = i32(1 << (bits - 1))
    for j in range(first, first + LANES):
        a, c, e, g = s[j], s[j + 2 * n], s[j + 4 * n], s[j + 6 * n]
        both = mul_whole(add(c, g), 4433)
        minor, major = sub(both, mul_whole(g, 15137)), add(both, mul_whole(c, 6270))
        plus = add(mul_whole(add(a, e), 8192), half)
        minus = add(mul_whole(sub(a, e), 8192), half)
        seven, five, three, one = _odd(s[j + 7 * n], s[j + 5 * n], s[j + 3 * n], s[j + n])
        s[j], s[j + 7 * n] = _ends(add(plus, major), one, bits)
        s[j + n], s[j + 6 * n] = _ends(add(minus, minor), three, bits)
        s[j + 2 * n], s[j + 5 * n] = _ends(sub(minus, minor), five, bits)
        s[j + 3 * n], s[j + 4 * n] = _ends(sub(plus, major), seven, bits)


@inlined
def _ends(even, odd, bits):
    return shr(add(even, odd), bits), shr(sub(even, odd), bits)


@exact
def _requantize(plane, start, rows, columns, table, s, pairs):
    """Transform the blocks of a plane, round them to multiples of the table, and transform back.

    plane: words of eight samples, of which so many rows and, from `start`, columns are used.
    s, pairs: of LANES blocks, for use in between.
    """
    count = columns * (_blocks(rows) // 8)
    for first in range(0, count, LANES):
        end = min(first + LANES, count)
        block = first
        while block < end:  # along a row of blocks
            top, left = 8 * (block // columns), block % columns
            n = min(end - block, columns - left)
            _unpack(plane[:rows], top, start + left, n, pairs[block - first :])
            block += n
        _split(pairs, s)
        for y in range(8):
            _transform(s, y * 8 * LANES, 1, 11)
        for x in range(8):
            _transform(s, x * LANES, 8, 15)
        _round(s, table)
        for x in range(8):
            _transform_back(s, x * LANES, 8, 11)
        for y in range(8):
            _transform_back(s, y * 8 * LANES, 1, 18)
        _pair(s, pairs)
        block = first
        while block < end:
            top, left = 8 * (block // columns), block % columns
            n = min(end - block, columns - left)
            _pack(pairs[block - first :], n, plane, top, start + left)
            block += n


# One image


@exact
def _to_planes(image, levels, planes):
    """Luma and chroma of an image; the last column is repeated up to the end of the rows.

    Returns the highest bits in the image.
    """
    height = image.shape[1]
    most = bits_of(image[0, 0, 0])
    for top in range(0, height, ROWS):
        rows = min(ROWS, height - top)
        most = max(most, highest_bits(image, top, top + rows))  # brings rows to the cache
        _round_levels(image, top, rows, levels)
        _to_ycc(levels, top, rows, planes)
    return most


@exact
def _repeat_ends(rows, n):
    """Repeat the first of n samples of each row before them, and the last one behind."""
    for y in range(len(rows)):
        rows[y, 7], rows[y, 8 + n] = rows[y, 8], rows[y, 7 + n]


@exact
def _to_image(planes, chroma, tall, wide, line, words, new, out):
    """An image of luma and of chroma (2, rows, columns), with one more sample at each end of rows.

    line: ROWS of both kinds of chroma, for use in between; words: the same, in words of two.
    new: a row of `out`, for use in between.
    """
    height, width = out.shape[1:]
    for top in range(0, height, ROWS):
        rows = min(ROWS, height - top)
        for k in range(2):
            if wide == 2 and width > 4:
                _enlarge(chroma[k], tall, top, rows, words[k])
            else:
                _repeat(chroma[k], wide, tall, top, rows, width, line[k])
        _to_rgb(planes, line, top, rows, out, new)


@task
def _through_jpeg(image, out, of_luma, of_chroma, tall, wide):
    """Make of image (3, H, W) what a JPEG file gives back. True if it surely lies in [0, 1].

    of_luma, of_chroma: see `_divisors`. tall, wide: rows and columns for each sample of chroma.
    """
    height, width = image.shape[1:]
    rows, columns = -(-height // tall), -(-width // wide)  # of chroma
    planes = np.empty((3, _blocks(height), 2 * _blocks(-(-width // 2))), np.uint8)
    small = np.empty((2, _blocks(rows), 8 + _blocks(columns) + 8), np.uint8)
    levels = np.empty((3, ROWS, width), f32)
    line = np.empty((2, ROWS, 2 * columns), np.uint8)
    s, pairs = np.zeros(64 * LANES, i16), np.zeros(32 * LANES, u16)
    most = _to_planes(image, levels, planes)
    for k in range(2):
        chroma = small[k, :, 8:-8]
        if wide == 1:
            _copy(planes[k + 1], rows, chroma)
        else:
            _reduce(planes[k + 1, :height].view(u16), tall, chroma, rows)
        _requantize(small[k].view(u64), 1, rows, -(-columns // 8), of_chroma, s, pairs)
        _repeat_ends(small[k], columns)
    _requantize(planes[0].view(u64), 0, height, -(-width // 8), of_luma, s, pairs)
    new = np.empty(width, out.dtype)
    _to_image(planes, small[:, :rows, 7:], tall, wide, line, line.view(u16), new, out)
    fence()
    return is_within(most, image)
