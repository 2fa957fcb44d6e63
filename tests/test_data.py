"""Manifests and splits."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.data import load, manifest
from rawdrift.data.dataset import RawDataset
from rawdrift.data.names import look_alike
from rawdrift.data.spec import Data
from rawdrift.data.splits import fit_for_folds, k_fold

from conftest import write_folder


def rows(n=6, **columns):
    return [
        {"image": f"{i}.tif", "label": "ab"[i % 2], **{k: v(i) for k, v in columns.items()}}
        for i in range(n)
    ]


def dataset(labels, groups=None):
    classes = tuple(sorted(set(labels)))
    return RawDataset(
        mosaics=torch.zeros(len(labels), 4, 4, dtype=torch.uint16),
        images=tuple(map(str, range(len(labels)))),
        cameras=(rd.Camera(name="x", cfa="RGGB"),),
        camera_index=torch.zeros(len(labels), dtype=torch.long),
        classes=classes,
        labels=torch.tensor([classes.index(label) for label in labels]),
        groups=None if groups is None else tuple(map(str, groups)),
    )


def test_a_folder_is_read_whole(tmp_path):
    root = write_folder(
        tmp_path, rows(mask=lambda i: f"{i}-mask.tif", group=lambda i: f"slide {i // 2}")
    )
    data = load(Data("folder", str(root)))
    assert data.mosaics.dtype == torch.uint16
    assert data.mosaics.shape == (6, 40, 40)
    np.testing.assert_array_equal(data.mosaics[3].numpy(), tifffile.imread(root / "3.tif"))
    assert data.images == tuple(f"{i}.tif" for i in range(6))
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [0, 1] * 3)
    assert data.groups == ("slide 0", "slide 0", "slide 1", "slide 1", "slide 2", "slide 2")
    assert data.masks.shape == (6, 40, 40)
    assert set(data.masks.unique().tolist()) == {0, 255}
    assert [camera.name for camera in data.cameras] == ["test-cam"]
    mosaic, target = data[1]
    assert torch.equal(mosaic, data.mosaics[1])
    assert target == 1


def test_images_of_several_cameras(tmp_path):
    root = write_folder(tmp_path, rows(camera=lambda i: ["raw-drone", "own/cam.toml", ""][i % 3]))
    rd.Camera(name="own", cfa="BGGR").save(root / "own/cam.toml")
    data = load(Data("folder", str(root)))
    assert [camera.name for camera in data.cameras] == ["raw-drone", "own", "test-cam"]
    assert data.camera_index.tolist() == [0, 1, 2] * 2


def test_absolute_paths_are_read_and_not_named(tmp_path):
    root = write_folder(tmp_path, rows())
    for name in ("0.tif", "1.tif"):
        edit(root / "manifest.csv", f"\n{name}", f"\n{root.absolute() / name}")
    assert load(Data("folder", str(root))).images[:3] == ("0.tif", "1.tif", "2.tif")


def test_masks_alone_are_targets(tmp_path):
    only_masks = [{"image": f"{i}.tif", "mask": f"{i}-m.tif"} for i in range(3)]
    data = load(Data("folder", str(write_folder(tmp_path, only_masks))))
    assert data.labels is None
    assert torch.equal(data[2][1], data.masks[2])


def test_a_manifest_with_a_byte_order_mark(tmp_path):
    root = write_folder(tmp_path, rows())
    text = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(text, encoding="utf-8-sig")
    assert len(load(Data("folder", str(root)))) == 6


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def resize(path: Path, size=(32, 40)) -> None:
    tifffile.imwrite(path, np.zeros(size, np.uint16 if "mask" not in path.name else np.uint8))


BAD = {
    "no manifest": (lambda root: (root / "manifest.csv").unlink(), "no manifest.csv, and its images"),
    "no rows": (lambda root: (root / "manifest.csv").write_text("image,label\n"), "lists no images"),
    "empty": (lambda root: (root / "manifest.csv").write_text(""), "has the columns"),
    "missing column": (lambda root: edit(root / "manifest.csv", "image,", "file,"), "expected image"),
    "no target": (lambda root: edit(root / "manifest.csv", "label,mask", "kind,area"), "label or mask"),
    "no label": (lambda root: edit(root / "manifest.csv", "3.tif,b", "3.tif,"), "line 5 has no label"),
    "twice": (lambda root: edit(root / "manifest.csv", "3.tif,", "2.tif,"), "2.tif twice, in lines 4"),
    "missing file": (lambda root: (root / "3.tif").unlink(), r"3.tif does not exist"),
    "missing mask": (lambda root: (root / "3-mask.tif").unlink(), "mask .*3-mask.tif of 3.tif"),
    "other size": (lambda root: (resize(root / "3.tif"), resize(root / "3-mask.tif")), "32x40 pixels but 0.tif has 40x40"),
    "mask size": (lambda root: resize(root / "3-mask.tif"), "3-mask.tif has 32x40.*40x40"),
    "deep mask": (
        lambda root: tifffile.imwrite(root / "3-mask.tif", np.full((40, 40), 256, np.uint16)),
        "uint16 values from 256 to 256",
    ),
    "mixed types": (
        lambda root: tifffile.imwrite(root / "3.tif", np.zeros((40, 40), np.float32)),
        "float32 values but 0.tif holds uint16",
    ),
    "no camera": (lambda root: (root / "camera.toml").unlink(), "no camera for 0.tif.*camera.toml"),
    "comma": (lambda root: edit(root / "manifest.csv", "3.tif,b", "3.tif,b, c"), "line 5 has 4 fields, expected 3"),
    "open quote": (lambda root: edit(root / "manifest.csv", "3.tif,b", '3.tif,"b'), "is no CSV"),
    "two labels": (lambda root: edit(root / "manifest.csv", "mask", "label"), "column 'label' twice"),
    "misspelt": (lambda root: edit(root / "manifest.csv", "mask", "grp"), "did you mean 'group'"),
    "same file": (lambda root: edit(root / "manifest.csv", "3.tif,", "./2.tif,"), "lists ./2.tif twice"),
    "long name": (lambda root: edit(root / "manifest.csv", "3.tif,", "x" * 300 + ","), "can't be the name of a file"),
    "latin": (lambda root: (root / "manifest.csv").write_bytes(b"image,label\n\xe9,a"), "UTF-8"),
}  # fmt: skip


def test_images_that_are_removed_while_they_are_in_use_are_missed(tmp_path):
    data = load(Data("folder", str(write_folder(tmp_path, rows()))))
    data.check_unchanged()
    (tmp_path / "3.tif").unlink()
    with pytest.raises(rd.InputError, match=r"removed from .*: 1 image, the first 3.tif"):
        data.check_unchanged()


def test_images_elsewhere_on_the_disk_are_not_taken_for_removed(tmp_path):
    write_folder(tmp_path, rows())
    text = (tmp_path / "manifest.csv").read_text()
    other = tmp_path / "other"
    other.mkdir()
    lines = [line if i == 0 else f"{tmp_path}/{line}" for i, line in enumerate(text.splitlines())]
    (other / "manifest.csv").write_text("\n".join(lines))
    (other / "camera.toml").write_bytes((tmp_path / "camera.toml").read_bytes())
    data = load(Data("folder", str(other)))
    data.check_unchanged()
    (tmp_path / "3.tif").unlink()
    with pytest.raises(rd.InputError, match="the first 3.tif"):
        data.check_unchanged()


def test_many_wrong_lines_are_named_once_for_each_cause(tmp_path):
    lines = [f"{i}.tif,{'a' if i % 3 else ''}{',b' * (i % 3 == 2)}" for i in range(30_000)]
    (tmp_path / "manifest.csv").write_text("image,label\n" + "\n".join(lines))
    with pytest.raises(rd.InputError) as caught:
        manifest.read_manifest(tmp_path / "manifest.csv")
    message = str(caught.value)
    assert "has 20000 wrong lines: line 2 has no label; fill the column (so are line 5" in message
    assert "line 8 and 9997 more)" in message
    assert "line 4 has 3 fields" in message
    assert len(message) < 600


def test_labels_and_groups_are_compared_as_unicode_composes_them(tmp_path):
    both = ["C\u00e9lula", "Ce\u0301lula"]
    columns = [{"image": f"{i}.tif", "label": x, "group": x} for i, x in enumerate(both)]
    data = load(Data("folder", str(write_folder(tmp_path, columns))))
    assert data.classes == (both[0],)
    assert set(data.groups) == {both[0]}


def test_names_that_look_alike():
    plain = ["cat", "dog", "patient 1", "patient 2", "x1"]
    assert look_alike(plain) == []
    alike = [
        "Cat",
        "dog\u200b",
        "patient  1",
        "patient\u20111",
        "patient-l",
        "\u0441at",
        "\uff58\uff11",
    ]
    sets = look_alike(plain + alike)
    assert sets == [
        ["Cat", "cat", "\u0441at"], ["dog", "dog\u200b"], ["patient  1", "patient 1"],
        ["patient-l", "patient\u20111"], ["x1", "\uff58\uff11"],
    ]  # fmt: skip


def test_a_name_that_the_locale_cant_write_is_refused(tmp_path, monkeypatch):
    (tmp_path / "manifest.csv").write_text("image,label\ncaf\u00e9.tif,a\n", "utf-8")
    monkeypatch.setattr("os.fsencode", lambda name: name.encode("ascii"))
    with pytest.raises(rd.InputError, match=r"line 2 names 'caf\\xe9.tif'.*LC_ALL to C.UTF-8"):
        manifest.read_manifest(tmp_path / "manifest.csv")


def test_labels_are_read_as_they_are_written(tmp_path):
    labels = ["a\u2028b", "first\nsecond", "1,5", "5", "caf\u00e9 $x$"]
    root = write_folder(
        tmp_path, [{"image": f"{i}.tif", "label": x, "note": "n"} for i, x in enumerate(labels)]
    )
    data = load(Data("folder", str(root)))
    assert [data.classes[i] for i in data.labels] == labels


def test_cameras_that_differ_in_name_alone_are_one(tmp_path):
    root = write_folder(tmp_path, rows(camera=lambda i: f"{i % 3}.toml"))
    for i in range(3):
        camera = rd.Camera(name=f"shot {i}", cfa="RGGB", gamma=1.0 + (i == 2), provenance=str(i))
        camera.save(root / f"{i}.toml")
    data = load(Data("folder", str(root)))
    assert [camera.name for camera in data.cameras] == ["shot 0", "shot 2"]
    assert data.camera_index.tolist() == [0, 0, 1] * 2


@pytest.mark.parametrize("name", BAD)
def test_mistakes_in_a_folder_are_named(name, tmp_path):
    spoil, message = BAD[name]
    root = write_folder(tmp_path, rows(mask=lambda i: f"{i}-mask.tif"))
    spoil(root)
    with pytest.raises(rd.InputError, match=message):
        manifest.collect(manifest.Folder(root))


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=12, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_test_every_image_once_and_hold_every_label(labels, folds, seed):
    data = dataset(labels)
    assume(len(data.classes) > 1 and min(data.counts().values()) >= folds)
    splits = k_fold(data, folds, seed)
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(
        range(len(data))
    )
    for split in splits:
        assert not set(split.train) & set(split.test)
        for i, label in enumerate(data.classes):
            share = data.counts()[label] / folds
            in_test = int((data.labels.numpy()[split.test] == i).sum())
            assert share - 1 < in_test < share + 1
    again = k_fold(data, folds, seed)
    assert all((a.test == b.test).all() for a, b in zip(splits, again, strict=True))


@given(groups=st.lists(st.integers(0, 9), min_size=30, max_size=60), folds=st.integers(2, 4))
def test_groups_never_straddle(groups, folds):
    labels = ["ab"[i % 2] for i in range(len(groups))]
    data = dataset(labels, groups)
    assume(len(set(groups)) >= folds)
    for label in "ab":  # else a fold could be without it, which is refused
        assume(len({g for g, found in zip(groups, labels, strict=True) if found == label}) > folds)
    splits = k_fold(data, folds, 0)
    for split in splits:
        assert not {groups[i] for i in split.train} & {groups[i] for i in split.test}


def test_a_seed_may_be_any_whole_number():
    assert len(k_fold(dataset("ab" * 20), 4, 2**40)) == 4


def test_the_seed_draws_the_folds():
    data = dataset("ab" * 20)
    assert (k_fold(data, 4, 0)[0].test != k_fold(data, 4, 1)[0].test).any()


def test_a_rare_label_is_left_out_only_where_hardly_anything_is_lost():
    kept = fit_for_folds(dataset(["a"] * 80 + ["b"] * 60 + ["c"]), folds=3)
    assert kept.classes == ("a", "b")
    assert dict(kept.left_out) == {"c": "1 image: too few for 3 folds"}
    assert len(kept) == 140
    assert set(kept.labels.tolist()) == {0, 1}
    with pytest.raises(rd.InputError, match=r"3 folds need 3 images.*'c' has 1.*data.exclude"):
        fit_for_folds(dataset(["a"] * 30 + ["b"] * 20 + ["c"]), folds=3)
    with pytest.raises(rd.InputError, match="'b' has 1"):
        fit_for_folds(dataset(["a"] * 200 + ["b"]), folds=3)


def test_labels_need_groups_for_the_folds():
    labels = ["a", "b"] * 10 + ["c"] * 6
    groups = [i // 4 for i in range(20)] + ["last"] * 6
    with pytest.raises(rd.InputError, match="3 folds need 3 groups of every label, but 'c' has 1"):
        fit_for_folds(dataset(labels, groups), folds=3)


def test_labels_are_left_out_on_demand():
    data = dataset("aabbcc" * 3)
    assert data.without([]) is data
    kept = data.without(["b"])
    assert kept.classes == ("a", "c")
    assert kept.counts() == {"a": 6, "c": 6}
    assert dict(kept.left_out) == {"b": "6 images: excluded"}
    with pytest.raises(rd.InputError, match="unknown label of the data 'd'; choose one of a; b"):
        data.without(["d"])
    with pytest.raises(rd.InputError, match="have the labels a, expected"):
        fit_for_folds(data.without(["b", "c"]), folds=2)


def test_too_few_images_for_the_folds():
    with pytest.raises(rd.InputError, match="5 folds need 5 groups, but there are 2"):
        k_fold(dataset("abab", [0, 0, 1, 1]), 5, 0)
    masks = RawDataset(torch.zeros(3, 4, 4), ("1", "2", "3"), (), torch.zeros(3))
    with pytest.raises(rd.InputError, match="5 folds need 5 images, but there are 3"):
        k_fold(masks, 5, 0)


def test_the_fingerprint_notices_every_change():
    data = dataset("abab")
    same = dataset("abab")
    assert data.fingerprint() == same.fingerprint()
    changed = dataset("abab")
    changed.mosaics[0, 0, 0] = 1
    others = [changed, dataset("abba"), dataset("abab", [0, 0, 1, 1]), dataset("acac")]
    assert len({d.fingerprint() for d in [data, *others]}) == 5
