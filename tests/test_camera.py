"""Camera files: round trips, the shipped numbers, and mistakes that are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.camera.camera import Noise, Optics, shipped
from rawdrift.cfa import PATTERNS, offsets

from conftest import random_camera


@given(seed=st.integers(0, 10**6), noisy=st.booleans())
def test_a_saved_camera_is_loaded_equal(seed, noisy, tmp_path):
    base = random_camera(seed)
    camera = rd.Camera(
        **{name: getattr(base, name) for name in ("name", "cfa", "black_level", "white_level",
           "white_balance", "color_matrix", "gamma")},
        provenance='quoted "words"\nand a line',
        adc_bits=12 if seed % 3 else None,
        noise=Noise(5.4, 3.0, 1.5, 0.5, 9e3) if seed % 2 else Noise(5.4) if noisy else None,
        optics=Optics(psf_sigma=1.5) if noisy else None,
    )  # fmt: skip
    camera.save(tmp_path / "camera.toml")
    assert rd.Camera.load(tmp_path / "camera.toml") == camera


def test_the_shipped_cameras_have_the_published_numbers():
    assert shipped() == ["raw-drone", "raw-microscopy"]
    microscopy = rd.Camera.load("raw-microscopy")
    assert microscopy.black_level == (9.834368023181512e-06,) * 4
    assert microscopy.white_balance == (-0.6567, 1.9673, 3.5304)
    assert microscopy.color_matrix[0] == (-2.0338, 0.0933, 0.4157)
    assert microscopy.color_matrix[2] == (-0.5516, -0.0947, 2.9308)
    drone = rd.Camera.load("raw-drone")
    assert drone.black_level == (0.0625, 0.0626, 0.0625, 0.0626)
    assert drone.white_balance == (2.86653646, 1.0, 1.73079425)
    assert drone.color_matrix[1] == (-0.23048614, 1.70698738, -0.47650126)
    assert (drone.noise.gain, drone.optics.psf_sigma) == (8.448, 2.52)
    for camera in (microscopy, drone):
        assert (camera.cfa, camera.gamma, camera.bit_depth, camera.white_level) == (
            "RGGB", 2.2, 16, None,
        )  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_offsets_find_each_site_of_the_pattern(pattern):
    red, green_in_red_rows, green_in_blue_rows, blue = offsets(pattern)
    letters = {(i // 2, i % 2): letter for i, letter in enumerate(pattern)}
    assert letters[red] == "R"
    assert letters[blue] == "B"
    assert letters[green_in_red_rows] == letters[green_in_blue_rows] == "G"
    assert green_in_red_rows[0] == red[0]
    assert green_in_blue_rows[0] == blue[0]


def test_a_camera_is_frozen():
    with pytest.raises(AttributeError):
        rd.Camera.load("raw-drone").gamma = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "camera name"),
        ({"cfa": "RGBG"}, "unknown cfa pattern 'RGBG'.*RGGB; BGGR; GRBG; GBRG"),
        ({"black_level": [0.1, 0.1]}, "black_level must be 4 finite numbers"),
        ({"black_level": [600, 600, 600, 600]}, "units of full scale.*divide"),
        ({"black_level": [0, 0, 0, float("nan")]}, "black_level must be 4 finite numbers"),
        ({"white_level": 0.01, "black_level": [0.1] * 4}, "white_level must be above the black"),
        ({"white_level": 15520}, "white_level"),
        ({"white_balance": "neutral"}, "white_balance must be 3 finite numbers"),
        ({"color_matrix": [[1, 0, 0], [0, 1, 0]]}, "3 rows of 3"),
        ({"color_matrix": [[1, 0], [0, 1], [0, 0]]}, "color_matrix row must be 3"),
        ({"gamma": 0}, "gamma must be a number above 0"),
        ({"gamma": True}, "gamma must be a number above 0"),
        ({"bit_depth": 17}, "bit_depth must be 1 to 16"),
        ({"bit_depth": 12.0}, "bit_depth must be 1 to 16"),
        ({"adc_bits": 0}, "adc_bits must be 1 to bit_depth, which is 16"),
        ({"adc_bits": 14, "bit_depth": 12}, "adc_bits must be 1 to bit_depth, which is 12"),
    ],
)
def test_impossible_numbers_are_refused(change, message):
    with pytest.raises(rd.InputError, match=message):
        rd.Camera(**{"name": "x", "cfa": "RGGB", **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\ncfa = "RGGB"\nwhitebalance = [1, 1, 1]', "unknown camera field 'whitebalance' "
         r"\(did you mean 'white_balance'\?\)"),
        ('name = "x"', "camera field cfa is missing"),
        ("bit_depth = 16", "camera fields name and cfa are missing"),
        ('name = "x', "is not a camera file"),
        ('name = "x"\ncfa = "RGGB"\nnoise = 3', "noise.*must be a table"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\nread_noise = 3', "gain.*missing"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\ngain = -1', "noise.gain must be a number above 0"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\ngain = 1\nread_noise = -1', "read_noise must be at least"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\ngain = 1\ndark_current = -1', "dark_current must be at least"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\ngain = 1\nrow_noise = "1"', "row_noise must be at least"),
        ('name = "x"\ncfa = "RGGB"\n[noise]\ngain = 1\nfull_well = 0', "full_well must be a number above"),
        ('name = "x"\ncfa = "RGGB"\n[optics]\nsigma = 1', "unknown .optics. field 'sigma'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_camera_file_are_named_with_the_file(text, message, tmp_path):
    path = tmp_path / "camera.toml"
    path.write_text(text)
    with pytest.raises(rd.InputError, match=message) as caught:
        rd.Camera.load(path)
    assert str(path) in str(caught.value)


def test_a_camera_that_does_not_exist(tmp_path):
    with pytest.raises(rd.InputError, match="raw-drone; raw-microscopy"):
        rd.Camera.load("raw-drome")
    with pytest.raises(rd.InputError, match="does not exist"):
        rd.Camera.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(rd.InputError, match="UTF-8"):
        rd.Camera.load(tmp_path / "binary.toml")
