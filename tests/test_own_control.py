"""A fourth control: one folder and one line in the table, and everything works with it."""

import json
import shutil
import sys
import textwrap

import jsonschema
import pytest

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.controls import CONTROLS
from rawdrift.controls.result import schema

FILES = {
    "__init__.py": '''
        """Brightness: how bright each ISP makes the images."""

        from rawdrift.controls.control import Control

        from brightness.spec import BrightnessSpec

        control = Control(
            name="brightness",
            spec=BrightnessSpec,
            experiment="brightness.experiment:BrightnessExperiment",
            result="brightness.result:BrightnessResult",
            page="brightness.page",
            description="Measure the brightness of views.",
            help="how bright each ISP makes the images",
        )
        ''',
    "spec.py": '''
        from dataclasses import dataclass, field

        from rawdrift.checks import choose
        from rawdrift.configurations import CONFIGURATIONS
        from rawdrift.data.spec import Data
        from rawdrift.models.spec import Task


        @dataclass(frozen=True)
        class Brightness:
            """What is measured.

            Args:
                isps: configurations.
            """

            isps: list[str] = field(default_factory=lambda: ["bi,s,ga"])

            def __post_init__(self) -> None:
                for name in self.isps:
                    choose("pipeline in brightness.isps", name, CONFIGURATIONS)


        @dataclass(frozen=True)
        class BrightnessSpec:
            """An experiment, whole."""

            data: Data
            brightness: Brightness = field(default_factory=Brightness)
            task: Task = field(default_factory=Task)
        ''',
    "result.py": """
        import msgspec

        from rawdrift.controls.result import Result


        class Mean(msgspec.Struct, frozen=True):
            isp: str
            value: float
            picture: str | None = None


        class BrightnessResult(Result, frozen=True, kw_only=True, tag="brightness"):
            means: list[Mean]

            def headline(self):
                return {f"brightness {mean.isp}": mean.value for mean in self.means}

            def rows(self):
                return [{"isp": mean.isp, "brightness": mean.value} for mean in self.means]

        """,
    "experiment.py": """
        import msgspec
        import torch

        from rawdrift import isp
        from rawdrift.controls.experiment import Experiment, common
        from rawdrift.controls.material import about, read
        from rawdrift.runs.store import Record

        from brightness.result import BrightnessResult, Mean


        class Unit(msgspec.Struct, frozen=True):
            isp: str

            @property
            def name(self):
                return self.isp.replace(",", "-")

            @property
            def label(self):
                return self.isp


        class BrightnessRecord(Record, frozen=True, kw_only=True):
            isp: str
            value: float


        class BrightnessExperiment(Experiment[Unit, BrightnessRecord, BrightnessResult]):
            columns = ("isp", "value")
            record = BrightnessRecord

            def __init__(self, spec):
                self.spec = spec
                self.material = read(spec.data, spec.task, None, 0)
                self.units = [Unit(name) for name in spec.brightness.isps]
                self.inputs = [self.material.data.fingerprint()]
                self.step = "isp"

            def steps(self, unit):
                return 1

            def compute(self, unit, device, checkpoint, progress):
                value = float(self._views(unit.isp).mean())
                progress()
                rows = [{"isp": unit.isp, "value": value}]
                return BrightnessRecord(rows=rows, precision="32", isp=unit.isp, value=value)

            def _views(self, name):
                data = self.material.data
                with torch.inference_mode():
                    return isp.static(name, data.cameras[0])(data.mosaics[:])

            def line(self, record):
                return f"{record.isp}: {record.value:.3f}"

            def analyze(self, units, failed):
                return BrightnessResult(
                    **common(self.spec, units),
                    data=about(self.spec.data, self.material),
                    metric="brightness",
                    failed=dict(failed),
                    means=[Mean(unit.record.isp, unit.record.value) for unit in units],
                )

            def illustrate(self, result, units, pictures):
                means = [
                    msgspec.structs.replace(
                        mean,
                        picture=pictures.write(f"first-{number}", self._views(mean.isp)[0]),
                    )
                    for number, mean in enumerate(result.means)
                ]
                return msgspec.structs.replace(result, means=means)

            def deliver(self, result, units, folder):
                (folder / "brightest.txt").write_text(max(result.means, key=lambda m: m.value).isp)

            def about(self):
                return f"{len(self.material.data)} images"

            def measure(self):
                return 1.0
        """,
    "page.py": """
        from pathlib import Path

        from rawdrift.report import pictures, style
        from rawdrift.report.page import draw, render


        def write(run, result):
            return render(
                Path(__file__).with_name("page.html.j2"),
                result=result,
                figure=draw({"bars": lambda: bars(result)}, run),
                shown=[pictures.data_uri(run, mean.picture) for mean in result.means],
            )


        def plot(result):
            return bars(result)


        def lines(result, run):
            return [f"{mean.isp} is {mean.value:.3f} bright" for mean in result.means]


        def bars(result):
            figure = style.sheet(4, 2)
            axes = style.inches(figure, 0.5, 0.3, 3, 1.5)
            axes.bar([mean.isp for mean in result.means], [mean.value for mean in result.means])
            return figure
        """,
    "page.html.j2": """
        {% extends "base.html.j2" %}
        {% block title %}Brightness{% endblock %}
        {% block main %}
        {{ figure.bars }}
        {% for uri in shown %}<img src="{{ uri }}">{% endfor %}
        {% for mean in result.means %}<p>{{ mean.isp }} {{ mean.value|n3 }}</p>{% endfor %}
        {% endblock %}
        """,
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder, and the line."""
    folder = tmp_path / "brightness"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(textwrap.dedent(text).lstrip())
    monkeypatch.syspath_prepend(tmp_path)
    from brightness import control

    monkeypatch.setitem(CONTROLS, "brightness", control)
    monkeypatch.chdir(tmp_path)
    yield control
    for name in [name for name in sys.modules if name.split(".")[0] == "brightness"]:
        del sys.modules[name]


COMMAND = [
    "brightness", "--data.name", "synthetic-microscopy", "--data.images", "10",
    "--data.size", "32", "--brightness.isps", "['bi,s,ga','ma,u,me']", "--out", "run",
]  # fmt: skip


def test_it_is_a_command_that_resumes_with_a_page_and_a_typed_result(own, tmp_path, capsys):
    assert main([*COMMAND, "--dry_run"]) == 0
    assert "2 units, 0 done, 2 to do" in capsys.readouterr().out
    assert main(COMMAND) == 0
    printed = capsys.readouterr().out
    run = tmp_path / "run"
    result = rd.load_result(run)
    assert f"bi,s,ga is {result.means[0].value:.3f} bright" in printed
    assert "report: run/report.html" in printed
    assert result.headline() == {f"brightness {m.isp}": m.value for m in result.means}
    assert [mean.isp for mean in result.means] == ["bi,s,ga", "ma,u,me"]
    assert (run / "results.csv").read_text().count("\n") == 3
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert {path.name for path in (run / "figures").iterdir()} == {"bars.svg", "bars.png"}
    assert (run / "brightest.txt").read_text() in ("bi,s,ga", "ma,u,me")
    content = (run / "summary.json").read_bytes()
    jsonschema.validate(json.loads(content), schema("brightness"))
    result.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == content
    frame = result.to_frame()
    assert list(frame["isp"]) == ["bi,s,ga", "ma,u,me"]
    assert result.plot().axes
    shutil.rmtree(run / "samples")
    (run / "records/ma-u-me.json").unlink()
    assert main(COMMAND) == 0
    assert "1 of 2 units are done already" in capsys.readouterr().out
    assert rd.load_result(run).means == result.means
    assert main(["report", "run"]) == 0


def test_it_runs_from_python_and_in_processes(own, tmp_path):
    spec = own.spec(rd.Data("synthetic-microscopy", images=10, size=32))
    result = rd.run(spec, tmp_path / "one")
    assert type(result) is own.load_result()
    other = rd.run(spec, tmp_path / "two", rd.Compute("processes", workers=1))
    assert other.means == result.means
    assert rd.plan(spec, tmp_path / "one").done == 1


def test_its_wrong_input_is_one_line(own, capsys):
    assert main([*COMMAND[:-4], "--brightness.isps", "[bi]", "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rawdrift: error: ")
    assert error.count("\n") == 1
    assert "choose one of bi,s,me" in error
    assert main(["report", "run", "run"]) == 2
    assert "is not a finished run folder" in capsys.readouterr().err
