"""The examples of the README and of docs/ run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from rawdrift.cli import _with_presets, parser

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))
}
EXAMPLES = [
    pytest.param(code, id=f"{name}-{number}")
    for name, text in sorted(PAGES.items())
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_python_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})


def commands():
    """The commands of indented blocks, with continued lines joined and comments left out."""
    text = "\n".join(PAGES.values()).replace("\\\n", " ")
    for line in re.findall(r"^    (rawdrift .*)$", text, re.MULTILINE):
        if not line.endswith("..."):
            yield line.split("  #")[0].strip()


@pytest.mark.parametrize("command", list(commands()))
def test_commands_are_understood(command, tmp_path, monkeypatch):
    (tmp_path / "cells").mkdir()
    monkeypatch.chdir(tmp_path)
    parser.build().parse_args(_with_presets(shlex.split(command)[1:]))
