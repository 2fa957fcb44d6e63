"""The kernels of corruptions against plain definitions, and how their random numbers fall."""

from itertools import cycle, permutations, product

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.stats
import torch
from imagecodecs import jpeg8_decode, jpeg8_encode

from rawdrift.corruptions import blur, counters, kernels, streams, weather
from rawdrift.jpeg import SUBSAMPLING, _divisors, compressed

SIZES = [(1, 1), (1, 5), (3, 2), (7, 40), (16, 16), (33, 31)]


def picture(height, width, seed=0):
    """(3, H, W) float64, on 256 levels: edges, flats, and noise in one corner."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([x, 0.5 + 0.5 * np.sin(20 * y), (x + y > 0.6).astype(float)])
    image[:, : height // 2, : width // 2] = rng.random((3, height // 2, width // 2))
    return np.round(image * 255) / 255


# JPEG


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("subsampling", SUBSAMPLING)
@pytest.mark.parametrize("size", [*SIZES, (17, 4), (64, 6), (40, 270)])
def test_jpeg_is_libjpeg_s_bit_by_bit(size, subsampling, dtype):
    view = picture(*size)
    pixels = np.uint8(np.round(view * 255)).transpose(1, 2, 0).copy()
    for quality in (1, 7, 25, 50, 80, 100):
        file = jpeg8_encode(pixels, level=quality, subsampling=subsampling)
        expected = torch.from_numpy(jpeg8_decode(file)).movedim(-1, 0).to(dtype) / 255
        found = compressed(torch.from_numpy(view)[None].to(dtype), quality, subsampling)[0]
        assert torch.equal(found, expected)


@pytest.mark.parametrize("subsampling", SUBSAMPLING)
@pytest.mark.parametrize("size", [(1, 1), (9, 4), (16, 24), (41, 70), (100, 269)])
def test_no_picture_has_sums_that_jpeg_s_16_bits_don_t_hold(size, subsampling):
    y, x = np.indices(size)
    noise = np.random.default_rng(0).random(size) < 0.5
    extremes = [(x + y) % 2, x // 2 % 2, y % 8 < 4, x * 0, noise]
    for channels in permutations(extremes, 3):
        pixels = np.stack(channels, -1).astype(np.uint8) * 255
        for quality in (1, 2, 10, 50, 100):
            file = jpeg8_encode(pixels, level=quality, subsampling=subsampling)
            view = torch.from_numpy(pixels).movedim(-1, 0)[None] / 255
            found = compressed(view, quality, subsampling)[0].movedim(0, -1)
            np.testing.assert_array_equal((found * 255).round(), jpeg8_decode(file))


def test_multiples_of_jpeg_s_tables_are_found_without_division():
    steps, n = np.arange(1, 256)[:, None], np.arange(2**15)
    step, half, factor, shift = _divisors(steps[:, 0]).T.astype(int)[..., None]
    np.testing.assert_array_equal(n * factor >> 16 >> shift, n // (8 * steps))
    np.testing.assert_array_equal([step, half], [steps, 4 * steps])


def test_jpeg_is_libjpeg_s_at_every_quality_and_small_size():
    cases = zip(product(range(1, 18), repeat=2), cycle(range(1, 101)), cycle(SUBSAMPLING))
    for size, quality, subsampling in cases:
        view = picture(*size, seed=quality).astype(np.float32)
        pixels = np.uint8(np.round(view * 255)).transpose(1, 2, 0).copy()
        decoded = jpeg8_decode(jpeg8_encode(pixels, level=quality, subsampling=subsampling))
        found = compressed(torch.from_numpy(view), quality, subsampling)
        assert torch.equal(found, torch.from_numpy(decoded).movedim(-1, 0) / 255), (size, quality)


# Pixelate, clouds, disks, drops


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_pixelate_takes_means_of_boxes(size, dtype):
    view = picture(*size).astype(dtype)
    for scale in (0.95, 0.6, 0.25):
        boxes = [max(int(n * scale), 1) for n in size]
        expected = view
        for axis, (n, count) in enumerate(zip(size, boxes, strict=True), 1):
            centers = (2 * np.arange(n) + 1) * count
            box = -(-centers // (2 * n)) - 1
            means = [expected.compress(box == i, axis).mean(axis) for i in range(count)]
            expected = np.stack(means, axis).take(centers // (2 * n), axis)
        found = np.empty_like(view)
        kernels.pixelate(view, found, *boxes)
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_a_disk_is_correlated_as_by_scipy(size, dtype):
    view = picture(*size).astype(dtype)
    for radius, alias in [(0.3, 0.4), (3, 0.1), (8, 0.5), (10, 0.5)]:
        weights = blur.disk(radius, alias).numpy()
        expected = ndi.correlate(view.astype(float), weights[None], mode="mirror")
        found = np.empty_like(view)
        kernels.correlate(view, found, blur._steps(radius, alias, torch.from_numpy(view).dtype))
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", SIZES)
def test_the_depth_of_drops_is_their_chessboard_distance(size):
    drops = (np.random.default_rng(0).random(size) < 0.97).astype(np.float32)
    drops[0, 0] = 0
    found = np.empty_like(drops)
    kernels.depths(drops, found, 4)
    expected = ndi.distance_transform_cdt(drops, "chessboard").clip(max=4)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", SIZES)
def test_crystals_are_branches_with_twigs(size):
    chance = np.random.default_rng(0).random(size, np.float32)
    lines = [weather._branch(4.5, angle) for angle in (0.3, -1, 2.5)]

    def draw(grains, rows, columns, weights):
        moved = zip(rows, columns, weights, strict=True)
        streaks = sum(
            w * ndi.shift(grains.astype(float), (-y, -x), order=0, mode="nearest")
            for y, x, w in moved
        )
        return streaks.clip(max=1)

    branches = draw(chance < 0.2, *lines[0])
    buds = branches * (chance * 4096 % 1 < 0.4)
    expected = np.maximum(branches, 0.8 * np.maximum(*(draw(buds, *twig) for twig in lines[1:])))
    found = np.zeros(size, np.float32)
    kernels.crystal(chance, found, 0.2, *lines)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


# Random numbers


def philox(counter, key):
    """Four words, by whole numbers."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b = second >> 32 ^ b ^ low, second % 2**32
        c, d = first >> 32 ^ d ^ high, first % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return a, b, c, d


def test_words_are_philox_s():
    # Known answers of its authors' Random123.
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
    assert philox([0] * 4, [0] * 2) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox(pi[:4], pi[4:]) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    for key in (0, 2**63 - 1, 0x123456789ABCDEF):
        n = 5 * counters.CHUNK  # in the second chunk
        drawn = np.empty(n, np.float32)
        counters.uniform(drawn, key, 0, 1)
        for i in (0, 1, counters.CHUNK - 1, counters.CHUNK, 3 * counters.CHUNK + 7, n - 1):
            chunk, place = divmod(i, 4 * counters.CHUNK)
            word, offset = divmod(place, counters.CHUNK)
            counter = [chunk * counters.CHUNK + offset, 0, 0, 0]
            assert drawn[i] == (philox(counter, [key % 2**32, key >> 32])[word] >> 8) / 2**24


def test_uniform_numbers_fill_their_range_evenly():
    drawn = np.empty(2**18, np.float32)
    counters.uniform(drawn, 7, -3, 5)
    assert ((drawn >= -3) & (drawn < 5)).all()
    assert scipy.stats.kstest((drawn + 3) / 8, "uniform").pvalue > 0.001
    for lag in (1, 2, 3, counters.CHUNK, 4 * counters.CHUNK):
        assert abs(np.corrcoef(drawn[lag:], drawn[:-lag])[0, 1]) < 4 / len(drawn) ** 0.5


@pytest.mark.parametrize(("value", "bits"), [(64, 10), (1, 7), (1 / 64, 4)])
def test_tables_hold_the_poisson_distribution(value, bits):
    places, whole = 2**bits, 2 ** (32 - bits)
    for digit in (0, 1, 7, 63):
        rate = digit * value
        table = np.array(counters._alias(rate, bits))
        own, other = table // places / whole, table % places
        chances = (own + np.bincount(other, 1 - own, places)) / places
        counts = np.arange(places) + max(0, int(rate) - 512)
        np.testing.assert_allclose(chances, scipy.stats.poisson.pmf(counts, rate), atol=2e-9)


@pytest.mark.parametrize("rate", [0, 0.004, 0.3, 3.7, 20.02, 63.99, 64.5, 500, 4000.3])
def test_counts_are_poisson(rate):
    n = 2**16
    stream = streams.open_streams([0], "counts", 1, torch.device("cpu"))
    counts = streams.poisson(torch.full((1, n), rate), stream)[0].numpy()
    assert (counts == counts.round()).all()
    edges = np.unique(scipy.stats.poisson.ppf(np.linspace(0.001, 0.999, 40), rate))
    below = scipy.stats.poisson.cdf(edges, rate)
    expected = np.diff(below, prepend=0, append=1)
    seen = np.diff([np.mean(counts <= edge) for edge in edges], prepend=0, append=1)
    expected, seen = expected[expected > 1e-9], seen[expected > 1e-9]
    if len(expected) > 1:
        assert scipy.stats.chisquare(n * seen, n * expected).pvalue > 0.001
    else:
        assert seen == 1


def test_counts_of_every_rate_and_place_are_independent():
    rate = torch.linspace(0, 70, 2**16).expand(1, -1)
    stream = streams.open_streams([0], "counts", 1, torch.device("cpu"))
    first, second = (streams.poisson(rate, stream)[0] for _ in range(2))
    errors = [(counts - rate[0]) / rate[0].clamp(min=1e-3).sqrt() for counts in (first, second)]
    assert abs(float(errors[0].mean())) < 4 / 2**8
    assert abs(float(errors[0].square().mean()) - 1) < 0.05
    assert abs(float((errors[0] * errors[1]).mean())) < 4 / 2**8
    assert abs(float((errors[0][1:] * errors[0][:-1]).mean())) < 4 / 2**8


def test_rates_that_are_none_are_refused_and_large_ones_drawn():
    stream = streams.open_streams([0], "counts", 1, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="non-negative"):
        streams.poisson(torch.full((1, 4), -1.0), stream)
    large = streams.poisson(torch.full((1, 10000), 1e5), stream)
    assert float(large.mean()) == pytest.approx(1e5, abs=5 * 1e5**0.5 / 100)
    assert streams.poisson(torch.empty(1, 0), stream).shape == (1, 0)


@pytest.mark.parametrize(("count", "size"), list(product([1, 3], SIZES)))
def test_each_image_has_its_own_kernel_call(count, size):
    views = torch.from_numpy(np.stack([picture(*size, seed) for seed in range(count)]))
    found = kernels.each(kernels.pixelate, views.mT.contiguous().mT, *size)
    assert torch.equal(found, views)
