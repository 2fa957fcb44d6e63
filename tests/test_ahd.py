"""AHD demosaicing: against LibRaw's and against loops over pixels, and wherever an ISP is named."""

from dataclasses import replace

import numpy as np
import pytest
import rawpy
import torch

import rawdrift as rd
from rawdrift.camera.write_dng import dng
from rawdrift.cfa import PATTERNS, offsets

CAMERA = rd.Camera(
    "lab-cam",
    "RGGB",
    black_level=(0.02,) * 4,
    white_level=1.0,
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.55, -0.4, -0.15), (-0.22, 1.62, -0.4), (-0.02, -0.42, 1.44)),
)
GAINS = np.array(CAMERA.white_balance)


def scene(pattern, size, seed=0):
    """A noisy mosaic of disks and stripes of many colors: edges in all directions."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    view = np.full((3, size, size), 0.2)
    for _ in range(12):
        y, x, radius = rng.uniform(0, size, 2).tolist() + [rng.uniform(3, size / 4)]
        inside = np.hypot(rows - y, columns - x) < radius
        view[:, inside] = rng.uniform(0.08, 0.4, (3, 1))
    view *= 1 + 0.2 * np.sin(rows * 0.9 + columns * 0.4)
    mosaic = view[1].copy()
    (red, _, _, blue) = offsets(pattern)
    for channel, (row, column) in ((0, red), (2, blue)):
        mosaic[row::2, column::2] = view[channel, row::2, column::2]
    return 0.02 + mosaic + rng.normal(0, 0.002, mosaic.shape)


@pytest.mark.parametrize("passes", [0, 2])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_ahd_is_librawss_but_for_its_rounding(pattern, passes, tmp_path):
    camera = replace(CAMERA, cfa=pattern)
    values = np.rint(scene(pattern, 96) * 65535).astype(np.uint16)
    (tmp_path / "a.dng").write_bytes(dng(values, camera))
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        theirs = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, median_filter_passes=passes,
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0, output_bps=16,
            user_flip=0, gamma=(1, 1), output_color=rawpy.ColorSpace.raw,
        )  # fmt: skip
    x = rd.isp.BlackLevel.of(camera)(torch.from_numpy(values / 65535))
    view = rd.isp.AHD.of(camera, median_passes=passes)(x).permute(1, 2, 0).numpy()
    error = np.abs(view * GAINS / GAINS.min() - theirs / 65535)[6:-6, 6:-6]
    # Between two directions that look equally alike, rounding to 16 bits decides.
    assert (error.max(-1) > 4 / 65535).mean() < 0.03
    assert 10 * np.log10(1 / np.square(error).mean()) > 60


def loops(mosaic, pattern, gains, matrix):
    """AHD, pixel by pixel, of the interior; borders are mirrored."""
    height, width = mosaic.shape
    red, _, _, blue = offsets(pattern)
    color = np.ones((height, width), int)
    color[red[0] :: 2, red[1] :: 2], color[blue[0] :: 2, blue[1] :: 2] = 0, 2
    mosaic = mosaic * (np.array(gains) / min(gains))[color]

    def at(image, row, column):
        row, column = abs(row), abs(column)
        return image[min(row, 2 * height - 2 - row), min(column, 2 * width - 2 - column)]

    places = [(r, c) for r in range(height) for c in range(width)]
    views = []
    for down, across in ((0, 1), (1, 0)):
        green = mosaic.copy()
        for r, c in places:
            if color[r, c] != 1:
                near = [at(mosaic, r + k * down, c + k * across) for k in (-2, -1, 0, 1, 2)]
                value = np.dot(near, (-0.25, 0.5, 0.5, 0.5, -0.25))
                green[r, c] = np.clip(value, min(near[1], near[3]), max(near[1], near[3]))
        view = np.empty((height, width, 3))
        for r, c in places:
            for channel in range(3):
                near = [
                    (i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if at(color, r + i, c + j) == channel
                ]  # fmt: skip
                mean = np.mean([at(mosaic - green, r + i, c + j) for i, j in near])
                own = color[r, c] == channel
                view[r, c, channel] = mosaic[r, c] if own else green[r, c] + mean
        view[..., 1] = green
        views.append(view)
    balanced = matrix * np.linalg.solve(matrix, np.ones(3))
    xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    ) / np.array([[0.95047], [1.0], [1.08883]])  # fmt: skip
    labs = []
    for view in views:
        share = np.clip(view, 0, 1) @ (xyz @ balanced).T
        f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
        labs.append(
            np.stack(
                [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1,
            )
        )  # fmt: skip
    alike = np.zeros((2, height, width))
    for r, c in places:
        light, tint = np.empty((2, 4)), np.empty((2, 4))
        for d, lab in enumerate(labs):
            for k, (i, j) in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):
                change = at(lab, r + i, c + j) - lab[r, c]
                light[d, k], tint[d, k] = abs(change[0]), change[1] ** 2 + change[2] ** 2
        limits = [min(x[0, :2].max(), x[1, 2:].max()) for x in (light, tint)]
        alike[:, r, c] = ((light <= limits[0]) & (tint <= limits[1])).sum(1)
    out = np.empty((height, width, 3))
    for r, c in places:
        scores = [
            sum(at(alike[d], r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)) for d in (0, 1)
        ]
        first, second = views[0][r, c], views[1][r, c]
        out[r, c] = (
            (first + second) / 2 if scores[0] == scores[1]
            else first if scores[0] > scores[1] else second
        )  # fmt: skip
    return out / (np.array(gains) / min(gains))


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG"])
def test_ahd_is_the_loops_over_pixels(pattern):
    mosaic = scene(pattern, 26, seed=3)
    matrix = np.array(CAMERA.color_matrix)
    expected = loops(mosaic, pattern, CAMERA.white_balance, matrix)
    actual = rd.isp.AHD(pattern, gains=CAMERA.white_balance, matrix=CAMERA.color_matrix)(
        torch.from_numpy(mosaic)
    )
    # The loops choose with all digits, and not with the whole numbers of the original.
    error = np.abs(actual.permute(1, 2, 0).numpy() - expected).max(-1)
    assert (error > 1e-12).mean() < 0.01


@pytest.mark.parametrize("passes", [0, 1])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_the_kernel_gives_what_the_steps_give(dtype, near, pattern, passes):
    ahd = rd.isp.AHD.of(replace(CAMERA, cfa=pattern), median_passes=passes)
    for height, width in ((2, 2), (37, 42), (90, 61)):
        mosaic = torch.from_numpy(scene(pattern, 96, seed=2)[:height, :width]).to(dtype)
        mosaic[0, 0] = 7.0
        with rd.isp.engine("eager"):
            expected = ahd(mosaic)
        assert torch.allclose(ahd(mosaic), expected, rtol=0, atol=near)
    mosaic[1, 1] = float("nan")
    assert ahd(mosaic).isnan().any()


def test_ahd_is_named_as_any_demosaicing(tmp_path):
    isp = rd.isp.static("ahd,s,me", CAMERA)
    assert type(isp.steps["demosaic"]) is rd.isp.AHD
    assert isp.steps["demosaic"].gains == CAMERA.white_balance
    mosaic = torch.from_numpy(scene("RGGB", 24)).float()
    rd.isp.save(isp, tmp_path / "a.toml", CAMERA)
    assert torch.equal(rd.isp.load(tmp_path / "a.toml")(mosaic), isp(mosaic))
    batch = torch.stack([mosaic, mosaic.flip(0, 1)])
    assert torch.equal(isp(batch)[0], isp(mosaic))
    both = rd.isp.views(mosaic, CAMERA, ["ahd,s,me", "bi,s,me"])
    assert torch.equal(both["ahd,s,me"], isp(mosaic))
    assert "ahd,s,me" not in rd.isp.CONFIGURATIONS
    with pytest.raises(rd.InputError, match="inverse"):
        rd.isp.AHD("RGGB", matrix=((1.0, 0, 0), (1.0, 0, 0), (0, 0, 1.0)))


@pytest.mark.parametrize("batch", [(1,), (3,), (2, 3)])
def test_ahd_develops_each_mosaic_of_a_batch_alone(batch):
    mosaics = torch.rand(*batch, 12, 14, generator=torch.Generator().manual_seed(0))
    ahd = rd.isp.AHD("RGGB")
    each = torch.stack([ahd(mosaic) for mosaic in mosaics.reshape(-1, 12, 14)])
    assert torch.equal(ahd(mosaics), each.reshape(*batch, 3, 12, 14))


def test_every_number_of_ahd_gets_a_gradient():
    isp = rd.isp.parametrized("ahd,-,-", CAMERA)
    mosaic = torch.from_numpy(scene("RGGB", 24)).requires_grad_()
    isp(mosaic).square().sum().backward()
    for gradient in (mosaic.grad, *(p.grad for p in isp.parameters())):
        assert bool(torch.isfinite(gradient).all())
        assert bool((gradient != 0).any())
