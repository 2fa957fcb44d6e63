"""The settings that ship with rawdrift."""

import pytest
import yaml

from rawdrift.cli import main
from rawdrift.controls import CONTROLS, presets
from rawdrift.corruptions import PAPER

# Table 2 of the paper.
TABLE = {
    "paper-microscopy": ("resnet18", 100, 1e-4, 128),
    "paper-drone": ("unetplusplus", 100, 7.5e-5, 12),
}


COMMANDS = "synthesis", "optimization"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", TABLE)
def test_presets_are_the_recipes_of_the_paper_and_flags_go_before_them(command, name, capsys):
    arguments = [command, "--config", name, "--data.name", "synthetic-microscopy"]
    assert main([*arguments, f"--{command}.folds", "2", "--print_config"]) == 0
    spec = yaml.safe_load(capsys.readouterr().out)
    task = spec["task"]
    assert (task["model"], task["epochs"], task["lr"], task["batch_size"]) == TABLE[name]
    assert (task["weights"], task["schedule"]) == ("imagenet", "constant")
    assert spec[command]["folds"] == 2


@pytest.mark.parametrize("name", TABLE)
def test_the_corruptions_of_the_paper_are_those_of_its_code(name, capsys):
    arguments = ["synthesis", "--config", name, "--data.name", "synthetic-drone"]
    assert main([*arguments, "--print_config"]) == 0
    spec = yaml.safe_load(capsys.readouterr().out)["synthesis"]
    assert spec["severity_table"] == "small"
    assert spec["corruptions"] == [corruption for corruption in PAPER if corruption != "identity"]
    assert main([*arguments, "--synthesis.severity_table", "imagenet", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["synthesis"]["severity_table"] == "imagenet"


def test_the_optimization_of_the_paper(capsys):
    arguments = ["optimization", "--config", "paper-drone", "--data.name", "synthetic-drone"]
    assert main([*arguments, "--print_config"]) == 0
    spec = yaml.safe_load(capsys.readouterr().out)["optimization"]
    assert spec["settings"] == ["frozen", "learned", "direct"]
    assert (spec["isp"], spec["folds"], spec["isp_lr"]) == ("bi,s,ga", 5, None)
    assert spec["isp_steps"] == "absolute"  # one rate for all parameters


@pytest.mark.parametrize("command", COMMANDS)
def test_every_preset_is_named_in_the_help_and_in_the_error(command, capsys):
    assert presets.names(CONTROLS[command]) == sorted(TABLE)
    assert main([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert main([command, "--config=paper-drones", "--out", "x"]) == 2
    error = capsys.readouterr().err
    assert all(name in shown and name in error for name in TABLE)


def test_a_file_goes_before_a_preset_of_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper-drone").write_text("data: {name: synthetic-microscopy}\nseed: 7\n")
    assert main(["synthesis", "--config=paper-drone", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 7
