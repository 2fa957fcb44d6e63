"""A dataset of one's own: a function in a package of one's own."""

import json
import sys

import numpy as np
import pytest
import torch

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.data import Data, frames, load

SCANNER = '''
import numpy as np
import torch

from rawdrift import Camera
from rawdrift.camera.camera import Noise
from rawdrift.data import RawDataset
from rawdrift.data.frame import Frame, Row

CAMERA = Camera("scanner", "GRBG", noise=Noise(gain=2.0))


def _mosaics(spec):
    rng = np.random.default_rng(spec.seed)
    shape = spec.images or 6, spec.size or 16, spec.size or 16
    return rng.integers(20000, 40000, shape).astype(np.uint16)


def slides(spec, **changes):
    """All images in memory."""
    mosaics = torch.from_numpy(_mosaics(spec))
    n = len(mosaics)
    return RawDataset(**{
        "mosaics": mosaics,
        "images": tuple(f"{spec.root or ''}-{i}" for i in range(n)),
        "cameras": (CAMERA,),
        "camera_index": torch.zeros(n, dtype=torch.long),
        "classes": ("a", "b"),
        "labels": torch.arange(n) % 2,
    } | changes)


class Slides:
    """Images that are read one by one."""

    def __init__(self, spec):
        self.mosaics = _mosaics(spec)
        self.rows = [Row(f"-{i}", "ab"[i % 2]) for i in range(len(self.mosaics))]

    def read(self, index):
        return Frame(self.mosaics[index], CAMERA)


def nothing(spec):
    return None


def floats(spec):
    return slides(spec, mosaics=torch.zeros(6, 16, 16, dtype=torch.float64))


def short(spec):
    return slides(spec, images=("1", "2"))


def odd_labels(spec):
    return slides(spec, labels=torch.arange(6))


def no_camera(spec):
    return slides(spec, cameras=())


def flat_masks(spec):
    return slides(spec, masks=torch.zeros(6, 16, dtype=torch.uint8))
'''


@pytest.fixture
def scanner(tmp_path, monkeypatch):
    """The folder of a package `mine`, which is the working folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()
    (tmp_path / "mine/scanner.py").write_text(SCANNER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("mine", "mine.scanner"):
        sys.modules.pop(name, None)


def test_the_function_is_given_the_spec(scanner):
    data = load(Data("import:mine.scanner.slides", "x", images=4, size=20, seed=3))
    assert data.mosaics.shape == (4, 20, 20)
    assert data.images[1] == f"{scanner / 'x'}-1"
    same = load(Data("import:mine.scanner.slides", "x", images=4, size=20, seed=3))
    other = load(Data("import:mine.scanner.slides", "x", images=4, size=20, seed=4))
    assert data.fingerprint() == same.fingerprint() != other.fingerprint()


def test_images_read_one_by_one_are_the_same(scanner):
    whole = load(Data("import:mine.scanner.slides", seed=1))
    lazy = Data("import:mine.scanner.Slides", seed=1)
    assert load(lazy).fingerprint() == whole.fingerprint()
    assert [row.label for row in frames(lazy).rows] == list("ababab")
    without = frames(Data("import:mine.scanner.Slides", seed=1, exclude=["a"]))
    assert [row.image for row in without.rows] == ["-1", "-3", "-5"]
    np.testing.assert_array_equal(without.read(1).mosaic, whole.mosaics[3].numpy())


@pytest.mark.parametrize("name", ["slides", "Slides"])
def test_less_light_is_made_from_what_the_function_returns(name, scanner):
    full, dim = (
        load(Data(f"import:mine.scanner.{name}", "", light, seed=0)) for light in (1.0, 0.1)
    )
    assert dim.intensity == 0.1
    share = float(dim.mosaics.float().mean() / full.mosaics.float().mean())
    assert share == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("name", ["slides", "Slides"])
def test_commands_take_it(name, scanner, capsys):
    command = ["--data.name", f"import:mine.scanner.{name}", "--data.seed", "2"]
    assert main(["data", "describe", *command, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["images"] == 6
    assert described["cameras"] == [{"name": "scanner", "cfa": "GRBG", "images": 6}]
    assert main(["data", "pack", *command, "--out", str(scanner / "packed")]) == 0
    packed = load(Data("folder", str(scanner / "packed")))
    made = load(Data(f"import:mine.scanner.{name}", seed=2))
    assert torch.equal(packed.mosaics, made.mosaics)
    assert torch.equal(packed.labels, made.labels)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"must return a rawdrift.data.RawDataset, or .* read\(index\), got NoneType"),
        ("floats", r"mosaics of shape \(6, 16, 16\) and type torch.float64; expected"),
        ("short", "returned 2 images, but mosaics, camera_index"),
        ("odd_labels", "labels that do not fit its 2 classes"),
        ("no_camera", "a camera_index that does not fit its 0 cameras"),
        ("flat_masks", r"masks \(6, 16\) of torch.uint8; expected the shape of the mosaics"),
        ("missing", "mine.scanner has no missing; it has .*slides"),
    ],
)
def test_what_is_wrong_with_it_is_said(name, message, scanner):
    with pytest.raises(rd.InputError, match=message):
        load(Data(f"import:mine.scanner.{name}"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": 0}, "data.images must be a whole number of at least 1"),
        ({"seed": -1}, "data.seed must be a whole number of at least 0"),
        ({"balanced": True}, "data.balanced is for data.name synthetic-microscopy alone"),
    ],
)
def test_impossible_fields_are_refused(fields, message):
    with pytest.raises(rd.InputError, match=message):
        Data("import:mine.scanner.slides", **fields)
