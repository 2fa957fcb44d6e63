"""Commands that run an experiment, and those on its run folder."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rawdrift import files, imports, progress
from rawdrift.checks import InputError
from rawdrift.cli.arguments import command
from rawdrift.controls import CONTROLS
from rawdrift.controls.control import Control, load
from rawdrift.runs.compute import Compute
from rawdrift.runs.spec import read_spec, read_yaml, to_dict
from rawdrift.text import counted


def _demo(args: Namespace) -> int:
    out = Path(args.out)
    results: list[Any] = []
    for control in CONTROLS.values():
        if control.demo is not None:
            folder = str(out / control.name if results else out)
            results.append(_run_spec(control.demo, folder))
    return int(any(result.failed for result in results))


def run_control(control: Control, args: Namespace) -> int:
    """Run the experiment that the command of a control describes."""
    if args.out is None:
        raise InputError("--out is missing: give the run folder, a new one or one to resume")
    spec = _spec(control, args, "the configuration")
    compute = Compute(args.compute, args.workers, args.threads, args.gpus)
    if args.dry_run:
        from rawdrift.controls.run import plan
        from rawdrift.runs.tracker import check_tracker

        compute.executor()
        check_tracker(args.tracker)
        print("\n".join(plan(spec, args.out).lines(compute.at_a_time)))
        return 0
    result = _run_spec(spec, args.out, compute, args.tracker, args.json)
    return int(result.exit_code)


def _spec(control: Control, args: Namespace, source: str) -> Any:
    """A spec from parsed arguments. What it imports must be named in this command."""
    spec = control.spec(**{field.name: args[field.name] for field in fields(control.spec)})
    imports.check_allowed(imports.references(to_dict(spec)), source)
    return spec


def _run_spec(
    spec: Any,
    out: str,
    compute: Compute | None = None,
    tracker: str = "none",
    as_json: bool = False,
) -> Any:
    """Run an experiment, write its page, print what was found, and return it."""
    from rawdrift.controls.result import to_builtins
    from rawdrift.controls.run import lines, run, write_page

    with progress.quiet() if as_json else nullcontext():
        result = run(spec, out, compute, tracker, imports.allowed(), page=False)
        page = write_page(out)
    if as_json:
        print(json.dumps(to_builtins(result), indent=1))
    else:
        print("\n".join([*lines(result, out), f"report: {page}"]))
    if result.failed:
        print(
            f"rawdrift: {counted(len(result.failed), 'unit')} failed; "
            f"the report says which, and the same command tries again",
            file=sys.stderr,
        )
    return result


def _report(args: Namespace) -> int:
    from rawdrift.controls.run import write_page

    if args.out is not None and len(args.runs) < 2:
        raise InputError("--out is for the comparison of several runs; give another RUN")
    # Runs that can't be compared are refused before any page is rewritten.
    comparison = _compare(args.runs, args.out) if len(args.runs) > 1 else None
    for run in args.runs:
        print(f"report: {write_page(run)}")
        if args.zip:
            from rawdrift.controls import sharing

            path, count = sharing.pack(Path(run))
            size = path.stat().st_size / 1e6
            packed = f"{counted(count, 'file')}, {size:.1f} MB"
            print(f"wrote {path}: {packed}, without records and networks")
    if comparison is not None:
        print(f"comparison: {comparison}")
    return 0


def _compare(runs: list[str], out: str | None) -> Path:
    """Write the comparison of runs and return its path. InputError if they can't be compared."""
    from rawdrift.controls.result import load_result
    from rawdrift.controls.run import control_of_result

    controls = {run: control_of_result(load_result(run)) for run in runs}
    alike = len({control.name for control in controls.values()}) == 1
    compare = controls[runs[0]].load_compare() if alike else None
    if compare is None:
        comparable = [c.name for c in CONTROLS.values() if c.load_compare()]
        of = ", ".join(f"{run} of {control.name}" for run, control in controls.items())
        raise InputError(
            f"these runs can't be compared ({of}): expected runs of one control, and of "
            f"{' or '.join(comparable)}; give each RUN alone for its own page"
        )
    return compare(runs, out)


def _runs(args: Namespace) -> int:
    import msgspec

    from rawdrift.controls import listing

    found = listing.runs(args.folder)
    if args.json:
        print(json.dumps([msgspec.to_builtins(one) for one in found], indent=1))
    else:
        print("\n".join(listing.lines(found)) if found else f"no runs in {args.folder}")
    return 0


def _export(args: Namespace) -> int:
    files.check_new(Path(args.out))
    path = Path(args.run) / "spec.yaml"
    if not path.is_file():
        raise InputError(f"{args.run} is not a run folder: it has no spec.yaml")
    control = next((c for c in CONTROLS.values() if c.export and c.name in _keys(path)), None)
    if control is None or control.export is None:
        able = [control.name for control in CONTROLS.values() if control.export]
        raise InputError(f"{args.run} can't be exported; expected a run of {' or '.join(able)}")
    parser = command("A spec.")
    parser.add_class_arguments(control.spec, None)
    fields = parser.parse_object(read_spec(path, control.spec))
    spec = _spec(control, parser.instantiate(fields), str(path))
    export = load(control.export)
    with progress.step(f"exporting {args.training}"):
        about = export(spec, args.run, args.training, args.out, args.any_size)
    for name, value in about.items():
        if name != "isp":  # the whole file
            print(f"{name}: {value}")
    print(f"wrote {args.out}; its logits are those of PyTorch")
    return 0


def _keys(path: Path) -> list[str]:
    tree = read_yaml(path)
    return list(tree) if isinstance(tree, dict) else []


def _evidence(args: Namespace) -> int:
    from rawdrift.controls.evidence import bundle

    key = Path(args.key) if args.key else None
    count = bundle.write(Path(args.run), Path(args.out), key)
    print(f"wrote {args.out}: {counted(count, 'file')}; check it with: rawdrift verify {args.out}")
    return 0


def _verify(args: Namespace) -> int:
    from rawdrift.controls.evidence.verify import verify

    root, model, key = (Path(x) if x else None for x in (args.data, args.model, args.public_key))
    found = []
    for check in verify(Path(args.file), root, args.recompute, model, key):
        found.append(check)
        if not args.json:
            print(check)
    if args.json:
        print(json.dumps([check._asdict() for check in found], indent=1))
    return 1 if any(check.verdict == "no" for check in found) else 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "demo": _demo,
    "report": _report,
    "runs": _runs,
    "export": _export,
    "evidence": _evidence,
    "verify": _verify,
}
