"""The README's examples run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from rawdrift.cli import parser

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def commands():
    """The commands of indented blocks, with continued lines joined and comments left out."""
    text = README.replace("\\\n", " ")
    for line in re.findall(r"^    (rawdrift .*)$", text, re.MULTILINE):
        yield line.split("  #")[0].strip()


@pytest.mark.parametrize("command", list(commands()))
def test_commands_are_understood(command, tmp_path, monkeypatch):
    (tmp_path / "cells").mkdir()
    monkeypatch.chdir(tmp_path)
    parser.build().parse_args(shlex.split(command)[1:])
