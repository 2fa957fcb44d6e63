"""Power functions of the fused engine, by polynomials and by tables."""

import dataclasses

import numpy as np
import pytest
import torch
from numba import njit

import rawdrift as rd
from rawdrift import compiled
from rawdrift.isp.fused import power, views
from rawdrift.isp.fused.gamma import to_view_by_tables
from rawdrift.isp.fused.rows import PAD

CAMERA = rd.Camera.load("raw-drone")

# Every 1009th normal float from 0 to 1, and what is outside or at the ends.
BETWEEN = np.arange(0x00800001, 0x3F800001, 1009, dtype=np.int32).view(np.float32)
ENDS = np.array([-np.inf, -1, -1e-40, -0.0, 0, 1, 2, np.inf, np.nan, -np.nan], np.float32)
POWERS = np.array([0, 0, 0, 0, 0, 1, 1, 1, np.nan, np.nan], np.float32)


@njit
def powers(out, x, taps):
    for i in range(len(x)):
        out[i] = power.clipped_power(x[i], taps)


@compiled.task
def row_by_tables(out, s, numbers):
    to_view_by_tables(out, s, 0, 0, 1, 2, numbers)
    compiled.fence()


def developed(engine, isp, x):
    with torch.no_grad(), rd.isp.engine(engine):
        return isp(x)


@pytest.mark.parametrize("gamma", [0.02, 0.2, 0.5, 0.9, 1.0, 1.8, 2.2, 2.4, 5.0, 9.0, 50.0])
def test_power(gamma):
    x, out = np.concatenate([BETWEEN, ENDS]), np.empty(len(BETWEEN) + len(ENDS), np.float32)
    powers(out, x, power.taps_of(1 / gamma))
    error = abs(out[: -len(ENDS)] - BETWEEN.astype(np.float64) ** (1 / gamma)).max()
    assert error < (5e-7 if gamma >= 0.5 else 2e-6)
    np.testing.assert_array_equal(out[-len(ENDS) :], POWERS)


@pytest.mark.parametrize("gamma", [0.456, 0.5, 0.77, 0.9, 1.0, 1.8, 2.2, 2.4, 3.0, 4.0])
def test_power_by_tables(gamma):
    of_gamma = power.power_of(1 / gamma)
    if not of_gamma.is_tabled:
        pytest.skip("no AVX-512")

    # The sum of two rows: of a row and zeros, so that nothing is rounded.
    n = len(BETWEEN) + len(ENDS)
    s = np.zeros((3, PAD + n + 64), np.float32)
    s[1, PAD : PAD + n] = np.concatenate([ENDS, BETWEEN])
    for start in (0, 1, 15):  # of a line of the cache
        out = np.empty(n + 32, np.float32)[start : start + n]
        row_by_tables(out, s, of_gamma)
        np.testing.assert_array_equal(out[: len(ENDS)], POWERS)
        error = abs(out[len(ENDS) :] - BETWEEN.astype(np.float64) ** (1 / gamma)).max()
        assert error < 2.5e-7


def test_gammas_with_and_without_tables_are_those_of_the_steps(monkeypatch):
    # Bright, since the slope at zero makes much of float32.
    x = 0.25 + 0.75 * torch.rand(40, 53, generator=torch.Generator().manual_seed(0))
    for gamma in (0.3, 0.45, 0.46, 1.0, 2.2, 3.9, 4.1):
        isp = rd.isp.static("bi,s,me", dataclasses.replace(CAMERA, gamma=gamma, black_level=[0.0]))
        expected = developed("eager", isp, x)
        bright = expected > 0.1 ** (1 / gamma)
        for has in (power.has, lambda feature: False):
            monkeypatch.setattr(power, "has", has)
            views.numbers_of.cache_clear()
            found = developed("fused", isp, x)
            torch.testing.assert_close(found[bright], expected[bright], rtol=0, atol=1e-5)
        monkeypatch.undo()
    views.numbers_of.cache_clear()
