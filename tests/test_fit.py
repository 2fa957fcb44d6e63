"""An ISP fitted to pictures of raw mosaics."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

import rawdrift as rd
from rawdrift.camera.write_dng import dng
from rawdrift.cli import main
from rawdrift.isp import fit_model, fitting
from rawdrift.isp.develop import encode, picture
from rawdrift.isp.fit_model import Model, Pairs, Solution

CAMERA = rd.Camera(
    "lab-cam",
    "RGGB",
    black_level=(0.02,) * 4,
    white_level=1.0,
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.55, -0.4, -0.15), (-0.22, 1.62, -0.4), (-0.02, -0.42, 1.44)),
    gamma=2.0,
)
START = replace(CAMERA, color_matrix=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), gamma=1.8)


def scenes(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Mosaics of blobs of many colors with some noise."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0.03, 0.45, (count, 3, size // 6, size // 6)))
    colors = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0.03, 0.5)
    mosaics = colors[:, 1].clone()
    mosaics[:, ::2, ::2], mosaics[:, 1::2, 1::2] = colors[:, 0, ::2, ::2], colors[:, 2, 1::2, 1::2]
    noise = torch.from_numpy(rng.normal(0, 0.003, mosaics.shape))
    return (mosaics + noise).clamp(0.021, 1).float()


def rounded(views: torch.Tensor) -> torch.Tensor:
    return (views * 255).round() / 255


def test_the_numbers_of_an_isp_are_recovered_from_rounded_pictures():
    isp, mosaics = rd.isp.static("ma,s,-", CAMERA), scenes(8, 48)
    found = rd.isp.fit(mosaics, rounded(isp(mosaics)), START, [i // 2 for i in range(8)])
    assert type(found.isp.steps["demosaic"]) is rd.isp.Malvar2004
    assert len(found.held_out) == 2
    assert found.psnr > 58
    assert found.delta_e < 0.3
    other = scenes(4, 48, seed=1)
    error = (found.isp(other) - isp(other))[..., 6:-6, 6:-6]
    assert float(-10 * torch.log10(error.square().mean())) > 65
    for step, number in (("color_correction", "matrix"), ("gamma", "gamma")):
        true = isp.steps[step].tensors()[number]
        assert torch.allclose(found.isp.steps[step].tensors()[number], true, rtol=0.01, atol=0.01)
    assert set(found.residual) >= {"all", "edges", "flat", "local tone", "grain"}
    assert found.ssim > 0.99


@pytest.mark.parametrize(
    ("level", "unknown", "bits"),
    [
        (0.020005, 0, 16),  # nearly 1311 of 65535
        (1311 / 65535, 0.001, 16),
        (0.0205, 0.001, 16),
        (330 / 16383, 0.001, 14),
    ],
)
def test_black_levels_are_found_to_the_last_digit(level, unknown, bits):
    """Menon's choice between equally smooth directions depends on it."""
    camera = replace(CAMERA, black_level=(level,) * 4)
    start = replace(camera, black_level=(level + unknown,) * 4, gamma=1.8)
    mosaics = 0.0206 + 2 * (scenes(8, 48).double() - 0.021) ** 2  # with many dark places
    mosaics = (mosaics * (2**bits - 1)).round() / (2**bits - 1)
    isp = rd.isp.static("me,-,-", camera)
    found = rd.isp.fit(mosaics, rounded(isp(mosaics)), start)
    assert type(found.isp.steps["demosaic"]) is rd.isp.Menon2007
    assert found.isp.steps["black_level"].level.tolist() == [level] * 4


def test_demosaicing_that_chooses_by_a_matrix_gets_the_fitted_one():
    isp, mosaics = rd.isp.static("ahd,-,-", CAMERA), scenes(8, 48)
    found = rd.isp.fit(mosaics, isp(mosaics), START).isp.steps["demosaic"]
    assert type(found) is rd.isp.AHD
    np.testing.assert_allclose(found.matrix, CAMERA.color_matrix, atol=1e-3)


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (lambda x: x.flip(-1), "picture 0 is mirrored left to right"),
        (lambda x: x.rot90(1, (-2, -1)), "picture 0 is turned by"),
        (lambda x: x.roll(1, 0), "picture 0 does not show the scene.* with those of mosaic 2"),
        (lambda x: 0 * x + 0.5, "pictures are flat"),
        (lambda x: x.mean(1, keepdim=True).expand_as(x), "pictures are gray"),
    ],
)
def test_pictures_that_do_not_fit_are_named(turn, told):
    mosaics = scenes(3, 60)
    views = rd.isp.static("bi,-,-", CAMERA)(mosaics)
    with pytest.raises(rd.InputError, match=told):
        rd.isp.fit(mosaics, turn(views), START)


def test_another_color_filter_array_is_told():
    mosaics = scenes(3, 60)
    views = rd.isp.static("bi,-,-", CAMERA)(mosaics)
    with pytest.raises(rd.InputError, match="array RGGB, not GBRG"):
        rd.isp.fit(mosaics, rounded(views), replace(START, cfa="GBRG"))


def test_scenes_that_look_alike_are_told_apart():
    """Half of what all of them show is the same, as in pictures of cells."""
    mosaics = (scenes(9, 60) + scenes(1, 60, seed=1)) / 2
    views = rd.isp.static("bi,-,-", CAMERA)(mosaics)
    similarity = fitting.align(mosaics[:8], views[:8], CAMERA).similarity
    assert similarity > 0.6
    other = torch.cat([views[:3], views[8:], views[4:8]])
    with pytest.raises(rd.InputError, match=f"picture 3 does not.* all pairs: {similarity:.1f}"):
        fitting.align(mosaics[:8], other, CAMERA)
    assert fitting.align(mosaics[:1], views[8:], CAMERA).similarity < 0.5  # which is warned of


def test_what_intervals_leave_out_is_said():
    isp = rd.isp.static("bi,-,-", CAMERA)
    curved = isp.replace(gamma=rd.isp.ToneCurve([[0, 0], [1, 1]]))
    assert not list(fitting._of_intervals(isp, differs=False))
    for one, differs, told in ((isp, True, "rounding"), (curved, False, "black level")):
        (warning,) = fitting._of_intervals(one, differs)
        assert told in warning


def test_a_fitted_curve_does_not_fall():
    """As those of clipped and compressed pictures would, which then could not be saved."""
    curve = rd.isp.ToneCurve([[x, x] for x in (0.0, 0.25, 0.5, 1.0)])
    isp = rd.isp.static("bi,-,-", CAMERA).replace(gamma=curve).double()
    mosaics = scenes(2, 40).double()
    model = Model(isp, ["gamma.points"])
    with torch.no_grad():
        darker = 1 - isp(mosaics).clamp(0, 1)
    found = model.solve(model.vector(), Pairs(mosaics, darker), 5)
    assert (np.diff(found.vector) >= 0).all()
    rd.isp.ToneCurve(model.tensor("gamma.points").tolist())


@pytest.mark.parametrize("size", [(40, 40), (35, 42)])
@pytest.mark.parametrize(
    ("cfa", "name", "first"),
    [
        ("RGGB", "bi,s,ga", 1),
        ("GBRG", "ma,-,ga", 1),
        ("BGGR", "me,s,-", 2),
        ("RGGB", "ahd,-,ga", 2),
        ("RGGB", "bi,u,ga", 5),
        ("XTRANS", "bi,-,-", 2),
        ("RGBW", "bi,-,-", 2),
        ("RGGB/BGGR", "bi,-,ga", 2),
    ],
)
def test_linear_steps_change_by_a_small_matrix_as_they_do_on_all_pixels(
    cfa, name, first, size, monkeypatch
):
    """first: the place of the first of these steps."""
    camera = replace(CAMERA, cfa=cfa, black_level=0.02)
    isp = rd.isp.static(name, camera).double()
    isp = isp.insert("saturation", rd.isp.Saturation(1.1), after="gamma")
    numbers = [f"{step}.{n}" for step, one in isp.steps.items() for n in one.numbers]
    if first > 1:
        numbers.remove("demosaic.kernels")
    model = Model(isp, numbers)
    mosaics = scenes(2, 60)[:, : size[0], : size[1]].double()
    fast = model.jacobian(model.vector(), mosaics)
    front = model.steps[:-2]
    assert fit_model.Linear.of(front, fit_model.BORDER).start == first
    none = fit_model.Linear([], len(front), (1, 1), (0, 0), 3)
    monkeypatch.setattr(fit_model.Linear, "of", lambda steps, border: none)
    assert torch.allclose(fast, model.jacobian(model.vector(), mosaics), rtol=1e-5, atol=1e-5)


def test_a_crop_is_found(tmp_path, capsys):
    mosaics = scenes(4, 48)
    views = rd.isp.static("bi,-,-", CAMERA)(mosaics)[..., 3:-2, 5:-4]
    rows = []
    for index, (mosaic, view) in enumerate(zip(mosaics, views, strict=True)):
        values = (mosaic * 65535).round().numpy().astype(np.uint16)
        (tmp_path / f"{index}.dng").write_bytes(dng(values, CAMERA))
        (tmp_path / f"{index}.png").write_bytes(encode(picture(view), bits=8))
        rows.append((f"{index}.dng", f"{index}.png", f"scene{index}"))
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("raw", "picture", "group"), *rows])
    START.save(tmp_path / "start.toml")
    out = tmp_path / "fitted.toml"
    arguments = ["isp", "fit", str(tmp_path), "--camera", str(tmp_path / "start.toml")]
    assert main([*arguments, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "3, 5" in told
    view = rd.isp.load(out)(mosaics[0])[..., 3:-2, 5:-4]
    assert float((view - views[0])[..., 6:-6, 6:-6].abs().max()) < 0.02
    page = (tmp_path / "fitted.html").read_text()
    assert "fitted.toml" in page
    assert "<svg" in page
    assert main([*arguments, "--out", str(out)]) == 2  # nothing is overwritten


def resized(factor: float) -> rd.isp.Pipeline:
    resize = rd.isp.Resize(factor, "bilinear")
    return rd.isp.static("bi,-,-", CAMERA).insert("resize", resize, after="gamma")


@pytest.mark.parametrize("factor", [0.5, 5 / 6, 1.5])
def test_parts_of_resized_pairs_show_the_same_place(factor):
    isp, mosaics = resized(factor), scenes(3, 72)
    offset, found, _ = fitting.align(mosaics, isp(mosaics), CAMERA)
    assert offset == (0, 0)
    assert found == pytest.approx(factor)
    whole = fitting._Whole(mosaics, isp(mosaics), offset, found, CAMERA)
    parts = whole.parts(np.arange(3), 40, np.random.default_rng(0))
    assert len(parts.mosaics[0]) < 72
    error = (isp(parts.mosaics) - parts.pictures)[..., 6:-6, 6:-6]
    assert float(error.abs().max()) < 1e-5


@pytest.mark.slow
def test_resized_pictures_are_fitted_with_their_size():
    mosaics = scenes(4, 60)
    found = rd.isp.fit(mosaics, rounded(resized(5 / 6)(mosaics)), START)
    assert found.isp.steps["resize"].factor == pytest.approx(5 / 6)
    assert found.isp.steps["resize"].method == "bilinear"
    assert found.psnr > 57


def test_bright_places_beside_the_fitted_parts_tell_that_mosaics_are_clipped_first():
    plain, mosaics = rd.isp.static("bi,-,-", CAMERA), scenes(2, 64)
    mosaics[0, 40:50, 40:50] = 1
    levels = [1 / 1.9, 1, 1, 1 / 1.6]
    isp = plain.insert("clipping", rd.isp.Clipping("RGGB", levels), after="black_level")
    for true, steps in ((isp, ["black_level", "clipping"]), (plain, ["black_level", "demosaic"])):
        whole = fitting._Whole(mosaics.double(), true(mosaics).double(), (0, 0), 1, CAMERA)
        model = Model(rd.isp.static("bi,-,-", CAMERA), ["gamma.gamma"])
        start = Solution(model.vector(), 0.0, np.eye(1), 1)
        assert list(whole.clip(model, start, np.arange(2)).isp.steps)[:2] == steps


def test_pictures_of_a_part_in_another_size_are_told_its_factor():
    mosaics = scenes(2, 96)
    views = rd.isp.Resize(1.5)(rd.isp.static("bi,-,-", CAMERA)(mosaics)[..., 16:-16, 16:-16])
    with pytest.raises(rd.InputError, match="a part of its mosaic resized by about 1.5"):
        rd.isp.fit(mosaics, views, START)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, "has no pairs.csv"),
        (b"", "has the columns"),
        (b"raw,view\na.dng,a.png\n", "expected raw, picture and, optionally, group"),
        (b"raw,picture\n", "names no pairs"),
        (b"raw,picture\na.dng,a.png\nb.dng\n", "too few or too many cells"),
        (b"raw,picture\na.dng,a.png\na.dng,b.png\n", "names a.dng in several rows"),
        ("raw,picture\na.dng,a.png\n".encode("utf-16"), "is not a table"),
        (b"raw,picture\na.dng,a.png\n", "a.dng does not exist"),
    ],
)
def test_a_folder_without_a_table_of_pairs_is_refused(table, told, tmp_path, capsys):
    if table is not None:
        (tmp_path / "pairs.csv").write_bytes(table)
    arguments = ["isp", "fit", str(tmp_path), "--camera", "raw-drone", "--out", "x.toml"]
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_the_steps_of_another_array_are_fitted():
    camera = replace(CAMERA, cfa="XTRANS", black_level=(0.02,) * 3)
    mosaics = scenes(6, 48)
    isp = rd.isp.static("bi,-,-", camera)
    start = replace(START, cfa="XTRANS", black_level=(0.02,) * 3)
    found = rd.isp.fit(mosaics, rounded(isp(mosaics)).clamp(0, 1), start)
    assert type(found.isp.steps["demosaic"]) is rd.isp.NormalizedConvolution
    assert found.psnr > 58


def test_gains_of_pictures_are_fitted_with_the_numbers():
    isp, mosaics = rd.isp.static("ma,s,-", CAMERA), scenes(8, 48)
    gains = np.random.default_rng(0).uniform(0.8, 1.25, 8)
    lit = 0.02 + (mosaics - 0.02) * torch.from_numpy(gains).float()[:, None, None]
    found = rd.isp.fit(mosaics, rounded(isp(lit)), START)
    assert list(found.isp.steps) == list(isp.steps)
    ratio = np.array(found.gains) / gains
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.005)
    assert float(found.isp.steps["gamma"].gamma) == pytest.approx(2.0, rel=0.01)
    true = isp.steps["color_correction"].matrix.numpy()
    matrix = found.isp.steps["color_correction"].matrix.numpy() * ratio.mean()
    np.testing.assert_allclose(matrix, true, atol=0.02)
    assert any("factors of their own" in warning for warning in found.warnings)


def test_a_jpeg_is_found_and_the_answers_of_a_network_are_compared():
    mosaics, isp, few = scenes(4, 64).double(), rd.isp.static("bi,-,-", CAMERA), np.arange(3)
    views = isp(mosaics).clamp(0, 1)
    pictures = rd.isp.JPEG(quality=60, subsampling="444")(views)
    found, is_jpeg = fitting._compressed(isp, mosaics, pictures, (0, 0), few)
    assert is_jpeg
    assert (found.steps["jpeg"].quality, found.steps["jpeg"].subsampling) == (60, "444")
    assert not fitting._compressed(isp, mosaics, views, (0, 0), few)[1]
    assert fitting._answers(lambda x: x.mean((2, 3)), pictures, pictures.flip(1)) == (4, 4)


def test_a_black_level_above_many_values_is_warned_of():
    below = fitting._below_black(scenes(2, 48), replace(CAMERA, black_level=(0.2,) * 4))
    assert below > 0.3
    (warning,) = fitting._warnings(0.9, below, 1.0, np.ones(2), False)
    assert "below the black level" in warning
    below = fitting._below_black(scenes(2, 48), CAMERA)
    assert not fitting._warnings(0.9, below, 1.0, np.ones(2), False)


@pytest.mark.slow
def test_numbers_from_jpegs_are_warned_of():
    mosaics, isp = scenes(3, 48).double(), rd.isp.static("bi,-,-", CAMERA)
    for pictures, warned in (
        (rd.isp.JPEG(quality=60)(isp(mosaics).clamp(0, 1)), True),
        (rounded(isp(mosaics).clamp(0, 1)), False),
    ):
        warnings = rd.isp.fit(mosaics, pictures, START).warnings
        assert any("less certain than their intervals" in one for one in warnings) == warned
