"""The sensor against closed forms, SciPy, and the independent simulator of emva1288."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import ks_2samp

import rawdrift as rd
from rawdrift import cfa
from rawdrift.camera.camera import Noise, Optics
from rawdrift.sensor import GaussianPSF, Sensor, adc, noise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from emva1288.camera.camera import Camera as EmvaCamera

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
def test_photon_transfer_gives_back_the_gain_within_one_percent(gain):
    sensor = Sensor(camera(noise=Noise(gain=gain, read_noise=4.0)))
    dark, *lit = (
        torch.tensor([(site.mean(), site.var()) for site in sites(frame)], dtype=torch.float64)
        for frame in (
            sensor.digital(flat(level, 512), seeded(step))
            for step, level in enumerate((0, 0.2, 0.4, 0.6, 0.8))
        )
    )
    signal, variance = torch.stack([point - dark for point in lit]).unbind(-1)
    assert (variance / signal).mean() == pytest.approx(gain, rel=0.01)


def test_the_mean_is_linear_in_light_from_black_to_white():
    sensor = Sensor(camera())
    for level in (0.1, 0.5, 0.9):
        mosaic = sensor(flat(level), seeded())
        for site, black in zip(sites(mosaic), BLACK, strict=True):
            assert site.mean() == pytest.approx(black + level * (0.9 - black), rel=1e-3)


def test_a_dark_frame_shows_black_level_and_read_noise():
    dark = Sensor(camera()).digital(flat(0.0), seeded())
    for site, black in zip(sites(dark), BLACK, strict=True):
        assert site.mean() == pytest.approx(black * FULL_SCALE, abs=0.6)
        assert site.std() == pytest.approx(5.4 * 4.0, rel=0.03)


def test_an_unknown_read_noise_is_left_out():
    sensor = Sensor(camera(noise=Noise(gain=5.4)))
    for site, black in zip(sites(sensor.digital(flat(0.0), seeded())), BLACK, strict=True):
        assert (site == round(black * FULL_SCALE)).all()


@pytest.mark.parametrize(("white", "top"), [(0.9, round(0.9 * FULL_SCALE)), (None, FULL_SCALE)])
@pytest.mark.parametrize("light", [1.2, 100.0, 1e30, float("inf")])
def test_light_beyond_one_saturates(white, top, light):
    dn = Sensor(camera(white_level=white)).digital(flat(light, 32), seeded())
    assert (dn.int() == top).all()


def test_noise_never_leaves_the_range():
    noisy = camera(noise=Noise(gain=5.4, read_noise=3000.0))
    dn = Sensor(noisy).digital(flat(0.5), seeded()).int()
    assert (dn.min(), dn.max()) == (0, round(0.9 * FULL_SCALE))


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_the_mosaic_is_whole_numbers_of_the_container(depth):
    noise = Noise(gain=5.4 / 2 ** (16 - depth), read_noise=4.0)
    sensor = Sensor(camera(noise=noise, bit_depth=depth))
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
    sensor = Sensor(camera(cfa=pattern, black_level=(0.0,) * 4))
    mosaic = sensor(light, seeded()) / 0.9
    for row, column in product(range(size[0]), range(size[1])):
        color = pattern[2 * (row % 2) + column % 2]
        assert mosaic[row, column].item() == pytest.approx(levels["RGB".index(color)], abs=0.06)


def test_noise_comes_from_the_generator_alone():
    sensor = Sensor(camera())
    light = flat(0.5, 32)
    before = torch.get_rng_state()
    first, again, other = (sensor(light, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    assert (light == 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_light_of_any_precision_is_welcome(dtype):
    mosaic = Sensor(camera())(flat(0.5, 32).to(dtype), seeded())
    assert mosaic.dtype == torch.float32
    assert mosaic.mean() == pytest.approx(0.5 * (0.9 + 0.025), rel=0.01)


@given(batch=st.lists(st.integers(1, 3), max_size=2), pattern=st.sampled_from(cfa.PATTERNS))
def test_a_batch_is_as_good_as_its_images(batch, pattern):
    sensor = Sensor(camera(cfa=pattern, optics=Optics(0.8), noise=Noise(1e-6)))  # no noise to see
    light = torch.rand(*batch, 3, 7, 6, generator=seeded())
    mosaics = sensor(light, seeded()).reshape(-1, 7, 6)
    for image, mosaic in zip(light.reshape(-1, 3, 7, 6), mosaics, strict=True):
        torch.testing.assert_close(sensor(image, seeded()), mosaic, rtol=0, atol=3e-5)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.52, 9.0])
def test_the_psf_is_the_gaussian_of_scipy_with_mirrored_borders(sigma):
    light = torch.rand(2, 3, 21, 18, dtype=torch.float64, generator=seeded())
    expected = gaussian_filter(light.numpy(), (0, 0, sigma, sigma), mode="mirror")
    np.testing.assert_allclose(GaussianPSF(sigma)(light), expected, atol=1e-12)


def test_a_sensor_sees_through_its_cameras_lens_or_the_one_given():
    point = torch.zeros(3, 33, 33)
    point[:, 16, 16] = 1
    blurred = camera(optics=Optics(psf_sigma=1.5), noise=Noise(1e-6), black_level=(0.0,) * 4)
    mosaic = Sensor(blurred)(point, seeded())
    assert mosaic[16, 16] == pytest.approx(0.9 / (2 * torch.pi * 1.5**2), rel=0.01)
    sharp = Sensor(blurred, optics=torch.nn.Identity())(point, seeded())
    assert sharp[16, 16] == pytest.approx(0.9, rel=1e-4)
    assert sharp.count_nonzero() == 1


def test_exposure_is_more_light_and_more_dark_noise_at_the_same_black_level():
    noisy = camera(noise=Noise(gain=5.4, read_noise=4.0, dark_current=25.0))
    one, four = Sensor(noisy), Sensor(noisy, exposure=4.0)
    assert one(flat(0.4), seeded()).mean() == pytest.approx(
        four(flat(0.1), seeded(1)).mean().item(), rel=1e-3
    )
    for sensor, electrons in ((one, 25), (four, 100)):
        for site, black in zip(sites(sensor.digital(flat(0.0), seeded())), BLACK, strict=True):
            assert site.mean() == pytest.approx(black * FULL_SCALE, abs=1.5)
            assert site.var() == pytest.approx(5.4**2 * (16 + electrons), rel=0.03)


def test_row_noise_is_shared_by_the_pixels_of_a_row_alone():
    noisy = camera(noise=Noise(gain=5.4, row_noise=6.0), black_level=(0.02,) * 4)
    dark = Sensor(noisy).digital(torch.zeros(2, 3, 2000, 8), seeded()).double()
    assert (dark == dark[..., :1]).all()
    assert not torch.equal(dark[0], dark[1])
    assert dark[..., 0].std() == pytest.approx(5.4 * 6.0, rel=0.05)


def test_the_full_well_saturates_before_the_adc():
    shallow = camera(noise=Noise(gain=5.4, full_well=3000.0))
    dn = Sensor(shallow).digital(flat(1.0, 32), seeded())
    for site, black in zip(sites(dn), BLACK, strict=True):
        assert (site == round(black * FULL_SCALE + 5.4 * 3000)).all()


@pytest.mark.parametrize(("bits", "depth", "step"), [(12, 16, 16), (10, 12, 4), (14, 14, 1)])
def test_an_adc_of_fewer_bits_is_left_justified(bits, depth, step):
    noise = Noise(gain=5.4 / 2 ** (16 - depth), read_noise=4.0)
    sensor = Sensor(camera(noise=noise, bit_depth=depth, adc_bits=bits, white_level=None))
    ramp = torch.linspace(0, 1.2, 128).expand(3, 64, 128)
    dn = sensor.digital(ramp, seeded()).int()
    assert (dn % step == 0).all()
    assert (dn % (2 * step)).any()
    assert dn.max() == 2**depth - step


def test_an_adc_that_can_not_tell_black_from_white_is_refused():
    with pytest.raises(rd.InputError, match=r"'bench' has an ADC of 1 bits.*black level"):
        Sensor(camera(adc_bits=1, white_level=0.4))


def simulator(level, seed):
    """emva1288's camera, and the mean number of photoelectrons in its frames."""
    emva = EmvaCamera(
        bit_depth=12, width=160, height=160, K=0.55, blackoffset=100, dark_current_ref=4e4,
        temperature=30, temperature_ref=30, dark_signal_0=8.0, sigma2_dark_0=36.0, u_esat=1e9,
        seed=seed,
    )  # fmt: skip
    radiance = emva.get_radiance_for(mean=level * emva.img_max)
    return emva, radiance


@pytest.mark.parametrize("level", [0.03, 0.3, 0.7, 1.3])
def test_frames_are_distributed_as_those_of_the_reference_simulator_of_emva_1288(level):
    emva, radiance = simulator(level, seed=1)
    theirs = emva.grab(radiance).astype(float)
    dark = 4e4 * emva.exposure * 1e-9
    black = (emva.blackoffset + emva.K * (8.0 + dark)) / 4095
    # It adds the noise of quantization before it quantizes: twice as much as there is.
    read = (36.0 + 1 / (12 * emva.K**2)) ** 0.5
    same = Noise(gain=float(emva.K), read_noise=read, dark_current=dark)
    ours = Sensor(
        rd.Camera(name="emva", cfa="RGGB", black_level=(black,) * 4, bit_depth=12, noise=same)
    )
    photoelectrons = float(emva._u_e(radiance).mean())
    light = photoelectrons / ours.response.range[0]
    mine = ours.digital(flat(light, 160), seeded()).double().numpy()
    if level > 1:
        assert (theirs == 4095).mean() == (mine == 4095).mean() == 1
        return
    assert mine.mean() == pytest.approx(theirs.mean(), abs=4 * theirs.std() / 160)
    assert mine.var() == pytest.approx(theirs.var(), rel=0.05)
    assert ks_2samp(mine.ravel(), theirs.ravel()).pvalue > 0.01


@pytest.mark.parametrize("mean", [0.2, 1.0, 30.0])
def test_the_gradient_of_shot_noise_is_exact_for_quadratic_losses(mean):
    mu = torch.full((10**6,), mean, dtype=torch.float64, requires_grad=True)
    count = noise.shot(mu, seeded())
    (linear,) = torch.autograd.grad(count.sum(), mu, retain_graph=True)
    assert linear.mean() == pytest.approx(1, abs=0.01)
    (spread,) = torch.autograd.grad((count - mean).square().sum(), mu)
    assert spread.mean() == pytest.approx(1, abs=0.05)  # of the variance, which is the mean


def test_for_cubic_losses_the_gradient_of_shot_noise_is_off_by_a_half():
    mu = torch.full((10**6,), 1.0, dtype=torch.float64, requires_grad=True)
    noise.shot(mu, seeded()).pow(3).sum().backward()
    assert mu.grad.mean() == pytest.approx(3 + 6 + 1 + 0.5, rel=0.02)


def test_shot_noise_has_whole_counts_and_finite_gradients_even_in_the_dark():
    mu = torch.tensor([0.0, 1e-45, 1e-30, 1e-3, 1e6], requires_grad=True)
    count = noise.shot(mu, seeded())
    assert (count == count.round()).all()
    count.sum().backward()
    assert mu.grad.isfinite().all()
    assert mu.grad[0] == 1


def test_rounding_lets_gradients_pass_and_saturation_does_not():
    dn = torch.tensor([-3.0, 7.4, 100.9, 239.0, 300.0], requires_grad=True)
    codes = adc.quantize(dn, 16, 240)
    assert codes.tolist() == [0, 0, 96, 240, 240]
    codes.sum().backward()
    assert dn.grad.tolist() == [0, 1, 1, 1, 0]


def test_the_psf_has_the_gradients_of_finite_differences():
    light = torch.rand(3, 6, 5, dtype=torch.float64, generator=seeded(), requires_grad=True)
    sigma = torch.nn.Parameter(torch.tensor(1.1, dtype=torch.float64))
    psf = GaussianPSF(sigma)
    assert torch.autograd.gradcheck(lambda light, _: psf(light), (light, sigma))


def test_light_exposure_and_lens_get_the_gradient_of_the_expected_mosaic():
    sigma = torch.nn.Parameter(torch.tensor(1.2))
    exposure = torch.nn.Parameter(torch.tensor(0.8))
    sensor = Sensor(camera(), exposure=exposure, optics=GaussianPSF(sigma))
    assert {name for name, _ in sensor.named_parameters()} == {"exposure", "optics.sigma"}
    light = torch.rand(3, 12, 12, generator=seeded()).mul_(0.8).requires_grad_()
    weights = torch.randn(12, 12, generator=seeded(1))

    def loss(light, exposure, sigma):
        """Without noise: linear in light, from which the rest follows."""
        seen = torch.empty(12, 12, dtype=torch.float64)
        blurred = gaussian_filter(light, (0, sigma, sigma), mode="mirror", truncate=5)
        for (row, column), channel, black in zip(
            cfa.offsets("RGGB"), (0, 1, 1, 2), BLACK, strict=True
        ):
            site = torch.from_numpy(blurred[channel, row::2, column::2])
            seen[row::2, column::2] = black + exposure * site * (0.9 - black)
        return float((weights * seen).sum())

    frames = sensor(light.expand(4000, 3, 12, 12), seeded(2))
    ((weights * frames).sum() / 4000).backward()
    at = light.detach().double().numpy()
    step = 0.02
    assert exposure.grad.item() == pytest.approx(
        (loss(at, 0.8 + step, 1.2) - loss(at, 0.8 - step, 1.2)) / (2 * step), rel=0.01, abs=2e-3
    )
    assert sigma.grad.item() == pytest.approx(
        (loss(at, 0.8, 1.2 + step) - loss(at, 0.8, 1.2 - step)) / (2 * step), rel=0.02, abs=5e-3
    )
    for place in ((0, 0, 0), (1, 6, 6), (2, 11, 3)):
        nudge = np.zeros_like(at)
        nudge[place] = step
        slope = (loss(at + nudge, 0.8, 1.2) - loss(at - nudge, 0.8, 1.2)) / (2 * step)
        assert light.grad[place].item() == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_a_camera_without_noise_is_refused():
    with pytest.raises(rd.InputError, match=r"'bench' has no noise.*gain"):
        Sensor(camera(noise=None))


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), torch.nn.Parameter(torch.ones(2))])
def test_an_impossible_psf_is_refused(sigma):
    with pytest.raises(rd.InputError, match="sigma must be"):
        GaussianPSF(sigma)
    with pytest.raises(rd.InputError, match="exposure must be"):
        Sensor(camera(), exposure=0)
    with pytest.raises(rd.InputError, match="at least 2x2 pixels, got 1x8"):
        GaussianPSF(1.0)(torch.zeros(3, 1, 8))


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
        Sensor(camera())(light, seeded())
