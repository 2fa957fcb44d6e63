"""What CONTRIBUTING.md says: its code, in a package of a user's own, through the command line."""

import csv
import re
import sys
from pathlib import Path

import pytest

import rawdrift as rd
from rawdrift.cli import main

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The code of the page, in a package `own` in the working folder."""
    for name, code in re.findall(r"```\w+\n# (own/\S+)\n(.*?)```", PAGE, re.DOTALL):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "own"]:
        del sys.modules[name]


DATA = ["--data.name", "import:own.datasets.stripes", "--data.images", "12"]
TASK = ["--task.model", "import:own.networks.small", "--task.epochs", "2", "--task.lr", "1e-2"]


def save_saturated(path, amount=1.0):
    from own.saturation import Saturation

    camera = rd.Camera("stripes", "RGGB")
    isp = rd.isp.static("bi,s,ga", camera).insert("saturation", Saturation(amount), before="gamma")
    rd.isp.save(isp, path, camera)


def rows(run):
    with (run / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_own_data_network_metric_corruption_and_step_in_one_experiment(own, capsys):
    save_saturated(own / "vivid.toml", 2.0)
    command = [
        "synthesis", *DATA, *TASK, "--task.metric", "import:own.metrics.within_one",
        "--synthesis.train", "[vivid]", "--synthesis.isps", "[vivid.toml]",
        "--synthesis.folds", "2", "--synthesis.corruptions",
        "['import:own.corruptions.darkness']", "--synthesis.severities", "[3]", "--out", "run",
    ]  # fmt: skip
    assert main(command) == 2
    assert "names code to import, import:own.saturation.Saturation" in capsys.readouterr().err
    assert main([*command, "--allow_import", "import:own.saturation.Saturation"]) == 0
    result = rd.load_result(own / "run")
    assert result.metric == "import:own.metrics.within_one"
    measured = [row for row in rows(own / "run") if row["metric"] == result.metric]
    assert {float(row["value"]) for row in measured} == {1.0}  # of two classes, each is a neighbor
    assert {row["test"] for row in measured} >= {"vivid", "import:own.corruptions.darkness"}
    page = (own / "run/report.html").read_text()
    assert "within" in page
    assert "darkness" in page


def test_an_own_step_is_searched_and_signed_from_the_command_line(own, capsys):
    save_saturated(own / "vivid.toml")
    command = [
        "forensics", *DATA, *TASK, "--forensics.isp", "vivid.toml", "--forensics.folds", "2",
        "--forensics.models", "1", "--forensics.restarts", "1", "--forensics.steps", "2",
        "--forensics.samples", "0", "--forensics.cameras", "5", "--forensics.max_drop", "0.4",
        "--forensics.regularizations", "[0]", "--forensics.groups", "[all, saturation]",
        "--out", "run", "--allow_import", "import:own.saturation.Saturation",
    ]  # fmt: skip
    assert main(command) in (0, 1)  # so few images may be too few for an envelope
    found = {row["metric"] for row in rows(own / "run") if row["group"] == "saturation"}
    assert "saturation.amount" in found
    assert "saturation" in (own / "run/report.html").read_text()


@pytest.mark.parametrize("control", ["synthesis", "forensics", "optimization"])
def test_an_own_kind_of_task_in_every_control(control, own):
    settings = {
        "synthesis": ["--synthesis.train", "['bi,s,ga']", "--synthesis.corruptions", "[fog]"],
        "forensics": [
            "--forensics.restarts", "1", "--forensics.steps", "2", "--forensics.samples", "2",
            "--forensics.cameras", "5", "--forensics.max_drop", "0.3", "--forensics.models", "1",
            "--forensics.regularizations", "[0]", "--forensics.groups", "[gamma]",
            "--forensics.space", "{gamma.gamma: 0.2}",
        ],
        "optimization": ["--optimization.intensities", "[1.0]"],
    }  # fmt: skip
    command = [
        control, *DATA, *TASK, "--task.kind", "import:own.tasks.Ordinal", *settings[control],
        f"--{control}.folds", "2", "--out", "run",
    ]  # fmt: skip
    assert main(command) in (0, 1)  # so few images may be too few for an envelope
    result = rd.load_result(own / "run")
    assert result.data.task == "ordinal"
    assert result.metric == "closeness"
    assert any(row["metric"] == "closeness" for row in rows(own / "run"))
    assert "loseness" in (own / "run/report.html").read_text()


def test_an_own_dataset_is_described_and_packed(own, capsys):
    assert main(["data", "describe", *DATA]) == 0
    assert "bright" in capsys.readouterr().out
    assert main(["data", "pack", *DATA, "--out", "packed"]) == 0
    assert len(rd.data.load(rd.Data(root=str(own / "packed")))) == 12


def test_an_own_camera_develops(own):
    (own / "own/lab.toml").rename(own / "lab.toml")
    camera = rd.Camera.load("lab.toml")
    assert (camera.name, camera.cfa) == ("lab", "GRBG")
    assert rd.isp.static("bi,s,ga", camera).gamma.gamma == 2.2


def test_names_in_a_config_file_need_permission(own, capsys):
    (own / "mine.yaml").write_text(
        "data: {name: 'import:own.datasets.stripes', images: 12}\n"
        "task: {model: 'import:own.networks.small', epochs: 1}\n"
        "synthesis: {train: ['bi,s,ga'], folds: 2, corruptions: []}\n"
    )
    command = ["synthesis", "--config", "mine.yaml", "--out", "run"]
    assert main(command) == 2
    assert "import:own.datasets.stripes, import:own.networks.small" in capsys.readouterr().err
    assert not any(name.split(".")[0] == "own" for name in sys.modules)
    allowed = ["import:own.datasets.stripes", "import:own.networks.small"]
    assert main([*command, *(f"--allow_import={name}" for name in allowed)]) == 0
