"""End to end through the command line: what a user types and sees."""

import csv
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
import yaml

import rawdrift as rd
from rawdrift import files
from rawdrift.checks import Failures
from rawdrift.cli import main
from rawdrift.controls import CONTROLS, commands
from rawdrift.controls.plan import Plan
from rawdrift.controls.synthesis import experiment as synthesis
from rawdrift.isp.develop import develop
from rawdrift.models import networks
from rawdrift.text import counted

from conftest import random_mosaic, write_folder


def labelled(n=16, **columns):
    return [{"image": f"{i}.tif", "label": "ab"[i % 2], **columns} for i in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data"), labelled(), size=(32, 32), dark=("a",))


def experiment(folder, out, *more):
    return [
        "synthesis", "--data.name", "folder", "--data.root", str(folder), "--out", str(out),
        "--synthesis.train", "['bi,s,ga','ma,u,me']", "--synthesis.folds", "2",
        "--synthesis.corruptions", "['contrast']", "--synthesis.severities", "[3]",
        "--task.model", "import:nets.blocks", "--task.epochs", "1", "--task.batch_size", "8",
        "--task.lr", "1e-3", *more,
    ]  # fmt: skip


def fails(arguments, capsys, *, code=2):
    """The one line on stderr of a command that fails."""
    assert main([str(argument) for argument in arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("rawdrift: error: ")
    assert error.count("\n") == 1
    return error


def rows(run):
    with (run / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert main(experiment(folder, run)) == 0
    return run


def test_counts_agree_with_their_nouns():
    texts = [counted(n, "image") for n in (0, 1, 2)]
    assert texts == ["0 images", "1 image", "2 images"]
    assert counted(2, "axis", "axes") == "2 axes"


def test_a_plan_says_at_most_where_units_may_end_early():
    early = Plan(3, 0, "search", 10.0, False, [], ends_early=True).lines()
    assert early[-1].startswith("at most about 10 s a unit")
    assert "at most about 0 min" in early[-1]
    assert "at most" not in Plan(3, 1, "search", 10.0, True, [], ends_early=True).lines()[-1]
    assert CONTROLS["forensics"].load_experiment().ends_early


def test_a_run_folder_holds_what_the_contract_says(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"spec.yaml", "results.csv", "summary.json", "report.html", "figures"} <= names
    assert {"heatmap.svg", "heatmap.png"} <= {
        path.name for path in (finished / "figures").iterdir()
    }
    table = rows(finished)
    assert list(table[0]) == [
        "train",
        "test_kind",
        "test",
        "severity",
        "fold",
        "metric",
        "value",
        "n",
    ]
    metrics = {"accuracy", "balanced_accuracy", "macro_f1", "recall:a", "recall:b"}
    assert {row["metric"] for row in table} == metrics
    assert len(table) == 2 * (12 + 1) * 2 * len(metrics)
    cells = {tuple(row[key] for key in ("train", "test_kind", "test", "severity")) for row in table}
    tests = [("isp", test, "0") for test in rd.isp.CONFIGURATIONS] + [
        ("corruption", "contrast", "3")
    ]
    assert cells == {(train, *test) for train in ("bi,s,ga", "ma,u,me") for test in tests}
    assert {(row["fold"], row["n"]) for row in table} == {("0", "8"), ("1", "8")}
    spec = yaml.safe_load((finished / "spec.yaml").read_text())
    assert spec["synthesis"] == {
        "train": ["bi,s,ga", "ma,u,me"], "folds": 2, "channels": "luma",
        "corruptions": ["contrast"], "severities": [3], "severity_table": "imagenet",
        "precision": "32", "test": list(rd.isp.CONFIGURATIONS),
    }  # fmt: skip


def test_the_result_agrees_with_the_rows(finished):
    result = rd.load_result(finished)
    values = {}
    for row in rows(finished):
        if row["metric"] == "accuracy":
            key = row["train"], row["test_kind"], row["test"], int(row["severity"])
            values.setdefault(key, []).append(float(row["value"]))
    matched = {train: values[train, "isp", train, 0] for train in ("bi,s,ga", "ma,u,me")}
    for cell in result.cells:
        folds = values[cell.train, *cell.case]
        assert cell.mean == pytest.approx(np.mean(folds))
        assert cell.std == pytest.approx(np.std(folds, ddof=1))
        assert cell.n == 16
        assert cell.low <= cell.mean <= cell.high
        if cell.drop is not None:
            assert cell.drop == pytest.approx(np.mean(matched[cell.train]) - np.mean(folds))
    assert result.matched.mean == pytest.approx(np.mean(list(matched.values())))
    for kind, worst in result.worst.items():
        drops = [cell.drop for cell in result.cells if cell.kind == kind and cell.drop is not None]
        assert worst.drop == pytest.approx(max(drops))
        for image in worst.images:
            view = imagecodecs.png_decode((finished / image.view).read_bytes())
            assert view.shape == (32, 32, 3)
            assert image.label in "ab"


def test_the_same_command_again_changes_nothing(finished, folder, monkeypatch, capsys):
    before = (finished / "results.csv").read_bytes()
    monkeypatch.setattr(synthesis, "train", None)  # nothing is trained again
    assert main(experiment(folder, finished)) == 0
    assert "4 of 4 units are done already" in capsys.readouterr().out
    assert (finished / "results.csv").read_bytes() == before


def test_stopped_and_started_again_it_ends_with_the_same_numbers(
    finished, folder, tmp_path, monkeypatch, capsys
):
    train, calls = synthesis.train, []

    def stop_at_the_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*args, **kwargs)

    monkeypatch.setattr(synthesis, "train", stop_at_the_second)
    assert main(experiment(folder, tmp_path / "run")) == 130
    assert "the same command resumes" in capsys.readouterr().err
    assert len({row["train"] for row in rows(tmp_path / "run")}) == 1
    monkeypatch.setattr(synthesis, "train", train)
    assert main(experiment(folder, tmp_path / "run")) == 0
    assert (tmp_path / "run/results.csv").read_bytes() == (finished / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("kill", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)]
)
def test_killed_and_started_again_it_ends_with_the_same_numbers(
    kill, code, finished, folder, tmp_path
):
    command = [sys.executable, "-m", "rawdrift.cli", *experiment(folder, tmp_path / "run")]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert any("bi,s,ga fold 1/2" in line for line in process.stdout)  # three are not done
        process.send_signal(kill)
    assert process.returncode == code
    assert not (tmp_path / "run/summary.json").exists()
    assert len(list((tmp_path / "run/records").glob("*.json"))) in (1, 2)
    assert main(experiment(folder, tmp_path / "run")) == 0
    assert (tmp_path / "run/results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_stopped_after_a_training_it_is_not_trained_again(finished, folder, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    command = experiment(folder, tmp_path / "run")
    monkeypatch.setattr(synthesis, "CHECKPOINT_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(synthesis, "evaluate", stop)
        assert main(command) == 130
    assert [path.suffix for path in (tmp_path / "run/records").iterdir()] == [".ckpt"]
    seen, step = [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *a, **k: seen.append(1) or step(*a, **k))
    assert main(command) == 0
    assert len(seen) == 3  # of the four trainings, each of one step
    assert {path.suffix for path in (tmp_path / "run/records").iterdir()} == {".json"}
    assert (tmp_path / "run/results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_a_training_is_the_same_whatever_else_is_trained(finished, folder, tmp_path):
    other = experiment(folder, tmp_path / "run", "--synthesis.train", "['ma,u,me']")
    assert main(other) == 0
    expected = [row for row in rows(finished) if row["train"] == "ma,u,me"]
    assert rows(tmp_path / "run") == expected


def test_config_file_and_flags_fill_the_same_fields(finished, folder, tmp_path, capsys):
    allowed = ("--allow_import", "import:nets.blocks")
    spec = ["synthesis", "--config", str(finished / "spec.yaml"), *allowed]
    assert main([*spec, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["task"]["epochs"] == 1
    assert main([*spec, "--out", str(finished)]) == 0  # the same experiment: goes on
    error = fails([*spec, "--task.epochs", "2", "--out", finished], capsys)
    assert "holds another experiment (task.epochs is 1 there, 2 here)" in error


def test_data_that_changed_under_a_run_are_refused(finished, folder, capsys):
    image = folder / "3.tif"
    pixels = tifffile.imread(image)
    tifffile.imwrite(image, np.roll(pixels, 1))
    try:
        assert "an ISP file, or code of yours and what it reads have changed" in fails(
            experiment(folder, finished), capsys
        )
    finally:
        tifffile.imwrite(image, pixels)


def test_the_report_is_drawn_again(finished, capsys):
    page = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").read_bytes() == page
    assert "report.html" in capsys.readouterr().out


def test_develop_all_gives_twelve_views_and_a_contact_sheet(tmp_path, capsys):
    raw = tmp_path / "tile.tif"
    dn = (random_mosaic(3, 40, 48) * 65535).round().numpy().astype(np.uint16)
    tifffile.imwrite(raw, dn)
    out = tmp_path / "views"
    assert (
        main(["develop", str(raw), "--camera", "raw-drone", "--isp", "all", "--out", str(out)]) == 0
    )
    names = {f"tile_{name.replace(',', '-')}.png" for name in rd.isp.CONFIGURATIONS}
    assert {path.name for path in out.iterdir()} == {*names, "tile_contact-sheet.png"}
    camera = rd.Camera.load("raw-drone")
    expected = rd.isp.views(rd.read_raw(raw, camera=camera).mosaic, camera)
    for name, view in expected.items():
        picture = imagecodecs.png_decode((out / f"tile_{name.replace(',', '-')}.png").read_bytes())
        assert picture.dtype == np.uint16
        np.testing.assert_array_equal(picture, np.rint(view.permute(1, 2, 0).numpy() * 65535))
    assert "1 raw file developed" in capsys.readouterr().out


def test_develop_writes_tiff_of_several_files(tmp_path):
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", random_mosaic(i, 20, 22).numpy())
    rd.Camera(name="own", cfa="GRBG").save(tmp_path / "own.toml")
    raws = [str(tmp_path / f"{i}.npy") for i in range(2)]
    arguments = ["develop", *raws, "--camera", str(tmp_path / "own.toml"), "--isp", "me,u,ga"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--format", "tiff"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0_me-u-ga.tiff", "1_me-u-ga.tiff"]
    view = tifffile.imread(tmp_path / "out/1_me-u-ga.tiff")
    assert (view.shape, view.dtype) == ((20, 22, 3), np.uint16)


def test_develop_goes_on_after_broken_files_and_names_them(tmp_path, capsys):
    raws = [tmp_path / f"{i}.tif" for i in range(5)]
    for raw in raws:
        raw_file(raw, np.full((8, 8), 9000, np.uint16))
    raws[1].write_bytes(b"II*\0")
    raw_file(raws[3], np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / "out"
    error = fails(["develop", *raws, "--camera", "raw-drone", "--isp", "all", "--out", out], capsys)
    assert "2 of 5 raw files can't be used, all the others are done" in error
    assert "1.tif can't be decoded" in error
    assert "3.tif has shape (8, 8, 3)" in error
    sheets = {path.name for path in out.glob("*contact-sheet.png")}
    assert sheets == {f"{i}_contact-sheet.png" for i in (0, 2, 4)}
    assert len(list(out.iterdir())) == 3 * 13


def test_develop_names_a_cause_once_with_three_examples(tmp_path, capsys):
    raws = [tmp_path / f"raw{i}.tif" for i in range(12)]
    for raw in raws:
        raw.write_bytes(b"II*\0")
    error = fails(["develop", *raws, *DEVELOP[:3], tmp_path / "out"], capsys)
    assert "12 of 12 raw files can't be used, nothing is done" in error
    assert error.count("can't be decoded") == 1
    assert error.count("raw11.tif") == 0
    assert "raw1.tif" in error
    assert "raw2.tif and 9 more" in error
    assert not (tmp_path / "out").exists()


def test_develop_holds_two_views_in_memory_at_most(tmp_path):
    raws = [raw_file(tmp_path / f"{i}.tif", np.full((8, 8), 9000, np.uint16)) for i in range(3)]
    camera, failures = rd.Camera.load("raw-drone"), Failures()
    made = []
    for view in develop(raws, camera, rd.isp.CONFIGURATIONS, tmp_path / "out", failures):
        made.append(weakref.ref(view.picture))
        assert sum(ref() is not None for ref in made) <= 2
    assert len(made) == 3 * 12


def test_a_packed_folder_gives_the_same_numbers(finished, folder, tmp_path):
    store = tmp_path / "store"
    assert main(["data", "pack", "--data.root", str(folder), "--out", str(store)]) == 0
    assert main(experiment(store, tmp_path / "run")) == 0
    assert (tmp_path / "run/results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_cameras_are_listed_and_shown(tmp_path, capsys):
    assert main(["cameras", "list"]) == 0
    listed = capsys.readouterr().out
    assert "raw-drone" in listed
    assert "raw-microscopy" in listed
    assert main(["cameras", "show", "raw-drone"]) == 0
    (tmp_path / "copy.toml").write_text(capsys.readouterr().out)
    assert rd.Camera.load(tmp_path / "copy.toml") == rd.Camera.load("raw-drone")


def raw_file(path, pixels):
    tifffile.imwrite(path, pixels)
    return path


DEVELOP = ["--camera", "raw-drone", "--out", "OUT"]
BAD_COMMANDS = {
    "no command": ([], "COMMAND is missing; choose one of demo; develop; synthesis"),
    "no action": (["data"], "ACTION is missing; choose one of fetch; pack; describe; manifest"),
    "unknown command": (["synthesys"], "did you mean 'synthesis'?"),
    "unknown action": (["data", "fech"], "did you mean 'fetch'?"),
    "unknown flag": (["synthesis", "--task.epoch", "3"], "did you mean --task.epochs?"),
    "flag of no command": (["develop", "RAW", "--zzz"], "expected one of --allow_import, --bits, --camera"),
    "missing flag": (["develop", "RAW"], "error: --out is missing;"),
    "missing argument": (["develop", "--out", "OUT"], "error: RAW is missing;"),
    "missing flag of an action": (["data", "pack"], "error: --out is missing;"),
    "wrong type": (["synthesis", "--task.epochs", "many"], "task.epochs must be a whole number, got many"),
    "no number": (["synthesis", "--task.lr", "nan"], "task.lr must be a number, got nan"),
    "one for a list": (
        ["synthesis", "--synthesis.train", "bi,s,ga"],
        """synthesis.train must be a list, got bi,s,ga; write "['bi,s,ga']\"""",
    ),
    "number or null": (
        ["synthesis", "--synthesis.folds", "2.5"],
        "synthesis.folds must be a whole number or null, got 2.5",
    ),
    "no choice": (
        ["synthesis", "--data.trust", "me"],
        "data.trust must be one of 'camera', 'file' or null, got me",
    ),
    "wrong choice": (["synthesis", "--task.schedule", "linear"], "cosine"),
    "no out": (["synthesis", "--data.name", "synthetic-microscopy"], "--out is missing"),
    "no root": (["synthesis", "--out", "OUT"], "data.root is missing"),
    "unknown data": (["synthesis", "--data.name", "mnist", "--out", "OUT"], "synthetic-microscopy"),
    "unknown pipeline": (
        ["synthesis", "--data.name", "synthetic-microscopy", "--synthesis.train", "['bi,s,gaa']",
         "--out", "OUT"], "did you mean 'bi,s,ga'?",
    ),
    "no config": (["synthesis", "--config", "none.yaml", "--out", "OUT"], "none.yaml"),
    "unknown camera": (["develop", "RAW", "--camera", "raw-dron", "--out", "OUT"], "raw-drone"),
    "no camera": (["develop", "RAW", "--out", "OUT"], "give a camera"),
    "unknown isp": (["develop", "RAW", "--isp", "xx", *DEVELOP], "bi,s,me"),
    "unknown format": (["develop", "RAW", "--format", "jpg", *DEVELOP], "png; tiff"),
    "unknown bits": (["develop", "RAW", "--bits", "12", *DEVELOP], "bits must be 8 or 16, got 12"),
    "bits of a JPEG": (
        ["develop", "RAW", "--format", "jpeg", "--bits", "16", *DEVELOP], "JPEG has 8 bits",
    ),
    "unknown channels": (["develop", "RAW", "--channels", "rgb", *DEVELOP], "luma; yuv"),
    "missing raw": (["develop", "none.tif", *DEVELOP], "none.tif does not exist"),
    "a raw twice": (["develop", "RAW", "RAW", *DEVELOP], "same name"),
    "no run": (["report", "OUT"], "is not a run folder"),
    "a folder as signature": (["check", ".", "--camera", "raw-drone"], "error: . is a folder"),
    "a folder as evidence": (["verify", "."], ". is a folder"),
    "sheet": (["data", "describe", "--data.root", ".", "--sheet", "x.jpg"], "--sheet must name a picture (.png)"),
    "isp file": (["isp", "fit", ".", "--camera", "raw-drone", "--out", "x.json"], "--out must name an ISP file (.toml)"),
    "camera file": (["cameras", "fit", "--dark", "RAW", "--out", "x"], "--out must name a camera file (.toml)"),
    "evidence file": (["evidence", "OUT", "--out", "x.tar"], "out must name an archive (.zip)"),
    "no folder of pairs": (["isp", "fit", "none", "--camera", "raw-drone", "--out", "x.toml"], "none does not exist"),
    "no folder of a published set": (["data", "describe", "--data.name", "raw-drone", "--data.root", "none"], "none does not exist"),
    "no packed folder": (["data", "describe", "--data.root", "none", "--verify"], "none does not exist"),
    "no camera of an isp": (["isp", "show", "bi,s,ga"], "give the camera that it is for (camera=, or --camera)"),
    "empty out": (["develop", "RAW", "--camera", "raw-drone", "--out", ""], "--out is empty"),
    "empty camera": (["develop", "RAW", "--out", "OUT", "--camera="], "--camera is empty"),
    "empty field": (["synthesis", "--data.root", " ", "--out", "OUT"], "--data.root is empty"),
    "empty argument": (["develop", "RAW", "", *DEVELOP], "an argument is empty; expected a value"),
    "loss of masks": (
        ["synthesis", "--data.name", "synthetic-microscopy", "--data.images", "18", "--data.size",
         "32", "--task.loss", "dice", "--out", "OUT"], "task.loss dice is for masks",
    ),
    "no folder": (["synthesis", "--data.root", "nowhere", "--out", "OUT"], "is not a folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_bad_input_is_one_line_and_leaves_nothing(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = raw_file(tmp_path / "raw.tif", np.full((8, 8), 9000, np.uint16))
    out = tmp_path / "out"
    arguments, message = BAD_COMMANDS[name]
    error = fails([{"RAW": raw, "OUT": out}.get(a, a) for a in arguments], capsys)
    assert message in error
    assert not out.exists()


def test_unknown_fields_of_a_config_file_are_refused(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("data: {name: synthetic-microscopy}\ntask: {epoch: 3}\n")
    error = fails(["synthesis", "--config", tmp_path / "c.yaml", "--out", tmp_path / "out"], capsys)
    assert "epoch" in error
    assert "--task.epochs" in error
    (tmp_path / "c.yaml").write_text("data: [")
    fails(["synthesis", "--config", tmp_path / "c.yaml", "--out", tmp_path / "out"], capsys)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), "RGB picture"),
        (np.zeros((1, 8), np.uint16), "at least 2x2"),
        (np.full((8, 8), np.nan, np.float32), "NaN"),
    ],
)
def test_raw_files_that_are_none_leave_nothing(pixels, message, tmp_path, capsys):
    raw = raw_file(tmp_path / "bad.tif", pixels)
    out = tmp_path / "out"
    assert message in fails(["develop", raw, "--camera", "raw-drone", "--out", out], capsys)
    assert not out.exists()


def test_a_label_with_one_image_names_it_and_what_to_do(tmp_path, capsys):
    one = [*labelled(8), {"image": "8.tif", "label": "rare"}]
    root = write_folder(tmp_path / "data", one, size=(32, 32))
    error = fails(experiment(root, tmp_path / "run"), capsys)
    assert "'rare' has 1" in error
    assert "data.exclude" in error
    assert not (tmp_path / "run").exists()
    excluded = experiment(root, tmp_path / "run", "--data.exclude", "['rare']")
    capsys.readouterr()
    assert main(excluded) == 0
    printed = capsys.readouterr().out
    assert printed.count("left out: label 'rare', 1 image: excluded") == 1
    assert "No model is shown to be better than guessing" in printed
    data = rd.load_result(tmp_path / "run").data
    assert data.left_out == {"rare": "1 image: excluded"}
    assert data.classes == {"a": 4, "b": 4}


def test_masks_alone_are_no_classification(tmp_path, capsys):
    masks = [{"image": f"{i}.tif", "mask": f"{i}-m.tif"} for i in range(4)]
    root = write_folder(tmp_path / "data", masks)
    command = experiment(root, tmp_path / "run", "--task.model", "resnet18")
    assert "have no labels" in fails(command, capsys)


def test_no_space_and_no_permission_are_the_users_to_mend(tmp_path, capsys, monkeypatch):
    raw = raw_file(tmp_path / "raw.tif", np.full((8, 8), 9000, np.uint16))

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write", full)
    error = fails(["develop", raw, *DEVELOP[:3], tmp_path / "out"], capsys)
    assert "No space left on device" in error

    def denied(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files, "write", denied)
    assert "Permission denied" in fails(["develop", raw, *DEVELOP[:3], tmp_path / "out"], capsys)
    monkeypatch.undo()
    assert "is a file" in fails(["develop", raw, *DEVELOP[:3], raw], capsys)


def test_a_disk_that_is_full_leaves_no_half_a_file(tmp_path, capsys):
    raw = raw_file(
        tmp_path / "raw.tif",
        np.random.default_rng(0).integers(0, 65535, (64, 64)).astype(np.uint16),
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        error = fails(["develop", raw, *DEVELOP[:3], tmp_path / "out"], capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in error
    assert "raw_bi-s-ga.png" in error
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b"data: null", b"\xff\xfe", b"data: 3", b"[1, 2]"])
def test_config_files_with_odd_content(content, tmp_path, capsys):
    (tmp_path / "c.yaml").write_bytes(content)
    fails(["synthesis", "--config", tmp_path / "c.yaml", "--out", tmp_path / "out"], capsys)


def test_weights_that_do_not_load_leave_nothing(folder, tmp_path, capsys):
    (tmp_path / "w.pt").write_text("hello")
    error = fails(
        experiment(folder, tmp_path / "run", "--task.weights", str(tmp_path / "w.pt")), capsys
    )
    assert "w.pt can't be read" in error
    assert not (tmp_path / "run").exists()


def test_weights_that_changed_under_a_run_are_refused(folder, tmp_path, capsys):
    weights = tmp_path / "w.pt"
    torch.save(networks.build("resnet18", 2).state_dict(), weights)
    own = ("--task.model", "resnet18", "--task.weights", str(weights))
    command = experiment(folder, tmp_path / "run", *own, "--synthesis.train", "['bi,s,ga']")
    assert main(command) == 0
    torch.save(networks.build("resnet18", 2).state_dict(), weights)
    capsys.readouterr()
    assert "an ISP file, or code of yours and what it reads have changed" in fails(command, capsys)


def test_a_damaged_picture_of_a_run_is_named(finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "copy")
    (run / "samples/isp/0-drifted.png").write_bytes(b"\x89PNG")
    assert "0-drifted.png can't be read" in fails(["report", run], capsys)


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_called_the_users(monkeypatch, capsys):
    monkeypatch.setattr("rawdrift.cli.cameras.shipped", partial(int, "x"))
    assert main(["cameras", "list"]) == 70
    assert "bug of rawdrift" in capsys.readouterr().err
    monkeypatch.setattr("rawdrift.cli.cameras.shipped", partial(bytearray, 2**62))
    assert main(["cameras", "list"]) == 2
    assert "not enough memory" in capsys.readouterr().err


def test_a_fault_in_the_users_code_is_named(own_module, capsys):
    folder = own_module("mine", "def images(spec):\n    return 1 / 0\n")
    assert main(["data", "describe", "--data.name", "import:mine.images"]) == 2
    error = capsys.readouterr().err
    assert f"code of yours fails, {folder}/mine.py, line 2: ZeroDivisionError" in error


def test_a_reader_that_stops_reading_ends_the_command():
    command = [sys.executable, "-m", "rawdrift.cli", "cameras", "show", "raw-drone"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        assert subprocess.run(command, stdout=nobody, timeout=60).returncode == 141


def test_a_class_path_in_a_config_file_is_no_field(tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("data:\n  class_path: os.system\n  init_args: {name: x}\n")
    command = ["synthesis", "--config", config, "--out", tmp_path / "run", "--dry_run"]
    assert "class_path is not a field of a spec" in fails(command, capsys)


def test_an_import_that_is_not_allowed_is_refused_by_the_name_of_the_option(tmp_path, capsys):
    isp = tmp_path / "isp.toml"
    rd.isp.save(rd.isp.static("bi,s,me", rd.Camera.load("raw-drone")), isp)
    isp.write_text(isp.read_text().replace('"Gamma"', '"import:mine.steps.Gamma"'))
    raw = tmp_path / "raw.tif"
    tifffile.imwrite(raw, np.zeros((8, 8), np.uint16))
    error = fails(["develop", raw, "--isp", isp, "--out", tmp_path / "out"], capsys)
    assert "if you trust it, add --allow_import import:mine.steps.Gamma" in error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tracker", "wandb"], "unknown tracker 'wandb'; choose one of none; mlflow"),
        (["--tracker", "mlflow"], 'pip install "rawdrift[mlflow]"'),
        (["--compute", "ray"], 'pip install "rawdrift[ray]"'),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry_run"]])
def test_where_to_compute_and_log_is_checked_before_the_data(
    more, message, dry, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("rawdrift.data.synthetic.microscopy.make", None)  # not even called
    for package in ("mlflow", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
    command = ["synthesis", "--data.name", "synthetic-microscopy", "--out", tmp_path / "run"]
    assert message in fails([*command, *more, *dry], capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["demo", "synthesis"])
def test_a_folder_that_cannot_be_written_to_is_refused_at_once(command, capsys, monkeypatch):
    monkeypatch.setattr("rawdrift.data.synthetic.microscopy.make", None)  # not even called
    given = [] if command == "demo" else ["--data.name", "synthetic-microscopy"]
    error = fails([command, *given, "--out", "/proc/rawdrift/run"], capsys)
    assert "/proc/rawdrift/run can't be written to: /proc: " in error


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert rd.__version__ in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "synthesis" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*commands(), "data describe", "develop", "isp match"])
def test_help_is_free_of_types(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert not re.search(r"Union|Optional|Literal|<class|null|type:|Path to a config|--\S+\+", text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_flags_and_choices(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("describe", "task.augment", "strong", "rawdrift"))
    assert "Expected type" not in script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {class_path: trap.Data}", "class_path is not a field"),
        ("data: trap.Data", "data is 'trap.Data'; expected its fields"),
        ("task: other.yaml", "task is 'other.yaml'; expected its fields"),
        ("config: other.yaml", "config is not a field"),
        ("seed: 0x_", "is not readable as a spec"),
        ("seed: !foo 1", "is not readable as a spec"),
        ("[1, 2]", "holds no fields"),
    ],
)
def test_a_file_of_settings_imports_nothing_and_names_no_other_file(
    text, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.py").write_text("open('trace', 'w')")
    (tmp_path / "other.yaml").write_text("a: &a [1]\nb: *a\n")
    (tmp_path / "spec.yaml").write_text(f"{text}\noptimization: {{folds: 2}}\n")
    (tmp_path / "c.yaml").write_text(text)
    assert message in fails(
        ["synthesis", "--config", "c.yaml", "--dry_run", "--out", "run"], capsys
    )
    if text != "[1, 2]":
        assert message in fails(["export", ".", "frozen-1-fold1", "--out", "m.onnx"], capsys)
    assert "takes no value" in fails(["synthesis", "--data", "other.yaml", "--out", "run"], capsys)
    assert not (tmp_path / "trace").exists()


def test_code_of_the_user_that_exits_is_an_error(own_module, capsys):
    own_module("leaving", "import sys\ndef images(spec):\n    sys.exit(0)\n")
    command = ["data", "describe", "--data.name", "import:leaving.images"]
    assert "ended the program: sys.exit(0)" in fails(command, capsys)


def test_a_file_that_is_written_replaces_none(tmp_path, capsys):
    root = write_folder(tmp_path / "data", labelled(4), size=(32, 32))
    notes = root / "notes.png"
    notes.write_bytes(b"of the user")
    (root / "link.png").symlink_to(notes)
    (root / "dangling.png").symlink_to(root / "nothing")
    fit = ["cameras", "fit", "--dark", root / "0.tif", "--flat", root / "1.tif", "--cfa", "RGGB"]
    for command in (
        ["data", "describe", "--data.root", root, "--sheet"],
        [*fit, "--out"],
        ["export", root, "learned-1-fold1", "--out"],
    ):
        for name in (
            "0.tif",
            "manifest.csv",
            "camera.toml",
            "notes.png",
            "link.png",
            "dangling.png",
        ):
            if "fit" in command and not name.endswith("toml"):
                continue
            if "describe" in command and not name.endswith("png"):
                continue
            before = {path: path.read_bytes() for path in root.iterdir() if path.exists()}
            assert "exists already" in fails([*command, root / name], capsys)
            assert {path: path.read_bytes() for path in root.iterdir() if path.exists()} == before
    isp = tmp_path / "isp.toml"
    camera = rd.Camera.load(root / "camera.toml")
    rd.isp.save(rd.isp.static("bi,s,ga", camera), isp, camera)
    assert "exists already" in fails([*fit[:-2], "--camera", isp, "--out", isp], capsys)


def test_python_runs_the_package_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "rawdrift", "cameras", "show", "nothing"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("rawdrift: error: unknown camera 'nothing'")
