"""Color filter arrays beside Bayer's: what a pattern means, and every step that takes it."""

import numpy as np
import pytest
import tifffile
import torch
from scipy.optimize import root
from skimage.data import astronaut
from torch import nn
from torch.func import functional_call

import rawdrift as rd
from rawdrift.camera.camera import Noise
from rawdrift.camera.write_dng import dng
from rawdrift.cfa import PATTERNS, layout, pattern, quad
from rawdrift.cli import main
from rawdrift.data import tiles
from rawdrift.data.geometry import crop, flip, rot90, turned
from rawdrift.isp.normalized_convolution import demosaicing
from rawdrift.sensor.bayer import mosaic as through_filters
from rawdrift.sensor.site_blur import SiteBlur

QUADS = {
    "RGGB": "RRGG/RRGG/GGBB/GGBB", "BGGR": "BBGG/BBGG/GGRR/GGRR",
    "GRBG": "GGRR/GGRR/BBGG/BBGG", "GBRG": "GGBB/GGBB/RRGG/RRGG",
}  # fmt: skip
KODAK = "WGWR/GWRW/WBWG/BWGW"  # RGBW, of 50 % white
OTHERS = ("MONO", "XTRANS", "RCCB", "RYYB", "RCCG", "RGBW", *QUADS.values(), KODAK)
ALL = (*PATTERNS, *OTHERS)
GRAY = {"MONO"}


def camera(cfa, **more):
    return rd.Camera("other", cfa, black_level=0.02, white_level=1.0, **more)


def random(height, width, seed=0, count=None):
    shape = (height, width) if count is None else (count, height, width)
    return torch.rand(shape, generator=torch.manual_seed(seed), dtype=torch.float64)


def mean(x, cfa, color, kernel):
    """Interpolate the samples of a color, pixel by pixel and sample by sample."""
    height, width, _, _, places = layout(cfa)
    colors = {(p.row, p.column): p.color for p in places}
    radius = len(kernel) // 2
    rows, columns = (np.pad(np.arange(n), radius, "reflect") for n in x.shape)
    result = np.empty(x.shape)
    for i, j in np.ndindex(x.shape):
        if colors[i % height, j % width] == color:
            result[i, j] = x[i, j]
            continue
        total = weight = 0.0
        for di, dj in np.ndindex(kernel.shape):
            at = rows[i + di], columns[j + dj]
            if colors[at[0] % height, at[1] % width] == color:
                total += kernel[di, dj] * x[at]
                weight += kernel[di, dj]
        result[i, j] = total / weight
    return result


@pytest.mark.parametrize("cfa", ALL)
def test_demosaicing_is_the_weighted_mean_of_the_samples_around(cfa):
    x = random(13, 14) - 0.1
    step = rd.isp.NormalizedConvolution(cfa)
    kernels, colors = step.kernels.numpy(), layout(cfa).planes
    ways = [*zip(colors, kernels, strict=False)]
    expected = [mean(x.numpy(), cfa, *way) for way in ways]
    if cfa in ("RGBW", KODAK):  # white adds what the samples of a color miss of it
        white = mean(x.numpy(), cfa, "W", kernels[3]).clip(0) + 0.03
        expected = [e * white / mean(white, cfa, *w) for e, w in zip(expected, ways, strict=True)]
    planes = step(x).numpy()
    assert planes.shape == (3, 13, 14)
    assert np.allclose(planes[: len(expected)], expected, atol=1e-12)
    if cfa in GRAY:
        assert (planes == x.numpy()).all()
    for p in layout(cfa).places:  # what is measured stays
        if p.color in colors:
            at = (slice(p.row, None, layout(cfa).height), slice(p.column, None, layout(cfa).width))
            assert np.allclose(planes[(colors.index(p.color), *at)], x.numpy()[at], atol=1e-14)


@pytest.mark.parametrize(("cfa", "gain"), [("RGBW", 1.0), (KODAK, 3.0)])
def test_white_pixels_sharpen_a_picture(cfa, gain):
    """A photograph, at half its size, through filters of which white passes the sum."""
    picture = torch.from_numpy((astronaut()[40:104, 180:244] / 255) ** 2.2).permute(2, 0, 1)
    light = picture.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).mean((-3, -1)) / 3
    raw = through_filters(light, cfa)
    step = rd.isp.NormalizedConvolution(cfa)
    alone = [mean(raw.numpy(), cfa, *way) for way in zip("RGB", step.kernels.numpy(), strict=False)]

    def error(planes):
        return (planes - light)[:, 4:-4, 4:-4].square().mean().log10() * 10

    assert error(step(raw)) < error(torch.from_numpy(np.stack(alone))) - gain
    values = raw[:8, :8].clone().requires_grad_(), step.kernels.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, k: _demosaiced(x, k, cfa), values, fast_mode=True)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_a_bayer_mosaic_gives_what_bilinear_demosaicing_gives(cfa):
    x = random(12, 15)
    expected = rd.isp.Bilinear(cfa)(x)
    assert torch.allclose(rd.isp.NormalizedConvolution(cfa)(x), expected, atol=1e-14)
    assert isinstance(demosaicing(cfa), rd.isp.Bilinear)


@pytest.mark.parametrize("cfa", OTHERS)
def test_flat_colors_come_back_from_every_pattern(cfa):
    """Light through the filters, demosaiced: flat planes are exact."""
    light = torch.tensor([0.2, 0.35, 0.1], dtype=torch.float64)
    if cfa in GRAY:
        light = light.mean().expand(3)
    raw = through_filters(light[:, None, None].expand(3, 24, 24), cfa)
    planes = rd.isp.NormalizedConvolution(cfa)(raw)
    assert torch.allclose(planes, light[:, None, None].expand_as(planes), atol=1e-14)


@pytest.mark.parametrize("cfa", OTHERS)
@pytest.mark.parametrize("name", ["bi,s,ga", "bi,u,me", "bi,-,-"])
def test_pipelines_of_every_pattern_have_gradients_and_can_be_saved(cfa, name, tmp_path):
    own = camera(cfa)
    isp = rd.isp.parametrized(name, own)
    x = random(24, 30, count=2).requires_grad_()
    view = isp(x)
    assert view.shape == (2, 3, 24, 30)
    view.square().mean().backward()
    for number in (x, *isp.parameters()):
        assert torch.isfinite(number.grad).all()
    assert x.grad.abs().max() > 0
    rd.isp.save(isp, tmp_path / "other.toml", own)
    again = rd.isp.load(tmp_path / "other.toml")
    assert torch.equal(again(x.detach()), view)
    assert rd.isp.open(tmp_path / "other.toml").shown_title().startswith(f"Pipeline {name}")
    views = rd.isp.views(x.detach(), own, [name])
    assert torch.equal(views[name], view)


@pytest.mark.parametrize("cfa", sorted(set(OTHERS) - set(QUADS.values())))
def test_what_is_for_bayer_alone_is_refused(cfa):
    for name in ("ma,s,me", "me,u,ga"):
        with pytest.raises(rd.InputError, match=f"{cfa}, expected a Bayer pattern.*bi,s,me"):
            rd.isp.static(name, camera(cfa))


@pytest.mark.parametrize("cfa", PATTERNS)
def test_a_quad_bayer_mosaic_becomes_a_bayer_one(cfa, tmp_path):
    own, x = camera(QUADS[cfa]), random(24, 24)
    assert quad(QUADS[cfa]) == cfa
    bayer = rd.isp.Remosaic(QUADS[cfa])(x)
    planes = rd.isp.NormalizedConvolution(QUADS[cfa])(x)
    assert torch.equal(bayer, through_filters(planes, cfa))
    binned = rd.isp.Binning(QUADS[cfa])(x)
    assert torch.allclose(binned, x.reshape(12, 2, 12, 2).mean((1, 3)))
    assert torch.equal(binned[:1, :1], x[:2, :2].mean()[None, None])
    isp = rd.isp.static("ma,s,ga", own)
    assert [*isp.steps][:3] == ["black_level", "remosaic", "demosaic"]
    assert isp.demosaic.cfa == cfa
    rd.isp.save(isp, tmp_path / "quad.toml", own)
    assert torch.equal(rd.isp.load(tmp_path / "quad.toml")(x), isp(x))
    half = rd.isp.Pipeline(
        {
            "black_level": rd.isp.BlackLevel(own.cfa, own.black_level, 1.0),
            "binning": rd.isp.Binning(own.cfa),
            "demosaic": rd.isp.Menon2007(cfa),
        }
    )
    assert half(x).shape == (3, 12, 12)
    with pytest.raises(rd.InputError, match=f"takes the color filter array {cfa} but is given"):
        isp.remove("remosaic")


@pytest.mark.parametrize("cfa", ALL)
def test_cutting_and_turning_commute_with_the_pattern(cfa):
    """A mosaic of the light that is cut or turned is the cut or turned mosaic of the light."""
    light = random(24, 30, count=3)
    raw = through_filters(light, cfa)
    height, width = layout(cfa)[:2]
    for top, left in ((0, 0), (1, 0), (2, 3), (5, 7)):
        part, of = crop(raw, top, left, 12, 13, cfa)
        assert torch.equal(part, through_filters(light[:, top : top + 12, left : left + 13], of))
        kept, same = crop(raw, top, left, 12, 13, cfa, keep_phase=True)
        top, left = top // height * height, left // width * width
        assert same == cfa
        assert torch.equal(kept, raw[top : top + 12, left : left + 13])
    for k in range(4):
        moved, of = rot90(raw, cfa, k)
        assert torch.allclose(moved, through_filters(light.rot90(k, (-2, -1)), of))
    moved, of = flip(raw, cfa, horizontal=True)
    assert torch.allclose(moved, through_filters(light.flip(-1), of))
    if cfa == KODAK:  # whose colors lie on one of the diagonals
        with pytest.raises(rd.InputError, match="hold no part of that pattern"):
            flip(raw, cfa, horizontal=True, keep_phase=True)
        return
    kept, same = flip(raw, cfa, horizontal=True, keep_phase=True)
    assert same == cfa
    assert kept.shape == raw.shape


@pytest.mark.parametrize("cfa", ALL)
def test_black_levels_and_shading_are_those_of_the_sites(cfa):
    sites = layout(cfa).sites
    levels = tuple(0.01 * (1 + site) for site in range(len(sites)))
    own = rd.Camera("levels", cfa, black_level=levels)
    assert own.black_level == levels
    raw = torch.zeros(24, 24, dtype=torch.float64)
    black = -rd.isp.BlackLevel.of(own)(raw)
    seen = {round(float(black[p.row, p.column]), 9): sites[p.site] for p in layout(cfa).places}
    assert sorted(seen) == sorted(round(level, 9) for level in levels)
    k = 1  # a quarter turn changes the greens' rows
    moved, of = rot90(black, cfa, k)
    again = -rd.isp.BlackLevel.of(turned(own, of, k))(raw)
    assert torch.allclose(moved, again)
    gains = torch.stack([torch.full((2, 3), 1.0 + site) for site in range(len(sites))])
    shaded = rd.isp.LensShading(cfa, gains)(torch.ones(24, 24, dtype=torch.float64))
    assert torch.allclose(shaded, 100 * black)


@pytest.mark.parametrize("cfa", ALL)
def test_a_defective_pixel_is_repaired_from_its_own_color(cfa):
    light = torch.tensor([0.2, 0.6, 0.4], dtype=torch.float64)[:, None, None].expand(3, 24, 24)
    raw = through_filters(light, cfa)
    for at in ((0, 0), (11, 12), (23, 7)):
        hot = raw.clone()
        hot[at] = 1.0
        listed = rd.isp.DefectivePixels(positions=[at], cfa=cfa)
        assert torch.allclose(listed(hot), raw)
        assert torch.allclose(rd.isp.DefectivePixels(cfa=cfa)(hot), raw)


@pytest.mark.parametrize("cfa", ["XTRANS", "RRGG/RRGG/GGBB/GGBB"])
def test_tiles_begin_where_a_cell_begins(cfa):
    raw = through_filters(random(70, 83, count=3), cfa).numpy()
    period = tiles.period(cfa)
    for place in tiles.places(raw.shape, 32, 32, period):
        assert place.top % period == place.left % period == 0
    parts = tiles.cut(raw, 32, 32, period)
    assert (tiles.stitch(parts, raw.shape, 32, period) == raw).all()


def test_patterns_are_read_as_people_write_them():
    assert pattern(["RG", "GB"]) == "RGGB"
    assert pattern(["RRGG", "RRGG", "GGBB", "GGBB"]) == QUADS["RGGB"]
    assert pattern([*["GBGGRG", "RGRBGB", "GBGGRG", "GRGGBG", "BGBRGR", "GRGGBG"]]) == "XTRANS"
    assert pattern("RCCB") == "RCCB"
    wrong = {
        "RGBG": "diagonal", "RRGG": "diagonal", "RXXB": "letters", "mono": "letters", "": "unknown",
        ("RG", "G"): "unknown", 3: "rows", ("RGRG",) * 4: "colors",
    }  # fmt: skip
    for value, message in wrong.items():
        with pytest.raises(rd.InputError, match=message):
            pattern(value)
    with pytest.raises(rd.InputError, match="3 finite numbers, of R, G, B"):
        rd.Camera("x", "XTRANS", black_level=(0.1, 0.2))
    assert rd.Camera("x", "MONO").black_level == (0.0,)


@pytest.mark.parametrize("cfa", OTHERS)
def test_a_mosaic_without_a_color_is_refused(cfa):
    height, width, _, planes, _ = layout(cfa)
    step = rd.isp.NormalizedConvolution(cfa)
    assert step(random(height, width)).isfinite().all()
    if len(planes) > 1:
        with pytest.raises(rd.InputError, match=f"1x1 pixels.*{height}x{width} pixels or more"):
            step(random(1, 1))


@pytest.mark.parametrize("cfa", OTHERS)
def test_a_camera_file_and_frames_of_every_pattern(cfa, tmp_path):
    own = camera(cfa, noise=Noise(4.0, 2.0))
    own.save(tmp_path / "camera.toml")
    assert rd.Camera.load(tmp_path / "camera.toml") == own
    sensor = rd.sensor.Sensor(own)
    light = torch.full((3, 24, 24), 0.3)
    dn = sensor.digital(light, torch.manual_seed(0)).numpy()
    tifffile.imwrite(tmp_path / "a.tif", dn)
    assert (rd.read_raw(tmp_path / "a.tif", camera=own).mosaic.shape) == (24, 24)
    dimmed = rd.sensor.dim(
        torch.from_numpy(dn / 65535.0), own, intensity=0.5, generator=torch.manual_seed(1)
    )
    level = 0.02 + 0.15 * 0.98
    if cfa not in ("RGBW", KODAK):
        assert abs(float(dimmed.mean()) - level) < 0.003


def spread(x, cfa, sigma):
    """The Gaussian blur within the pixels of a site, pixel by pixel; cells in mirrored order."""
    height, width, _, _, places = layout(cfa)
    site = {(p.row, p.column): p.site for p in places}
    cells = [-(-n // size) for n, size in zip(x.shape, (height, width), strict=True)]
    reach = [int(4 * sigma / size) + 1 for size in (height, width)]
    around = [
        (a * height + i, b * width + j)
        for a in range(-reach[0], reach[0] + 1) for b in range(-reach[1], reach[1] + 1)
        for i in range(height) for j in range(width)
    ]  # fmt: skip

    def mirrored(line, size, count, limit):
        period = max(2 * (count - 1), 1)
        cell = line // size % period
        line = min(cell, period - cell) * size + line % size
        return line if line < limit else line - 2 * size

    result = np.empty(x.shape)
    for row, column in np.ndindex(height, width):
        own = [at for at in around if site[at[0] % height, at[1] % width] == site[row, column]]
        far = np.array(own, float) - (row, column)

        def weights(center, far=far):
            fall = -(((far - center) ** 2).sum(1)) / (2 * sigma**2)
            w = np.exp(fall - fall.max())
            return w / w.sum()

        center = root(lambda m, far=far, w=weights: w(m) @ far, np.zeros(2), tol=1e-14).x
        w = weights(center)
        assert np.abs(w @ far).max() < 1e-10
        for top in range(0, x.shape[0] - row, height):
            for left in range(0, x.shape[1] - column, width):
                values = [
                    x[
                        mirrored(top + i, height, cells[0], x.shape[0]),
                        mirrored(left + j, width, cells[1], x.shape[1]),
                    ]
                    for i, j in own
                ]
                result[top + row, left + column] = w @ values
    return result


@pytest.mark.parametrize("cfa", ["RGGB", *OTHERS[:3], "RGBW", QUADS["GBRG"], KODAK])
def test_a_blur_is_the_weighted_mean_of_a_sites_pixels_around(cfa):
    height, width = layout(cfa)[:2]
    x = random(max(4, 2 * height), max(4, 2 * width) + 2 * (width > 2))
    expected = spread(x.numpy(), cfa, 1.2)
    made = torch.empty_like(x)
    for site in range(len(layout(cfa).sites)):
        blur = SiteBlur(torch.tensor(1.2), site, cfa)
        blur.scatter(blur(blur.gather(x)), made)
    lattice = max(height, width) <= 2  # there, the Gaussian is cut
    assert np.allclose(made.numpy(), expected, atol=2e-3 if lattice else 1e-7)
    gray = rd.Camera("many electrons", cfa, noise=Noise(1e-9))
    step = rd.forensics.SensorSettings(gray, psf_sigma=1.2)
    assert torch.allclose(step(x), made, atol=1e-4)


@pytest.mark.parametrize("cfa", ALL)
@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_a_blur_keeps_flat_light_ramps_and_energy(cfa, sigma):
    """Where cells are whole: weights sum to 1, balance, and spread by about sigma."""
    height, width = layout(cfa)[:2]
    for site in range(len(layout(cfa).sites)):
        blur = SiteBlur(torch.tensor(sigma, dtype=torch.float64), site, cfa)
        rows, columns = (size // 2 + 1 for size in blur.weights.shape[-2:])
        down = torch.arange((2 * rows + 1) * height, dtype=torch.float64)[:, None]
        right = torch.arange((2 * columns + 1) * width, dtype=torch.float64)
        middle = (..., rows, columns)
        for light in (down + 0 * right, 0 * down + right, 3 + 0 * (down + right)):
            pixels = blur.gather(light)
            assert torch.allclose(blur(pixels)[middle], pixels[middle], atol=1e-9)
        for axis in (down + 0 * right, 0 * down + right):
            pixels = blur.gather(axis)
            variance = blur(pixels**2)[middle] - pixels[middle] ** 2
            assert variance.max() < 1.12 * sigma**2
            assert sigma < 2 or variance.min() > 0.93 * sigma**2


@pytest.mark.parametrize("cfa", ["XTRANS", QUADS["GRBG"], KODAK])
@pytest.mark.parametrize("setting", [{"psf_sigma": 1.0}, {"psf_sigma": 2.0, "exposure": 0.5}])
def test_a_blurred_frame_has_the_noise_of_a_real_one(cfa, setting):
    own = rd.Camera("flat", cfa, black_level=0.05, noise=Noise(20.0, 3.0, row_noise=4.0))

    def frame(light, seed):
        return rd.sensor.Sensor(own)(torch.full((3, 600, 96), light), torch.manual_seed(seed))

    def moments(x):
        x = x.double() * 65535 / 20
        values = []
        for _, pixels in sorted({p.color: p for p in layout(cfa).places}.items()):
            height, width = layout(cfa)[:2]
            same = x[pixels.row :: height, pixels.column :: width]
            values.append(same.mean())
        d = x - x.mean()
        for below, beside in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 3), (3, 0)):
            values.append((d[below:, beside:] * d[: 600 - below, : 96 - beside]).mean())
        return torch.stack(values)

    real = moments(frame(0.03 * setting.get("exposure", 1.0), 1))
    made = moments(rd.forensics.SensorSettings(own, **setting)(frame(0.03, 2)))
    variance = real[-8]
    assert torch.allclose(made[-8:], real[-8:], atol=0.05 * float(variance))
    assert torch.allclose(made[:-8], real[:-8], atol=0.15 * float(variance) ** 0.5)


@pytest.mark.parametrize("cfa", ["XTRANS", QUADS["GRBG"]])
def test_settings_of_every_sensor_have_the_slope_of_differences(cfa):
    own = camera(cfa, noise=Noise(20.0, 3.0, row_noise=2.0))
    frame = rd.sensor.Sensor(own)(torch.rand(3, 13, 14), torch.manual_seed(0)).double()

    def develop(sigma, exposure):
        step = rd.forensics.SensorSettings(own)
        numbers = {"psf_sigma": sigma, "exposure": exposure}
        return functional_call(step, numbers, (frame,)).square().mean()

    values = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.1, 0.7)]
    assert torch.autograd.gradcheck(develop, values)
    step = rd.forensics.SensorSettings(own, exposure=0.7, psf_sigma=1.1)
    assert torch.allclose(step(frame.expand(3, -1, -1))[1], step(frame), atol=1e-12)
    with pytest.raises(rd.InputError, match=f"two cells of {cfa} or more"):
        step(frame[:7])


def test_a_network_learns_the_kernels_of_an_x_trans_camera():
    step = rd.isp.NormalizedConvolution.of(camera("XTRANS"), parametrized=True)
    assert isinstance(step.kernels, nn.Parameter)
    x = random(12, 12).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, k: _demosaiced(x, k), (x, step.kernels))


def _demosaiced(x, kernels, cfa="XTRANS"):
    step = rd.isp.NormalizedConvolution(cfa, nn.Parameter(kernels))
    step._parameters["kernels"] = kernels
    return step(x)


@pytest.mark.parametrize("cfa", ["MONO", "XTRANS", QUADS["GRBG"]])
def test_a_dng_of_any_array_is_read_as_it_was_written(cfa, tmp_path):
    levels = tuple(0.01 * (1 + site) for site in range(len(layout(cfa).sites)))
    own = rd.Camera("written", cfa, black_level=levels, white_level=0.9)
    mosaic = np.random.default_rng(0).integers(0, 60000, (30, 36)).astype(np.uint16)
    path = tmp_path / "shot.dng"
    path.write_bytes(dng(mosaic, own))
    raw = rd.read_raw(path)
    assert (raw.mosaic.numpy() == (mosaic / np.float32(65535))).all()
    assert raw.camera.cfa == cfa
    assert raw.camera.black_level == pytest.approx(levels, abs=1e-5)
    with pytest.raises(rd.InputError, match="RCCB.*own"):
        dng(mosaic, rd.Camera("clear", "RCCB"))


def test_commands_offer_the_pipelines_that_take_an_array(tmp_path, capsys):
    own = camera("XTRANS")
    for number, label in enumerate("ab" * 4):
        path = tmp_path / "data" / label / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, (random(24, 24, seed=number).numpy() * 65535).astype(np.uint16))
    own.save(tmp_path / "data" / "camera.toml")
    given = ["--camera", str(tmp_path / "data" / "camera.toml"), "--isp", "all"]
    assert main(["develop", str(path), *given, "--out", str(tmp_path / "views")]) == 0
    names = {picture.stem.partition("_")[2] for picture in (tmp_path / "views").glob("*bi-*.png")}
    assert names == {"bi-s-me", "bi-s-ga", "bi-u-me", "bi-u-ga"}
    assert not [*(tmp_path / "views").glob("*_m*.png")]
    run = ["--data.name", "folder", "--data.root", str(tmp_path / "data"), "--out"]
    assert main(["synthesis", *run, str(tmp_path / "run"), "--synthesis.folds", "2"]) == 2
    assert "in synthesis for both train and test" in capsys.readouterr().err


@pytest.mark.parametrize(("cfa", "names"), [("XTRANS", "RGB"), ("RCCB", ["R", "C in red rows"])])
def test_axes_are_called_by_the_sites_of_the_array(cfa, names):
    isp = rd.isp.static("bi,-,-", camera(cfa))
    wanted = {f"black_level.level[{site}]": (0.01, 0.03) for site in range(len(names))}
    space = rd.forensics.ParameterSpace.around(isp, wanted)
    assert [axis.label for axis in space.axes] == [f"black level {name}" for name in names]
