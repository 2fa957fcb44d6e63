"""ISP files: pipelines saved and loaded to the last bit, and mistakes that are named."""

import math
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import rawdrift as rd
from rawdrift.camera.camera import Noise
from rawdrift.cli import main
from rawdrift.isp import file
from rawdrift.isp.step import Step

from conftest import random_camera, random_mosaic

DRONE = rd.Camera.load("raw-drone")


def shaken(isp, seed=0, by=0.02):
    """A pipeline whose numbers learning has moved."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in isp.parameters():
            value.mul_(1 + by * torch.randn(value.shape, generator=draws, dtype=value.dtype))
    return isp


def assert_same(found, isp):
    """The same steps with the same numbers, in every bit, and options."""
    assert found.bit_depth == isp.bit_depth
    assert [(n, type(s)) for n, s in found.steps.items()] == [
        (n, type(s)) for n, s in isp.steps.items()
    ]
    for step, expected in zip(found.steps.values(), isp.steps.values(), strict=True):
        for option in ("channels", "cfa", "white"):
            assert getattr(step, option, None) == getattr(expected, option, None)
        numbers, wanted = step.state_dict(), expected.state_dict()
        assert list(numbers) == list(wanted)
        for name, value in numbers.items():
            assert value.dtype == torch.float64
            assert value.numpy().tobytes() == wanted[name].numpy().tobytes(), name


@pytest.mark.parametrize("channels", ["luma", "yuv"])
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_is_loaded_as_it_was_learned(name, channels, tmp_path):
    camera = random_camera(sum(map(ord, name)))
    isp = shaken(rd.isp.parametrized(name, camera, channels))
    path = tmp_path / "learned.toml"
    rd.isp.save(isp, path, camera)
    static, going_on = rd.isp.load(path), rd.isp.load(path, parametrized=True)
    for found in (static, going_on):
        assert_same(found, isp)
    assert not list(static.parameters())
    assert dict(going_on.named_parameters()).keys() == dict(isp.named_parameters()).keys()
    assert tomllib.loads(path.read_text())["isp"]["configuration"] == name
    mosaic = random_mosaic(3, 12, 14).float()
    with torch.no_grad(), rd.isp.engine("eager"):
        assert torch.equal(static(mosaic), isp(mosaic))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    gains=st.lists(finite, min_size=3, max_size=3),
    kernel=st.lists(finite, min_size=9, max_size=9),
    gamma=st.floats(5e-324, 1e308),
    level=st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4),
)
def test_every_float_survives(gains, kernel, gamma, level):
    isp = rd.isp.static("bi,s,me", DRONE).replace(
        white_balance=rd.isp.WhiteBalance(gains),
        sharpen=rd.isp.SharpeningFilter(torch.tensor(kernel, dtype=torch.float64).reshape(3, 3)),
        gamma=rd.isp.Gamma(gamma),
        black_level=rd.isp.BlackLevel("RGGB", level),  # below zero, as learning may leave it
    )
    text = file.to_toml(isp, DRONE)
    camera, found = file.from_toml(text, "text")
    assert_same(found, isp)
    assert camera.white_balance == tuple(gains)
    assert file.to_toml(found, camera) == text


def test_a_user_reads_the_numbers_as_a_camera(tmp_path):
    camera = replace(DRONE, noise=Noise(8.0, 3.0), name="lab")
    isp = shaken(rd.isp.parametrized("ma,u,ga", camera))
    rd.isp.save(isp, tmp_path / "learned.toml", camera)
    found = rd.Camera.load(tmp_path / "learned.toml")
    assert (found.name, found.noise, found.optics) == ("lab", camera.noise, camera.optics)
    assert list(found.black_level) == isp.black_level.level.tolist()
    assert [list(row) for row in found.color_matrix] == isp.color_correction.matrix.tolist()
    assert found.gamma == isp.gamma.gamma.item()
    assert "rawdrift" in found.provenance
    assert "Raw-Drone" in found.provenance
    # Nothing was learned: the provenance is still right.
    rd.isp.save(rd.isp.static("ma,u,ga", camera), tmp_path / "as-it-was.toml", camera)
    assert rd.Camera.load(tmp_path / "as-it-was.toml") == camera


def test_any_order_of_any_steps():
    isp = (
        shaken(rd.isp.parametrized("me,s,ga", DRONE))
        .remove("gamma")
        .insert("warm", rd.isp.WhiteBalance([1.1, 1.0, 0.9]), after="denoise")
        .insert("second_median", rd.isp.MedianDenoising("yuv"), before="sharpen")
        .insert("offset", rd.isp.BlackLevel("RGGB", [0.01] * 4, white=0.9), before="demosaic")
    )
    isp = isp.reorder([*list(isp.steps)[:3], *reversed(list(isp.steps)[3:])])
    text = file.to_toml(isp)
    assert_same(file.from_toml(text, "text")[1], isp)
    assert "configuration" not in tomllib.loads(text)["isp"]


def test_a_blur_learned_away_stays_away():
    isp = rd.isp.parametrized("bi,u,me", DRONE)
    with torch.no_grad():
        isp.sharpen.radius.fill_(-0.2)
        found = file.from_toml(file.to_toml(isp), "text")[1]
        mosaic = random_mosaic(0, 10, 12)
        assert torch.equal(found(mosaic), isp(mosaic))


def test_what_can_not_be_saved(tmp_path):
    isp = rd.isp.static("bi,s,ga", DRONE)
    path = tmp_path / "learned.toml"

    class Local(Step):
        pass

    class Constructed(Step):
        def __init__(self):
            super().__init__()

    for step, message in [
        (Local(), "put the class at the top level of a module"),
        (Constructed(), "__init__"),
    ]:
        with pytest.raises(
            rd.InputError, match=rf"'own' is a \w+, which can't be saved: .*{message}"
        ):
            rd.isp.save(isp.insert("own", step, after="gamma"), path)
    with pytest.raises(rd.InputError, match=r"ends in \.toml"):
        rd.isp.save(isp, tmp_path / "learned.yaml")
    with pytest.raises(rd.InputError, match="the camera it was made for"):
        rd.isp.save(isp, path, replace(DRONE, cfa="BGGR"))
    with pytest.raises(rd.InputError, match="one cfa pattern, got GRBG, RGGB"):
        rd.isp.save(isp.replace(demosaic=rd.isp.Bilinear("GRBG")), path)
    for step, value in [("gamma", math.nan), ("denoise", math.inf), ("white_balance", math.nan)]:
        diverged = rd.isp.parametrized("bi,s,ga", DRONE)
        with torch.no_grad():
            next(diverged.steps[step].parameters()).fill_(value)
        with pytest.raises(rd.InputError, match=f"{step}.* must be finite numbers"):
            rd.isp.save(diverged, path)
    assert not list(tmp_path.iterdir())


TEXT = file.to_toml(rd.isp.static("bi,s,ga", DRONE), DRONE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bi,s,ga", "bi,s,gu", r"unknown \[isp\] configuration 'bi,s,gu' \(did you mean 'bi,s,ga'"),
        ("bi,s,ga", "bi,u,ga", "is 'bi,u,ga', but its steps are bi,s,ga"),
        ('kind = "Gamma"', 'kind = "Gama"', "unknown kind of step 'gamma' 'Gama'.*mean 'Gamma'"),
        ('kind = "Gamma"', 'kind = ["Gamma"]', "unknown kind of step 'gamma'"),
        ('kind = "Gamma"', 'kind = "Gamma"\ngama = 2', "unknown field of step 'gamma' 'gama'"),
        ('kind = "Gamma"', 'kind = "Gamma"\ngamma = 0', "step 'gamma': Gamma.gamma must be above 0"),
        ('kind = "Gamma"', 'kind = "Gamma"\ngamma = "2"', "gamma.gamma must be finite numbers"),
        ('kind = "Gamma"', f'kind = "Gamma"\ngamma = 1{"0" * 400}', "must be finite numbers"),
        ('name = "gamma"', 'name = "denoise"', "two steps have the name 'denoise'"),
        ('name = "gamma"', 'name = "forward"', "'forward' can't name a step"),
        ('name = "gamma"', "name = 7", "must be a table with a name"),
        ('name = "gamma"\n', "", "must be a table with a name"),
        ("[0.0, -1.0, 0.0]", "[0.0, nan, 0.0]", "sharpen.kernel must be finite numbers"),
        ("[0.0, -1.0, 0.0]", "[0.0, true, 0.0]", "sharpen.kernel must be finite numbers"),
        ("[0.0, -1.0, 0.0]", "[0.0, -1.0]", "sharpen.kernel must be rows of the same length"),
        ("    [-1.0, 5.0, -1.0],\n", "", r"kernel must have shape \(3, 3\), got \(2, 3\)"),
        ('"SharpeningFilter"', '"UnsharpMask"', "unknown field of step 'sharpen' 'kernel'"),
        ('channels = "luma"\n', "", "field of step 'sharpen' channels is missing"),
        ('channels = "luma"', 'channels = "rgb"', "unknown channels 'rgb'"),
        ("format = 1", "format = 2", "format is 2, expected 1; use the release"),
        ("format = 1\n", "", "field format is missing"),
        ("format = 1", "format = 1\nsteep = 1", r"unknown \[isp\] field 'steep'"),
        ("[isp]", "[ips]", "unknown camera field 'ips'"),
        ("gamma = 2.2", "gamma = nan", "gamma must be a number above 0"),
        ('cfa = "RGGB"', f"cfa = {'[' * 5000}", "not a camera file"),
        ("gamma = 2.2", f"gamma = {'1' * 5000}", "not a camera file"),
        (TEXT, DRONE.to_toml(), r"holds no ISP; expected a table \[isp\]"),
        (TEXT, DRONE.to_toml() + "[isp]\nformat = 1\nsteps = []", "has no demosaicing"),
        (TEXT, DRONE.to_toml() + "[isp]\nformat = 1\nsteps = 3", "must be tables, got 3"),
        (TEXT, "isp = 3\n" + DRONE.to_toml(), "must be a table, got 3"),
        (TEXT, "\0", "not a camera file"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_named(old, new, message, tmp_path):
    assert old in TEXT
    path = tmp_path / "learned.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(rd.InputError, match=message) as error:
        rd.isp.load(path)
    assert "learned.toml" in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(rd.InputError, match="does not exist"):
        rd.isp.load(tmp_path / "no.toml")
    with pytest.raises(rd.InputError, match=r"ends in \.toml"):
        rd.isp.load("bi,s,ga")
    (tmp_path / "picture.toml").write_bytes(bytes(range(256)))
    with pytest.raises(rd.InputError, match="not text"):
        rd.isp.load(tmp_path / "picture.toml")


@pytest.fixture
def files(tmp_path):
    """A raw file, and an ISP file."""
    mosaic = random_mosaic(1, 20, 24).numpy()
    tifffile.imwrite(tmp_path / "raw.tif", np.rint(65535 * mosaic).astype(np.uint16))
    isp = shaken(rd.isp.parametrized("ma,u,ga", DRONE, "yuv"))
    rd.isp.save(isp, tmp_path / "learned.toml", DRONE)
    return tmp_path


def test_raw_files_are_developed_with_an_isp_file(files):
    command = ["develop", str(files / "raw.tif"), "--isp", str(files / "learned.toml")]
    assert main([*command, "--format", "tiff", "--out", str(files / "views")]) == 0
    picture = tifffile.imread(files / "views/raw_learned.tiff").astype(np.float64) / 65535
    isp, raw = rd.isp.load(files / "learned.toml"), rd.read_raw(files / "raw.tif", DRONE)
    np.testing.assert_allclose(picture, isp(raw.mosaic).permute(1, 2, 0), atol=0.51 / 65535)


@pytest.mark.parametrize("more", [["--camera", "raw-drone"], ["--channels", "luma"]])
def test_an_isp_file_has_its_camera_and_channels(files, more, capsys):
    command = ["develop", str(files / "raw.tif"), "--isp", str(files / "learned.toml")]
    assert main([*command, *more, "--out", str(files / "views")]) == 2
    assert "has its own camera and channels; leave out" in capsys.readouterr().err
    assert not (files / "views").exists()


@pytest.mark.parametrize(
    "more", [[], ["--camera", "raw-drone"], ["--channels", "luma"], ["--trust", "file"]]
)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("camera.toml", "camera.toml is a camera file and holds no ISP"),
        ("none.toml", "none.toml does not exist"),
        ("raw.toml", "is not text in UTF-8"),
    ],
)
def test_what_is_no_isp_file_is_said_first(name, message, more, files, capsys):
    DRONE.save(files / "camera.toml")
    (files / "raw.toml").write_bytes((files / "raw.tif").read_bytes())
    command = ["develop", str(files / "raw.tif"), "--isp", str(files / name), *more]
    assert main([*command, "--out", str(files / "views")]) == 2
    assert message in capsys.readouterr().err
    assert not (files / "views").exists()


def test_an_unknown_isp_is_told_that_it_may_be_a_file(files, capsys):
    assert main(["develop", str(files / "raw.tif"), "--isp", "x", "--out", str(files)]) == 2
    assert "or give the path of a .toml file" in capsys.readouterr().err


def test_forensics_asks_a_loaded_pipeline(files):
    isp = rd.isp.load(files / "learned.toml")
    draws = torch.Generator().manual_seed(0)
    mosaics = (
        torch.rand(8, 16, 16, generator=draws) * torch.tensor([0.3, 0.4]).repeat(4)[:, None, None]
    )
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        net[2].weight.copy_(torch.tensor([[-1.0] * 3, [1.0] * 3]))
        with rd.isp.engine("eager"):
            level = net[:2](isp(mosaics)).sum(1)
        net[2].bias.copy_(torch.stack([level.mean(), -level.mean()]))
    data = list(zip(mosaics, torch.tensor([0, 1]).repeat(4), strict=True))
    space = rd.forensics.ParameterSpace.around(isp, {"gamma.gamma": (1.0, 4.0)})
    with rd.isp.engine("eager"):
        found = rd.forensics.search(net, isp, data, space, restarts=1, steps=4, rivals=())
    assert found.baseline == 1
    assert found.metric < 1


def test_a_reference_opens_a_configuration_or_a_file(files):
    mosaic = random_mosaic(1, 10, 12)
    for channels in ("luma", "yuv"):
        isp = rd.isp.open("ma,s,me", DRONE, channels=channels)
        assert torch.equal(isp(mosaic), rd.isp.static("ma,s,me", DRONE, channels)(mosaic))
    assert_same(rd.isp.open(files / "learned.toml"), rd.isp.load(files / "learned.toml"))
    with pytest.raises(rd.InputError, match="ISP 'ma,s,me' has no numbers.*camera=, or --camera"):
        rd.isp.open("ma,s,me")
    with pytest.raises(rd.InputError, match=r"unknown ISP 'ma,s,mo'.*or give the path of a .toml"):
        rd.isp.open("ma,s,mo", DRONE)


def test_an_isp_file_holds_its_own_camera_whatever_a_raw_file_says(tmp_path, capsys):
    camera = rd.Camera.load("raw-drone")
    rd.isp.save(rd.isp.static("bi,s,ga", camera), tmp_path / "isp.toml", camera)
    np.save(tmp_path / "a.npy", np.full((8, 8), 9000, np.uint16))
    words = ["develop", str(tmp_path / "a.npy"), "--isp", str(tmp_path / "isp.toml")]
    assert main([*words, "--out", str(tmp_path / "out"), "--trust", "file"]) == 2
    assert "trust can't be file; correct that camera" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "out"), "--trust", "camera"]) == 0
