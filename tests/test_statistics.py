"""Statistics against closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from rawdrift.statistics import Spread, spread, wilson


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
