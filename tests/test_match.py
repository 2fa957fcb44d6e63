"""Which ISP made these pictures: each is matched to its own, and what can't be told is said."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.configurations import NAMES
from rawdrift.isp.color_difference import ciede2000, lab

from conftest import random_camera, random_mosaic

CAMERA = rd.Camera("lab", "GRBG", (0.02,) * 4, None, (1.4, 1.0, 1.2))
MOSAICS = [random_mosaic(seed, 64, 80).float() for seed in range(3)]


def eight_bits(isp, mosaic):
    view = isp(mosaic).permute(1, 2, 0).numpy()
    return np.rint(view * 255).astype(np.uint8)


def folders(root, isp, form, mosaics=MOSAICS, **options):
    (root / "raw" / "a").mkdir(parents=True)
    (root / "pictures").mkdir()
    CAMERA.save(root / "raw" / "camera.toml")
    for number, mosaic in enumerate(mosaics):
        np.save(root / "raw" / "a" / f"{number}.npy", mosaic.numpy())
        path = root / "pictures" / f"{number}.{form}"
        Image.fromarray(eight_bits(isp, mosaic)).save(path, **options)
    return root / "raw", root / "pictures"


@pytest.mark.parametrize("form", ["png", "jpg"])
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_pictures_are_matched_to_their_own_pipeline(name, form, tmp_path):
    options = {"quality": 80, "subsampling": 2} if form == "jpg" else {}
    where = folders(tmp_path, rd.isp.static(name, CAMERA), form, **options)
    found = rd.isp.match_files(*where)
    assert (found.best.isp, found.fits, found.apart, found.pictures) == (name, True, True, 3)
    assert found.best.delta_e < 0.1
    assert {match.isp for match in found.ranking} == {*NAMES}
    assert list(found.to_frame().isp) == [match.isp for match in found.ranking]


def test_a_pipeline_without_steps_and_a_file_are_found(tmp_path):
    mine = rd.isp.static("bi,s,ga", CAMERA).replace(gamma=rd.isp.Gamma(1.7))
    rd.isp.save(mine, tmp_path / "mine.toml", CAMERA)
    for isp, name in ((rd.isp.static("me,-,-", CAMERA), "me,-,-"), (mine, "mine")):
        pictures = [isp(mosaic) for mosaic in MOSAICS]
        found = rd.isp.match(MOSAICS, pictures, CAMERA, [tmp_path / "mine.toml"])
        assert (found.best.isp, found.fits, found.apart) == (name, True, True)


def test_equal_pipelines_are_not_told_apart():
    twin = rd.isp.static("ma,u,ga", CAMERA)
    found = rd.isp.match(
        torch.stack(MOSAICS), torch.stack([*map(twin, MOSAICS)]), CAMERA, {"twin": twin}
    )
    assert {found.best.isp, *found.level} == {"ma,u,ga", "twin"}
    assert not found.apart
    assert "can't be told from" in str(found)
    flat = [torch.full((16, 16), 0.4)]
    blind = rd.isp.match(flat, [twin(flat[0])], CAMERA)
    assert not blind.apart


def test_pictures_of_another_camera_fit_none_and_a_gain_is_pointed_out():
    other = rd.isp.static("bi,s,ga", random_camera(1, "GRBG"))
    found = rd.isp.match(MOSAICS, [*map(other, MOSAICS)], CAMERA)
    assert not found.fits
    assert "none of the 36 ISPs" in found.answer()[0]
    darker = [0.7 * rd.isp.static("bi,s,ga", CAMERA)(mosaic) for mosaic in MOSAICS]
    found = rd.isp.match(MOSAICS, darker, CAMERA)
    assert not found.fits
    assert found.brighter[0] == pytest.approx(0.7, abs=0.01)
    found = rd.isp.match(MOSAICS, darker, CAMERA, gain=True)
    assert (found.best.isp, found.fits) == ("bi,s,ga", True)
    assert found.best.gain == pytest.approx(0.7, abs=0.01)


def test_the_middle_of_a_large_picture_is_compared(tmp_path):
    mosaic = random_mosaic(0, 1100, 70).float()
    where = folders(tmp_path, rd.isp.static("me,u,me", CAMERA), "jpg", [mosaic], quality=90)
    found = rd.isp.match_files(*where)
    assert (found.best.isp, found.fits, found.apart) == ("me,u,me", True, True)
    assert found.best.equal > 0.99


def test_the_command_answers(tmp_path, capsys):
    raws, pictures = folders(tmp_path, rd.isp.static("ma,s,me", CAMERA), "png")
    assert main(["isp", "match", str(raws), str(pictures)]) == 0
    assert "ma,s,me reproduces the 3 pictures best" in capsys.readouterr().out
    assert main(["isp", "match", str(raws), str(pictures), "--json", "--images", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ranking"][0]["isp"], found["pictures"]) == ("ma,s,me", 2)


WRONG = {
    "turned": (
        lambda r, p: turn(p / "0.png"),
        "80x64 pixels, but its raw file 64x80.*turned by 90",
    ),
    "gray": (lambda r, p: Image.new("L", (80, 64)).save(p / "0.png"), "expected an RGB picture"),
    "broken": (lambda r, p: (p / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "can't be decoded"),
    "no pairs": (lambda r, p: [path.unlink() for path in p.iterdir()], "expected pairs such as"),
    "two of one": (lambda r, p: turn(p / "0.png", p / "0_b.tif", p / "0.tif"), "both pictures of"),
    "two raws": (lambda r, p: np.save(r / "0.npy", np.zeros((64, 80))), "both belong to"),
}


def turn(path, *others):
    image = Image.open(path).rotate(90, expand=True)
    for other in others or [path]:
        image.save(other)


@pytest.mark.parametrize("case", WRONG)
def test_pairs_that_do_not_fit_are_refused(case, tmp_path):
    spoil, message = WRONG[case]
    raws, pictures = folders(tmp_path, rd.isp.static("ma,s,me", CAMERA), "png", MOSAICS[:2])
    spoil(raws, pictures)
    with pytest.raises(rd.InputError, match=message):
        rd.isp.match_files(raws, pictures)


def test_pictures_in_memory_that_do_not_fit_are_refused():
    view = torch.rand(3, 64, 80)
    for pictures, message in (
        ([view.permute(1, 2, 0)], r"colors come last: give picture.permute\(2, 0, 1\)"),
        ([255 * view], "give uint8 as it is, or divide by 255"),
        ([view, view], "1 mosaics and 2 pictures"),
        ([view.numpy()], "must be a torch.Tensor"),
    ):
        with pytest.raises(rd.InputError, match=message):
            rd.isp.match(MOSAICS[:1], pictures, CAMERA)


def test_color_differences_are_those_of_scikit_image():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 4000, 3))
    other[:1000] = (one[:1000] + 0.02 * other[:1000]).clip(0, 1)
    one[:100], other[:50] = one[:100, :1], other[:50, :1]  # grays
    np.testing.assert_allclose(lab(one), rgb2lab(one), atol=0.02)
    expected = deltaE_ciede2000(rgb2lab(one), rgb2lab(other))
    np.testing.assert_allclose(ciede2000(rgb2lab(one), rgb2lab(other)), expected, atol=1e-9)
