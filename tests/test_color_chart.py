"""Color charts: a camera that is planted in a picture of one is found again."""

import csv
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

import rawdrift as rd
from rawdrift.camera.colorimetry import decoded, encoded
from rawdrift.cfa import layout
from rawdrift.cli import main
from rawdrift.isp.chart_fit import of_two
from rawdrift.isp.color_chart import CLASSIC, from_lab, grid, rectangles
from rawdrift.isp.color_difference import XYZ_FROM_RGB, ciede2000, lab

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import colour

SHAPE, CORNERS = (160, 240), ((10, 10), (10, 230), (150, 230), (150, 10))
GAINS = (1.9, 1.0, 1.5)
MATRIX = np.array([[1.6, -0.4, -0.2], [-0.25, 1.6, -0.35], [-0.02, -0.45, 1.47]])
LINEAR = np.array([from_lab(np.array(value)) for value in CLASSIC.values()])
START = rd.Camera(name="lab", cfa="RGGB", black_level=0.03, white_level=1.0)

# Source: Sharma, Wu and Dalal (2005), table 1: pairs of L*a*b* and their differences.
SHARMA = [
    (50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425), (50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615),
    (50, 2.8361, -74.02, 50, 0, -82.7485, 3.4412), (50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0),
    (50, -1.1848, -84.8006, 50, 0, -82.7485, 1.0), (50, -0.9009, -85.5211, 50, 0, -82.7485, 1.0),
    (50, 0, 0, 50, -1, 2, 2.3669), (50, -1, 2, 50, 0, 0, 2.3669),
    (50, 2.49, -0.001, 50, -2.49, 0.0009, 7.1792), (50, 2.49, -0.001, 50, -2.49, 0.001, 7.1792),
    (50, 2.49, -0.001, 50, -2.49, 0.0011, 7.2195), (50, 2.49, -0.001, 50, -2.49, 0.0012, 7.2195),
    (50, -0.001, 2.49, 50, 0.0009, -2.49, 4.8045), (50, -0.001, 2.49, 50, 0.001, -2.49, 4.8045),
    (50, -0.001, 2.49, 50, 0.0011, -2.49, 4.7461), (50, 2.5, 0, 50, 0, -2.5, 4.3065),
    (50, 2.5, 0, 73, 25, -18, 27.1492), (50, 2.5, 0, 61, -5, 29, 22.8977),
    (50, 2.5, 0, 56, -27, -3, 31.903), (50, 2.5, 0, 58, 24, 15, 19.4535),
    (50, 2.5, 0, 50, 3.1736, 0.5854, 1.0), (50, 2.5, 0, 50, 3.2972, 0, 1.0),
    (50, 2.5, 0, 50, 1.8634, 0.5757, 1.0), (50, 2.5, 0, 50, 3.2592, 0.335, 1.0),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.263),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.248, -4.962, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.694, 23.0331, 14.973, -42.5619, 2.0373),
    (36.4612, 47.858, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.441, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.135, 0.9033, -0.0636, -0.5514, 0.9082),
]  # fmt: skip


def shoot(seed=0, noise=0.003, exposure=0.6, camera=START, colors=None, light=None, coded=None):
    """A raw chart (H, W) in [0, 1]. colors: (24, 3) camera RGB. light: of (down, across), 0 to 1."""
    rng = np.random.default_rng(seed)
    colors = LINEAR @ np.linalg.inv(MATRIX).T / GAINS if colors is None else colors
    (top, left), _, (bottom, right), _ = CORNERS
    down, across = np.indices(SHAPE) + 0.5
    down, across = (down - top) / (bottom - top), (across - left) / (right - left)
    patch = np.floor(4 * down).clip(0, 3) * 6 + np.floor(6 * across).clip(0, 5)
    inside = (down >= 0) & (down < 1) & (across >= 0) & (across < 1)
    seen = np.where(inside[..., None], colors[patch.astype(int)], 0.02) * exposure
    if light is not None:
        seen = seen * light(down, across)[..., None]
    mosaic = np.zeros(SHAPE)
    height, width, _, planes, places = layout(camera.cfa)
    for _, row, column, color in places:
        at = (slice(row, None, height), slice(column, None, width))
        mosaic[at] = seen[at][..., planes.index(color)]
    mosaic = mosaic if coded is None else coded(mosaic)
    mosaic = 0.03 + 0.97 * mosaic
    mosaic = mosaic + rng.normal(size=SHAPE) * noise * np.sqrt(mosaic + 0.01)
    return torch.from_numpy(mosaic.clip(0, 1))


def fitted(mosaic, camera=START, **options):
    return rd.isp.fit_chart(mosaic, camera, grid(CORNERS, SHAPE), **options)


def test_differences_are_those_that_were_published():
    one, other, expected = (np.array(SHARMA)[:, part] for part in ((0, 1, 2), (3, 4, 5), 6))
    np.testing.assert_allclose(ciede2000(one, other), expected, atol=5e-5)
    np.testing.assert_allclose(ciede2000(other, one), expected, atol=5e-5)


def test_references_are_those_of_an_independent_package():
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]
    chart = colour.CCS_COLOURCHECKERS["ColorChecker24 - After November 2014"].data
    xyz = colour.xyY_to_XYZ(np.array([*chart.values()]))
    expected = colour.XYZ_to_sRGB(xyz, white["D50"], "Bradford", apply_cctf_encoding=False)
    np.testing.assert_allclose(LINEAR, expected, atol=1e-3)
    assert [name.split(" (")[0] for name in chart][:18] == [*CLASSIC][:18]


@pytest.mark.parametrize("cfa", ["GBRG", "XTRANS", "RRGG/RRGG/GGBB/GGBB"])
def test_a_planted_camera_is_found(cfa):
    camera = replace(START, cfa=cfa, black_level=0.03)
    found = fitted(shoot(noise=0, camera=camera), camera)
    np.testing.assert_allclose(found.camera.white_balance, GAINS, rtol=1e-5)
    np.testing.assert_allclose(found.camera.color_matrix, MATRIX, atol=1e-5)
    np.testing.assert_allclose(np.sum(found.camera.color_matrix, axis=1), 1, atol=1e-12)
    assert found.exposure == pytest.approx(1 / 0.6, rel=1e-5)
    in_gamut = [p.delta_e for p in found.patches if p.name != "cyan"]
    assert max(in_gamut) < 0.05  # what the points of the tone curve leave
    assert found.notes == ("no sRGB picture can show the reference of: cyan",)
    assert "cyan" in str(found)


def test_the_standard_errors_are_those_of_repeated_shots():
    misses = []
    for seed in range(8):
        found = fitted(shoot(seed, noise=0.02))
        off = np.array([found.camera.white_balance, *found.camera.color_matrix])
        off = off - [GAINS, *MATRIX]
        errors = np.array([found.errors["white_balance"], *found.errors["color_matrix"]])
        misses.append(off[errors > 0] / errors[errors > 0])
    misses = np.array(misses)
    assert 0.6 < np.sqrt(np.square(misses).mean()) < 1.6


def test_a_real_sensor_and_real_spectra_give_its_gains_and_small_differences():
    shape = colour.SpectralShape(400, 700, 10)

    def aligned(spectrum):
        return spectrum.copy().align(shape).values

    sensor = aligned(colour.MSDS_CAMERA_SENSITIVITIES["Nikon 5100 (NPL)"])
    chart = colour.SDS_COLOURCHECKERS["ColorChecker N Ohta"]
    reflected = np.array([aligned(one) for one in chart.values()])
    light = aligned(colour.SDS_ILLUMINANTS["D65"])
    observer = aligned(colour.MSDS_CMFS["CIE 1931 2 Degree Standard Observer"])
    white = light @ sensor
    xyz = reflected * light @ observer / (light @ observer)[1]
    references = dict(zip(CLASSIC, xyz @ np.linalg.inv(XYZ_FROM_RGB).T, strict=True))
    mosaic = shoot(colors=reflected * light @ sensor / white[1])
    found = fitted(mosaic, references=references)
    np.testing.assert_allclose(found.camera.white_balance, white[1] / white, rtol=0.01)
    assert found.delta_e.mean() < 1.2
    assert found.light == (1, 1)  # what a matrix can't do is not taken for uneven light


def test_the_camera_file_renders_the_chart_as_its_references(tmp_path):
    mosaic = shoot()
    fitted(mosaic).camera.save(tmp_path / "lab.toml")
    view = rd.isp.static("bi,-,-", rd.Camera.load(tmp_path / "lab.toml"))(mosaic)
    labels = grid(CORNERS, SHAPE).labels
    shown = np.array([view[:, labels == k].mean(1).numpy() for k in range(24)])
    differences = ciede2000(lab(shown), lab(encoded(LINEAR)))
    assert np.delete(differences, [*CLASSIC].index("cyan")).max() < 1


def test_uneven_light_is_found_and_a_flat_frame_removes_it():
    def light(down, across):
        return 1 + 0.2 * (across - 0.5) - 0.1 * (down - 0.5)

    found = fitted(shoot(light=light))
    assert found.light == pytest.approx((0.928, 1.182), abs=0.02)
    np.testing.assert_allclose(found.camera.color_matrix, MATRIX, atol=0.02)
    board = np.full((24, 3), 0.7) / GAINS
    flat = shoot(seed=1, colors=board, light=light)
    found = fitted(shoot(light=light), flat=flat)
    assert found.light == (1, 1)
    np.testing.assert_allclose(found.camera.color_matrix, MATRIX, atol=0.01)
    np.testing.assert_allclose(found.camera.white_balance, GAINS, rtol=0.005)


def test_a_sensor_that_is_not_linear_gets_a_tone_curve_of_its_own():
    found = fitted(shoot(coded=lambda x: x**0.85))
    assert any("tone curve" in note for note in found.notes)
    assert found.delta_e.mean() < 1.5
    assert not any("tone curve" in note for note in fitted(shoot(noise=0.01)).notes)


def test_clipped_patches_are_left_out():
    found = fitted(shoot(exposure=1.2))
    assert [patch.name for patch in found.patches if patch.left_out] == ["white"]
    np.testing.assert_allclose(found.camera.color_matrix, MATRIX, atol=0.01)
    unstated = replace(START, white_level=None)
    plateau = shoot(exposure=1.2).clamp(max=0.8) * 0.9
    found = rd.isp.fit_chart(plateau, replace(unstated, black_level=0.027), grid(CORNERS, SHAPE))
    assert "white" in [patch.name for patch in found.patches if patch.left_out == "clipped"]
    with pytest.raises(rd.InputError, match="clipped: expose less"):
        fitted(shoot(exposure=9.0))


def test_what_is_no_chart_or_another_order_is_named():
    turned = shoot().flip(0, 1)
    with pytest.raises(rd.InputError, match="turned by 180 degrees"):
        fitted(turned)
    with pytest.raises(rd.InputError, match="mirrored left to right"):
        fitted(shoot().flip(1).roll(1, 1))
    colors = np.random.default_rng(0).permutation(LINEAR)
    with pytest.raises(rd.InputError, match="don't look like their references"):
        fitted(shoot(colors=colors))


def tables(folder):
    """A table of regions, and one of references, as rows."""
    areas = [
        [name, 10 + 35 * row + 9, 10 + 37 * column + 9, 10 + 35 * row + 27, 10 + 37 * column + 27]
        for (row, column), name in zip(np.ndindex(4, 6), CLASSIC, strict=True)
    ]
    regions = [["patch", "top", "left", "bottom", "right"], *areas]
    references = [["patch", "L", "a", "b"], *([name, *color] for name, color in CLASSIC.items())]
    return regions, references


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_tables_of_regions_and_references_equal_the_grid(tmp_path):
    regions, references = tables(tmp_path)
    np.save(tmp_path / "chart.npy", shoot().float().numpy())
    places = write(tmp_path / "regions.csv", regions)
    encoded_rgb = [
        [n, *(255 * encoded(c)).clip(0, 255)] for n, c in zip(CLASSIC, LINEAR, strict=True)
    ]
    for rows in (references, [["patch", "R", "G", "B"], *encoded_rgb]):
        wanted = write(tmp_path / "references.csv", rows)
        camera, (found,) = rd.isp.fit_charts(
            [tmp_path / "chart.npy"], START, regions=[places], references=wanted
        )
        np.testing.assert_allclose(camera.color_matrix, MATRIX, atol=0.02)
        assert len(found.patches) == 24
    np.testing.assert_allclose(decoded(encoded(LINEAR)), LINEAR, atol=1e-6)


BAD = {
    "of 23 regions": (lambda r, c: r.pop(), "none of: black"),
    "of a region outside": (lambda r, c: r[3].__setitem__(4, 400), "outside of the frame"),
    "of an empty region": (lambda r, c: r[3].__setitem__(4, 0), "is empty"),
    "of regions that overlap": (lambda r, c: r[2].__setitem__(2, 20), "overlap"),
    "of a name twice": (lambda r, c: r[2].__setitem__(0, "dark skin"), "twice"),
    "of an unknown name": (lambda r, c: c.pop(), "no reference for the regions black"),
    "of L above 100": (lambda r, c: c[2].__setitem__(1, 120), "L from 0 to 100"),
    "of words": (lambda r, c: c[2].__setitem__(1, "bright"), "must be numbers"),
    "of other columns": (lambda r, c: c[0].__setitem__(1, "X"), "expected the columns"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_table(what, tmp_path):
    regions, references = tables(tmp_path)
    change, message = BAD[what]
    change(regions, references)
    np.save(tmp_path / "chart.npy", shoot().float().numpy())
    with pytest.raises(rd.InputError, match=message):
        rd.isp.fit_charts(
            [tmp_path / "chart.npy"],
            START,
            regions=[write(tmp_path / "regions.csv", regions)],
            references=write(tmp_path / "references.csv", references),
        )


def test_corners_must_be_around_the_chart():
    for corners, message in (
        (((10, 10), (150, 230), (10, 230), (150, 10)), "not those of a rectangle"),
        (((10, 10), (10, 400), (150, 400), (150, 10)), "outside of the frame"),
        (((10, 10), (10, 14), (14, 14), (14, 10)), "expected at least"),
    ):
        with pytest.raises(rd.InputError, match=message):
            grid(corners, SHAPE)
    assert rectangles({"a": (0, 0, 8, 8)}, (8, 8)).labels.max() == 0


def test_a_matrix_between_two_lights_is_that_of_the_inverse_temperature():
    warm = np.array([[1.4, -0.3, -0.1], [-0.3, 1.7, -0.4], [0.05, -0.75, 1.7]])
    gains = (1.1, 1.0, 2.6)
    other = LINEAR @ np.linalg.inv(warm).T / gains
    fits = [fitted(shoot(noise=0)), fitted(shoot(noise=0, colors=other))]
    camera = of_two(fits, [6504.0, 2856.0])
    share = (1 / 4000 - 1 / 6504) / (1 / 2856 - 1 / 6504)
    between = camera.at(4000)
    np.testing.assert_allclose(between.color_matrix, (1 - share) * MATRIX + share * warm, atol=1e-4)
    expected = np.exp((1 - share) * np.log(GAINS) + share * np.log(gains))
    np.testing.assert_allclose(between.white_balance, expected, rtol=1e-4)
    assert camera.at(1000).color_matrix == camera.illuminants[1].color_matrix
    assert camera.at(20000).color_matrix == camera.illuminants[0].color_matrix
    assert rd.Camera.from_toml(camera.to_toml(), "x") == camera
    with pytest.raises(rd.InputError, match="expected two lights that differ"):
        of_two(fits, [5000.0, 5010.0])
    with pytest.raises(rd.InputError, match="states no illuminants"):
        START.at(4000)
    with pytest.raises(rd.InputError, match=r"\[\[illuminants\]\] field"):
        rd.Camera.from_toml('name = "a"\ncfa = "RGGB"\n[[illuminants]]\nkelvin = 1\n', "x")


def test_the_command_writes_a_camera_file_and_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("day", 0), ("lamp", 1)):
        dn = (65535 * shoot(seed)).round().numpy().astype(np.uint16)
        tifffile.imwrite(f"{name}.tif", dn)
    START.save("start.toml")
    fit = ["cameras", "fit", "--camera", "start.toml"]
    corners = "10,10 10,230 150,230 150,10"
    both = ["--chart", "day.tif", "lamp.tif", "--corners", corners, corners]
    assert main([*fit, *both, "--temperature", "6504", "2856", "--out", "lab.toml"]) == 0
    printed = capsys.readouterr().out
    assert "CIEDE2000" in printed
    assert "moderate red" in printed
    assert "lamp.tif in light of 2856 K" in (tmp_path / "lab.html").read_text()
    assert main(["cameras", "show", "lab.toml", "--temperature", "4000"]) == 0
    assert "white_balance" in capsys.readouterr().out
    turned = "150,10 10,10 10,230 150,230"
    for arguments, message in (
        (["--chart", "day.tif", "--corners", turned], f"in the order '{corners}'"),
        (["--chart", "day.tif"], "either the corners or the regions"),
        (["--chart", "day.tif", "--corners", "1,2 3,4"], "four pairs row,column"),
        ([*both], "2 charts but 0 temperatures"),
        ([], "give --dark with --flat, or --chart"),
    ):
        assert main([*fit, *arguments, "--out", "other.toml"]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other.toml").exists()
