"""Specs and run folders."""

import errno
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import rawdrift as rd
from rawdrift import files
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task
from rawdrift.runs import status
from rawdrift.runs.spec import read_yaml, to_dict, to_yaml
from rawdrift.runs.store import Environment, Finished, Record, Store

SPEC = SynthesisSpec(data=Data("synthetic-microscopy", images=20, size=32))
ROW = {"train": "bi,s,ga", "value": 0.1}
ENVIRONMENT = Environment(
    inputs=["abc"], device="cpu", threads=1, torch="2", finished="2026-01-02", seconds=1.5
)


class Measured(Record, frozen=True, kw_only=True):
    more: list[float] = []


def unit(*rows, **fields):
    return Finished(Measured(rows=list(rows), precision="32", **fields), ENVIRONMENT)


def store(folder, spec=SPEC):
    return Store(folder, spec, ["train", "value"], Measured)


def missing(store, units):
    return [unit for unit in units if store.read(unit) is None]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Data("floder"), "unknown data.name 'floder'.*folder; .*synthetic-microscopy"),
        (
            Data("folder").check_root,
            "data.root is missing: give the folder that holds manifest.csv",
        ),
        (Data("raw-drone").check_root, "data.root is missing.*the files of raw-drone"),
        (lambda: Data("raw-drone", "x", size=64), "data.size is for synthetic data"),
        (lambda: Data("folder", "x", images=3), "data.images is for synthetic data"),
        (lambda: Data("synthetic-microscopy", "x"), "data.root is for data.name folder"),
        (lambda: Data("synthetic-microscopy", images=1), "data.images must be.*at least 10"),
        (lambda: Data("synthetic-microscopy", images=0), "data.images must be.*at least 10"),
        (lambda: Data("synthetic-microscopy", size=0), "data.size must be.*at least 32"),
        (lambda: Synthesis(train=["bi,s"]), "unknown pipeline.*bi,s,me; bi,s,ga"),
        (lambda: Synthesis(train=[]), "empty"),
        (lambda: Synthesis(train=["bi,s,ga"] * 2), "must not repeat"),
        (lambda: Synthesis(folds=1), "folds must be a whole number of at least 2"),
        (lambda: Synthesis(folds=True), "folds must be"),
        (lambda: Synthesis(channels="rgb"), "luma; yuv"),
        (lambda: Task(model="resnet19"), "unknown task.model.*resnet18"),
        (lambda: Task(epochs=0), "epochs must be"),
        (lambda: Task(lr=0), "lr must be a number above 0"),
        (lambda: Task(lr=float("nan")), "lr must be a number above 0"),
        (lambda: Task(batch_size=1), "batch_size must be.*at least 2"),
        (
            lambda: Task(weights="imagnet"),
            "task.weights 'imagnet' is not a file; choose none, imagenet",
        ),
        (lambda: SynthesisSpec(SPEC.data, seed=-1), "seed must be"),
    ],
)
def test_impossible_fields_are_refused_with_what_is_valid(build, message):
    with pytest.raises(rd.InputError, match=message):
        build()


def test_a_spec_is_the_same_after_yaml():
    tree = yaml.safe_load(to_yaml(SPEC))
    assert tree == to_dict(SPEC)
    again = SynthesisSpec(
        Data(**tree["data"]), Synthesis(**tree["synthesis"]), Task(**tree["task"]), tree["seed"]
    )
    assert again == SPEC


def test_a_pipe_in_a_run_folder_holds_nobody_up(tmp_path):
    for name in ("summary.json", "spec.yaml", status.FILE):
        os.mkfifo(tmp_path / name)
    with pytest.raises(rd.InputError, match="not a file with an end"):
        rd.load_result(tmp_path)
    with pytest.raises(rd.InputError, match="not a file with an end"):
        read_yaml(tmp_path / "spec.yaml")
    assert status.read(tmp_path) is None


@pytest.mark.parametrize("read", [files.read_text, files.read_bytes, files.read_table])
def test_a_folder_is_no_file(read, tmp_path):
    with pytest.raises(rd.InputError, match=f"^{tmp_path} is a folder, expected a .* file"):
        read(tmp_path)


def test_tuples_in_a_spec_are_the_lists_of_its_file(tmp_path):
    spec = SynthesisSpec(SPEC.data, Synthesis(train=("bi,s,ga",)))
    with store(tmp_path / "run", spec):
        pass
    with store(tmp_path / "run", spec):
        pass


def test_finished_units_are_kept_and_the_rest_is_missing(tmp_path):
    first = store(tmp_path / "run")
    assert not (tmp_path / "run").exists()  # nothing is written before there is something to keep
    with first:
        first.append("b", unit(ROW, more=[1 / 3]))
    second = store(tmp_path / "run")
    with second:
        assert missing(second, ["a", "b", "c"]) == ["a", "c"]
        second.append("a", unit({**ROW, "value": 0.5}))
        assert second.read("b") == unit(ROW, more=[1 / 3])
    units = second.records(["a", "b", "c"])
    assert [finished.record.rows[0]["value"] for finished in units] == [0.5, 0.1]
    second.write_results(["a", "b", "c"])
    assert (tmp_path / "run/results.csv").read_text() == (
        'train,value\n"bi,s,ga",0.5\n"bi,s,ga",0.1\n'
    )
    assert yaml.safe_load((tmp_path / "run/spec.yaml").read_text()) == to_dict(SPEC)


def test_results_grow_with_each_unit_and_end_in_order(tmp_path):
    """However often the run was killed, also between a record and its rows, or within these."""
    results = tmp_path / "results.csv"
    names = ["a", "b", "c"]
    lines = {name: f'"bi,s,ga",{value}\n' for value, name in enumerate(names)}
    records = {name: unit({**ROW, "value": value}) for value, name in enumerate(names)}
    with store(tmp_path) as first:
        for name in "ca":
            first.append(name, records[name])
    assert results.read_text() == "train,value\n" + lines["c"] + lines["a"]
    for left in ("", "train,va", "train,value\n" + lines["c"] + lines["a"][:3]):
        results.write_text(left)
        with store(tmp_path) as again:
            again.write_results(names)
            assert results.read_text() == "train,value\n" + lines["a"] + lines["c"]
    with store(tmp_path) as last:
        last.append("b", records["b"])
        last.write_results(names)
    assert results.read_text() == "train,value\n" + "".join(lines.values())


def test_records_are_read_one_at_a_time_and_again(tmp_path, monkeypatch):
    with store(tmp_path) as kept:
        for name in "ab":
            kept.append(name, unit())
        read = []
        monkeypatch.setattr(kept, "read", lambda name: read.append(name) or name)
        records = kept.records(["a", "b"])
        assert read == []
        for count, record in enumerate(records, start=1):
            assert len(read) == count
            assert record == read[-1]
        assert len(list(records)) == 2


def test_a_changed_record_is_computed_again(tmp_path):
    with store(tmp_path) as first:
        first.append("a", unit(ROW))
        path = tmp_path / "records/a.json"
        path.write_text(path.read_text().replace("0.1", "0.9"))
        assert missing(first, ["a"]) == ["a"]


def test_a_run_folder_of_version_0_1_is_refused(tmp_path):
    with store(tmp_path):
        (tmp_path / "records/a.json").write_text('{"checksum": "0", "record": {"rows": []}}')
    with pytest.raises(rd.InputError, match=r"earlier release of rawdrift.*new folder"):
        store(tmp_path)
    spec = tmp_path / "spec.yaml"  # its defaults were others
    spec.write_text(spec.read_text() + "metric: accuracy\n")
    with pytest.raises(rd.InputError, match=r"earlier release of rawdrift.*new folder"):
        store(tmp_path)


def test_numbers_that_json_lacks_become_null(tmp_path):
    with store(tmp_path) as first:
        first.append("a", unit({**ROW, "value": float("nan")}, more=[1.0]))
        assert first.read("a").record.rows == [{**ROW, "value": None}]


def test_the_leftover_of_a_killed_write_is_swept_away(tmp_path):
    with store(tmp_path):
        pass
    leftover = tmp_path / "records" / ".rawdrift-x1x1x1x1.tmp"
    leftover.write_text("{half")
    (tmp_path / "records" / ".notes.tmp").write_text("the user's own")
    with store(tmp_path) as again:
        assert not leftover.exists()
        assert (tmp_path / "records" / ".notes.tmp").read_text() == "the user's own"
        assert missing(again, ["a"]) == ["a"]


def test_a_run_killed_at_its_very_beginning_goes_on(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".rawdrift-abcdefgh.tmp").write_text("data:")
    with store(tmp_path) as begun:
        assert missing(begun, ["a"]) == ["a"]
    assert not (tmp_path / ".rawdrift-abcdefgh.tmp").exists()


@pytest.mark.parametrize("name", [".lock", "records", "figures", "records/a.json", "results.csv"])
def test_nothing_is_written_through_a_link(name, tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    with store(run):
        pass
    other.mkdir()
    (other / "a.json").write_text("mine")
    path = run / name
    path.unlink(missing_ok=True) if not path.is_dir() else path.rmdir()
    path.symlink_to(other / "a.json" if path.suffix or name == ".lock" else other)
    with (
        pytest.raises(rd.InputError, match=f"{name} is (a link to .*other|in the way)"),
        store(run),
    ):
        pass
    assert [path.name for path in other.iterdir()] == ["a.json"]
    assert (other / "a.json").read_text() == "mine"


def test_a_lock_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / ".lock").write_text("mine")
    with pytest.raises(rd.InputError, match="lock is in the way and was not made"):
        store(tmp_path)
    assert (tmp_path / ".lock").read_text() == "mine"


def test_a_folder_or_a_record_that_vanishes_ends_the_run(tmp_path):
    with store(tmp_path / "run") as begun:
        begun.append("a", unit(ROW))
        begun.check_complete(["a"])
        (tmp_path / "run/records/a.json").unlink()
        with pytest.raises(rd.InputError, match="1 records of finished units .*first a"):
            begun.check_complete(["a"])
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(rd.InputError, match="was removed or moved during the run"):
            begun.append("b", unit(ROW))


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "{}",
        "[]",
        "null",
        b"\xff",
        '{"finished": {"record": {"rows": []}}, "checksum": "0"}',
    ],
)
def test_a_damaged_record_is_done_again(damage, tmp_path):
    with store(tmp_path) as first:
        first.append("a", unit(ROW))
        assert missing(first, ["a"]) == []
        content = damage.encode() if isinstance(damage, str) else damage
        (tmp_path / "records/a.json").write_bytes(content)
        assert missing(first, ["a"]) == ["a"]
        assert list(first.records(["a"])) == []


def test_a_second_process_in_the_same_folder_is_refused(tmp_path):
    with store(tmp_path):
        second = store(tmp_path)
        with pytest.raises(rd.InputError, match="another process is working"):
            second.__enter__()
    with store(tmp_path):
        pass


def test_a_folder_of_another_experiment_is_refused(tmp_path):
    with store(tmp_path / "run"):
        pass
    other = SynthesisSpec(SPEC.data, task=Task(epochs=3))
    with pytest.raises(
        rd.InputError, match=r"another experiment \(task.epochs is 20 there, 3 here"
    ):
        store(tmp_path / "run", other)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("precious")
    with pytest.raises(rd.InputError, match="not empty and no run"):
        store(tmp_path / "other")
    with pytest.raises(rd.InputError, match="is a file"):
        store(tmp_path / "other/thesis.txt")
    (tmp_path / "run/spec.yaml").write_text("::: [")
    with pytest.raises(rd.InputError, match="not readable as a spec"):
        store(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with store(tmp_path / "empty"):
        pass


def fills(path):
    with files.new_folder(path):
        pass


@pytest.mark.parametrize("write", [lambda path: files.write(path, "x"), fills])
def test_what_can_not_be_written_has_the_name_that_the_user_gave(write):
    path = Path("/proc/mine.png")  # in a folder that takes no files
    with pytest.raises(OSError, match="mine") as failed:
        write(path)
    assert failed.value.filename == str(path)


@pytest.mark.parametrize("hidden", ["mkstemp", "replace"])
def test_no_error_names_a_temporary_file(hidden, tmp_path, monkeypatch):
    def fail(*names, **more):
        raise PermissionError(errno.EACCES, "Permission denied", str(names[0]) if names else "tmp")

    owner = files.tempfile if hidden == "mkstemp" else Path
    monkeypatch.setattr(owner, hidden, fail)
    with pytest.raises(PermissionError) as failed:
        files.write(tmp_path / "mine.png", "x")
    assert failed.value.filename == str(tmp_path / "mine.png")


def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "file.txt"
    files.write(target, "old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        files.write(target, fail)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]
    files.write(target, lambda file: file.write(b"new"))
    assert target.read_bytes() == b"new"
    with pytest.raises(OSError, match="file.txt"):
        files.write(target, lambda file: os.write(file.fileno(), b"x") and full())
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o666 & ~files._UMASK
    with pytest.raises(rd.InputError, match="expected a folder"):
        files.make_folder(target)
    with pytest.raises(rd.InputError, match="a part of it is a file"):
        files.make_folder(target / "below")


def test_a_spec_takes_memory_in_proportion_to_its_file(tmp_path):
    path = tmp_path / "spec.yaml"
    bomb = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    bomb += [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in pairwise("abcdefgh")]
    bad = {
        "alias \\*a": "\n".join(bomb),
        "nested more": "[" * 50 + "]" * 50,
        "spec:": "[" * 5000,
        "larger": "#" * 300_000,
        "spec": "\0",
    }
    for message, text in bad.items():
        path.write_text(text)
        with pytest.raises(rd.InputError, match=message) as caught:
            read_yaml(path)
        assert len(str(caught.value)) < 500
    path.write_text("data: {name: folder}\n")
    assert read_yaml(path) == {"data": {"name": "folder"}}
