"""Statistics against closed forms and simulation."""

import numpy as np
import pytest

from rawdrift.statistics import Spread, spread


def test_spread_is_mean_and_sample_standard_deviation():
    values = [0.7, 0.8, 0.95]
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert spread([0.5]) == Spread(0.5, None)
