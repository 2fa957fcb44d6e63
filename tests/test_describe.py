"""What a description finds: each planted fault, and closed-form noise."""

import json
import re
import weakref

import imagecodecs
import numpy as np
import pytest
import tifffile
from matplotlib.colors import to_rgb

from rawdrift.camera.bits import BitsInUse
from rawdrift.camera.camera import Camera
from rawdrift.cfa import PATTERNS, offsets
from rawdrift.cli import main
from rawdrift.data import datasets
from rawdrift.data.describe import Sample, clipped, describe, samples
from rawdrift.data.duplicates import Duplicates
from rawdrift.data.frame import Frame, Row
from rawdrift.data.levels import Levels
from rawdrift.data.noise import NoiseCurve
from rawdrift.data.spec import Data
from rawdrift.report import dataset
from rawdrift.report.dataset import dataset_text, sample_sheet
from rawdrift.report.style import TRUTH

from conftest import write_folder

BLACK = (0.01, 0.02, 0.03, 0.04)


def photographs(gain, read_noise, cfa, count=6, seed=0, size=128, edges=False):
    """Ramps of light, with edges where wanted, as a sensor of known gain takes them."""
    rng = np.random.default_rng(seed)
    camera = Camera(name="known", cfa=cfa, black_level=BLACK)
    y, x = np.mgrid[:size, :size] / size
    for i in range(count):
        light = 30000 * (0.02 + 0.7 * (x if i % 2 else y) * (i + 1) / count)
        if edges:
            light *= np.where(np.sin(40 * np.hypot(x - 0.3, y)) > 0, 1, 0.5)
        mosaic = gain * rng.poisson(light / gain) + rng.normal(0, read_noise, light.shape)
        for (row, column), level in zip(offsets(cfa), BLACK, strict=True):
            mosaic[row::2, column::2] += level * 65535
        yield Frame(np.clip(mosaic, 0, 65535).round().astype(np.uint16), camera)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_gain_and_read_noise_are_those_of_the_sensor(cfa):
    curve = NoiseCurve(Camera(name="known", cfa=cfa, black_level=BLACK))
    for frame in photographs(5.0, 40.0, cfa):
        curve.add(frame.mosaic)
    found = curve.estimate()
    assert found.gain == pytest.approx(5.0, rel=0.05)
    assert found.read_noise == pytest.approx(40.0, rel=0.2)
    for signal, sigma, _ in found.curve:
        assert sigma == pytest.approx(np.sqrt(5.0 * signal + 40.0**2), rel=0.1)


def test_edges_are_not_noise():
    curve = NoiseCurve(Camera(name="known", cfa="RGGB", black_level=BLACK))
    for frame in photographs(5.0, 40.0, "RGGB", edges=True):
        curve.add(frame.mosaic)
    assert curve.estimate().gain == pytest.approx(5.0, rel=0.15)


def test_where_noise_cant_be_told_nothing_is():
    camera = Camera(name="x", cfa="RGGB", white_level=0.9)
    tiny, white, flat = NoiseCurve(camera), NoiseCurve(camera), NoiseCurve(camera)
    tiny.add(np.full((4, 4), 9000, np.uint16))
    white.add(np.full((64, 64), 65535, np.uint16))
    flat.add(np.full((64, 64), 0.25, np.float32))
    assert tiny.estimate() is None
    assert white.estimate() is None
    assert flat.estimate().sigma == 0
    assert flat.estimate().gain is None


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("cfa", PATTERNS)
def test_clipping_is_counted_by_each_sites_own_level(dtype, cfa):
    camera = Camera(name="x", cfa=cfa, black_level=BLACK, white_level=0.9)
    mosaic = np.full((10, 10), 0.5)
    for (row, column), level in zip(offsets(cfa), BLACK, strict=True):
        mosaic[row + 2, column + 2] = level  # black: a site of each color
        mosaic[row + 4, column + 4] = level + 0.001
    mosaic[0, :3] = 0.9, 0.95, 0.899
    values = mosaic.astype(dtype) if dtype == np.float32 else (mosaic * 65535).round().astype(dtype)
    assert clipped(values, camera) == (0.02, 0.04)


def test_a_left_justified_adc_saturates_at_its_highest_code():
    camera = Camera(name="x", cfa="RGGB", adc_bits=12)
    mosaic = np.full((10, 10), 30000, np.uint16)
    mosaic[0, :2] = 65520, 65504
    assert clipped(mosaic, camera) == (0.01, 0)


def finding(values, **camera):
    bits = BitsInUse(Camera(name="x", cfa="RGGB", **camera))
    bits.add(np.asarray(values, np.uint16))
    return bits.upper(), bits.lower()


def test_bits_that_no_value_uses_are_pointed_out():
    twelve = np.random.default_rng(0).integers(64, 4000, 9999)
    upper, lower = finding(twelve)
    assert "values use 12 of 16 bits" in upper
    assert "set bit_depth = 12" in upper
    assert lower is None
    assert finding(twelve, bit_depth=12) == (None, None)
    assert finding(twelve, white_level=4095 / 65535) == (None, None)
    dark = finding(twelve // 3)[0]
    assert "values use 11 of 16 bits" in dark
    assert "set bit_depth = 12" in dark, "no converter has 11 bits"
    assert "use 15 of 16" in finding([3, 32767])[0]
    assert "use 14 of 16" in finding([3, 15520])[0]
    assert finding([3, 32766]) == (None, None)  # half of the light
    upper, lower = finding(twelve * 16)
    assert upper is None
    assert "lower 4 bits" in lower
    assert "adc_bits = 12" in lower
    assert finding(twelve * 16, adc_bits=12) == (None, None)
    assert finding(np.zeros(4)) == (None, None)


def scene(seed, noise=0.0, exposure=1.0, size=64):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(5000, 40000, (8, 8)).repeat(size // 8, 0).repeat(size // 8, 1)
    made = np.random.default_rng(seed + 1000).normal(exposure * coarse, noise + 1e-9)
    return made.clip(0, 65535).round().astype(np.uint16)


def test_duplicates_are_found_in_other_noise_and_light():
    images = [scene(0), scene(1), scene(0), scene(1, noise=500), scene(2), scene(1, 200, 0.25)]
    images += [
        np.zeros((64, 64), np.uint16),
        np.full((64, 64), 7, np.uint16),
        scene(0).reshape(32, 128),
    ]
    duplicates = Duplicates()
    for image in images:
        duplicates.add(image)
    assert duplicates.exact() == [[0, 2]]
    assert duplicates.near() == [[0, 2], [1, 3, 5]]


def test_many_images_that_are_alike_are_one_set():
    image = scene(0, size=16)
    duplicates = Duplicates()
    for i in range(700):
        duplicates.add(image if i % 7 else image + np.uint16(i))
    assert duplicates.near() == [list(range(700))]


@pytest.mark.parametrize("shape", [(2, 2), (3, 9), (17, 33), (40, 500)])
def test_duplicates_of_any_size(shape):
    image = np.random.default_rng(0).integers(0, 9999, shape).astype(np.uint16)
    duplicates = Duplicates()
    duplicates.add(image)
    duplicates.add(image)
    assert duplicates.near() == [[0, 1]]


@pytest.fixture
def folder(tmp_path):
    """Eight images, of which 5 and 6 are copies of 1 and 2, 7 is broken and 3 of another size."""
    rows = [
        {"image": f"{i}.tif", "label": "abc"[i % 3], "group": f"g{i // 4}"} for i in range(8)
    ]  # fmt: skip
    root = write_folder(tmp_path / "cells", rows)
    for i in range(7):
        tifffile.imwrite(root / f"{i}.tif", scene({5: 1}.get(i, i)))
    tifffile.imwrite(root / "6.tif", scene(2, noise=300))
    tifffile.imwrite(root / "3.tif", scene(3)[:48])
    pixels = scene(4)
    pixels[:32] = 65535
    tifffile.imwrite(root / "4.tif", pixels)
    (root / "7.tif").write_bytes(b"II*\0")
    return root


def test_planted_faults_are_found(folder, capsys):
    assert main(["data", "describe", "--data.root", str(folder), "--json"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("rawdrift: error: 1 of 8 images can't be used")
    assert "7.tif" in told.err
    found = json.loads(told.out)
    assert found["images"] == 7
    assert list(found["unreadable"]) == ["7.tif"]
    assert found["sizes"] == {"64x64": 6, "48x64": 1}
    assert found["values"] == {"uint16": 7}
    assert found["classes"] == {"a": 3, "b": 2, "c": 2}
    assert found["groups"] == {"g0": 4, "g1": 3}
    assert found["cameras"] == [{"name": "test-cam", "cfa": "RGGB", "images": 7}]
    assert found["clipping"]["white"] == {
        "mean": pytest.approx(0.5 / 7),
        "worst": 0.5,
        "image": "4.tif",
    }
    assert found["duplicates"] == {"exact": [["1.tif", "5.tif"]], "near": [["2.tif", "6.tif"]]}
    assert found["leaks"] == [
        [{"image": "1.tif", "group": "g0"}, {"image": "5.tif", "group": "g1"}],
        [{"image": "2.tif", "group": "g0"}, {"image": "6.tif", "group": "g1"}],
    ]
    assert [[x["label"] for x in places] for places in found["contradictions"]] == [
        ["b", "c"],
        ["c", "a"],
    ]


def test_the_text_names_them_too(folder, capsys):
    assert main(["data", "describe", "--data.root", str(folder)]) == 2
    text = capsys.readouterr().out
    for words in ("64x64 (6) 48x64 (1) pixels", "a 3, b 2, c 2", "2, of 3 to 4 images", "50.000% in 4.tif",
                  "1.tif = 5.tif", "2.tif (g0) = 6.tif (g1)", "1.tif (b) = 5.tif (c)"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"a": 3, "b": 3}, "2, of 3 images each"),
        ({"a": 1, "b": 3}, "2, of 1 to 3 images"),
        ({"a": 1, "b": 1}, "2, of 1 image each"),
        ({"a": 3}, "1, of 3 images"),
    ],
)
def test_the_sizes_of_groups_in_words(groups, words, folder):
    found = describe(datasets.frames(Data("folder", str(folder))))
    lines = dataset_text({**found, "groups": groups})
    assert f"groups         {words}" in lines.splitlines()


def test_duplicates_without_groups_are_warned_of(tmp_path, capsys):
    root = write_folder(tmp_path, [{"image": f"{i}.tif", "label": "a"} for i in range(2)])
    tifffile.imwrite(root / "1.tif", tifffile.imread(root / "0.tif"))
    assert main(["data", "describe", "--data.root", str(root)]) == 0
    assert "may stand in both training and test" in capsys.readouterr().out


def test_files_without_a_camera_are_described_as_far_as_they_can_be(tmp_path, capsys):
    root = write_folder(tmp_path, [{"image": f"{i}.tif", "label": "ab"[i]} for i in range(2)])
    (root / "camera.toml").unlink()
    cell = np.array([[400, 800], [800, 200]], np.uint16)
    for i in range(2):
        tifffile.imwrite(root / f"{i}.tif", np.tile(cell, (20, 30)) * (i + 1))
    assert main(["data", "describe", "--data.root", str(root), "--json"]) == 2
    said = capsys.readouterr()
    assert "no camera for 0.tif: put a camera.toml" in said.err
    found = json.loads(said.out)
    assert found["no_camera"] == {
        "images": 2, "sizes": {"40x60": 2}, "values": {"uint16": 2}, "min": 200, "max": 1600,
        "bits": 11, "multiple_of": 200, "means": [[600, 1200], [1200, 300]],
    }  # fmt: skip
    assert (found["images"], found["classes"]) == (0, {"a": 1, "b": 1})
    assert main(["data", "describe", "--data.root", str(root)]) == 2
    text = " ".join(capsys.readouterr().out.split())
    assert "values 200 to 1600, which 11 bits hold, all multiples of 200" in text


class Made:
    """Frames that are made when read; `most` were alive at once."""

    def __init__(self, frames, label="ab"):
        self.frames = frames
        self.rows = [
            Row(str(i), label[i % len(label)] if label else "") for i in range(len(frames))
        ]
        self.alive = []
        self.most = 0

    def read(self, index):
        frame = self.frames[index]
        frame = frame._replace(mosaic=frame.mosaic.copy())
        self.alive.append(weakref.ref(frame.mosaic))
        self.most = max(self.most, sum(ref() is not None for ref in self.alive))
        return frame


def test_describing_holds_two_images_in_memory_at_most():
    made = Made(list(photographs(5.0, 40.0, "RGGB", count=20, size=32)))
    found = describe(made)
    assert found["images"] == 20
    assert made.most <= 2


def test_samples_are_of_every_class_from_first_to_last():
    made = Made(list(photographs(5.0, 40.0, "RGGB", count=11, size=32)))
    chosen = [(sample.label, sample.image) for sample in samples(made, 3)]
    assert chosen == [("a", "0"), ("a", "4"), ("a", "10"), ("b", "1"), ("b", "5"), ("b", "9")]


@pytest.mark.parametrize("label", ["ab", ""])
def test_the_sheet_shows_the_pictures_and_the_outlines_of_masks(label, tmp_path):
    mask = np.zeros((80, 80), np.uint8)
    mask[20:60, 20:60] = 255
    frames = [f._replace(mask=mask) for f in photographs(5.0, 40.0, "RGGB", count=3, size=80)]
    made = Made(frames, label)
    path = tmp_path / "sheet.png"
    sample_sheet(samples(made, 3), {"a": 2, "b": 1} if label else {}, path, "t")
    pixels = imagecodecs.png_decode(path.read_bytes())[..., :3].reshape(-1, 3)
    shown = {tuple(pixel) for pixel in pixels.tolist()}
    first = next(iter(samples(made, 1)))
    assert tuple(np.uint8(first.picture[-1, -1] * 255).tolist()) in shown
    assert (tuple(np.uint8(255 * np.array(to_rgb(TRUTH)))) in shown) == (
        label == ""
    )  # only where there is no label to tell


def test_the_sheet_is_written_by_the_command(folder, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert main(["data", "describe", "--data.root", str(folder), "--sheet", str(path)]) == 2
    height, width = imagecodecs.png_decode(path.read_bytes()).shape[:2]
    assert height > 3 * 160
    assert width > 3 * 128


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("cfa", PATTERNS)
def test_levels_are_those_of_each_color(cfa, dtype):
    mosaic = np.zeros((40, 60), dtype)
    full = 1.0 if dtype == np.float32 else 65535
    for site, (row, column) in enumerate(offsets(cfa)):
        mosaic[row::2, column::2] = (site + 1) * 0.1 * full
    levels = Levels(Camera("x", cfa, black_level=(0.05, 0.1, 0.15, 0.2)))
    levels.add(mosaic)
    levels.add(mosaic // 2 if dtype == np.uint16 else mosaic / 2)
    found = levels.found()
    assert (found["min"], found["max"]) == pytest.approx((0.05 * full, 0.4 * full), abs=1)
    assert found["bits"] == (None if dtype == np.float32 else 15)
    for number, site in enumerate(found["sites"]):
        assert site["mean"] == pytest.approx((number + 1) * 0.075 * full, abs=1)
        assert site["high"] == pytest.approx((number + 1) * 0.1 * full, abs=1)
        assert site["black_level"] == pytest.approx((number + 1) * 0.05 * full)


MISFITS = {
    "fits": ({}, None),
    "cfa": ({"cfa": "GRBG"}, "calls green differ .*RGGB or BGGR"),
    "black": ({"black_level": (0.9,) * 4}, "100% of the values of R lie below its black level of 5.898e.04"),
    "white": ({"white_level": 0.05}, "lie above the white level of 3276.75; check white_level"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_contradicts_the_camera_is_said(name, tmp_path, capsys):
    change, message = MISFITS[name]
    rng = np.random.default_rng(0)
    root = write_folder(tmp_path, [{"image": f"{i}.tif", "label": "ab"[i]} for i in range(2)])
    for i in range(2):
        mosaic = rng.normal(9000, 100, (40, 40))
        mosaic[::2, ::2] += 9000
        mosaic[1::2, 1::2] -= 3000
        tifffile.imwrite(root / f"{i}.tif", mosaic.astype(np.uint16))
    Camera(**{"name": "x", "cfa": "RGGB", **change}).save(root / "camera.toml")
    assert main(["data", "describe", "--data.root", str(root)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert ("fits nothing in these images contradicts it" in text) == (message is None)
    if message:
        assert re.search(f"fits no: .*{message}", text)


def test_large_pictures_have_a_part_pixel_by_pixel_beside_them():
    noise = np.random.default_rng(0).random((700, 900, 3)).astype(np.float32)
    mask = np.zeros((700, 900), np.uint8)
    mask[600:650, 800:820] = 1
    shown = dataset._shown(Sample("a", "1", noise, None))
    np.testing.assert_array_equal(shown[:160, -160:], noise[270:430, 370:530])
    around = dataset._shown(Sample("", "1", noise, mask))[:160, -160:]
    same = (around == noise[540:700, 720:880]).all(-1)
    assert same[100:120, 90:].any()  # inside of the outline
    assert same.mean() > 0.9
    assert dataset._shown(Sample("a", "1", noise[:40, :40], None)).shape == (160, 160, 3)
