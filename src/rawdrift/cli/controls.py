"""The commands that run an experiment, and what is done with its run folder."""

import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace

from rawdrift.checks import InputError
from rawdrift.cli.arguments import command
from rawdrift.runs.executor import Compute
from rawdrift.runs.forensics import Forensics, ForensicsSpec
from rawdrift.runs.optimization import Optimization, OptimizationSpec
from rawdrift.runs.spec import Data, Task
from rawdrift.runs.synthesis import Synthesis, SynthesisSpec

DEMO = SynthesisSpec(
    data=Data("synthetic-microscopy", images=240, size=96),
    synthesis=Synthesis(
        train=["bi,s,ga", "ma,u,me"],
        folds=3,
        corruptions=["gaussian_noise", "gaussian_blur", "contrast"],
    ),
    task=Task(epochs=8, lr=1e-3),
)

FORENSICS_DEMO = ForensicsSpec(
    data=Data("synthetic-microscopy", images=240, size=48),
    forensics=Forensics(
        folds=3, models=1, images=40, groups=["all"], regularizations=[0], restarts=2, steps=4,
        space={"white_balance.gains[2]": 0.2, "color_correction.hue": [-20, 20],
               "gamma.gamma": 0.2},
        rivals=["random"], samples=0, max_drop=0.1, cameras=20,
    ),
    task=DEMO.task,
)  # fmt: skip

OPTIMIZATION_DEMO = OptimizationSpec(
    data=Data("synthetic-microscopy", images=240, size=48),
    optimization=Optimization(settings=["frozen", "learned"], intensities=[0.05], folds=2),
    task=Task(epochs=6, lr=1e-3),
)


class Control(NamedTuple):
    """A command that runs an experiment. home: "module:class" of it, imported when it is run."""

    spec: type
    home: str
    description: str
    about: str


CONTROLS = {
    "synthesis": Control(
        SynthesisSpec,
        "rawdrift.controls.synthesis:DriftSynthesis",
        "Train on some pipelines, test on all twelve.",
        "drift synthesis: train and test grid",
    ),
    "forensics": Control(
        ForensicsSpec,
        "rawdrift.controls.forensics.sweep:DriftForensics",
        "Search for settings of the camera that break a model, and sign those that are safe.",
        "drift forensics: settings that break a model, and safe ones",
    ),
    "optimization": Control(
        OptimizationSpec,
        "rawdrift.controls.optimization:DriftOptimization",
        "Learn the ISP with the task, and compare with what is fixed.",
        "drift optimization: the ISP learned with the task",
    ),
}


def _demo(args: Namespace) -> int:
    out = Path(args.out)
    return max(
        _run_control("synthesis", DEMO, str(out)),
        _run_control("forensics", FORENSICS_DEMO, str(out / "forensics")),
        _run_control("optimization", OPTIMIZATION_DEMO, str(out / "optimization")),
    )


def _run(name: str, args: Namespace) -> int:
    if args.out is None:
        raise InputError("--out is missing: give the run folder, a new one or one to go on with")
    kind = CONTROLS[name].spec
    spec = kind(**{field.name: args[field.name] for field in fields(kind)})
    compute = Compute(args.compute, args.workers, args.threads, args.gpus)
    if args.dry_run:
        from rawdrift.controls.plan import plan

        print("\n".join(plan(_experiment(name), spec, args.out).lines(compute.at_a_time)))
        return 0
    return _run_control(name, spec, args.out, compute, args.tracker)


def _experiment(name: str) -> Any:
    home, _, kind = CONTROLS[name].home.partition(":")
    return getattr(import_module(home), kind)


def _run_control(
    name: str, spec: Any, out: str, compute: Compute | None = None, tracker: str = "none"
) -> int:
    from rawdrift.controls import experiment

    summary = experiment.run(_experiment(name), spec, out, compute, tracker)

    from rawdrift import report

    for line in report.words(summary, Path(out)):
        print(line)
    print(f"report: {report.write(Path(out))}")
    if summary["failed"]:
        print(
            f"rawdrift: {len(summary['failed'])} units failed; the report says which, and the same "
            f"command tries them again",
            file=sys.stderr,
        )
        return 1
    return 0


def _report(args: Namespace) -> int:
    from rawdrift import report

    if args.out is not None and len(args.runs) < 2:
        raise InputError("--out is for the comparison of several runs; give another RUN")
    for run in args.runs:
        print(f"report: {report.write(Path(run))}")
    if len(args.runs) > 1:
        print(f"comparison: {report.compare(args.runs, args.out)}")
    return 0


def _export(args: Namespace) -> int:
    path = Path(args.run) / "spec.yaml"
    if not path.is_file():
        raise InputError(f"{args.run} is no run folder; expected one of rawdrift optimization")
    parser = command("A spec.")
    parser.add_class_arguments(OptimizationSpec, None)
    read = parser.instantiate(parser.parse_path(str(path)))
    spec = OptimizationSpec(**{field.name: read[field.name] for field in fields(OptimizationSpec)})

    from rawdrift.controls.optimization.export import export

    for name, value in export(spec, args.run, args.training, args.out, args.any_size).items():
        if name != "isp":  # the whole file
            print(f"{name}: {value}")
    print(f"wrote {args.out}; its logits are those of PyTorch")
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "demo": _demo,
    **{name: partial(_run, name) for name in CONTROLS},
    "report": _report,
    "export": _export,
}
