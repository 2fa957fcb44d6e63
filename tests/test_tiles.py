"""Frames of any size are cut into tiles that keep the mosaic's phase and cover every pixel."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.camera.camera import Noise
from rawdrift.cfa import PATTERNS, offsets
from rawdrift.cli import main
from rawdrift.data import cut, load, stitch
from rawdrift.data.tiled import tiled
from rawdrift.data.tiles import places
from rawdrift.models.predict import predict
from rawdrift.models.segmentation import Segmentation
from rawdrift.report.page import render
from rawdrift.report.pictures import read_picture

even = st.integers(1, 12).map(lambda n: 2 * n)
TASK = rd.Task(
    "import:nets.pixels", kind="segmentation", epochs=1, batch_size=8, lr=1e-2, precision="32"
)


@given(
    height=st.integers(2, 50),
    width=st.integers(2, 50),
    size=even,
    stride=even,
    seed=st.integers(0, 99),
)
def test_every_pixel_is_in_a_tile_and_belongs_to_one(height, width, size, stride, seed):
    stride = min(size, stride)
    frame = np.random.default_rng(seed).integers(0, 999, (height, width))
    owners = np.zeros((height, width), int)
    for place in places(frame.shape, size, stride):
        top, end, left, right = place.own
        assert 0 <= top <= end <= size
        assert 0 <= left <= right <= size
        owners[place.top + top : place.top + end, place.left + left : place.left + right] += 1
    assert (owners == 1).all()
    tiles = cut(frame, size, stride)
    assert tiles.shape[1:] == (size, size)
    np.testing.assert_array_equal(stitch(tiles, frame.shape, stride), frame)
    several = np.stack([tiles, -tiles], axis=1)  # channels
    np.testing.assert_array_equal(stitch(several, frame.shape, stride), np.stack([frame, -frame]))


@pytest.mark.parametrize("cfa", PATTERNS)
@given(height=st.integers(2, 40), width=st.integers(2, 40), size=even, stride=even)
def test_every_tile_has_the_color_filter_array_of_its_frame(cfa, height, width, size, stride):
    def colors(rows, columns):
        mosaic = np.zeros((rows, columns), int)
        for color, (row, column) in enumerate(offsets(cfa)):
            mosaic[row::2, column::2] = color
        return mosaic

    for tile in cut(colors(height, width), size, min(size, stride)):
        np.testing.assert_array_equal(tile, colors(size, size))


@given(height=st.integers(20, 60), size=st.integers(4, 10).map(lambda n: 2 * n), overlap=even)
def test_pixels_are_taken_from_where_they_are_far_from_the_edge(height, size, overlap):
    overlap = min(overlap, size - 2)
    for place in places((height, size), size, size - overlap):
        top, end, *_ = place.own
        if place.top:
            assert top >= overlap // 2
        if place.top + size < height:
            assert size - end >= overlap // 2


@pytest.mark.parametrize(
    ("tile", "stride", "message"),
    [
        (255, None, "data.tile is 255, expected a multiple of 2"),
        (256, 127, "data.stride is 127, expected a multiple of 2"),
        (64, 128, "data.stride is 128, expected at most the size of a tile, 64"),
        (0, None, "data.tile must be a whole number of at least 2"),
        (64, 0, "data.stride must be a whole number of at least 2"),
        (None, 64, "set data.tile"),
    ],
)
def test_tiles_that_lose_pixels_or_the_phase_are_refused(tile, stride, message):
    with pytest.raises(rd.InputError, match=message):
        rd.Data("folder", ".", tile=tile, stride=stride)


SIZES = ((41, 70), (64, 48), (30, 90), (52, 52))


def frames(root, sizes=SIZES, groups=False, masks=True, **columns):
    """A folder of frames with bright squares, which are the object of their masks."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    names = ["image", *["mask"] * masks, *["group"] * groups, *columns]
    lines = [",".join(names)]
    for i, size in enumerate(sizes):
        mask = np.zeros(size, np.uint8)
        mask[4:24, 6:22] = 1
        mosaic = rng.normal(15000 + 25000.0 * mask, 500).clip(0, 65535).astype(np.uint16)
        tifffile.imwrite(root / f"{i}.tif", mosaic)
        tifffile.imwrite(root / f"{i}-mask.tif", mask)
        values = [f"{i}.tif", *[f"{i}-mask.tif"] * masks, *[f"flight {i // 2}"] * groups]
        lines.append(",".join([*values, *(column[i] for column in columns.values())]))
    (root / "manifest.csv").write_text("\n".join(lines))
    rd.Camera(name="cam", cfa="GBRG", noise=Noise(2.0)).save(root / "camera.toml")
    return root


def test_a_description_of_tiles_names_their_frames_and_what_masks_hold(tmp_path, capsys):
    root = frames(tmp_path, sizes=[(64, 64)] * 2)
    assert main(["data", "describe", "--data.root", str(root), "--data.tile", "32"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "images 8 tiles of 2 frames, uint16, 32x32 pixels" in printed
    assert "masks of 8 images, of which 6 are 0 everywhere; share of pixels" in printed
    assert "each value: 0 0.922, 1 0.0781" in printed  # 20 x 16 pixels of 64 x 64


@pytest.mark.parametrize("stride", [None, 16])
def test_a_folder_of_frames_of_several_sizes(tmp_path, stride):
    root = frames(tmp_path)
    data = load(rd.Data("folder", str(root), tile=32, stride=stride))
    assert data.size == (32, 32)
    assert set(data.groups) == {f"{i}.tif" for i in range(4)}
    for i, size in enumerate(SIZES):
        whole = tifffile.imread(root / f"{i}.tif")
        index = [j for j, group in enumerate(data.groups) if group == f"{i}.tif"]
        part = data.take(index)
        for images, truth in (
            (part.mosaics, whole),
            (part.masks, tifffile.imread(root / f"{i}-mask.tif")),
        ):
            tiles = images[torch.arange(len(part))].numpy()
            np.testing.assert_array_equal(stitch(tiles, size, stride), truth)
            np.testing.assert_array_equal(images[0].numpy(), tiles[0])
            np.testing.assert_array_equal(images[1:3].numpy(), tiles[1:3])
        assert part.images[0] == f"{i}.tif[0,0]"
    other = load(rd.Data("folder", str(root), tile=32, stride=stride))
    assert other.fingerprint() == data.fingerprint()
    mosaic = tifffile.imread(root / "2.tif")
    mosaic[-1, -1] += 1
    tifffile.imwrite(root / "2.tif", mosaic)
    changed = load(rd.Data("folder", str(root), tile=32, stride=stride))
    assert changed.fingerprint() != data.fingerprint()


def test_groups_labels_and_splits_are_those_of_the_frame(tmp_path):
    root = frames(
        tmp_path, groups=True, label=list("abab"), split=["train", "train", "test", "test"]
    )
    data = load(rd.Data("folder", str(root), tile=32))
    numbers = [int(name.split(".")[0]) for name in data.images]
    assert data.groups == tuple(f"flight {n // 2}" for n in numbers)
    assert data.labels.tolist() == [n % 2 for n in numbers]
    assert data.splits == tuple("test" if n >= 2 else "train" for n in numbers)


def test_empty_tiles_are_left_out_on_request(tmp_path):
    root = frames(tmp_path / "a")
    every = load(rd.Data("folder", str(root), tile=16))
    data = load(rd.Data("folder", str(root), tile=16, drop_empty=True))
    full = {name for name, mask in zip(every.images, every.masks[:], strict=True) if mask.any()}
    assert set(data.images) == full
    assert 0 < len(data) < len(every)
    (note,) = data.to_check()
    assert f"leaves out {len(every) - len(data)} of {len(every)} tiles" in note
    assert every.to_check() == []
    with pytest.raises(rd.InputError, match="data have no masks"):
        load(
            rd.Data(
                "folder",
                str(frames(tmp_path / "b", masks=False, label=list("abab"))),
                tile=16,
                drop_empty=True,
            )
        )


def test_tiles_of_packed_and_of_synthetic_frames_are_those_of_the_frames(tmp_path, capsys):
    root = frames(tmp_path / "data", [(40, 56)] * 3)
    command = ["data", "pack", "--data.root", str(root), "--out", str(tmp_path / "packed")]
    assert main([*command, "--data.tile", "32"]) == 2
    assert "leave out data.tile" in capsys.readouterr().err
    assert main(command) == 0
    made = [load(rd.Data("folder", str(r), tile=32)) for r in (root, tmp_path / "packed")]
    assert torch.equal(made[0].mosaics[:], made[1].mosaics[:])
    assert torch.equal(made[0].masks[:], made[1].masks[:])
    assert made[0].images == made[1].images
    assert made[0].groups == made[1].groups
    assert made[1].mapped
    drone = rd.Data("synthetic-drone", images=10, size=64)
    whole, cuts = load(drone), load(replace(drone, tile=32))
    np.testing.assert_array_equal(
        stitch(cuts.mosaics[:4].numpy(), (64, 64)), whole.mosaics[0].numpy()
    )


def test_less_light_is_that_of_the_frame(tmp_path):
    root = frames(tmp_path, [(40, 56)] * 2)
    data = load(rd.Data("folder", str(root), 0.25, tile=32))
    whole = load(rd.Data("folder", str(root), 0.25))
    assert data.intensity == 0.25
    np.testing.assert_array_equal(
        stitch(data.mosaics[:4].numpy(), (40, 56)), whole.mosaics[0].numpy()
    )
    load(rd.Data("folder", str(frames(tmp_path / "b")), 0.25, tile=32))  # of several sizes


@pytest.mark.parametrize("stride", [None, 16])
@pytest.mark.parametrize("mask", ["binary", "classes"])
def test_metrics_count_each_pixel_once(tmp_path, mask, stride):
    data = load(rd.Data("folder", str(frames(tmp_path)), tile=32, stride=stride))
    targets = Segmentation.of(data, replace(TASK, mask=mask))
    images, channels = torch.arange(len(data)), targets.outputs
    right = targets.right_outcomes().sum(0)[-1]
    assert (right == 4 * 20 * 16).all()  # the object's pixels
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(data), channels, 32, 32, generator=generator)
    found = targets.outcomes_of(logits, images).sum(0)[-1].tolist()
    truth, predicted = [], []
    for i, size in enumerate(SIZES):
        index = np.flatnonzero(data.tiling.frame == i)
        whole = stitch(logits[index].numpy(), size, stride)
        predicted.append((whole[0] > 0 if channels == 1 else whole.argmax(0)).ravel())
        truth.append(tifffile.imread(tmp_path / f"{i}-mask.tif").ravel())
    predicted, truth = np.concatenate(predicted).astype(bool), np.concatenate(truth).astype(bool)
    assert found == [(predicted & truth).sum(), predicted.sum(), truth.sum()]
    part = targets.take(torch.arange(3))
    assert torch.equal(
        part.outcomes_of(logits[:3], images[:3]), targets.outcomes_of(logits[:3], images[:3])
    )


def test_a_data_set_is_cut_without_reading_it_whole(tmp_path, monkeypatch):
    data = load(rd.Data("folder", str(frames(tmp_path)), tile=32))
    assert all(isinstance(frame, np.memmap) for frame in data.mosaics.frames)
    assert isinstance(tiled(data.take([0, 1]), 16).mosaics[:], torch.Tensor)  # tiles of tiles


@given(height=st.integers(8, 40), width=st.integers(8, 40), stride=st.sampled_from([None, 8]))
def test_a_whole_frame_is_predicted_as_its_tiles_are(height, width, stride):
    camera = rd.Camera("cam", "GRBG")
    isp = rd.isp.static("bi,s,ga", camera)
    mosaic = torch.rand(height, width, generator=torch.Generator().manual_seed(height))
    net = torch.nn.Identity().eval()
    view = predict(net, isp, mosaic, 16, stride)
    assert view.shape == (3, height, width)
    tiles = isp(torch.from_numpy(cut(mosaic.numpy(), 16, stride)))
    np.testing.assert_array_equal(view.numpy(), stitch(tiles.numpy(), (height, width), stride))


def test_a_network_without_logits_of_pixels_is_refused():
    isp = rd.isp.static("bi,s,ga", rd.Camera("cam", "GRBG"))
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    mosaic = torch.zeros(20, 20)
    with pytest.raises(rd.InputError, match="training mode"):
        predict(net, isp, mosaic, 16)
    with pytest.raises(rd.InputError, match="only answers of pixels can be stitched"):
        predict(net.eval(), isp, mosaic, 16)


@pytest.mark.parametrize("stride", [None, 16])
def test_pages_show_whole_frames(tmp_path, stride):
    root = frames(tmp_path / "data")
    spec = rd.SynthesisSpec(
        rd.Data("folder", str(root), tile=32, stride=stride),
        rd.Synthesis(["bi,s,ga"], folds=2, corruptions=["contrast"], severities=[5]),
        replace(TASK, epochs=4),
    )
    result = rd.run(spec, tmp_path / "run")
    assert (result.data.groups, result.data.frames) == (4, 4)
    check_frames(tmp_path / "run", root, result.worst.corruption.images)


def test_the_key_of_outlines_explains_tiles_that_were_left_out(tmp_path):
    template = tmp_path / "page.html.j2"
    template.write_text('{% from "macros.html.j2" import outline_key %}{{ outline_key() }}')
    tiles = {"tile": 256}
    for spec in (
        {"data": {**tiles, "drop_empty": True}},
        {"data": tiles, "forensics": {"images": 9}},
    ):
        assert "black: tiles left out of the test" in render(template, spec=spec)
    for spec in ({"data": tiles, "forensics": {"images": None}}, {"data": {}}):
        assert "black" not in render(template, spec=spec)


def test_forensics_shows_whole_frames(tmp_path):
    root = frames(tmp_path / "data")
    spec = rd.ForensicsSpec(
        rd.Data("folder", str(root), tile=32, stride=16),
        rd.Forensics(
            folds=2, models=1, groups=["all"], regularizations=[0.0, 1.0], restarts=1, steps=1,
            samples=0, envelope=False, rivals=[],
        ),
        replace(TASK, epochs=4),
    )  # fmt: skip
    result = rd.run(spec, tmp_path / "run")
    check_frames(tmp_path / "run", root, result.pictures.images)
    assert len(result.pictures.images) == len(result.pictures.strips) == 2
    for strip in result.pictures.strips:
        size = SIZES[int(strip.image.split(".")[0])]
        for view in strip.views:
            for name in (view.view, view.mask):
                assert read_picture(tmp_path / "run", name).shape[:2] == size


def test_optimization_shows_whole_frames(tmp_path):
    root = frames(tmp_path / "data")
    spec = rd.OptimizationSpec(
        rd.Data("folder", str(root), tile=32, stride=16),
        rd.Optimization(settings=["frozen", "learned", "direct"], intensities=[1.0], folds=2),
        replace(TASK, epochs=2),
    )
    result = rd.run(spec, tmp_path / "run")
    assert len(result.samples) == 2
    for sample in result.samples:
        size = SIZES[int(sample.image.split(".")[0])]
        truth = read_picture(tmp_path / "run", sample.truth)[..., 0] > 0.5
        mask = tifffile.imread(root / sample.image.replace(".tif", "-mask.tif")) > 0
        np.testing.assert_array_equal(truth, mask)
        for name in ("frozen", "learned", "direct"):
            seen, answers = sample.views[name], sample.masks[name]
            for path in (seen.before, seen.after, answers.first, answers.last):
                assert read_picture(tmp_path / "run", path).shape[:2] == size
        for name in ("frozen", "direct"):  # views of the square are where its mask is
            view = read_picture(tmp_path / "run", sample.views[name].before).mean(-1)
            assert view[mask].min() > view[~mask].max()


def check_frames(run, root, images):
    """Views and masks are those of frames, and scores agree with the masks."""
    for image in images:
        size = SIZES[int(image.image.split(".")[0])]
        truth = read_picture(run, image.truth)
        np.testing.assert_array_equal(
            truth[..., 0] > 0.5,
            tifffile.imread(root / image.image.replace(".tif", "-mask.tif")) > 0,
        )
        for name in (image.matched_view, image.view, image.change, image.mask, image.matched_mask):
            assert read_picture(run, name).shape[:2] == size
        both = [truth[..., 0] > 0.5, read_picture(run, image.mask)[..., 0] > 0.5]
        if np.any(both):
            iou = (both[0] & both[1]).sum() / (both[0] | both[1]).sum()
            assert image.score == pytest.approx(iou)
