"""Statistics against closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from rawdrift.statistics import Spread, effective_size, paired_difference, spread, wilson


def test_spread_is_mean_and_sample_standard_deviation():
    values = [0.7, 0.8, 0.95]
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert spread([0.5]) == Spread(0.5, None)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (99, 100), (100, 100), (250, 299)])
def test_wilson_equals_scipy(right, n):
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_covers_what_it_promises():
    rng = np.random.default_rng(0)
    for share in (0.6, 0.9):
        seen = rng.binomial(100, share, 4000) / 100
        covered = np.mean([low <= share <= high for low, high in (wilson(s, 100) for s in seen)])
        assert 0.93 < covered < 0.97


def test_a_paired_difference_is_walds_with_half_an_image_in_each_outcome():
    lost, won, n = 12.5, 3.5, 102
    drop = (lost - won) / n
    error = np.sqrt((lost + won) / n - drop**2) / np.sqrt(n)
    assert paired_difference(12, 3, 100) == pytest.approx(
        (drop - 1.95996 * error, drop + 1.95996 * error), abs=1e-5
    )


@pytest.mark.parametrize("n", [60, 300])
def test_a_paired_difference_covers_what_it_promises(n):
    rng = np.random.default_rng(0)
    lost, won, _ = rng.multinomial(n, [0.12, 0.04, 0.84], 4000).T
    intervals = [paired_difference(a, b, n) for a, b in zip(lost, won, strict=True)]
    covered = np.mean([low <= 0.08 <= high for low, high in intervals])
    assert 0.935 < covered < 0.985


def test_independent_values_count_in_full_and_copies_once():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, 50).astype(float)
    assert effective_size(values) == 50
    copies, groups = np.repeat(values, 4), np.repeat(np.arange(50), 4)
    assert effective_size(copies, groups) == pytest.approx(50, rel=0.03)
    assert effective_size(np.ones(10), np.zeros(10, int)) == 10  # nothing varies
    assert effective_size(values, np.zeros(50, int)) == 1  # one group tells of itself alone


def test_intervals_cover_where_images_of_a_group_are_alike():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    covered, naive = [], []
    for _ in range(1500):
        share = rng.beta(8, 2, 40)[groups]  # patients differ
        seen = (rng.random(400) < share).astype(float)
        for result, n in ((covered, effective_size(seen, groups)), (naive, 400)):
            low, high = wilson(seen.mean(), n)
            result.append(low <= 0.8 <= high)
    assert 0.92 < np.mean(covered) < 0.98
    assert np.mean(naive) < 0.88
