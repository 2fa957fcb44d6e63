"""Steps beyond the paper's: against independent implementations, and everywhere a step is used."""

import colour
import numpy as np
import pytest
import torch
from imagecodecs import jpeg8_decode, jpeg8_encode
from PIL import Image
from scipy.interpolate import PchipInterpolator, RegularGridInterpolator

import rawdrift as rd
from rawdrift.camera.optional import OPTIONAL
from rawdrift.cfa import offsets

from conftest import random_mosaic

KNEES = ((0.0, 0.0), (0.2, 0.05), (0.6, 0.3), (1.0, 1.0))
TONES = ((0.0, 0.0), (0.1, 0.25), (0.3, 0.55), (0.3001, 0.55), (0.7, 0.9), (1.0, 1.0))
RISING = ((0.0, 0.0), (0.1, 0.25), (0.3, 0.55), (0.7, 0.9), (1.0, 1.0))
GAINS = 1 + np.random.default_rng(3).random((4, 3, 5))
CAMERA = rd.Camera(
    "every-step",
    "GRBG",
    black_level=(0.01, 0.02, 0.02, 0.01),
    white_balance=(1.9, 1.0, 1.6),
    linearization=KNEES,
    defective_pixels=((3, 4), (0, 0)),
    shading=GAINS.tolist(),
    radial_shading=(0.2, -0.05),
    saturation=1.2,
    hue=5.0,
    tone_curve=TONES,
)
MOSAIC_STEPS = [
    rd.isp.Linearization(KNEES),
    rd.isp.DefectivePixels(positions=[(3, 4), (0, 0)]),
    rd.isp.DefectivePixels(),
    rd.isp.LensShading("GRBG", GAINS),
    rd.isp.Clipping("GRBG", (0.5, 1.0, 0.9, 0.7)),
    rd.isp.RadialShading((0.2, -0.05), center=(0.4, 0.7)),
]
VIEW_STEPS = [
    rd.isp.ShadesOfGray(),
    rd.isp.ShadesOfGray(strength=0.5, norm=6.0),
    rd.isp.ShadesOfGray(norm=float("inf")),
    rd.isp.Saturation(1.3),
    rd.isp.Hue(20.0),
    rd.isp.ToneCurve(RISING),
    rd.isp.NormToneCurve(RISING),
    rd.isp.TransferFunction("srgb"),
    rd.isp.TransferFunction("rec709"),
    rd.isp.Resize(0.5),
    rd.isp.Resize(0.7),
    rd.isp.Resize(1.6, method="bicubic"),
    rd.isp.Resize(0.6, method="bilinear"),
    rd.isp.JPEG(quality=70),
]
STEPS = [*MOSAIC_STEPS, *VIEW_STEPS]
names = [f"{type(step).__name__}-{i}" for i, step in enumerate(STEPS)]


def image_for(step, seed=0, height=10, width=12):
    """Within [0.05, 0.95], where no step clips."""
    shape = (2, height, width) if step.takes == "mosaic" else (2, 3, height, width)
    noise = np.random.default_rng(seed).random(shape)
    return torch.from_numpy(0.05 + 0.9 * noise)


def view(height=9, width=13, low=0.0, high=1.0, seed=0):
    noise = np.random.default_rng(seed).random((3, height, width))
    return torch.from_numpy(low + (high - low) * noise)


# Against independent implementations, in float64


def test_linearization_is_the_line_through_its_points():
    x = torch.linspace(-0.2, 1.2, 101, dtype=torch.float64).view(1, -1).repeat(2, 1)
    expected = np.interp(x.numpy(), *np.array(KNEES).T)
    assert np.allclose(rd.isp.Linearization(KNEES)(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("points", [KNEES, TONES, ((0.1, 0.2), (0.8, 0.9))])
def test_the_tone_curve_is_scipys_monotone_cubic(points):
    x = torch.linspace(-0.1, 1.1, 3 * 7 * 11, dtype=torch.float64).view(3, 7, 11)
    inputs, outputs = np.array(points).T
    expected = PchipInterpolator(inputs, outputs)(np.clip(x.numpy(), inputs[0], inputs[-1]))
    actual = rd.isp.ToneCurve(points)(x)
    assert np.allclose(actual, expected, rtol=0, atol=1e-12)
    assert (actual.flatten().diff() >= -1e-15).all()


def test_the_tone_curve_on_the_norm_keeps_the_ratios_of_the_channels():
    x = view(low=0.01)
    values = x.numpy()
    norm = (values**3).sum(0) / (values**2).sum(0)
    expected = values * PchipInterpolator(*np.array(RISING).T)(norm) / norm
    assert np.allclose(rd.isp.NormToneCurve(RISING)(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("standard", "name"), [("srgb", "sRGB"), ("rec709", "ITU-R BT.709")])
def test_transfer_functions_are_the_standards(standard, name):
    x = view(low=-0.2, high=1.3)
    expected = colour.cctf_encoding(np.clip(x.numpy(), 0, 1), name)
    assert np.allclose(rd.isp.TransferFunction(standard)(x), expected, rtol=0, atol=1e-9)


def test_clipping_has_a_level_for_each_site():
    x = torch.linspace(-0.2, 1.2, 24, dtype=torch.float64).view(4, 6)
    expected = np.clip(x.numpy(), 0, np.tile([[1.0, 0.5], [0.7, 0.9]], (2, 3)))
    assert np.array_equal(rd.isp.Clipping("GRBG", (0.5, 1.0, 0.9, 0.7))(x), expected)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_lens_shading_interpolates_the_map_of_each_site(pattern):
    height, width = 11, 14
    grids = [np.linspace(0, 1, n) for n in GAINS.shape[1:]]
    centers = np.stack(
        np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width,
                    indexing="ij"), -1,
    )  # fmt: skip
    expected = np.empty((height, width))
    for gains, (row, column) in zip(GAINS, offsets(pattern), strict=True):
        full = RegularGridInterpolator(grids, gains)(centers)
        expected[row::2, column::2] = full[row::2, column::2]
    actual = rd.isp.LensShading(pattern, GAINS)(torch.ones(height, width, dtype=torch.float64))
    assert np.allclose(actual, expected, rtol=0, atol=1e-12)


def test_radial_shading_is_the_polynomial_of_the_distance():
    height, width, center, terms = 8, 10, (0.4, 0.7), (0.3, -0.1, 0.05)
    rows, columns = np.mgrid[:height, :width] + 0.5
    down, across = rows - 0.4 * height, columns - 0.7 * width
    farthest = max(
        np.hypot(y - 0.4 * height, x - 0.7 * width) for y in (0, height) for x in (0, width)
    )
    radius = np.hypot(down, across) / farthest
    expected = 1 + sum(k * radius ** (2 * i + 2) for i, k in enumerate(terms))
    step = rd.isp.RadialShading(terms, center=center)
    assert np.allclose(step(torch.ones(height, width, dtype=torch.float64)), expected, atol=1e-12)


def neighbors(mosaic, row, column):
    """The eight nearest of the same site, mirrored at the borders: positions and values."""
    height, width = mosaic.shape
    at = []
    for down in (-2, 0, 2):
        for across in (-2, 0, 2):
            if down or across:
                i, j = abs(row + down), abs(column + across)
                at.append((min(i, 2 * (height - 1) - i), min(j, 2 * (width - 1) - j)))
    return at, np.array([mosaic[place] for place in at])


@pytest.mark.parametrize("listed", [True, False])
def test_defective_pixels_get_the_median_of_the_intact_ones(listed):
    rng = np.random.default_rng(1)
    clean = 0.4 + 0.02 * rng.random((12, 15))
    broken = {(0, 0): 1.0, (5, 6): 0.0, (5, 8): 0.95, (11, 14): 0.9, (7, 3): 0.0}
    mosaic = clean.copy()
    for place, value in broken.items():
        mosaic[place] = value
    step = rd.isp.DefectivePixels(positions=list(broken) if listed else None, threshold=0.2)
    both = torch.from_numpy(np.stack([mosaic, clean]))
    actual = step(both)
    expected = mosaic.copy()
    for place in broken:
        at, values = neighbors(mosaic, *place)
        expected[place] = np.median([v for p, v in zip(at, values, strict=True) if p not in broken])
    assert np.array_equal(actual[0], expected)
    assert abs(expected - clean).max() < 0.02
    if not listed:
        assert np.array_equal(actual[1], clean)


def test_a_clean_edge_is_not_taken_for_defects():
    mosaic = torch.zeros(10, 12, dtype=torch.float64)
    mosaic[:, 5:] = 1.0
    assert torch.equal(rd.isp.DefectivePixels()(mosaic), mosaic)


@pytest.mark.parametrize("norm", [1.0, 6.0, float("inf")])
def test_gray_is_estimated_from_each_image(norm):
    x = torch.stack([view(low=-0.1, high=0.7), view(high=0.3, seed=1)])
    actual = rd.isp.ShadesOfGray(norm=norm)(x)
    for image, balanced in zip(x.numpy(), actual.numpy(), strict=True):
        seen = np.clip(image, 0, None).reshape(3, -1)
        means = seen.max(1) if np.isinf(norm) else (seen**norm).mean(1) ** (1 / norm)
        expected = image * (means[1] / means)[:, None, None]
        assert np.allclose(balanced, expected, rtol=1e-12)
    black = torch.zeros(1, 3, 4, 4)
    assert torch.equal(rd.isp.ShadesOfGray(norm=norm)(black), black)


def test_saturation_and_hue_keep_gray_and_luma():
    gray = view()[:1].repeat(3, 1, 1)
    for step in (rd.isp.Saturation(1.7), rd.isp.Hue(33.0)):
        assert torch.allclose(step(gray), gray, rtol=0, atol=1e-7)
    x = view()
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = torch.einsum("c,chw->hw", weights, x)
    for step in (rd.isp.Saturation(1.7), rd.isp.Hue(33.0)):
        assert torch.allclose(torch.einsum("c,chw->hw", weights, step(x)), luma, atol=1e-7)
    assert torch.allclose(rd.isp.Saturation(0.0)(x), luma.expand(3, -1, -1))
    assert torch.allclose(rd.isp.Hue(-33.0)(rd.isp.Hue(33.0)(x)), x, atol=1e-12)


@pytest.mark.parametrize("factor", [1 / 3, 0.5, 0.37, 1.0, 2.0, 1.45])
def test_area_is_the_mean_of_what_a_pixel_covers(factor):
    x = view(9, 12)
    actual = rd.isp.Resize(factor)(x)
    height, width = round(9 * factor), round(12 * factor)
    fine = x.numpy().repeat(height, 1).repeat(width, 2)  # every old pixel height x width times
    expected = fine.reshape(3, height, 9, width, 12).mean((2, 4))
    assert np.allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.7])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_interpolation_is_pillows(method, factor):
    x = view(20, 24)
    size = (round(24 * factor), round(20 * factor))
    expected = [
        Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling[method.upper()])
        for plane in x.numpy()
    ]
    # Pillow's bicubic has a = -0.5, PyTorch's antialiased one too.
    assert np.allclose(rd.isp.Resize(factor, method)(x), np.stack(expected), atol=2e-6)


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_jpeg_is_that_of_libjpeg(subsampling):
    x = view(16, 24, low=-0.1, high=1.2)
    pixels = np.round(np.clip(x.numpy(), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0).copy()
    file = jpeg8_encode(pixels, level=60, subsampling=subsampling)
    expected = jpeg8_decode(file).transpose(2, 0, 1) / 255
    step = rd.isp.JPEG(quality=60, subsampling=subsampling)
    assert np.allclose(step(x), expected, rtol=0, atol=1e-12)
    assert np.array_equal(step(x.expand(2, 2, -1, -1, -1))[1, 0], step(x))


# Laws over all of them


@pytest.mark.parametrize("step", STEPS, ids=names)
def test_float32_agrees_with_float64(step):
    x = image_for(step)
    assert torch.allclose(step(x.float()).double(), step(x), rtol=0, atol=2e-6)
    assert step(x.float()).dtype == torch.float32
    assert torch.allclose(step(x[0]), step(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", STEPS, ids=names)
def test_gradients_are_those_of_the_values(step):
    x = image_for(step, height=6, width=7).requires_grad_()
    if isinstance(step, rd.isp.JPEG):
        step(x).sum().backward()
        assert torch.equal(x.grad, torch.ones_like(x))
        return
    numbers = {n: t.detach().clone().requires_grad_() for n, t in step.tensors().items()}

    def call(x, *values):
        return torch.func.functional_call(step, dict(zip(numbers, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *numbers.values()), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("step", STEPS, ids=names)
def test_wrong_shapes_are_refused(step):
    with pytest.raises(ValueError, match="takes a"):
        step(torch.rand(5) if step.takes == "mosaic" else torch.rand(4, 5, 5))


def full():
    """Every step in the usual order, with the camera's numbers."""
    return rd.isp.Pipeline(
        {
            "linearization": rd.isp.Linearization.of(CAMERA),
            "defects": rd.isp.DefectivePixels.of(CAMERA),
            "black_level": rd.isp.BlackLevel.of(CAMERA),
            "shading": rd.isp.LensShading.of(CAMERA),
            "radial": rd.isp.RadialShading.of(CAMERA),
            "demosaic": rd.isp.Bilinear.of(CAMERA),
            "white_balance": rd.isp.WhiteBalance.of(CAMERA),
            "auto": rd.isp.ShadesOfGray(0.5, norm=6.0),
            "color_correction": rd.isp.ColorCorrection.of(CAMERA),
            "saturation": rd.isp.Saturation.of(CAMERA),
            "hue": rd.isp.Hue.of(CAMERA),
            "sharpen": rd.isp.SharpeningFilter(),
            "tones": rd.isp.ToneCurve.of(CAMERA),
            "resize": rd.isp.Resize(0.5),
            "jpeg": rd.isp.JPEG(quality=95),
        }
    )


def test_they_are_saved_and_loaded_to_the_last_bit(tmp_path):
    isp, mosaic = full(), random_mosaic(0, 12, 14)
    rd.isp.save(isp, tmp_path / "all.toml", CAMERA)
    again = rd.isp.load(tmp_path / "all.toml")
    assert torch.equal(again(mosaic), isp(mosaic))
    assert rd.Camera.load(tmp_path / "all.toml").tone_curve == CAMERA.tone_curve
    learned = rd.isp.load(tmp_path / "all.toml", parametrized=True)
    learned(mosaic).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learned.parameters())


def test_cameras_hold_their_numbers(tmp_path):
    CAMERA.save(tmp_path / "camera.toml")
    assert rd.Camera.load(tmp_path / "camera.toml") == CAMERA
    assert {rd.isp.Linearization.of(CAMERA), CAMERA}  # hashable


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("linearization", [[0, 0], [0, 1]], "inputs that rise"),
        ("tone_curve", [[0, 0], [0.5, 1], [1, 0.5]], "outputs that don't fall"),
        ("tone_curve", [[0, 0, 0], [1, 1, 1]], "points"),
        ("tone_curve", "srgb", "must be a list"),
        ("shading", [[[1, 1], [1, 1]]] * 3, "4 maps"),
        ("shading", [[[1, 1], [1, 0]]] * 4, "above 0"),
        ("shading", [], "4 maps"),
        ("shading", [[], [], [], []], "4 maps"),
        ("radial_shading", [], "1 finite"),
        ("defective_pixels", [[1, 2], [3]], r"\[row, column\]"),
        ("defective_pixels", [[1, -2]], r"\[row, column\]"),
        ("saturation", -1, "at least 0"),
        ("hue", "red", "degrees"),
    ],
)
def test_impossible_numbers_of_a_camera_are_refused(field, value, message):
    assert field in OPTIONAL
    with pytest.raises(rd.InputError, match=message):
        rd.Camera("bad", "RGGB", **{field: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rd.isp.JPEG(quality=0), "at least 1"),
        (lambda: rd.isp.JPEG(quality=101), "from 1 to 100"),
        (lambda: rd.isp.Resize(0), "above 0"),
        (lambda: rd.isp.Resize(0.5, "nearest"), "choose one of"),
        (lambda: rd.isp.TransferFunction("gamma"), "choose one of"),
        (lambda: rd.isp.ShadesOfGray(norm=0.5), "at least 1"),
        (lambda: rd.isp.ToneCurve([[0, 0], [1, float("nan")]]), "finite"),
        (lambda: rd.isp.ToneCurve([0, 1]), r"shape \(any, 2\)"),
        (lambda: rd.isp.LensShading("RGGB", np.ones((4, 1, 3))), "2x2 points"),
        (lambda: rd.isp.RadialShading(()), "one number or more"),
        (lambda: rd.isp.RadialShading((0.1,), center=(2, 0)), "0 to 1"),
        (lambda: rd.isp.DefectivePixels(positions=[(20, 0)])(torch.ones(8, 8)), "outside the"),
        (
            lambda: rd.isp.DefectivePixels(positions=[(0, 0), (0, 2), (2, 0), (2, 2)])(
                torch.ones(4, 4)
            ),
            "no intact one",
        ),
    ],
)  # fmt: skip
def test_impossible_steps_are_refused(make, message):
    with pytest.raises(rd.InputError, match=message):
        make()


def test_learning_may_bend_a_curve_out_of_order_but_it_still_rises():
    step = rd.isp.ToneCurve(torch.nn.Parameter(torch.tensor(TONES, dtype=torch.float64)))
    with torch.no_grad():
        step.points += 0.3 * torch.randn(step.points.shape, generator=torch.manual_seed(0))
    x = torch.linspace(0, 1, 300, dtype=torch.float64).view(3, 10, 10)
    y = step(x)
    assert y.isfinite().all()
    assert (y.flatten().diff() >= -1e-12).all()
    y.sum().backward()
    assert step.points.grad.isfinite().all()


def test_they_drift_within_their_declared_ranges():
    isp = full()
    space = rd.forensics.ParameterSpace.around(isp)
    for name in (
        "linearization.bend", "shading.strength", "radial.coefficients[1]", "auto.strength",
        "saturation.amount", "hue.angle", "tones.bend", "tones.contrast",
    ):  # fmt: skip
        assert name in space.names
    mosaic = random_mosaic(0, 12, 14)
    views = {isp(mosaic).numpy().tobytes()}
    for k in range(len(space)):
        end = space.default.copy()
        end[k] = space.high[k] if space.high[k] > space.default[k] else space.low[k]
        changed = space.pipeline(isp, end)(mosaic)
        assert changed.isfinite().all()
        views.add(changed.numpy().tobytes())
    assert len(views) > len(space) - 2  # JPEG may hide a small one
    assert torch.equal(space.pipeline(isp, space.default)(mosaic), isp(mosaic))


@pytest.mark.parametrize("name", [*rd.isp.CONFIGURATIONS, "bi,-,-"])
def test_a_cameras_own_steps_are_in_the_usual_order(name, tmp_path):
    isp = rd.isp.static(name, CAMERA)
    expected = [
        "linearization", "defective_pixels", "black_level", "shading", "radial_shading", "demosaic",
        "white_balance", "color_correction", "saturation", "hue", "sharpen", "denoise",
        "tone_curve",
    ]  # fmt: skip
    assert [n for n in expected if n in isp.steps] == list(isp.steps)
    assert len(isp.steps) == len(expected) - name.count("-")
    mosaic = random_mosaic(0, 12, 14)
    with rd.isp.engine("eager"):
        eager = isp(mosaic)
    assert torch.allclose(isp(mosaic), eager, rtol=0, atol=1e-5)
    assert torch.allclose(rd.isp.views(mosaic, CAMERA, [name])[name], eager, rtol=0, atol=1e-5)
    assert torch.allclose(rd.isp.parametrized(name, CAMERA)(mosaic), eager, rtol=0, atol=1e-5)
    rd.isp.save(isp, tmp_path / "isp.toml", CAMERA)
    assert f'configuration = "{name}"' in (tmp_path / "isp.toml").read_text()
    assert torch.equal(rd.isp.load(tmp_path / "isp.toml")(mosaic), isp(mosaic))
    assert rd.Camera.load(tmp_path / "isp.toml") == CAMERA
