"""Packed datasets: whole, the same as what was packed, read where they are used."""

import json
import resource
import weakref
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from filelock import FileLock

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.data import datasets, manifest, pack
from rawdrift.data.frame import Frame, Row
from rawdrift.data.spec import Data

from conftest import random_camera, write_folder

ROWS = [
    {"image": f"{i}.tif", "label": "abb"[i % 3], "mask": f"{i}-m.tif", "group": f"g{i // 2}",
     "camera": ["", "other.toml"][i % 2]} for i in range(7)
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    root = write_folder(tmp_path / "folder", ROWS, size=(12, 14))
    random_camera(3).save(root / "other.toml")
    return root


@pytest.fixture
def store(folder, tmp_path):
    assert main(["data", "pack", "--data.root", str(folder), "--out", str(tmp_path / "store")]) == 0
    return tmp_path / "store"


def fails(arguments, capsys):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rawdrift: error: ")
    assert error.count("\n") == 1
    return error


def opened(root):
    return datasets.load(Data("folder", str(root)))


def same(a, b):
    assert (a.images, a.classes, a.groups) == (b.images, b.classes, b.groups)
    assert [a.cameras[i] for i in a.camera_index] == [b.cameras[i] for i in b.camera_index]
    for name in ("mosaics", "masks", "labels"):
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one[:], other[:])


class Made:
    """Images that are made when they are read; `most` of them were alive at once."""

    def __init__(self, count, dtype=np.uint16):
        self.rows = [Row(str(i), "ab"[i % 2]) for i in range(count)]
        self.camera = rd.Camera(name="made", cfa="GBRG")
        self.dtype = dtype
        self.read_ones = []
        self.most = 0

    def read(self, index):
        rng = np.random.default_rng(index)
        mosaic = (rng.random((8, 10)) * (1 if self.dtype == np.float32 else 65535)).astype(
            self.dtype
        )
        self.read_ones.append(weakref.ref(mosaic))
        self.most = max(self.most, sum(ref() is not None for ref in self.read_ones))
        return Frame(mosaic, self.camera)


def test_a_store_holds_what_was_packed(folder, store, capsys):
    same(opened(store), opened(folder))
    assert {path.name for path in store.iterdir()} == {
        "cameras", "manifest.csv", "masks.tif", "mosaics.tif", "pack.json"
    }  # fmt: skip
    # Any program can read it.
    pages = tifffile.imread(store / "mosaics.tif")
    np.testing.assert_array_equal(pages[3], tifffile.imread(folder / "3.tif"))
    index = json.loads((store / "pack.json").read_text())
    assert index["shape"] == [7, 12, 14]
    assert index["left_out"] == {}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_any_number_and_type_of_images_comes_back(count, dtype, tmp_path, caplog):
    made = Made(count, dtype)
    assert pack.write(made, tmp_path / "store").reasons == {}
    data = pack.load(tmp_path / "store")
    assert data.mosaics.shape == (count, 8, 10)
    for i in range(count):
        np.testing.assert_array_equal(data.mosaics[i].numpy(), made.read(i).mosaic)
    assert caplog.records == []


def test_a_store_and_synthetic_data_are_packed_too(store, tmp_path):
    again = ["data", "pack", "--data.root", str(store), "--data.exclude", "[a]"]
    assert main([*again, "--out", str(tmp_path / "again")]) == 0
    same(opened(tmp_path / "again"), opened(store).without(["a"]))
    spec = Data("synthetic-microscopy", images=10, size=32)
    pack.write(datasets.frames(spec), tmp_path / "synthetic")
    same(pack.load(tmp_path / "synthetic"), datasets.load(spec))


def test_packing_holds_one_image_in_memory(tmp_path):
    made = Made(40)
    pack.write(made, tmp_path / "store")
    assert made.most <= 3  # the one that is read, the last, and the first


def test_what_is_mapped_is_not_copied(store):
    data = opened(store)
    kept = data.without(["a"]).without([])
    assert kept.mosaics.tensor.data_ptr() == data.mosaics.data_ptr()
    assert kept.mosaics.shape == (4, 12, 14)
    assert torch.equal(kept.mosaics[torch.tensor([2, 0])], data.mosaics[torch.tensor([4, 1])])
    assert torch.equal(kept.masks[1], data.masks[2])
    # Nor does writing to the tensor reach the file.
    before = (store / "mosaics.tif").read_bytes()
    data.mosaics[:] = 0
    del data
    assert (store / "mosaics.tif").read_bytes() == before


def test_the_fingerprint_of_a_store_is_known_without_reading(store, folder, tmp_path):
    before = opened(store).fingerprint()
    assert before == opened(store).fingerprint()
    assert before != opened(store).without(["a"]).fingerprint()
    pixels = tifffile.imread(folder / "4.tif")
    pixels[0, 0] ^= 1
    tifffile.imwrite(folder / "4.tif", pixels)
    pack.write(datasets.frames(Data("folder", str(folder))), tmp_path / "other")
    assert opened(tmp_path / "other").fingerprint() != before


def test_a_selection_has_the_fingerprint_of_its_images(folder):
    kept = opened(folder).without(["a"])
    copied = replace(kept, mosaics=kept.mosaics[:], masks=kept.masks[:])
    assert kept.fingerprint() == copied.fingerprint()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def change(path):
    content = bytearray(path.read_bytes())
    content[-9 if path.suffix == ".tif" else 9] ^= 1
    path.write_bytes(content)


def edit(store, **changes):
    index = json.loads((store / "pack.json").read_text())
    (store / "pack.json").write_text(json.dumps({**index, **changes}))


DAMAGE = {
    "cut": (lambda store: cut(store / "mosaics.tif"), "mosaics.tif has .* bytes, not"),
    "cut masks": (lambda store: cut(store / "masks.tif"), "masks.tif has .* bytes, not"),
    "gone": (lambda store: (store / "mosaics.tif").unlink(), "mosaics.tif is missing"),
    "changed": (lambda store: change(store / "mosaics.tif"), "mosaics.tif does not have the checksum"),
    "changed masks": (lambda store: change(store / "masks.tif"), "masks.tif does not have the checksum"),
    "changed manifest": (lambda store: change(store / "manifest.csv"), "manifest.csv does not have the checksum"),
    "changed camera": (lambda store: change(store / "cameras/0.toml"), "0.toml does not have the checksum"),
    "file elsewhere": (lambda store: edit(store, files={"../elsewhere": {"bytes": 1, "sha256": ""}}), "names '../elsewhere', outside"),
    "camera elsewhere": (lambda store: edit(store, files={n: f for n, f in json.loads((store / "pack.json").read_text())["files"].items() if n != "cameras/0.toml"}), "not list the camera file"),
    "no index": (lambda store: (store / "pack.json").write_text("{"), "pack.json is not the index"),
    "odd index": (lambda store: (store / "pack.json").write_text("[1]"), "pack.json is not the index"),
    "no shape": (lambda store: edit(store, shape=None), "pack.json is not the index"),
    "later version": (lambda store: edit(store, version=2), "rawdrift-pack 2, but this version"),
    "other shape": (lambda store: edit(store, shape=[7, 12, 15]), "mosaics.tif can't be mapped"),
    "other count": (lambda store: edit(store, shape=[8, 12, 14]), "lists 7 images, not 8"),
    "other type": (lambda store: edit(store, dtype="float32"), "mosaics.tif can't be mapped"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_noticed_on_opening(name, store):
    spoil, message = DAMAGE[name]
    spoil(store)
    with pytest.raises(rd.InputError, match=message):
        opened(store)
    with pytest.raises(rd.InputError):
        pack.verify(store)


def test_a_store_that_changes_while_it_is_used_is_noticed(store):
    data = opened(store).take([0, 1])
    data.check_unchanged()
    change(store / "mosaics.tif")
    with pytest.raises(rd.InputError, match="mosaics.tif was changed or removed while"):
        data.check_unchanged()


@pytest.mark.parametrize("what", ["files", "link"])
def test_a_folder_of_somebody_else_is_not_taken_for_a_leftover(what, folder, tmp_path, capsys):
    other = tmp_path / ("other" if what == "link" else ".store.partial")
    other.mkdir()
    (other / "mosaics.tif").write_bytes(b"mine")
    (other / ".lock").write_bytes(b"mine")
    if what == "link":
        (other / ".rawdrift-lock").touch()
        (tmp_path / ".store.partial").symlink_to(other)
    command = ["data", "pack", "--data.root", folder, "--out", tmp_path / "store"]
    assert "is in the way and was not made by rawdrift" in fails(command, capsys)
    assert [(other / name).read_bytes() for name in ("mosaics.tif", ".lock")] == [b"mine"] * 2


def test_every_byte_is_verified_on_demand(store, folder, capsys):
    describe = ["data", "describe", "--verify", "--data.root"]
    assert main([*describe, str(store)]) == 0
    change(store / "masks.tif")
    assert "masks.tif does not have the checksum" in fails([*describe, store], capsys)
    assert "is not a packed dataset" in fails([*describe, folder], capsys)


def test_broken_files_are_left_out_and_named(folder, tmp_path, capsys):
    (folder / "2.tif").write_bytes(b"II*\0")
    tifffile.imwrite(folder / "4.tif", np.zeros((12, 16), np.uint16))
    (folder / "5-m.tif").unlink()
    command = ["data", "pack", "--data.root", folder, "--out", tmp_path / "store"]
    error = fails(command, capsys)
    assert "3 of 7 images can't be used, all the others are done" in error
    assert all(name in error for name in ("2.tif", "4.tif", "5-m.tif"))
    data = opened(tmp_path / "store")
    assert data.images == ("0.tif", "1.tif", "3.tif", "6.tif")
    np.testing.assert_array_equal(data.mosaics[2], tifffile.imread(folder / "3.tif"))
    left_out = json.loads((tmp_path / "store/pack.json").read_text())["left_out"]
    assert list(left_out) == ["2.tif", "4.tif", "5.tif"]


def test_nothing_is_left_of_what_went_wrong(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "new/store"
    command = ["data", "pack", "--data.root", str(folder), "--out", str(out)]
    read = manifest.Folder.read

    def stop(self, index):
        if index == 3:
            raise KeyboardInterrupt
        return read(self, index)

    monkeypatch.setattr(manifest.Folder, "read", stop)
    assert main(command) == 130
    assert list(out.parent.iterdir()) == []
    monkeypatch.undo()
    for path in folder.glob("*.tif"):
        path.write_bytes(b"II*\0")
    assert "7 of 7 images can't be used, nothing is done" in fails(command, capsys)
    assert list(out.parent.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(folder, tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        error = fails(["data", "pack", "--data.root", folder, "--out", tmp_path / "s"], capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in error
    assert str(tmp_path / "s") in error
    assert {path.name for path in tmp_path.iterdir()} == {"folder"}


def test_an_interrupted_pack_is_started_again(folder, tmp_path, capsys):
    out = tmp_path / "store"
    killed = tmp_path / ".store.partial"
    (killed / "cameras").mkdir(parents=True)
    (killed / "mosaics.tif").write_bytes(b"half")
    (killed / ".rawdrift-lock").touch()
    command = ["data", "pack", "--data.root", str(folder), "--out", str(out)]
    with FileLock(killed / ".rawdrift-lock"):
        assert "another process is writing" in fails(command, capsys)
    assert main(command) == 0
    same(opened(out), opened(folder))
    assert not killed.exists()
    content = (out / "mosaics.tif").read_bytes()
    assert "exists already" in fails(command, capsys)
    assert (out / "mosaics.tif").read_bytes() == content


def test_a_folder_beyond_the_memory_is_to_be_packed(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(manifest, "memory", lambda: 2 * 7 * 12 * 14 * 3 - 1)
    with pytest.raises(rd.InputError, match="rawdrift data pack"):
        opened(folder)
    pack.write(datasets.frames(Data("folder", str(folder))), tmp_path / "store")
    assert len(opened(tmp_path / "store")) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "--out", "OUT"], "data.root is missing"),
        (["pack", "--data.root", "none", "--out", "OUT"], "is not a folder"),
        (["pack", "--data.rot", "x", "--out", "OUT"], "--data.root"),
        (["describe", "--data.root", "FOLDER", "--data.exclude", "[c]"], "unknown label 'c'"),
        (["describe", "--data.name", "synthetic-microscopy", "--verify"], "not a packed dataset"),
        ([], "choose one of fetch; pack; describe"),
    ],
)
def test_bad_commands_leave_nothing(arguments, message, folder, tmp_path, capsys):
    out = tmp_path / "out"
    places = {"OUT": out, "FOLDER": folder}
    assert message in fails(["data", *(places.get(a, a) for a in arguments)], capsys)
    assert not out.exists()
