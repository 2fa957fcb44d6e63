"""A dimmed frame is, in distribution, one that was taken with less light."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import rawdrift as rd
from rawdrift import cfa
from rawdrift.camera.camera import Noise
from rawdrift.sensor import Sensor, dim

INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)  # of the paper
FULL_SCALE = 2**16 - 1
CAMERAS = {
    "quiet": Noise(gain=5.4, read_noise=4.0),
    "dark current": Noise(gain=5.4, read_noise=2.0, dark_current=20.0),
    "coarse steps": Noise(gain=5.4, read_noise=5.0),
    "few electrons": Noise(gain=300.0, read_noise=1.5),
}


def camera(noise=CAMERAS["quiet"], **fields):
    given = {"black_level": (0.02, 0.03, 0.03, 0.04), "white_level": 0.9}
    return rd.Camera(**{"name": "bench", "cfa": "RGGB", "noise": noise, **given, **fields})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(level, size=400):
    return torch.full((3, size, size), float(level))


def reds(mosaic, by=None):
    """Electrons of the red sites."""
    row, column = cfa.offsets("RGGB")[0]
    gain = (by or camera()).noise.gain
    return (mosaic[..., row::2, column::2].double() - 0.02) * FULL_SCALE / gain


def same_distribution(one, other, by):
    one, other = reds(one, by).flatten(), reds(other, by).flatten()
    spread = float(other.std())
    assert one.mean() == pytest.approx(float(other.mean()), abs=5 * spread / len(one) ** 0.5)
    assert one.var() == pytest.approx(float(other.var()), rel=6 * (2 / len(one)) ** 0.5)
    return ks_2samp(one, other)


@pytest.mark.parametrize("intensity", INTENSITIES)
@pytest.mark.parametrize("name", CAMERAS)
def test_a_dimmed_frame_is_one_taken_with_less_light(name, intensity):
    taken = camera(CAMERAS[name], adc_bits=12 if name == "coarse steps" else None)
    sensor = Sensor(taken)
    for level in (0.0, 0.001, 0.02, 0.6):
        full = sensor(flat(level, 240), seeded(1))
        dimmed = dim(full, taken, intensity=intensity, generator=seeded(2))
        found = same_distribution(dimmed, sensor(flat(level * intensity, 240), seeded(3)), taken)
        # With a read noise of 1.5 electrons, single ones can be told from it: a trace of them stays.
        assert found.statistic < 0.025 if name == "few electrons" else found.pvalue > 1e-3


@pytest.mark.parametrize("level", [0.02, 0.6])
def test_dimming_twice_is_dimming_once(level):
    frame = Sensor(camera())(flat(level), seeded(1))
    half = dim(frame, camera(), intensity=0.5, generator=seeded(2))
    fifth = dim(half, camera(), intensity=0.4, generator=seeded(3))
    once = dim(frame, camera(), intensity=0.2, generator=seeded(4))
    assert same_distribution(fifth, once, camera()).pvalue > 0.01


def test_without_read_noise_the_variance_in_electrons_is_the_mean():
    clean = camera(Noise(gain=5.4), white_level=None)
    frame = Sensor(clean)(flat(0.5), seeded(1))
    for intensity in INTENSITIES:
        electrons = reds(dim(frame, clean, intensity=intensity, generator=seeded(2)), clean)
        assert electrons.var() == pytest.approx(electrons.mean().item(), rel=0.03)


def test_row_noise_is_filled_up_row_by_row():
    striped = camera(Noise(gain=5.4, row_noise=10.0))
    frame = Sensor(striped)(torch.zeros(3, 2000, 400), seeded(1))
    rows = reds(dim(frame, striped, intensity=0.3, generator=seeded(2)), striped).mean(-1)
    assert rows.var() == pytest.approx(100, rel=0.12)


@pytest.mark.parametrize("cause", ["adc", "full well"])
def test_a_saturated_site_is_taken_for_one_that_just_saturates(cause):
    well = 5000.0 if cause == "full well" else None
    full = camera(Noise(gain=5.4, read_noise=4.0, full_well=well))
    frame = Sensor(full)(flat(3.0), seeded(1))
    electrons = reds(dim(frame, full, intensity=0.25, generator=seeded(2)), full)
    expected = 0.25 * (well or 0.88 * FULL_SCALE / 5.4)
    assert electrons.mean() == pytest.approx(expected, rel=2e-3)
    assert electrons.var() == pytest.approx(expected + 16, rel=0.03)


def test_all_of_the_light_is_the_frame_itself():
    frame = Sensor(camera())(flat(0.5, 16), seeded())
    same = dim(frame, camera(), intensity=1, generator=seeded())
    assert torch.equal(same, frame)
    assert same.data_ptr() != frame.data_ptr()


@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    pattern=st.sampled_from(cfa.PATTERNS),
    double=st.booleans(),
)
def test_every_shape_pattern_and_precision_is_kept(batch, pattern, double):
    dtype = torch.float64 if double else torch.float32
    sites = camera(cfa=pattern, black_level=(0.05, 0.1, 0.2, 0.3), white_level=None)
    black = Sensor(sites)(torch.zeros(*batch, 3, 30, 31), seeded()).to(dtype)
    before = black.clone()
    dimmed = dim(black, sites, intensity=0.1, generator=seeded(1))
    assert (dimmed.shape, dimmed.dtype) == (black.shape, dtype)
    torch.testing.assert_close(dimmed, black, rtol=0, atol=12 * 5.4 * 4 / FULL_SCALE)
    assert torch.equal(black, before)
    torch.testing.assert_close(
        dimmed * FULL_SCALE, (dimmed * FULL_SCALE).round(), rtol=0, atol=0.01
    )


def test_noise_comes_from_the_generator_alone():
    frame = Sensor(camera())(flat(0.5, 32), seeded())
    before = torch.get_rng_state()
    first, again, other = (
        dim(frame, camera(), intensity=0.5, generator=seeded(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("mosaic", "fields", "intensity", "said"),
    [
        (torch.zeros(8, 8), {"noise": None}, 0.5, r"'bench' has no noise"),
        (torch.zeros(8, 8), {}, 0, "intensity must be above 0 and at most 1"),
        (torch.zeros(8, 8), {}, 1.5, "intensity must be above 0 and at most 1"),
        (torch.zeros(8, 8), {}, "half", "intensity must be above 0 and at most 1"),
        (torch.zeros(8), {}, 0.5, "shape"),
        (torch.zeros(8, 8, dtype=torch.uint8), {}, 0.5, "uint8"),
        (torch.full((8, 8), 2.0), {}, 0.5, r"in \[0, 1\]"),
        (torch.full((8, 8), float("nan")), {}, 0.5, r"in \[0, 1\]"),
    ],
)
def test_what_can_not_be_dimmed_is_refused(mosaic, fields, intensity, said):
    with pytest.raises(rd.InputError, match=said):
        dim(mosaic, camera(**fields), intensity=intensity, generator=seeded())
