"""Raw-Microscopy and Raw-Drone in the authors' layout, and what they look like at less light."""

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import rawdrift as rd
from rawdrift import sensor
from rawdrift.cli import main
from rawdrift.data import load
from rawdrift.data.spec import Data

from conftest import published_drone, published_microscopy, write_folder
from test_read import write_dng

CLASSES = ("BAS", "EOS", "KSC", "LYA", "LYT", "MON", "NGB", "NGS", "UNC")


@pytest.fixture
def dim(monkeypatch):
    """A stand-in that shows what it is asked for: `intensity` of the light, and some noise."""

    def stand_in(mosaic, camera, intensity, generator):
        assert camera.noise is not None
        assert mosaic.dtype == torch.float32
        noise = torch.rand(mosaic.shape, generator=generator)
        return mosaic * intensity + noise * 1e-3

    monkeypatch.setattr(sensor, "dim", stand_in, raising=False)


def microscopy(root, intensity=1.0):
    return load(Data("raw-microscopy", str(root), intensity))


def drone(root, intensity=1.0):
    return load(Data("raw-drone", str(root), intensity))


def test_raw_microscopy_follows_the_authors_rules(tmp_path):
    published_microscopy(tmp_path)
    data = microscopy(tmp_path)
    assert data.classes == CLASSES
    assert data.counts() == dict.fromkeys(CLASSES, 5) | {"MON": 6}
    assert data.left_out == {"PMO": "4 images: too few, as in the authors' code"}
    assert "Ma190c_lame3_zone13_composite_Mcropped_2.tiff" not in data.images
    assert data.mosaics.dtype == torch.uint16
    assert data.cameras == (rd.Camera.load("raw-microscopy"),)
    folder = tmp_path / "microscopy/images/raw_scale100"
    for i in (0, 17, 45):
        np.testing.assert_array_equal(data.mosaics[i], tifffile.imread(folder / data.images[i]))
    lines = (tmp_path / "microscopy/labels/Ma190c_annotations.dat").read_text().splitlines()
    labels = dict(line.split() for line in lines)
    for image, label in zip(data.images, data.labels, strict=True):
        assert labels[image.removesuffix(".tiff")] == data.classes[label]


@pytest.mark.parametrize(
    "above", ["", "microscopy", "data/microscopy", "raw2logit/data/microscopy"]
)
def test_the_known_folder_is_found_below_the_root(above, tmp_path):
    published_microscopy(tmp_path / "here", above)
    published_microscopy(tmp_path / ".fetch-raw-microscopy", "elsewhere", brightness=7)
    assert len(microscopy(tmp_path / "here")) == 46
    with pytest.raises(
        rd.InputError, match="does not hold Raw-Microscopy; expected microscopy/labels"
    ):
        microscopy(tmp_path / ".fetch-raw-microscopy/elsewhere/images")


def test_an_intensity_on_disk_is_read_and_another_is_refused(tmp_path, dim):
    published_microscopy(tmp_path, scales=(100, 25, 1))
    for intensity in (0.01, 0.25, 1.0):
        assert int(microscopy(tmp_path, intensity).mosaics[0, 0, 0]) == round(30000 * intensity)
    with pytest.raises(
        rd.InputError, match=r"0.5 can't be made.*no noise gain.*0.01, 0.25, 1.0: choose"
    ):
        microscopy(tmp_path, 0.5)


MICROSCOPY_FAULTS = {
    "no image": (lambda base: (base / "images/raw_scale100/cell-EOS-2.tiff").unlink(), "lacks 1 of the 46.*cell-EOS-2.tiff"),
    "no scale": (lambda base: (base / "images/raw_scale100").rename(base / "images/raw_scale005"), "lacks 46.*intensities 0.05"),
    "broken": (lambda base: (base / "images/raw_scale100/cell-EOS-2.tiff").write_bytes(b"II*"), "cell-EOS-2.tiff can't be decoded"),
    "other size": (lambda base: tifffile.imwrite(base / "images/raw_scale100/cell-EOS-2.tiff", np.zeros((8, 16), np.uint16)), "one size"),
    "float": (lambda base: tifffile.imwrite(base / "images/raw_scale100/cell-EOS-2.tiff", np.zeros((16, 16), np.float32)), "float32 values, expected 16-bit"),
    "three fields": (lambda base: append(base, "a b c"), "line 52 is 'a b c', expected an image and its class"),
    "outside": (lambda base: append(base, "../../secret EOS"), "line 52 is"),
    "two classes": (lambda base: append(base, "cell-EOS-2 MON"), "line 52 calls cell-EOS-2.tiff MON, before EOS"),
    "not text": (lambda base: (base / "labels/Ma190c_annotations.dat").write_bytes(b"\xff\xfe\xfa"), "UTF-8"),
    "few": (lambda base: (base / "labels/Ma190c_annotations.dat").write_text("a EOS\n"), "no class of more than 4"),
}  # fmt: skip


def append(base, line):
    with (base / "labels/Ma190c_annotations.dat").open("a") as file:
        file.write(line + "\n")


@pytest.mark.parametrize("fault", MICROSCOPY_FAULTS)
def test_broken_raw_microscopy_is_refused_by_name(fault, tmp_path):
    spoil, message = MICROSCOPY_FAULTS[fault]
    spoil(published_microscopy(tmp_path))
    with pytest.raises(rd.InputError, match=message):
        microscopy(tmp_path)


def test_a_line_that_stands_twice_is_one_image(tmp_path):
    append(published_microscopy(tmp_path), "cell-EOS-2 EOS\n")
    assert len(microscopy(tmp_path)) == 46


def test_raw_drone_tiles_with_their_masks(tmp_path):
    base = published_drone(tmp_path)
    data = drone(tmp_path)
    # Seven tiles of three photographs; the mask of the last holds no car.
    assert data.images == tuple(f"{p:02d}_{t:05d}.tif" for p in range(3) for t in range(2))
    assert data.groups == ("00", "00", "01", "01", "02", "02")
    assert (data.labels, data.classes) == (None, ())
    assert data.cameras == (rd.Camera.load("raw-drone"),)
    assert data.masks.dtype == torch.uint8
    assert set(data.masks.unique().tolist()) == {0, 1}
    for i, name in enumerate(data.images):
        tiff = base / "images_tiles_256/raw_scale100" / name
        np.testing.assert_array_equal(data.mosaics[i], tifffile.imread(tiff))
        mask = np.asarray(Image.open(base / f"masks_tiles_256/{name[:-4]}.png"))
        np.testing.assert_array_equal(data.masks[i], mask > 0)


@pytest.mark.parametrize("kind", ["1 bit", "8 bit", "16 bit", "palette", "color", "alpha", "tiff"])
def test_a_mask_is_a_car_where_it_is_above_zero(kind, tmp_path):
    base = published_drone(tmp_path)
    truth = np.random.default_rng(0).random((16, 16)) < 0.3
    path = base / "masks_tiles_256/01_00001.png"
    if kind == "1 bit":
        Image.fromarray(truth).save(path)
        assert path.read_bytes()[24] == 1  # as the authors' tiles have it
    elif kind == "palette":
        picture = Image.fromarray(truth.astype(np.uint8), "P")
        picture.putpalette([0, 0, 0, 200, 30, 10])
        picture.save(path)
    elif kind == "tiff":
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), truth.astype(np.uint8) * 3)
    else:
        one = {"8 bit": np.uint8(1), "16 bit": np.uint16(9), "color": np.uint8([0, 0, 9])}
        colors = truth[..., None] * one.get(kind, np.uint8([0, 7, 0, 0]))
        if kind == "alpha":
            colors[..., 3] = 255
        path.write_bytes(imagecodecs.png_encode(colors.squeeze()))
    data = drone(tmp_path)
    np.testing.assert_array_equal(data.masks[data.images.index("01_00001.tif")], truth)


DRONE_FAULTS = {
    "no mask": (lambda base: (base / "masks_tiles_256/01_00001.png").unlink(), "7 tiles and .* 6 masks.*but 01_00001 stands alone"),
    "no tile": (lambda base: (base / "images_tiles_256/raw_scale100/01_00001.tif").unlink(), "6 tiles and .* 7 masks"),
    "broken mask": (lambda base: (base / "masks_tiles_256/01_00001.png").write_bytes(b"png"), "mask .*01_00001.png can't be decoded"),
    "mask size": (lambda base: Image.new("L", (8, 16)).save(base / "masks_tiles_256/01_00001.png"), r"\(16, 8\) pixels but its image has \(16, 16\)"),
    "odd name": (lambda base: [p.rename(p.with_stem("car")) for p in base.rglob("01_00001.*")], "car.tif is not named as a tile"),
    "no car": (lambda base: [Image.new("L", (16, 16)).save(p) for p in base.rglob("*.png")], "no mask of Raw-Drone holds a car"),
}  # fmt: skip


@pytest.mark.parametrize("fault", DRONE_FAULTS)
def test_broken_raw_drone_is_refused_by_name(fault, tmp_path):
    spoil, message = DRONE_FAULTS[fault]
    spoil(published_drone(tmp_path))
    with pytest.raises(rd.InputError, match=message):
        drone(tmp_path)


def whole_frames(base, mask_name, count=2):
    """Photographs of 2x3 tiles and a rest, with a car in the tiles 1 and 5, and one over 3 and 4."""
    rng = np.random.default_rng(3)
    folder = base / "images_full/raw_scale100"
    folder.mkdir(parents=True)
    (base / "masks_full").mkdir()
    frames = []
    for n in range(count):
        frames.append(rng.integers(0, 2**16, (544, 800)).astype(np.uint16))
        write_dng(folder / f"DJI_00{11 - n}.dng", frames[-1])
        mask = np.zeros((544, 800), np.uint8)
        mask[5, 300] = mask[300:310, 200:280] = mask[511, 767] = mask[520, 20] = 255
        Image.fromarray(mask).save(base / "masks_full" / mask_name(11 - n))
    (folder / ".DS_Store").write_bytes(b"\0")
    return frames[::-1]  # in the order of their names


@pytest.mark.parametrize(
    "mask_name",
    [
        lambda n: f"DJI_00{n}.png",
        lambda n: f"DJI_00{n}_mask.tif",
        lambda n: f"mask-dji_00{n}.png",
        lambda n: f"cars {n}.png",
    ],
)
def test_whole_photographs_are_tiled_where_tiles_are_absent(mask_name, tmp_path):
    frames = whole_frames(tmp_path / "drone", mask_name)
    data = drone(tmp_path)
    assert data.images == tuple(f"{p:02d}_{t:05d}.tif" for p in range(2) for t in range(4))
    assert data.groups == ("00",) * 4 + ("01",) * 4
    for p, frame in enumerate(frames):
        for t, (y, x) in enumerate([(0, 1), (1, 0), (1, 1), (1, 2)]):
            found = data.mosaics[p * 4 + t].numpy()
            np.testing.assert_array_equal(found, frame[y * 256 :, x * 256 :][:256, :256])
    assert [int(mask.sum()) for mask in data.masks[:4]] == [1, 10 * 56, 10 * 24, 1]
    assert set(data.masks.unique().tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda masks: (masks / "DJI_0010.png").unlink(), r"has 0 masks for DJI_0010.dng \(DJI_0011.png\).*rename it DJI_0010.png"),
        (lambda masks: (masks / "DJI_0010.png").rename(masks / "a_DJI_0010.png") and Image.new("L", (800, 544)).save(masks / "b_DJI_0010.png"), "has 2 masks for DJI_0010.dng"),
        (lambda masks: (masks.parent / "images_full/raw_scale100/DJI_0010.dng").rename(masks.parent / "images_full/raw_scale100/B11.dng") and (masks / "DJI_0010.png").unlink(), "DJI_0011.png fits B11.dng and DJI_0011.dng"),
        (lambda masks: Image.new("L", (80, 54)).save(masks / "DJI_0010.png"), r"\(54, 80\) pixels"),
        (lambda masks: [path.unlink() for path in masks.iterdir()], "0 masks .*no masks"),
        (lambda masks: [path.unlink() for path in masks.parent.rglob("*.dng")], "no images of the intensity 1.0"),
    ],
)  # fmt: skip
def test_a_photograph_has_one_mask(spoil, message, tmp_path):
    whole_frames(tmp_path / "drone", lambda n: f"DJI_00{n}.png")
    spoil(tmp_path / "drone/masks_full")
    with pytest.raises(rd.InputError, match=message):
        drone(tmp_path)


def test_tiles_at_an_intensity_come_from_disk_or_are_dimmed(tmp_path, dim):
    base = published_drone(tmp_path, scales=(100, 25))
    full = drone(tmp_path).mosaics.to(torch.float64)
    np.testing.assert_array_equal(
        drone(tmp_path, 0.25).mosaics[2],
        tifffile.imread(base / "images_tiles_256/raw_scale025/01_00000.tif"),
    )
    half = drone(tmp_path, 0.5)
    assert half.mosaics.dtype == torch.uint16
    noise = half.mosaics.to(torch.float64) - full * 0.5
    assert -0.5 <= noise.min() <= noise.max() <= 66
    assert noise.std() > 10
    assert torch.equal(half.masks, drone(tmp_path).masks)


def test_the_noise_of_a_dimmed_image_is_its_own(tmp_path, dim):
    base = published_drone(tmp_path)
    all_of_them = drone(tmp_path, 0.5)
    for path in base.rglob("00_*"):
        path.unlink()
    some = drone(tmp_path, 0.5)
    assert some.images == all_of_them.images[2:]
    assert torch.equal(some.mosaics, all_of_them.mosaics[2:])
    assert not torch.equal(drone(tmp_path, 0.25).mosaics, some.mosaics)


def test_folders_and_synthetic_images_are_dimmed_too(tmp_path, dim):
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(4)]
    root = write_folder(tmp_path, rows)
    with pytest.raises(rd.InputError, match=r"0.1 can't be made.*'test-cam'.*section \[noise\]"):
        load(Data("folder", str(root), 0.1))
    rd.Camera("cam", "RGGB", noise=rd.camera.camera.Noise(2.0)).save(root / "camera.toml")
    for names in (
        {"name": "folder", "root": str(root)},
        {"name": "synthetic-microscopy", "images": 10},
    ):
        full, tenth = load(Data(**names)), load(Data(**names, intensity=0.1))
        error = tenth.mosaics.to(torch.float64) - full.mosaics.to(torch.float64) * 0.1
        assert tenth.mosaics.dtype == torch.uint16
        assert 20 < error.mean() < 45


@pytest.mark.parametrize("intensity", [0, 0.3, 2, "1", True, None, float("nan")])
def test_an_intensity_that_is_not_published_is_refused(intensity):
    with pytest.raises(rd.InputError, match=r"data.intensity must be one of 0.01, 0.05.*1.0, got"):
        Data("raw-drone", "x", intensity)


def test_synthesis_says_that_masks_are_no_labels(tmp_path, capsys):
    published_drone(tmp_path)
    arguments = [
        "--data.name",
        "raw-drone",
        "--data.root",
        str(tmp_path),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["synthesis", *arguments]) == 2
    assert "no labels, and classification needs them; segment with" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
