"""Laws over the results of all controls."""

import csv
import json
from pathlib import Path

import jsonschema
import pytest
from msgspec import structs

import rawdrift as rd
from rawdrift import files
from rawdrift.controls import CONTROLS
from rawdrift.controls.result import schema, schema_file, without_paths
from rawdrift.controls.run import write_page
from rawdrift.report.tables import Column, Table
from rawdrift.report.tables import write as write_table

from conftest import write_folder

TASK = rd.Task("import:nets.blocks", epochs=12, batch_size=8, lr=3e-2, precision="32")
SETTINGS = {
    "synthesis": rd.Synthesis(["bi,s,ga", "ma,u,me"], folds=2, corruptions=["fog"], severities=[1]),
    "forensics": rd.Forensics(
        folds=2, models=1, groups=["all"], regularizations=[0, 10], restarts=1, steps=2,
        samples=8, cameras=5, max_drop=0.5,
    ),
    "optimization": rd.Optimization(["frozen", "learned"], intensities=[1.0], folds=2),
    "comparison": rd.Comparison("bi,s,ga", "ma,u,ga", margin=0.2, folds=2),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONTROLS)
def finished(request, tmp_path_factory):
    """A control's name, the run folder of a small spec, and its result."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(24)]
    data = rd.Data(root=str(write_folder(folder / "data", rows, size=(32, 32), dark=("a",))))
    spec = CONTROLS[name].spec(data, SETTINGS[name], TASK)
    return name, folder / "run", rd.run(spec, folder / "run")


@pytest.mark.parametrize("name", CONTROLS)
def test_the_shipped_schema_is_that_of_the_types(name):
    path, text = schema_file(name)
    assert path.read_text() == text, "run `make schemas`"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_a_summary_is_valid_by_its_schema(finished):
    name, run, _ = finished
    jsonschema.validate(json.loads((run / "summary.json").read_text()), schema(name))


def test_a_result_that_is_read_and_saved_has_the_same_bytes(finished, tmp_path):
    _, run, result = finished
    loaded = rd.load_result(run)
    assert type(loaded) is type(result)
    loaded.save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == (run / "summary.json").read_bytes()
    assert rd.load_result(tmp_path / "copy.json") == loaded


def test_a_result_does_not_say_where_the_user_keeps_files(finished, tmp_path):
    _, run, result = finished
    write_page(run)
    shared = [run / "report.html", run / "summary.json", *run.glob("tables/*"), run / "results.csv"]
    for path in shared:
        text = path.read_text()
        for private in (run, Path.cwd(), Path.home()):
            assert str(private) not in text, (path.name, private)
    assert result.data.root == "data"
    reasons = {
        "a": f"{run}/x.tif: {Path.home()}/b.tif, {Path.cwd()}/c d.tif and '{run}', n/a {run}s"
    }
    clean = without_paths(structs.replace(result, failed=reasons), [run])
    assert clean.failed == {
        "a": f"run/x.tif: ~/b.tif, ./c d.tif and 'run', n/a {run}s".replace(str(Path.home()), "~")
    }
    assert without_paths(result, []) == result


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("RuntimeError: /srv/lab/net.py:12 can't open '/mnt/My Disk/w.pt'",
         "RuntimeError: net.py:12 can't open 'w.pt'"),
        (r"C:\Users\bob\w.pt is missing", "w.pt is missing"),
        ("command:/opt/rt/cli -o {picture} file:///home/bob/a.tif", "command:cli -o {picture} a.tif"),
        ("see https://a.org/b/c, ./a/b, 1/2/3 and R/G", "see https://a.org/b/c, ./a/b, 1/2/3 and R/G"),
    ],
)  # fmt: skip
def test_no_other_absolute_path_is_said_either(text, clean):
    assert files.without_paths([])(text) == clean


def test_long_and_controlling_messages_are_cut_and_shown():
    message = str(rd.InputError(f"label '\x1b[2J\u202e{'x' * 10**6}' is unknown; choose another"))
    assert len(message) < 3000
    assert message.startswith("label '\ufffd[2J\ufffdx")
    assert message.endswith("is unknown; choose another")


def test_tables_hold_no_formulas_and_no_control_characters(tmp_path):
    column = Column("label", "Label")
    texts = ["=1+1", "+x", "-x", "@x", "-3.5", "a=b", "\x1b[31mred\r", "plain"]
    wide = ["\uff1d1+1", "\uff0bx", "\uff0dx", "\uff20x", "\ufe62x"]  # = + - @ +
    write_table(Table("t", "T", [column], [[text] for text in texts + wide]), tmp_path)
    with (tmp_path / "t.csv").open(newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    plain = ["'=1+1", "'+x", "'-x", "'@x", "-3.5", "a=b", "\ufffd[31mred\ufffd", "plain"]
    assert cells == plain + [f"'{text}" for text in wide]
    assert "\x1b" not in (tmp_path / "t.tex").read_text()


def test_a_result_is_told_as_numbers_rows_figure_lines_and_page(finished):
    name, run, result = finished
    headline = result.headline()
    assert headline
    assert all(isinstance(value, float) for value in headline.values())
    rows = result.rows()
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert len(result.to_frame()) == len(rows)
    assert not any(isinstance(value, dict) for row in rows for value in row.values())
    assert result.plot().axes
    assert all(isinstance(line, str) for line in CONTROLS[name].load_page().lines(result, run))
    assert "<html" in write_page(run).read_text()


def test_a_damaged_summary_is_refused(finished, tmp_path):
    _, run, _ = finished
    content = (run / "summary.json").read_bytes()
    file = tmp_path / "summary.json"
    file.write_bytes(content[:-20])
    with pytest.raises(rd.InputError, match=r"summary.json is damaged: .*start the same command"):
        rd.load_result(file)
    file.write_text(json.dumps(json.loads(content) | {"data": {}}))
    with pytest.raises(rd.InputError, match=r"damaged: Object missing .*at `\$.data`; restore it"):
        rd.load_result(tmp_path)


def test_a_summary_of_another_release_is_refused(finished, tmp_path):
    _, run, _ = finished
    content = json.loads((run / "summary.json").read_text()) | {"version": "0.1.0"}
    less = {name: value for name, value in content.items() if name != "failed"}
    for other in (less, content):  # even if it has all fields of this release
        (tmp_path / "summary.json").write_text(json.dumps(other))
        with pytest.raises(rd.InputError, match=r"written by rawdrift 0\.1\.0, and .* new folder"):
            rd.load_result(tmp_path)


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(rd.InputError, match=r"nowhere is not a finished run folder: it has no"):
        rd.load_result(tmp_path / "nowhere")
    with pytest.raises(rd.InputError, match=r"is not a finished run folder: it has no summary"):
        rd.load_result(tmp_path)
    (tmp_path / "summary.json").write_text('{"kind": "horoscope"}')
    with pytest.raises(rd.InputError, match=r"unknown kind of run .*'horoscope'.*synthesis"):
        rd.load_result(tmp_path)
