"""Folders as people have them: sub-folders as labels, pairs of images and masks, splits, columns."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

import nets
import rawdrift as rd
from rawdrift.cli import main
from rawdrift.data import columns, load
from rawdrift.data.splits import by_column

from conftest import write_folder

TASK = rd.Task("import:nets.blocks", epochs=1, batch_size=6, lr=1e-2, precision="32")


def tree(root, *paths, size=(16, 16)):
    """Raw images and masks at these paths, and empty files at those of other suffixes."""
    rng = np.random.default_rng(0)
    for path in (root / path for path in paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, rng.integers(20000, 40000, size).astype(np.uint16))
        elif path.suffix == ".npy":
            np.save(path, (rng.random(size) > 0.5).astype(np.uint8))
        else:
            path.touch()
    rd.Camera(name="cam", cfa="GRBG").save(root / "camera.toml")
    return root


def read(root):
    return load(rd.Data("folder", str(root)))


LABELS = ["a/10.tif", "a/9.tif", "B 1/2.tif"]
PAIRS = ["images/2.tif", "images/10.tif", "masks/2.npy", "masks/10_mask.npy"]
LAYOUTS = {
    # files: image, label, mask and split of each row
    "labels": (LABELS, [("B 1/2.tif", "B 1"), ("a/9.tif", "a"), ("a/10.tif", "a")]),
    "split": (
        ["train/a/1.tif", "Test/a/1.tif", "train/b/1.tif"],
        [("Test/a/1.tif", "a", "", "test"), ("train/a/1.tif", "a", "", "train"), ("train/b/1.tif", "b", "", "train")],
    ),
    "a label test": (["test/1.tif", "control/1.tif"], [("control/1.tif", "control"), ("test/1.tif", "test")]),
    "a label mask": (["mask/1.tif", "no mask/1.tif"], [("mask/1.tif", "mask"), ("no mask/1.tif", "no mask")]),
    "pairs": (PAIRS, [("images/2.tif", "", "masks/2.npy"), ("images/10.tif", "", "masks/10_mask.npy")]),
    "beside masks": (["1.tif", "masks/1.npy"], [("1.tif", "", "masks/1.npy")]),
    "labels and masks": (
        ["images/a/1.tif", "images/b/1.tif", "masks/a/1.npy", "masks/b/1.npy"],
        [("images/a/1.tif", "a", "masks/a/1.npy"), ("images/b/1.tif", "b", "masks/b/1.npy")],
    ),
    "pairs of a split": (
        ["train/images/1.tif", "train/masks/1.npy", "test/images/1.tif", "test/masks/1.npy"],
        [("test/images/1.tif", "", "test/masks/1.npy", "test"), ("train/images/1.tif", "", "train/masks/1.npy", "train")],
    ),
    "a split of pairs": (
        ["images/train/1.tif", "masks/train/1.npy", "images/test/1.tif", "masks/test/1.npy"],
        [("images/test/1.tif", "", "masks/test/1.npy", "test"), ("images/train/1.tif", "", "masks/train/1.npy", "train")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_the_same_with_and_without_the_manifest_that_is_written(name, tmp_path):
    files, rows = LAYOUTS[name]
    root = tree(tmp_path / "data", *files)
    without = read(root)
    assert [(r.image, r.label, "x" * bool(r.mask), r.split) for r in without.rows] == [
        (image, (more + ["", "", ""])[0], "x" * bool((more + ["", "", ""])[1]), (more + ["", "", ""])[2])
        for image, *more in rows
    ]  # fmt: skip
    assert main(["data", "manifest", str(root)]) == 0
    listed = read(root)
    assert listed.fingerprint() == without.fingerprint()
    assert listed.splits == without.splits
    if without.masks is not None:  # of its own image
        masks = [np.load(root / mask) for _, _, mask, *_ in rows]
        np.testing.assert_array_equal(without.masks.numpy(), masks)


REFUSED = {
    "nothing": ([], "no manifest.csv and no raw images in sub-folders"),
    "no labels": (["1.tif", "2.tif"], "lie in no sub-folders that could be their labels"),
    "nested": (["slide 1/a/1.tif"], "lies in several sub-folders, of which any could be the label"),
    "validation": (["train/a/1.tif", "test/a/1.tif", "val/a/1.tif"], "train images in val; expected train and test alone"),
    "no test": (["train/a/1.tif", "train/b/1.tif"], "no images in a folder test"),
    "no mask": ([*PAIRS, "images/3.tif"], "images/3.tif has 0 of the name 3"),
    "two masks": ([*PAIRS, "masks/2_mask.npy"], "images/2.tif has 2 of the name 2 "),
    "mask alone": ([*PAIRS, "masks/3.npy"], "masks without an image, such as masks/3.npy"),
    "two images": ([*PAIRS, "images/2.npy"], "masks/2.npy for images/2.npy and for images/2.tif"),
    "some labels": (["images/a/1.tif", "masks/a/1.npy", "images/2.tif", "masks/2.npy"], "expected all or none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_not_clear_is_refused(name, tmp_path, capsys):
    files, message = REFUSED[name]
    root = tree(tmp_path, *files)
    with pytest.raises(rd.InputError, match=message):
        read(root)
    assert main(["data", "manifest", str(root)]) == 2
    assert not (root / "manifest.csv").exists()


def test_what_was_skipped_is_named(tmp_path, capsys):
    root = tree(
        tmp_path / "data",
        *LABELS,
        "a/.hidden.tif",
        ".cache/1.tif",
        "a/Thumbs.db",
        "dark.tif",
        "a/1.jpg",
    )
    (root / "linked").symlink_to(root / "a")
    notes = read(root).to_check()
    assert main(["data", "manifest", str(root)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed[1:]) == sorted(notes) == [
        "skipped, hidden: .cache/1.tif, a/.hidden.tif",
        "skipped, in no sub-folder, which would be the label: dark.tif",
        "skipped, links to folders: linked",
        "skipped, no raw image by its name: a/1.jpg, a/Thumbs.db",
    ]  # fmt: skip


PATTERNS = {
    # pattern, files: image, label, group and split of each row
    "a group in names": ("*/{group}_*", ["a/p1_0.1.tif", "b/p2_1_1.tif"], [("a", "p1", ""), ("b", "p2", "")]),
    "a group above labels": ("{group}/{label}/*", ["p1/b/1.tif", "p2/a/1.tif"], [("b", "p1", ""), ("a", "p2", "")]),
    "all in one name": (
        "{split}-{label}.{group}", ["test-a.p2.tif", "train-a.p1.tif"], [("a", "p2", "test"), ("a", "p1", "train")],
    ),
    "a split in names": (
        "*/*_{split}", ["a/1_test.tif", "a/2_train.tif"], [("a", "", "test"), ("a", "", "train")],
    ),
    "groups of pairs": (
        "images/{group}-*", ["images/p1-1.tif", "masks/p1-1.npy"], [("", "p1", "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_says_what_paths_state(name, tmp_path):
    pattern, files, rows = PATTERNS[name]
    root = tree(tmp_path / "data", *files)
    assert main(["data", "manifest", str(root), "--pattern", pattern]) == 0
    assert [(row.label, row.group, row.split) for row in read(root).rows] == rows


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*/*", "names nothing; expected some of {label}, {group}, {split}"),
        ("{patient}/*", "names patient; expected some of"),
        ("{group}/{group}_*", "names group, group; expected"),
        ("{label}/{group}_*", "b/2 does not fit the pattern"),
        ("{split}/*", "gives a/p_1.tif the split 'a', expected train or test"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, message, tmp_path, capsys):
    root = tree(tmp_path / "data", "a/p_1.tif", "b/2.tif")
    assert main(["data", "manifest", str(root), "--pattern", pattern]) == 2
    assert message in capsys.readouterr().err
    assert not (root / "manifest.csv").exists()


def test_a_manifest_is_never_replaced(tmp_path, capsys):
    root = tree(tmp_path, *LABELS)
    (root / "manifest.csv").symlink_to("nowhere")
    assert main(["data", "manifest", str(root)]) == 2
    assert "exists already" in capsys.readouterr().err
    (root / "manifest.csv").unlink()
    assert main(["data", "manifest", str(root)]) == 0
    text = (root / "manifest.csv").read_text()
    assert main(["data", "manifest", str(root)]) == 2
    assert (root / "manifest.csv").read_text() == text


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("patient_id", "group"), ("PatientID", "group"), ("subjectid", "group"), ("Slide", "group"),
        ("case no.", "group"), ("filename", "image"), ("file_name", "image"), ("image path", "image"),
        ("Path", "image"), ("class", "label"), ("className", "label"), ("target", "label"),
        ("mask_path", "mask"), ("segmentation", "mask"), ("fold", "split"), ("subset", "split"),
        ("set", "split"), ("train/test", "split"), ("grp", "group"), ("lable", "label"),
        ("age", None), ("temperature", None), ("comment", None), ("", None), ("42", None),
    ],
)  # fmt: skip
def test_the_likely_column(name, column):
    assert columns.likely(name) == column


def rows(**more):
    return [{"image": f"{i}.tif", "label": "ab"[i % 2], **more} for i in range(4)]


def test_unknown_columns_are_reported_once(tmp_path, capsys):
    root = write_folder(tmp_path, rows(patient_id="1", age="50"))
    (note,) = read(root).to_check()
    assert note == (
        "manifest.csv: columns 'patient_id' (did you mean 'group'? then rename it), 'age' are not used"
    )
    assert main(["data", "describe", "--data.root", str(root)]) == 0
    assert " ".join(capsys.readouterr().out.split()).count(note) == 1
    known = write_folder(tmp_path / "known", rows(group="1", patient_id="1"))
    assert read(known).to_check() == ["manifest.csv: column 'patient_id' is not used"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("filename,label", "'filename' seems to be 'image': rename it"),
        ("image,class", "'class' seems to be 'label': rename it"),
        ("image,seg_path", "'seg_path' seems to be 'mask': rename it"),
        ("file,target", "'file' seems to be 'image': rename it; 'target' seems to be 'label'"),
    ],
)
def test_a_column_that_is_clearly_meant_is_named(header, message, tmp_path):
    (tmp_path / "manifest.csv").write_text(f"{header}\n1.tif,a\n")
    with pytest.raises(rd.InputError, match=message):
        read(tmp_path)


def halves(i):
    return ("train", "test", "test", "train")[i // 2 % 4]


def with_split(root, n=24, **columns):
    made = [
        {"image": f"{i}.tif", "label": "ab"[i % 2], "split": halves(i)} | {k: v(i) for k, v in columns.items()}
        for i in range(n)
    ]  # fmt: skip
    return write_folder(root, made, size=(32, 32), dark=("a",))


SPECS = {
    "synthesis": lambda data: rd.SynthesisSpec(data, rd.Synthesis(["bi,s,ga"], corruptions=[]), TASK),
    "optimization": lambda data: rd.OptimizationSpec(
        data, rd.Optimization(["frozen", "static-best"], intensities=[1.0]), TASK
    ),
    "forensics": lambda data: rd.ForensicsSpec(
        data,
        rd.Forensics(
            space={"gamma.gamma": 0.1}, groups=["all"], regularizations=[0], restarts=1, steps=2,
            rivals=[], samples=0, cameras=8,
        ),
        TASK,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_a_split_takes_the_place_of_folds(name, tmp_path):
    root = with_split(tmp_path / "data", group=lambda i: f"slide {i // 2}")
    spec = SPECS[name](rd.Data("folder", str(root)))
    result = rd.run(spec, tmp_path / "run")
    (split,) = result.data.splits
    assert (split.train, split.test) == (12, 12)
    assert result.data.tested == 12
    assert result.data.groups == 6
    if name == "synthesis":
        assert {cell.n for cell in result.cells} == {12}
        tested = {image.image for image in result.worst.isp.images}
        assert tested <= {f"{i}.tif" for i in range(24) if halves(i) == "test"}
    part = getattr(spec, name)
    with pytest.raises(rd.InputError, match="folds is 3, but the data have a column split"):
        rd.run(replace(spec, **{name: replace(part, folds=3)}), tmp_path / "folds")


def test_a_split_is_trained_again_with_other_seeds(tmp_path):
    spec = SPECS["synthesis"](rd.Data("folder", str(with_split(tmp_path / "data"))))
    result = rd.run(replace(spec, task=replace(TASK, repeats=2)), tmp_path / "run")
    assert sorted(p.stem for p in (tmp_path / "run/records").glob("*.json")) == [
        "bi-s-ga_fold0", "bi-s-ga_fold0_repeat1"
    ]  # fmt: skip
    assert result.data.tested == 12


def test_a_checkpoint_is_tested_with_the_images_of_test_alone(tmp_path):
    torch.save(nets.blocks(2).state_dict(), tmp_path / "net.pt")
    data = rd.Data("folder", str(with_split(tmp_path / "data")))
    spec = SPECS["synthesis"](data)
    task = rd.Task("import:nets.blocks", checkpoint=str(tmp_path / "net.pt"))
    result = rd.run(replace(spec, task=task), tmp_path / "run")
    assert (result.data.images, result.data.tested) == (12, 12)


BAD = {
    "other value": ({"split": lambda i: "val" if i == 5 else halves(i)}, "line 7 has the split 'val', expected train or test"),
    "gap": ({"split": lambda i: "" if i == 5 else halves(i)}, "line 7 has no split"),
    "all test": ({"split": lambda i: "test"}, "0 images of the split train"),
    "all train": ({"split": lambda i: "train"}, "and 0 of test"),
    "group": ({"group": lambda i: f"slide {i // 6}"}, "group 'slide 0' has images of the splits train and test, and so have 3 more"),
    "unseen": ({"label": lambda i: "c" if halves(i) == "test" else "ab"[i % 2]}, r"no image of the split train has the labels c"),
    "one label": ({"label": lambda i: "a"}, r"the labels a, expected at least 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_split_that_tests_nothing_fair_is_refused(name, tmp_path):
    change, message = BAD[name]
    with pytest.raises(rd.InputError, match=message):
        by_column(read(with_split(tmp_path, **change)))


def test_a_packed_folder_keeps_its_split_and_its_notes(tmp_path, capsys):
    root = tree(tmp_path / "data", "train/a/1.tif", "test/a/1.tif", "train/b/1.tif", "Thumbs.db")
    assert main(["data", "pack", "--data.root", str(root), "--out", str(tmp_path / "p")]) == 0
    assert "Thumbs.db" in capsys.readouterr().out
    packed, whole = read(tmp_path / "p"), read(root)
    assert packed.splits == whole.splits == ("test", "train", "train")
    assert packed.notes == whole.notes
