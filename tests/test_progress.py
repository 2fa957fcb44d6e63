"""Long work tells what it is doing: in the terminal, in the log, on a page, and to other processes."""

import json
import sys
import threading

import pytest

import rawdrift as rd
from rawdrift import progress
from rawdrift.cli import main
from rawdrift.controls import listing
from rawdrift.controls.live import Live
from rawdrift.runs import status

DATA = rd.Data("synthetic-microscopy", images=18, size=32, balanced=True)
TASK = rd.Task(model="import:nets.blocks", epochs=2, batch_size=8, precision="32")
SPEC = rd.SynthesisSpec(DATA, rd.Synthesis(train=["bi,s,ga"], folds=2, corruptions=[]), TASK)


@pytest.fixture
def waiting(monkeypatch):
    """Lines are due at once. Returns a function that waits for one that says something."""
    monkeypatch.setattr(progress, "EVERY", 0.01)

    def wait(log, words):
        said = threading.Event()
        with progress.repeating(0.005, lambda: words in log() and said.set()):
            assert said.wait(20), f"{words!r} was not said: {log()}"

    return wait


def test_silence_ends_with_what_is_under_way_and_how_long_it_will_take(tmp_path, waiting, capsys):
    log = tmp_path / "run.log"
    with progress.log(log), progress.step("outer", 4, "unit") as outer:
        outer.advance()
        with progress.step("middle"), progress.step("inner", 10, "batch") as inner:
            inner.advance(5)
            inner.remark = "loss 0.5"
            waiting(
                lambda: log.read_text() if log.exists() else "", "5 of 10 batches, loss 0.5, about"
            )
        with progress.step("middle"):  # as of another thread
            assert progress.state().count("middle") == 1
    line = log.read_text().splitlines()[-1]
    assert "outer, 1 of 4 units, about " in line
    assert "; middle; inner, 5 of 10 batches" in line
    captured = capsys.readouterr()
    assert not captured.out
    assert "inner, 5 of 10 batches" in captured.err


@pytest.mark.parametrize(("done", "before"), [(3, 0), (3, 2)])
def test_what_was_done_before_does_not_make_the_rest_look_short(done, before, monkeypatch):
    clock = iter([100.0, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    one = progress.Step("training", 6, "epoch", before)
    one.advance(done - before)
    assert one.seconds_left() == pytest.approx(30 / (done - before) * 3)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    with progress.log(tmp_path / "gone" / "run.log"):
        progress.say("a line")


def test_the_log_of_a_run_is_continued_and_names_no_place(tmp_path, monkeypatch):
    run = tmp_path / "run"
    with pytest.raises(rd.InputError):
        rd.run(rd.SynthesisSpec(DATA, SPEC.synthesis, rd.Task(model="import:no.such.net")), run)
    assert not run.exists(), "a spec that does not fit leaves no folder behind"
    rd.run(SPEC, run)
    first = (run / "run.log").read_text()
    (run / "report.html").write_text("the report")
    rd.run(SPEC, run)
    assert (run / "report.html").read_text() == "the report", "nothing to do: it is left as it is"
    log = (run / "run.log").read_text()
    assert log.startswith(first)
    assert "2 of 2 units are done already" in log
    assert str(tmp_path) not in log
    told = status.read(run)
    assert (told.state, told.units, told.done, told.failed) == ("done", 2, 2, 0)
    assert not status.units(run)


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("kind", ["inline", "processes"])
def test_a_run_under_way_has_a_page_that_claims_nothing(kind, tmp_path, monkeypatch):
    run, seen = tmp_path / "run", []
    finished = Live.finished

    def stop(live, *args):
        finished(live, *args)
        live._page_after = 0
        live._refresh()
        seen.append((run / "report.html").read_text())
        assert listing.runs(tmp_path)[0].state == "running"
        raise Stop

    monkeypatch.setattr(Live, "finished", stop)
    workers = 1 if kind == "processes" else None
    with pytest.raises(Stop):
        rd.run(SPEC, run, rd.Compute(kind, workers, threads=1))
    (page,) = seen
    assert "<h1>Unfinished: this run is running, and 1 of its 2 units is done" in page
    assert "Nothing can be concluded from this page" in page
    assert "matched accuracy" in page  # what the unit found
    assert "confidence" not in page.split("All settings")[0]
    assert "was stopped" in (run / "report.html").read_text()
    assert str(tmp_path) not in page
    (one,) = listing.runs(tmp_path)
    assert (one.run, one.control, one.state, one.done, one.units) == (
        "run", "synthesis", "stopped", 1, 2,
    )  # fmt: skip
    monkeypatch.undo()
    drawn = []
    monkeypatch.setattr("rawdrift.controls.run._draw", drawn.append)
    rd.run(SPEC, run)
    assert listing.runs(tmp_path)[0].state == "done"
    assert drawn == [run], "a run from Python ends with its page, as the command does"


def test_runs_are_listed_whatever_is_wrong_with_some(tmp_path, capsys):
    """Each kind of broken folder has a line, and no error ends the list."""
    for name, files in {
        "new/run": {"spec.yaml": "seed: 1"},
        "no-spec": {"summary.json": "{}"},
        "bad": {"spec.yaml": "", "summary.json": '{"kind": "synthesis"}'},
        "worse": {"spec.yaml": "", "summary.json": "\0", "progress.json": "[[["},
        "killed": {
            "spec.yaml": "",
            "progress.json": json.dumps(
                {
                    "state": "running", "control": "forensics", "units": 9, "done": 4, "failed": 0,
                    "doing": "", "left_s": 60.0, "begun": "2026-01-01", "updated": "2026-01-01",
                }
            ),
        },
    }.items():  # fmt: skip
        folder = tmp_path / name
        (folder / "records").mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert main(["runs", str(tmp_path), "--json"]) == 0
    found = {one["run"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == {"new/run", "bad", "worse", "killed"}
    assert found["killed"]["state"] == found["new/run"]["state"] == "stopped"
    assert found["bad"]["state"] == found["worse"]["state"] == "failed"
    assert "can't be read" in found["bad"]["headline"]
    assert main(["runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "4 of 9" in next(line for line in lines if line.startswith("killed"))
    assert [one["changed"] for one in found.values()] == sorted(
        (one["changed"] for one in found.values()), reverse=True
    )


def test_a_folder_without_runs_and_one_that_is_none(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out
    assert main(["runs", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("columns", [40, 120, None])
def test_headlines_are_cut_to_a_terminal_alone(columns, capsys, monkeypatch):
    one = listing.Listed(
        run="r", control="synthesis", state="done", done=1, units=1, left_s=None,
        changed="2026-01-02T03:04", headline="x" * 300,
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: columns is not None)
    head, row = listing.lines([one])
    assert head.startswith("RUN")
    if columns is None:
        assert row.endswith(one.headline)
    else:
        assert row.endswith("xxx...")
        assert len(row) == 120 if columns == 120 else len(row) > 40
