"""Run any control by its spec."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rawdrift import files, imports, progress
from rawdrift.checks import InputError
from rawdrift.controls import CONTROLS, caveats
from rawdrift.controls.control import Control
from rawdrift.controls.plan import Plan
from rawdrift.controls.result import Result, load_result
from rawdrift.runs import status
from rawdrift.runs.compute import Compute
from rawdrift.runs.spec import to_dict


def run(
    spec: Any,
    out: str | Path,
    compute: Compute | None = None,
    tracking: str = "none",
    allow_import: Iterable[str] = (),
    page: bool = True,
) -> Result:
    """Run the experiment of a spec in the folder `out`, or resume it there; return its result.

    spec: of any control, such as `SynthesisSpec`. compute: where units run, by default here.
    tracking: "none" or "mlflow". allow_import: the user's own code that ISP files may name, as
    import:package.module.name; what the spec itself names needs no permission. page: whether to
    draw report.html in the end, with its figures and tables.

    Raises InputError if data, folder and spec do not fit, or if every unit fails.
    """
    from rawdrift.controls import experiment

    with imports.allowing([*imports.references(to_dict(spec)), *allow_import]):
        result = experiment.run(control_of(spec), spec, out, compute, tracking)
        if page:
            _draw(out)
        return result


def plan(spec: Any, out: str | Path, allow_import: Iterable[str] = ()) -> Plan:
    """Say what `run` would do and what it would cost; see `plan.plan`."""
    from rawdrift.controls import plan

    with imports.allowing([*imports.references(to_dict(spec)), *allow_import]):
        return plan.plan(control_of(spec), spec, out)


def lines(result: Result, run: str | Path) -> Iterator[str]:
    """Yield the findings of a run in a few lines: those of its control only if the test can be
    trusted."""
    for finding in result.findings:
        yield caveats.line(finding)
    if result.findings:
        yield "until then no drop is reported; the page shows the measurements"
    else:
        yield from control_of_result(result).load_page().lines(result, Path(run))
    yield from caveats.remarks(result)


def control_of(spec: Any) -> Control:
    """The control that a spec belongs to."""
    for control in CONTROLS.values():
        if isinstance(spec, control.spec):
            return control
    known = ", ".join(control.spec.__name__ for control in CONTROLS.values())
    raise InputError(f"expected a spec ({known}), got {type(spec).__name__}")


def write_page(run: str | Path) -> Path:
    """Draw a finished run: its figures/, tables/ and report.html, whose path is returned.

    Reads summary.json and the pictures that it names. The same result gives the same bytes. Raises
    InputError if the folder holds a link, or no finished run.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(f"{run} is not a run folder; give the folder of a finished run")
    files.check_no_links(run)
    result = load_result(run)
    path = run / "report.html"
    with progress.log(run / status.LOG, files.without_paths([run.resolve()])):
        files.write(path, control_of_result(result).load_page().write(run, result))
    return path


_draw = write_page  # tests replace it: drawing takes longer than their runs


def control_of_result(result: Result) -> Control:
    """The control that a result belongs to."""
    return CONTROLS[result.kind]
