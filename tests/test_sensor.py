from itertools import product

import pytest
import torch

import rawdrift as rd
from rawdrift import cfa
from rawdrift.camera.camera import Noise

FULL_SCALE = 2**16 - 1
BLACK = (0.01, 0.02, 0.03, 0.04)


def camera(**fields):
    given = {"noise": Noise(gain=5.4, read_noise=4.0), "white_level": 0.9, "black_level": BLACK}
    return rd.Camera(**{"name": "bench", "cfa": "RGGB", **given, **fields})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(level, size=256):
    return torch.full((3, size, size), float(level))


def sites(mosaic, pattern="RGGB"):
    """The samples of R, G in red rows, G in blue rows, B."""
    return [mosaic[row::2, column::2].double() for row, column in cfa.offsets(pattern)]


@pytest.mark.parametrize("gain", [0.9, 5.4, 40.0])
def test_the_slope_of_variance_over_mean_is_the_gain(gain):
    sensor = rd.sensor.Sensor(camera(noise=Noise(gain=gain, read_noise=4.0)))
    points = []
    for step, level in enumerate((0.05, 0.2, 0.4, 0.6, 0.8)):
        green = sites(sensor.digital(flat(level), seeded(step)))[1]
        points.append((green.mean(), green.var()))
    mean, variance = torch.tensor(points, dtype=torch.float64).T
    slope = ((mean - mean.mean()) * (variance - variance.mean())).sum()
    slope /= (mean - mean.mean()).square().sum()
    assert slope == pytest.approx(gain, rel=0.03)


def test_the_mean_is_linear_in_light_from_black_to_white():
    sensor = rd.sensor.Sensor(camera())
    for level in (0.1, 0.5, 0.9):
        mosaic = sensor(flat(level), seeded())
        for site, black in zip(sites(mosaic), BLACK, strict=True):
            assert site.mean() == pytest.approx(black + level * (0.9 - black), rel=1e-3)


def test_a_dark_frame_shows_black_level_and_read_noise():
    dark = rd.sensor.Sensor(camera()).digital(flat(0.0), seeded())
    for site, black in zip(sites(dark), BLACK, strict=True):
        assert site.mean() == pytest.approx(black * FULL_SCALE, abs=0.6)
        assert site.std() == pytest.approx(5.4 * 4.0, rel=0.03)


def test_an_unknown_read_noise_is_left_out():
    sensor = rd.sensor.Sensor(camera(noise=Noise(gain=5.4)))
    for site, black in zip(sites(sensor.digital(flat(0.0), seeded())), BLACK, strict=True):
        assert (site == round(black * FULL_SCALE)).all()


@pytest.mark.parametrize(("white", "top"), [(0.9, round(0.9 * FULL_SCALE)), (None, FULL_SCALE)])
@pytest.mark.parametrize("light", [1.2, 100.0, 1e30, float("inf")])
def test_light_beyond_one_saturates(white, top, light):
    dn = rd.sensor.Sensor(camera(white_level=white)).digital(flat(light, 32), seeded())
    assert (dn.int() == top).all()


def test_noise_never_leaves_the_range():
    noisy = camera(noise=Noise(gain=5.4, read_noise=3000.0))
    dn = rd.sensor.Sensor(noisy).digital(flat(0.5), seeded()).int()
    assert (dn.min(), dn.max()) == (0, round(0.9 * FULL_SCALE))


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_the_mosaic_is_whole_numbers_of_the_container(depth):
    noise = Noise(gain=5.4 / 2 ** (16 - depth), read_noise=4.0)
    sensor = rd.sensor.Sensor(camera(noise=noise, bit_depth=depth))
    light = torch.rand(2, 3, 64, 64, generator=seeded())
    mosaic, dn = sensor(light, seeded(1)), sensor.digital(light, seeded(1))
    assert mosaic.dtype == torch.float32
    assert dn.dtype == torch.uint16
    assert mosaic.shape == dn.shape == (2, 64, 64)
    assert 0 <= mosaic.min() < mosaic.max() <= 1
    torch.testing.assert_close(mosaic * (2**depth - 1), dn.float(), rtol=0, atol=0.01)


@pytest.mark.parametrize("pattern", cfa.PATTERNS)
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_each_pixel_sees_the_channel_of_its_filter(pattern, size):
    levels = (0.2, 0.5, 0.8)
    light = torch.tensor(levels)[:, None, None].expand(3, *size)
    sensor = rd.sensor.Sensor(camera(cfa=pattern, black_level=(0.0,) * 4))
    mosaic = sensor(light, seeded()) / 0.9
    for row, column in product(range(size[0]), range(size[1])):
        color = pattern[2 * (row % 2) + column % 2]
        assert mosaic[row, column].item() == pytest.approx(levels["RGB".index(color)], abs=0.06)


def test_noise_comes_from_the_generator_alone():
    sensor = rd.sensor.Sensor(camera())
    light = flat(0.5, 32)
    before = torch.get_rng_state()
    first, again, other = (sensor(light, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    assert (light == 0.5).all()


def test_double_precision_light_is_welcome():
    mosaic = rd.sensor.Sensor(camera())(flat(0.5, 32).double(), seeded())
    assert mosaic.dtype == torch.float32


def test_a_camera_without_noise_is_refused():
    with pytest.raises(rd.InputError, match=r"'bench' has no noise.*gain"):
        rd.sensor.Sensor(camera(noise=None))


@pytest.mark.parametrize(
    ("light", "said"),
    [
        (torch.zeros(8, 8), "shape"),
        (torch.zeros(4, 8, 8), "shape"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.full((3, 8, 8), -0.1), "at least 0"),
        (torch.full((3, 8, 8), float("nan")), "NaN"),
    ],
)
def test_what_can_not_be_light_is_refused(light, said):
    with pytest.raises(rd.InputError, match=said):
        rd.sensor.Sensor(camera())(light, seeded())
