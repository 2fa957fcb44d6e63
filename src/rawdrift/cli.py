"""The command line: builds a spec, calls a control, shows the result.

Exit codes: 0 done, 1 a check said no, 2 bad input, 70 a fault of ours, 130 stopped by the user.
Heavy imports are paid by the command that needs them: --help is instant.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jsonargparse import ArgumentParser, Namespace

from rawdrift import __version__
from rawdrift.camera.camera import Camera, shipped
from rawdrift.checks import Failures, InputError
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.runs import presets
from rawdrift.runs.executor import KINDS, Compute
from rawdrift.runs.optimization import Optimization, OptimizationSpec
from rawdrift.runs.spec import (
    PUBLISHED,
    Data,
    Forensics,
    ForensicsSpec,
    Synthesis,
    SynthesisSpec,
    Task,
)

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


class _Control(NamedTuple):
    """A command that runs an experiment. home: "module:class" of it, imported when it is run."""

    spec: type
    home: str
    description: str
    about: str


_CONTROLS = {
    "synthesis": _Control(
        SynthesisSpec,
        "rawdrift.controls.synthesis:DriftSynthesis",
        "Train on some pipelines, test on all twelve.",
        "drift synthesis: train and test grid",
    ),
    "forensics": _Control(
        ForensicsSpec,
        "rawdrift.controls.forensics.sweep:DriftForensics",
        "Search for settings of the camera that break a model, and sign those that are safe.",
        "drift forensics: settings that break a model, and safe ones",
    ),
    "optimization": _Control(
        OptimizationSpec,
        "rawdrift.controls.optimization:DriftOptimization",
        "Learn the ISP with the task, and compare with what is fixed.",
        "drift optimization: the ISP learned with the task",
    ),
}

_CAMERA = "shipped name, .toml file, or raw file that describes its camera"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. `argv` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        args = _parse([argument for argument in arguments if argument != "--debug"])
        return _COMMANDS[args.command](args[args.command])
    except SystemExit as done:  # --help, --version, --print_config
        return int(done.code or 0)
    except InputError as error:
        return _fail(str(error), debug)
    except KeyboardInterrupt:
        print("rawdrift: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            expected = "expected a place to read or write with room and permission"
            return _fail(f"{where}{error.strerror}; {expected}", debug)
        traceback.print_exc()
        print("rawdrift: this is a fault of rawdrift, please report it", file=sys.stderr)
        return 70


def _parse(arguments: list[str]) -> Namespace:
    parser = _parser()
    try:
        args: Namespace = parser.instantiate(parser.parse_args(_with_presets(arguments)))
        return args
    except (TypeError, UnicodeDecodeError) as error:  # of a config file with odd content
        raise InputError(f"the configuration can't be read: {error}") from None


def _with_presets(arguments: Sequence[str]) -> list[str]:
    """The arguments with the file of each preset in the place of its name."""
    found = list(arguments)
    command = arguments[0] if arguments else ""
    for i, argument in enumerate(arguments):
        if argument.startswith("--config="):
            found[i] = f"--config={presets.find(command, argument.removeprefix('--config='))}"
        elif argument == "--config" and i + 1 < len(arguments):
            found[i + 1] = str(presets.find(command, arguments[i + 1]))
    return found


def _fail(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"rawdrift: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


class _Parser(ArgumentParser):
    """Raises InputError, one line that names the valid choices, in the place of usage and exit.

    commands: parsers by the name of the command that they belong to.
    """

    commands: dict[str, "_Parser"]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.commands = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = re.sub(r'Parser key "([\w.]+)":', r"\1:", message)
        message = re.sub(r"typing\.Literal\[(.*?)\]", r"choice of \1", message)
        message = re.sub(r"<class '(\w+)'>", r"\1", message)
        if re.search("unrecognized|not accept|not expected", message):
            command = re.search(r"Subcommand '(\w+)'", message)
            parser = self.commands.get(command[1], self) if command else self
            message += f"; expected one of {', '.join(parser.flags()) or 'its own arguments'}"
        raise InputError(message)

    def flags(self) -> list[str]:
        """The flags of this command, by name."""
        names = {name for action in self._actions for name in action.option_strings}
        aside = {"--help", "--version", "--print_config", "--print_shtab"}
        return sorted(n for n in names if n[:2] == "--" and n[-1] != "+" and n not in aside)


def _parser() -> _Parser:
    parser = _command("Dataset drift controls for machine learning with optical images.")
    parser.prog = "rawdrift"
    parser.add_argument("--version", action="version", version=f"rawdrift {__version__}")
    commands = parser.add_subcommands(required=True, dest="command", metavar="COMMAND")

    demo = _command("The three controls on synthetic blood smears, each with its report.")
    demo.add_argument("--out", default="runs/demo", help="run folder")
    commands.add_subcommand("demo", demo, help="the whole story on synthetic data, in minutes")

    develop = _command("Develop raw files into 16-bit pictures.")
    develop.add_argument("raws", nargs="+", metavar="RAW", help="TIFF, PNG, NPY, DNG, ...")
    develop.add_argument(
        "--camera",
        help="shipped name or .toml file; left out: that of an ISP file, or of the raw file itself",
    )
    develop.add_argument(
        "--isp",
        default="bi,s,ga",
        help=f"one of {' '.join(CONFIGURATIONS)}, all, or an ISP file, with its camera (.toml)",
    )
    develop.add_argument("--out", required=True, help="folder for the pictures")
    develop.add_argument("--format", default="png", help="png or tiff")
    develop.add_argument("--channels", help="sharpen and denoise luma (the default) or yuv")
    commands.add_subcommand("develop", develop, help="raw files to pictures")

    for name, control in _CONTROLS.items():
        command = _command(control.description)
        known = presets.names(name)
        others = f", or one of {' '.join(known)}" if known else ""
        command.add_argument(
            "--config", action="config", help=f"YAML file with the same fields{others}"
        )
        command.add_argument("--out", type=str, help="run folder, new or to go on with")
        command.add_class_arguments(control.spec, None)
        _add_computing(command)
        commands.add_subcommand(name, command, help=control.about)
        parser.commands[name] = command

    report = _command("Write the report of finished runs again; of several also a comparison.")
    report.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    report.add_argument("--out", help="folder for the comparison; left out: that of the last run")
    commands.add_subcommand("report", report, help="the report of a run again, or compare runs")

    export = _command("Write a learned ISP with its network as one file that takes raw mosaics.")
    export.add_argument(
        "run", metavar="RUN", help="folder of a run with optimization.save_networks"
    )
    export.add_argument("training", metavar="TRAINING", help="such as learned-0.05-fold1")
    export.add_argument("--out", required=True, help="file to write: .onnx, or .pt2 for PyTorch")
    export.add_argument(
        "--any_size", action="store_true", help="take mosaics of other even sizes, if the net does"
    )
    commands.add_subcommand("export", export, help="an ISP with its network as one file")

    check = _command("Is this camera inside the envelope of a forensic signature?")
    check.add_argument("signature", metavar="SIGNATURE", help="signature.json")
    check.add_argument("--camera", help=f"{_CAMERA}; left out: that of an ISP file")
    check.add_argument(
        "--isp", help="its configuration, or an ISP file; exit 2 where the signature is of another"
    )
    check.add_argument("--json", action="store_true", help="as JSON, in place of text")
    commands.add_subcommand("check", check, help="is a camera inside a signature's envelope?")

    data = _command("Raw images with their labels: fetch, store and describe them.")
    commands.add_subcommand("data", data, help="fetch, store and describe data")
    actions = data.add_subcommands(required=True, dest="action", metavar="ACTION")
    fetch = _command("Fetch a published dataset (Zenodo record 5235536), or go on with it.")
    fetch.add_argument("name", metavar="DATASET", help=" or ".join(PUBLISHED))
    fetch.add_argument("--root", required=True, help="folder for the files")
    fetch.add_argument("--url", help="of a mirror: its copy of the Zenodo record, in JSON")
    actions.add_subcommand("fetch", fetch, help="download, check and unpack a published dataset")
    pack = _command("Store a dataset of any size as two files, opened at once.")
    pack.add_class_arguments(Data, "data")
    pack.add_argument("--out", required=True, help="folder of the store, a new one")
    actions.add_subcommand("pack", pack, help="store a dataset, to be opened at once")
    parser.commands["pack"] = pack
    describe = _command("Count the images, and look for what is wrong with them.")
    describe.add_class_arguments(Data, "data")
    describe.add_argument("--json", action="store_true", help="as JSON, in place of text")
    describe.add_argument("--sheet", type=str, help="PNG to draw images of every class into")
    describe.add_argument(
        "--verify", action="store_true", help="compare a packed folder with its checksums first"
    )
    actions.add_subcommand("describe", describe, help="counts, clipping, noise, duplicates")
    parser.commands["describe"] = describe

    cameras = _command("The cameras that come with rawdrift, and your own.")
    commands.add_subcommand("cameras", cameras, help="list, show or calibrate cameras")
    actions = cameras.add_subcommands(required=True, dest="action", metavar="ACTION")
    actions.add_subcommand("list", _command("List the shipped cameras."))
    show = _command("Print a camera file.")
    show.add_argument("name", metavar="CAMERA", help=_CAMERA)
    actions.add_subcommand("show", show)
    fit = _command("Black level, gain and read noise from dark and flat frames (EMVA 1288).")
    fit.add_argument("--dark", nargs="+", required=True, metavar="RAW", help="2 or more, no light")
    fit.add_argument(
        "--flat", nargs="+", required=True, metavar="RAW", help="2 at each of some exposures"
    )
    fit.add_argument("--camera", help="what else is known: shipped name or .toml file")
    fit.add_argument("--cfa", help="RGGB, BGGR, GRBG or GBRG, where nothing else is known")
    fit.add_argument("--out", required=True, help="camera file to write (.toml)")
    actions.add_subcommand("fit", fit)
    parser.commands["fit"] = fit
    return parser


def _add_computing(parser: _Parser) -> None:
    """Where a run is computed and told of: no part of the experiment."""
    parser.add_argument("--compute", default="inline", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--workers", type=int, help="processes at a time")
    parser.add_argument("--threads", type=int, help="of each unit")
    parser.add_argument("--gpus", type=float, default=0.0, help="of each unit on a Ray cluster")
    parser.add_argument("--tracker", default="none", help="none or mlflow")
    parser.add_argument("--dry_run", action="store_true", help="say what would be done, and stop")


def _command(description: str) -> _Parser:
    return _Parser(description=description, allow_abbrev=False, default_env=False)


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
    kind = _CONTROLS[name].spec
    spec = kind(**{field.name: args[field.name] for field in fields(kind)})
    compute = Compute(args.compute, args.workers, args.threads, args.gpus)
    if args.dry_run:
        from rawdrift.controls.plan import plan

        print("\n".join(plan(_experiment(name), spec, args.out).lines(compute.at_a_time)))
        return 0
    return _run_control(name, spec, args.out, compute, args.tracker)


def _experiment(name: str) -> Any:
    home, _, kind = _CONTROLS[name].home.partition(":")
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


def _develop(args: Namespace) -> int:
    from tqdm import tqdm

    from rawdrift.isp.develop import develop, plan

    raws = [Path(raw) for raw in args.raws]
    names = plan(raws, args.isp)
    camera = Camera.load(args.camera) if args.camera else None
    out = Path(args.out)
    failures = Failures()
    views = develop(raws, camera, names, out, failures, args.format, args.channels)
    bar = tqdm(views, total=len(raws) * len(names), unit="view", disable=None)
    for raw, developed in groupby(bar, key=lambda view: view.raw):
        if args.isp == "all":
            from rawdrift.report import contact_sheet

            pictures = ((view.name, view.picture) for view in developed)
            contact_sheet(pictures, out / f"{raw.stem}_contact-sheet.png", title=raw.name)
    failures.check(len(raws), "raw files")
    print(f"{len(raws)} raw file{'s' * (len(raws) > 1)} developed into {out}")
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


def _data(args: Namespace) -> int:
    return _DATA[args.action](args[args.action])


def _data_pack(args: Namespace) -> int:
    from rawdrift import data

    frames = data.frames(args.data)
    failures = data.pack.write(frames, Path(args.out), _each_image)
    count = len(frames.rows) - len(failures.found)
    print(f"{count} image{'s' * (count > 1)} packed into {args.out}")
    failures.check(len(frames.rows), "images")
    return 0


def _data_describe(args: Namespace) -> int:
    from rawdrift import data
    from rawdrift.data.describe import describe, samples

    if args.verify:
        data.pack.verify(Path(args.data.root or args.data.name))
    frames = data.frames(args.data)
    found = describe(frames, _each_image)

    from rawdrift import report

    print(json.dumps(found, indent=1) if args.json else report.dataset_text(found))
    if args.sheet and found["images"]:
        title = Path(args.data.root or args.data.name).name
        shown = samples(frames, report.SAMPLES)
        report.sample_sheet(shown, found["classes"], Path(args.sheet), title)
    Failures(found["unreadable"]).check(len(frames.rows), "images")
    return 0


def _each_image(indices: range) -> Iterable[int]:
    from tqdm import tqdm

    bar: Iterable[int] = tqdm(indices, unit="image", leave=False, disable=None)
    return bar


def _cameras(args: Namespace) -> int:
    if args.action == "list":
        for name in shipped():
            camera = Camera.load(name)
            print(f"{name:16} {camera.cfa} {camera.bit_depth} bit  {camera.provenance}")
        return 0
    if args.action == "fit":
        return _fit_camera(args.fit)
    print(_camera(args.show.name).to_toml(), end="")
    return 0


def _camera(name: str) -> Camera:
    """A shipped one, that of a camera file, or the one that a raw file describes."""
    known = name in shipped() or Path(name).suffix in ("", ".toml")
    return Camera.load(name) if known else Camera.from_file(name)


def _export(args: Namespace) -> int:
    path = Path(args.run) / "spec.yaml"
    if not path.is_file():
        raise InputError(f"{args.run} is no run folder; expected one of rawdrift optimization")
    parser = _command("A spec.")
    parser.add_class_arguments(OptimizationSpec, None)
    read = parser.instantiate(parser.parse_path(str(path)))
    spec = OptimizationSpec(**{field.name: read[field.name] for field in fields(OptimizationSpec)})

    from rawdrift.controls.optimization.export import export

    for name, value in export(spec, args.run, args.training, args.out, args.any_size).items():
        if name != "isp":  # the whole file
            print(f"{name}: {value}")
    print(f"wrote {args.out}; its logits are those of PyTorch")
    return 0


def _check(args: Namespace) -> int:
    if not args.camera and not (args.isp and args.isp.endswith(".toml")):
        raise InputError("--camera is missing: give a camera, or an ISP file as --isp")

    from rawdrift.controls.signature import Signature, check
    from rawdrift.isp import learned

    signature = Signature.load(args.signature)
    if args.isp and learned.is_file(args.isp):
        if args.camera:
            raise InputError(f"ISP file {args.isp} has its own camera; leave out --camera")
        camera, isp = learned.read(args.isp)
        verdict = check(signature, camera, isp=isp)
    else:
        camera = _camera(args.camera)
        verdict = check(signature, camera, args.isp)
    if args.json:
        print(json.dumps(verdict.to_dict(), indent=1))
        return 0 if verdict.inside else 1
    print(f"{camera.name} is {'inside' if verdict.inside else 'outside'} the envelope")
    for line in (*verdict.outside, *(f"note: {note}" for note in verdict.notes)):
        print(f"  {line}")
    return 0 if verdict.inside else 1


def _data_fetch(args: Namespace) -> int:
    from rawdrift.data import zenodo

    root = Path(args.root).expanduser()
    fetched = zenodo.fetch(args.name, root, args.url or zenodo.RECORD)
    print(
        f"{args.name} is in {root}"
        if fetched
        else f"{args.name} is in {root} already, nothing is done; another --root fetches it anew"
    )
    return 0


_DATA: dict[str, Callable[[Namespace], int]] = {
    "fetch": _data_fetch,
    "pack": _data_pack,
    "describe": _data_describe,
}


def _fit_camera(args: Namespace) -> int:
    from rawdrift.camera.calibrate import calibrate

    out = Path(args.out)
    if out.suffix != ".toml":
        raise InputError(f"--out must name a camera file (.toml), got {args.out!r}")
    if args.camera and args.cfa:
        raise InputError("--camera already says the color filter array; leave out --cfa")
    camera = Camera.load(args.camera) if args.camera else None
    if args.cfa:
        camera = Camera(name=out.stem, cfa=args.cfa)
    found = calibrate([Path(raw) for raw in args.dark], [Path(raw) for raw in args.flat], camera)
    print(found.text())
    found.camera.save(out)
    print(f"camera file: {out}")
    return 0


_COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "demo": _demo,
    "develop": _develop,
    **{name: partial(_run, name) for name in _CONTROLS},
    "report": _report,
    "export": _export,
    "check": _check,
    "data": _data,
    "cameras": _cameras,
}


if __name__ == "__main__":
    sys.exit(main())
