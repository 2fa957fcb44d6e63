"""The common corruptions against scikit-image, SciPy and Pillow, and against plain loops."""

import io
import math
from itertools import product

import numpy as np
import pytest
import scipy.ndimage as ndi
import skimage
import torch
from PIL import Image
from skimage.transform import AffineTransform

from rawdrift.borders import inside
from rawdrift.corruptions import LEVELS, PAPER, TABLES, blur, corrupt, elastic, fog, glass
from rawdrift.corruptions.declaration import find
from rawdrift.corruptions.streams import integers, normal, open_streams, uniform

CPU = torch.device("cpu")
every_row = pytest.mark.parametrize(("table", "severity"), list(product(TABLES, LEVELS)))


def scene(height=40, width=52, seed=0):
    """(H, W, 3) float64: smooth colors, a bright corner, a little grain, some gray and black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([0.2 + 0.6 * x, 0.5 + 0.3 * np.sin(9 * y), 0.9 - 0.7 * x * y], -1)
    image += rng.normal(0, 0.05, image.shape)
    image[:6, :6] = 1
    image[-6:, :6] = 0
    image[:6, -6:] = 0.4
    return image.clip(0, 1)


def tensor(image):
    return torch.from_numpy(image).movedim(-1, 0)[None]


def array(views):
    return views[0].movedim(0, -1).numpy()


def of(table, name, severity):
    return find(name).constants(table, severity)


def assert_is(found, expected, atol=1e-9):
    np.testing.assert_allclose(array(found), np.clip(expected, 0, 1), rtol=0, atol=atol)


@pytest.mark.parametrize("border", ["edge", "reflect", "symmetric"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_borders_are_numpy_s(border, n):
    expected = np.pad(np.arange(n), 7, mode=border)
    np.testing.assert_array_equal(inside(torch.arange(-7, n + 7), n, border), expected)


@every_row
def test_contrast(table, severity):
    x, c = scene(), of(table, "contrast", severity)["factor"]
    mean = x.mean((0, 1))
    assert_is(corrupt(tensor(x), "contrast", severity, [0], table), (x - mean) * c + mean)


@every_row
def test_brightness(table, severity):
    x, c = scene(), of(table, "brightness", severity)["offset"]
    hsv = skimage.color.rgb2hsv(x)
    hsv[..., 2] = np.clip(hsv[..., 2] + c, 0, 1)
    found = corrupt(tensor(x), "brightness", severity, [0], table)
    assert_is(found, skimage.color.hsv2rgb(hsv))


@every_row
def test_saturate(table, severity):
    x, c = scene(), of(table, "saturate", severity)
    hsv = skimage.color.rgb2hsv(x)
    hsv[..., 1] = np.clip(hsv[..., 1] * c["factor"] + c["offset"], 0, 1)
    found = corrupt(tensor(x), "saturate", severity, [0], table)
    assert_is(found, skimage.color.hsv2rgb(hsv))


@every_row
def test_gaussian_blur(table, severity):
    x, c = scene(), of(table, "gaussian_blur", severity)["sigma"]
    expected = skimage.filters.gaussian(x, c, channel_axis=-1)
    assert_is(corrupt(tensor(x), "gaussian_blur", severity, [0], table), expected)


@every_row
def test_defocus_blur(table, severity):
    x, c = scene(), of(table, "defocus_blur", severity)
    reach, soft = (8, 1) if c["radius"] <= 8 else (c["radius"], 2)
    y = np.arange(-reach, reach + 1)
    disk = (y**2 + y[:, None] ** 2 <= c["radius"] ** 2).astype(float)
    taps = np.exp(-0.5 * (np.arange(-soft, soft + 1) / c["alias"]) ** 2)
    for axis in (0, 1):
        disk = ndi.correlate1d(disk, taps / taps.sum(), axis, mode="mirror")
    expected = ndi.correlate(x, disk[..., None] / disk.sum(), mode="mirror")
    scale = blur.disk(**c).sum().item()
    assert scale == pytest.approx(1, abs=1e-9 if c["radius"] < 8 else 0.014)
    assert_is(corrupt(tensor(x), "defocus_blur", severity, [0], table), scale * expected)


@every_row
def test_zoom_blur(table, severity):
    x, c = scene(), of(table, "zoom_blur", severity)
    factors = np.arange(1, c["stop"], c["step"])
    total = x.copy()
    for factor in factors:
        crop = [math.ceil(n / factor) for n in x.shape[:2]]
        top, left = ((n - m) // 2 for n, m in zip(x.shape, crop, strict=False))
        part = x[top : top + crop[0], left : left + crop[1]]
        large = ndi.zoom(part, (factor, factor, 1), order=1)
        top, left = ((m - n) // 2 for n, m in zip(x.shape, large.shape[:2], strict=False))
        total += large[top : top + x.shape[0], left : left + x.shape[1]]
    expected = total / (len(factors) + 1)
    assert_is(corrupt(tensor(x), "zoom_blur", severity, [0], table), expected)


@every_row
def test_motion_blur(table, severity):
    x, c = scene(), of(table, "motion_blur", severity)
    angle = float(uniform((), open_streams([5], "motion_blur", severity, CPU), -1, 1))
    angle *= math.pi / 4
    taps = np.exp(-0.5 * (np.arange(2 * c["radius"] + 1) / c["sigma"]) ** 2)
    expected = np.zeros_like(x)
    for i, weight in enumerate(taps / taps.sum()):
        line = (-math.ceil(i * math.sin(angle) - 0.5), -math.ceil(i * math.cos(angle) - 0.5), 0)
        expected += weight * ndi.shift(x, line, order=0, mode="nearest")
    assert_is(corrupt(tensor(x), "motion_blur", severity, [5], table), expected)


def test_motion_runs_through_all_angles_up_to_45_degrees():
    streams = open_streams(range(400), "motion_blur", 1, CPU)
    dot = torch.zeros(400, 3, 61, 61)
    dot[..., 30, 30] = 1
    blurred = blur.motion_blur(dot, streams, radius=10, sigma=6)[:, 0]
    y, x = torch.meshgrid(torch.arange(61) - 30, torch.arange(61) - 30, indexing="ij")
    slope = torch.atan2((blurred * y).sum((1, 2)), (blurred * x).sum((1, 2)).abs()).rad2deg()
    assert float(slope.abs().max()) < 47
    assert float(slope.std()) == pytest.approx(90 / 12**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("reach", "size"), [(1, (9, 8)), (2, (13, 17)), (4, (20, 24)), (4, (8, 9))]
)
def test_the_shuffle_of_glass_is_the_sequential_one(reach, size):
    height, width = size
    inner = (2, max(height - 2 * reach, 0), max(width - 2 * reach, 0))
    streams = open_streams([0, 1], "glass_blur", 1, CPU)
    offsets = integers(inner, streams, -reach, reach)
    found = glass.shuffle(offsets, reach, height, width).view(2, height, width)
    for image, moves in enumerate(offsets.numpy()):
        expected = np.arange(height * width).reshape(size) + image * height * width
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                dy, dx = moves[:, h - reach - 1, w - reach - 1]
                expected[h, w] = expected[h + dy, w + dx]
        np.testing.assert_array_equal(found[image], expected)


@every_row
def test_glass_blur(table, severity):
    x, c = scene(), of(table, "glass_blur", severity)
    streams = open_streams([3], "glass_blur", severity, CPU)
    shuffled = skimage.filters.gaussian(x, c["sigma"], channel_axis=-1)
    reach = c["reach"]
    inner = (2, x.shape[0] - 2 * reach, x.shape[1] - 2 * reach)
    for _ in range(c["passes"]):
        source = glass.shuffle(integers(inner, streams, -reach, reach), reach, *x.shape[:2])
        shuffled = shuffled.reshape(-1, 3)[source].reshape(x.shape)
    expected = skimage.filters.gaussian(shuffled, c["sigma"], channel_axis=-1)
    assert_is(corrupt(tensor(x), "glass_blur", severity, [3], table), expected)


@pytest.mark.parametrize("decay", [1.4, 3])
def test_the_cloud_is_the_diamond_square_algorithm(decay):
    size = 16
    noise = np.random.default_rng(0).uniform(-1, 1, (size, size))
    cloud = np.zeros((size, size))
    half, scale = size // 2, 1.0
    diagonal, straight = ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((0, -1), (0, 1), (-1, 0), (1, 0))

    def point(y, x, around):
        beside = [cloud[(y + half * dy) % size, (x + half * dx) % size] for dy, dx in around]
        cloud[y, x] = np.mean(beside) + scale * noise[y, x]

    while half:
        for y, x in product(range(half, size, 2 * half), repeat=2):
            point(y, x, diagonal)
        for y, x in product(range(0, size, half), repeat=2):
            if (y // half + x // half) % 2:
                point(y, x, straight)
        half, scale = half // 2, scale / decay**2
    expected = (cloud - cloud.min()) / np.ptp(cloud)
    found = fog.plasma(torch.from_numpy(noise)[None], decay)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@every_row
def test_fog(table, severity):
    x, c = scene(), of(table, "fog", severity)
    stream = open_streams([0], "fog", severity, CPU)
    cloud = fog.plasma(uniform((64, 64), stream, -1, 1), c["decay"])[0, :40, :52, None].numpy()
    expected = (x + c["strength"] * cloud) * x.max() / (x.max() + c["strength"])
    assert_is(corrupt(tensor(x), "fog", severity, [0], table), expected, atol=1e-6)


@every_row
def test_elastic_transform(table, severity):
    x, c = scene(90, 100), of(table, "elastic_transform", severity)
    height, width = x.shape[:2]
    stream = open_streams([1], "elastic_transform", severity, CPU)
    moved = uniform((3, 2), stream, -c["affine"], c["affine"]).numpy()[0]
    third = min(height, width) // 3
    before = [width // 2, height // 2] + third * np.array([[1, 1], [1, -1], [-1, -1]])
    back = AffineTransform.from_estimate(before + moved, before)
    y, x_ = np.mgrid[:height, :width].astype(float)
    places = back(np.stack([x_.ravel(), y.ravel()], -1)).T[::-1].reshape(2, height, width)
    expected = [
        ndi.map_coordinates(plane, places, order=1, mode="mirror") for plane in np.rollaxis(x, 2)
    ]
    if c["alpha"]:
        noise = uniform((2, height, width), stream, -1, 1).numpy()[0]
        dx, dy = (
            c["alpha"] * ndi.gaussian_filter(plane, c["sigma"], mode="reflect", truncate=3)
            for plane in noise
        )
        places = np.stack([y + dy, x_ + dx])
        expected = [
            ndi.map_coordinates(plane, places, order=1, mode="reflect") for plane in expected
        ]
    found = corrupt(tensor(x), "elastic_transform", severity, [1], table)
    assert_is(found, np.stack(expected, -1), atol=1e-4)


def test_an_affine_map_moves_its_three_points():
    moved = torch.tensor([[[2.0, -1], [0, 3], [-2, -2]]], dtype=torch.float64)
    x, y = elastic._before(moved, torch.arange(40.0), torch.arange(30.0)[:, None])
    for (column, row), move in zip([(30, 25), (30, 5), (10, 5)], moved[0].tolist(), strict=True):
        now = (0, int(row + move[1]), int(column + move[0]))
        assert (float(x[now]), float(y[now])) == pytest.approx((column, row), abs=1e-4)


@every_row
# Sizes at which no pixel center lies between two boxes: Pillow places those by rounding.
@pytest.mark.parametrize("size", [(39, 52), (16, 48)])
def test_pixelate(table, severity, size):
    x, c = np.round(scene(*size) * 255).astype(np.uint8), of(table, "pixelate", severity)["scale"]
    small = [int(n * c) for n in size]
    image = Image.fromarray(x).resize(small[::-1], Image.Resampling.BOX)
    expected = np.asarray(image.resize(size[::-1], Image.Resampling.BOX)) / 255
    found = corrupt(tensor(x / 255), "pixelate", severity, [0], table)
    assert_is(found, expected, atol=1.01 / 255)


@every_row
@pytest.mark.parametrize("size", [(40, 52), (33, 31)])
def test_jpeg_compression(table, severity, size):
    x, c = np.round(scene(*size) * 255).astype(np.uint8), of(table, "jpeg_compression", severity)
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=c["quality"])
    found = corrupt(tensor(x / 255), "jpeg_compression", severity, [0], table)
    assert_is(found, np.asarray(Image.open(file)) / 255, atol=1.01 / 255)


def numpy_noise(name, x, rng, **c):
    """The published formulas."""
    if name == "gaussian_noise":
        return x + rng.normal(0, c["std"], x.shape)
    if name == "speckle_noise":
        return x + x * rng.normal(0, c["std"], x.shape)
    if name == "shot_noise":
        return rng.poisson(x * c["photons"]) / c["photons"]
    return skimage.util.random_noise(x, "s&p", rng=rng, amount=c["amount"])


@every_row
@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise", "shot_noise", "impulse_noise"])
def test_noise_has_the_published_distribution(name, table, severity):
    ramp = np.repeat(np.linspace(0, 1, 5), 4096)  # a mean and a variance at each of five levels
    x = np.broadcast_to(ramp[:, None], (len(ramp), 3)).reshape(160, 128, 3)
    rng = np.random.default_rng(severity)
    expected = numpy_noise(name, x, rng, **of(table, name, severity)).clip(0, 1)
    found = array(corrupt(tensor(x.copy()), name, severity, [0], table))
    noises = [(noisy - x).reshape(5, -1) for noisy in (found, expected)]
    n = noises[0].shape[1]
    for moment in (1, 2):
        (a, b), spread = ((v**moment).mean(1) for v in noises), (noises[1] ** moment).std(1)
        assert (np.abs(a - b) <= 5 * spread * (2 / n) ** 0.5 + 1e-6).all(), (moment, a, b)
    middle = noises[0][2].reshape(-1, 3)
    between = [*np.corrcoef(middle.T)[np.triu_indices(3, 1)]]  # channels
    between += [np.corrcoef(channel[1:], channel[:-1])[0, 1] for channel in middle.T]  # neighbors
    assert np.abs(between).max() < 5 / len(middle) ** 0.5


# The constants of the paper's ten at severities 1 to 5, as its code has them:
# utils/Cperturb.py of github.com/aiaudit-org/raw2logit.
AUTHORS = {
    "gaussian_noise": {"std": (0.04, 0.06, 0.08, 0.09, 0.1)},
    "shot_noise": {"photons": (500, 250, 100, 75, 50)},
    "impulse_noise": {"amount": (0.01, 0.02, 0.03, 0.05, 0.07)},
    "speckle_noise": {"std": (0.06, 0.1, 0.12, 0.16, 0.2)},
    "gaussian_blur": {"sigma": (0.4, 0.6, 0.7, 0.8, 1)},
    "zoom_blur": {"stop": (1.06, 1.11, 1.16, 1.21, 1.26), "step": (0.01,) * 5},
    "contrast": {"factor": (0.75, 0.5, 0.4, 0.3, 0.15)},
    "brightness": {"offset": (0.05, 0.1, 0.15, 0.2, 0.3)},
    "saturate": {"factor": (0.3, 0.1, 1.5, 2, 2.5), "offset": (0, 0, 0, 0.1, 0.2)},
    "elastic_transform": {
        "alpha": tuple(32 * share for share in (0, 0.05, 0.08, 0.1, 0.1)),
        "sigma": tuple(32 * share for share in (0, 0.2, 0.06, 0.04, 0.03)),
        "affine": tuple(32 * share for share in (0.08, 0.07, 0.06, 0.05, 0.03)),
    },
}


def test_the_table_small_is_the_authors():
    assert set(AUTHORS) == {*PAPER} - {"identity"}
    for name, constants in AUTHORS.items():
        found = find(name).tables["small"]
        assert found.keys() == constants.keys()
        for constant, values in constants.items():
            np.testing.assert_allclose(found[constant], values, rtol=1e-12)


@every_row
def test_frost_is_a_share_of_the_view_and_of_ice_like_the_photographs(table, severity):
    c = of(table, "frost", severity)
    black, gray = (
        corrupt(torch.full((4, 3, 96, 128), level), "frost", severity, range(4), table)
        for level in (0.0, 0.2)
    )
    below = gray < 1
    assert below.float().mean() > 0.9
    torch.testing.assert_close(
        (gray - black)[below], torch.tensor(0.2 * c["view"]).expand(below.sum())
    )
    ice = black.mean((0, 2, 3)) / c["ice"]
    torch.testing.assert_close(ice, torch.tensor([0.52, 0.6, 0.65]), rtol=0, atol=0.02)
    spread = black.mean(1).std((1, 2)) / c["ice"]
    assert ((spread > 0.12) & (spread < 0.2)).all()


@every_row
def test_snow_lightens_the_view_and_adds_flakes_twice(table, severity):
    x, c = scene(), of(table, "snow", severity)
    gray = x @ (0.299, 0.587, 0.114)
    pale = np.maximum(x, 1.5 * gray[..., None] + 0.5)
    pale = c["view"] * x + (1 - c["view"]) * pale
    snowy = array(corrupt(tensor(x), "snow", severity, [0], table))
    assert (snowy > pale.clip(0, 1) - 1e-6).all()
    added = array(corrupt(torch.zeros(1, 3, 40, 52), "snow", severity, [0], table))
    flakes = added[..., 0] - 0.5 * (1 - c["view"])
    unclipped = (snowy < 1) & (added < 1)
    np.testing.assert_allclose(
        (snowy - pale)[unclipped], np.stack([flakes] * 3, -1)[unclipped], atol=1e-5
    )
    np.testing.assert_allclose(flakes, np.rot90(flakes, 2), atol=1e-6)
    assert flakes.max() > 0.1


@every_row
def test_spatter_is_drops_of_water_or_mud(table, severity):
    c = of(table, "spatter", severity)
    flat = torch.full((1, 3, 120, 130), 0.3, dtype=torch.float64)
    found = array(corrupt(flat, "spatter", severity, [3], table))
    noise = normal((120, 130), open_streams([3], "spatter", severity, CPU))[0].numpy()
    liquid = ndi.gaussian_filter(c["mean"] + c["std"] * noise, c["sigma"], mode="nearest")
    drops = (liquid > c["threshold"]).astype(float)
    if c["mud"]:
        cover = ndi.gaussian_filter(drops, c["strength"], mode="nearest")[..., None]
        cover[cover < 0.8] = 0
        expected = 0.3 * (1 - cover) + cover * np.array([63, 42, 20]) / 255
        np.testing.assert_allclose(found, expected, atol=1e-5)
        return
    wet = (found - 0.3).max(-1)
    assert (wet[drops == 0] == 0).all()
    assert (wet[drops == 1] > 0).mean() > 0.4
    np.testing.assert_allclose(wet.max(), c["strength"] * 238 / 255, atol=1e-5)
    lit = wet > 0.01
    shade = (found - 0.3)[lit] / wet[lit][:, None]
    np.testing.assert_allclose(shade, np.tile([175 / 238, 1, 1], (lit.sum(), 1)), atol=1e-4)
