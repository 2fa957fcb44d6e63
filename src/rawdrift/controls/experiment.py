"""Run a control's experiment unit by unit, resuming with the units that are missing."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch

from rawdrift import files, imports, progress
from rawdrift.checks import InputError
from rawdrift.controls import caveats, trust
from rawdrift.controls import result as results
from rawdrift.controls.control import Control
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.live import Live
from rawdrift.controls.material import Material, notes
from rawdrift.controls.result import Result
from rawdrift.controls.trust import Matched
from rawdrift.models.chain import Develop
from rawdrift.runs import status
from rawdrift.runs.compute import Compute
from rawdrift.runs.executor import Failed
from rawdrift.runs.spec import places, to_dict, to_yaml
from rawdrift.runs.store import Environment, Finished, Record, Store
from rawdrift.runs.tracker import check_tracker, tracker


class Unit(Protocol):
    """What is computed in one piece, and is lost if it is stopped half-way."""

    @property
    def name(self) -> str:
        """A name that a file can have."""

    @property
    def label(self) -> str:
        """A name for a person to read."""


U = TypeVar("U", bound=Unit)
C = TypeVar("C", bound=Record)
R = TypeVar("R", bound=Result)
Progress = Callable[[], object]  # called once a step


class Experiment(ABC, Generic[U, C, R]):
    """A control's experiment with its data, in each process that computes units.

    It is made from its spec alone; raises InputError if data and spec do not fit. A unit gives the
    same numbers wherever and in whatever order it is computed.

    columns: of results.csv. record: type of the records of units.
    units: in the order of the results. material: the data; of several, the first.
    inputs: fingerprints of what results depend on, beside the spec. step: what progress counts.
    ends_early: whether a unit may take less than `measure` says, since it stops asking images once
    more of them can change no decision.
    """

    columns: ClassVar[tuple[str, ...]]
    record: ClassVar[Any]
    ends_early: ClassVar[bool] = False
    units: list[U]
    material: Material
    inputs: list[str]
    step: str

    @abstractmethod
    def __init__(self, spec: Any) -> None: ...

    @classmethod
    def store(cls, spec: Any, folder: str | Path) -> Store[C]:
        """Open the run folder of a spec. A column `repeat` is left out unless trainings repeat."""
        once = getattr(getattr(spec, "task", None), "repeats", 1) == 1
        columns = [column for column in cls.columns if not (once and column == "repeat")]
        return Store(Path(folder), spec, columns, cls.record)

    @abstractmethod
    def steps(self, unit: U) -> int:
        """How often `compute` reports progress."""

    def cost(self, unit: U) -> float:
        """The time that `compute` takes relative to other units, as far as it is known before."""
        return self.steps(unit)

    @abstractmethod
    def compute(self, unit: U, device: str, checkpoint: Path, progress: Progress) -> C:
        """Compute a unit.

        checkpoint: a file of the unit's own, to resume from if it was stopped; it lies in a folder
        of the run folder.
        """

    @abstractmethod
    def line(self, record: C) -> str:
        """The finding of a finished unit, in a few words."""

    @abstractmethod
    def analyze(self, units: Iterable[Finished[C]], failed: Mapping[str, str]) -> R:
        """Compute the result from all finished units. It reads and writes no file.

        failed: reasons by the label of a unit. Raises InputError if nothing was finished.
        """

    def views(self) -> Mapping[str, Develop]:
        """Return the views that a checkpoint is tested on as its own, by the pipeline's name, and
        after them others that it may have been trained on. Empty for models trained here."""
        return {}

    def matched(self, units: Iterable[Finished[C]]) -> Mapping[str, Matched]:
        """Return the answers of each model to its own views, each image once."""
        return {}

    def withhold(self, result: R) -> R:
        """Return a result that can't be trusted, see `Result.findings`, without what is signed."""
        return result

    def illustrate(self, result: R, units: Iterable[Finished[C]], pictures: Gallery) -> R:
        """Return the result with the pictures that its page shows."""
        return result

    def deliver(self, result: R, units: Iterable[Finished[C]], folder: Path) -> None:
        """Write what users take from the run folder, beside the result itself."""

    @abstractmethod
    def about(self) -> str:
        """What a unit works on, in one line."""

    def needs(self) -> list[str]:
        """Return what to know of the size of the data before a run, in lines."""
        return []

    @abstractmethod
    def measure(self) -> float:
        """Estimate the seconds that a unit takes, from a little of its work."""


def run(
    control: Control,
    spec: Any,
    out: str | Path,
    compute: Compute | None = None,
    tracking: str = "none",
) -> Result:
    """Run an experiment in the folder `out`, or resume it there.

    Writes spec.yaml, results.csv (one row a measurement), summary.json and what the control adds.
    A unit that fails is reported and does not stop the rest; the next start tries it again.

    compute: where units run. Numbers are the same for the same number of threads.
    tracking: "none", or "mlflow".

    Raises InputError if the data or the folder do not fit the spec, or if every unit fails.
    """
    compute = compute or Compute()
    executor = compute.executor()
    check_tracker(tracking)  # reading the data may take long
    kind = control.load_experiment()
    store = kind.store(spec, out)
    files.check_writable(store.folder)
    folders = [*places(to_dict(spec)), store.folder.resolve()]
    live = Live(control.name, spec, store.folder, files.without_paths(folders))
    with store, _threads(compute.unit_threads):
        try:
            with live:
                result: Result = _run(kind, spec, store, executor, compute, tracking, folders, live)
        except Exception:
            if not live.is_planned:  # spec and data do not fit
                store.withdraw()
            raise
    return result


def _run(
    kind: type[Experiment[U, C, R]],
    spec: Any,
    store: Store[C],
    executor: Any,
    compute: Compute,
    tracking: str,
    folders: Iterable[Path],
    live: Live,
) -> R:
    """Run an experiment in its folder. folders: that its result does not name."""
    experiment = _experiment(kind, spec, anew=True)
    for note in notes(experiment.material):
        progress.say(note)
    evidence = trust.gather(experiment, spec)
    for finding in evidence.findings:
        progress.say(caveats.line(finding))
    units = {unit.name: unit for unit in experiment.units}
    records = store.records(units)
    for finished in records:
        _check_inputs(finished.environment, experiment, store.folder)
    tracked = tracker(tracking, store.folder, spec)
    done = {}
    for name in units:
        held = store.read(name)
        if held is not None:
            tracked.log(name, held)
            with _whole_records(store.folder):
                done[name] = experiment.line(held.record), held.environment.seconds
    todo = {name: unit for name, unit in units.items() if name not in done}
    store.write_results(units)
    labels = {name: unit.label for name, unit in units.items()}
    live.plan(labels, {name: experiment.cost(unit) for name, unit in todo.items()}, done)
    if done:
        progress.say(f"{len(done)} of {len(units)} units are done already")
    failed = _compute(experiment, kind, spec, store, executor, compute, todo, tracked, live)
    experiment.material.data.check_unchanged()
    store.check_complete(name for name, unit in units.items() if unit.label not in failed)
    store.write_results(units)
    with progress.step("summarizing"), _whole_records(store.folder) if done else nullcontext():
        result = _analyzed(experiment, evidence, records, failed)
    result = results.without_paths(result, folders)
    with progress.step("drawing pictures"):
        result = experiment.illustrate(result, records, Gallery(store.folder))
    experiment.deliver(result, records, store.folder)
    store.check_exists()
    result.save(store.folder / results.SUMMARY)
    tracked.finish(result.headline())
    return result


@contextmanager
def _whole_records(folder: Path) -> Iterator[None]:
    """Raise InputError if records of an earlier start lack what is looked for inside."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise InputError(
            f"the records of {folder} lack something ({type(error).__name__}: {error}): they were "
            f"changed, or written by another release; remove its records to compute them again"
        ) from error


def _analyzed(
    experiment: Experiment[U, C, R],
    evidence: trust.Evidence,
    records: Iterable[Finished[C]],
    failed: Mapping[str, str],
) -> R:
    """Compute the result, with what was found about its trustworthiness."""
    try:
        result: R = experiment.analyze(records, failed)
    except InputError as error:
        reasons = [finding.headline for finding in evidence.findings]
        raise InputError(" ".join([f"{error}.", *reasons]) if reasons else str(error)) from error
    result = trust.examine(experiment, result, evidence, experiment.matched(records))
    if result.findings:
        result = experiment.withhold(result)
    return result


def _compute(
    experiment: Experiment[U, C, R],
    kind: type[Experiment[U, C, R]],
    spec: Any,
    store: Store[C],
    executor: Any,
    compute: Compute,
    todo: Mapping[str, U],
    tracked: Any,
    live: Live,
) -> dict[str, str]:
    """Compute the missing units. Returns the reasons of those that failed, by label, in which no
    file is named by where this user keeps it."""
    failed: dict[str, str] = {}
    quiet = compute.kind != "inline"
    work = partial(_work, kind, spec, store.folder, compute.unit_threads, imports.allowed(), quiet)
    outcomes = executor.map(work, list(todo.values()))
    for count, (unit, outcome) in enumerate(outcomes, start=1):
        if isinstance(outcome, Failed):
            failed[unit.label] = live.failed(unit.name, outcome.reason)
            progress.say(f"{unit.label} failed: {outcome.reason}")
            continue
        finished: Finished[C] = outcome.result
        _check_inputs(finished.environment, experiment, store.folder)
        store.append(unit.name, finished)
        _checkpoint(store.folder, unit).unlink(missing_ok=True)
        tracked.log(unit.name, finished)
        line, took = experiment.line(finished.record), finished.environment.seconds
        live.finished(unit.name, line, took)
        left = progress.duration(live.seconds_left or 0.0)
        progress.say(f"{line} ({took:.0f} s; {len(todo) - count} to go, about {left})")
    return failed


# The last experiment whose data this process has read: a worker's next unit needs them again.
_LAST: dict[tuple[type, str], Any] = {}


def _experiment(
    kind: type[Experiment[U, C, R]], spec: Any, anew: bool = False
) -> Experiment[U, C, R]:
    key = kind, to_yaml(spec)
    if anew or key not in _LAST:
        _LAST.clear()
        _LAST[key] = kind(spec)
    experiment: Experiment[U, C, R] = _LAST[key]
    return experiment


def _work(
    kind: type[Experiment[U, C, R]],
    spec: Any,
    folder: Path,
    threads: int | None,
    allowed: Iterable[str],
    quiet: bool,
    unit: U,
) -> Finished[C]:
    """Compute a unit, in whatever process. quiet: print nothing."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with ExitStack() as stack:
        if quiet:
            stack.enter_context(progress.quiet())
        stack.enter_context(_threads(threads))
        stack.enter_context(imports.allowing(allowed))
        one = stack.enter_context(progress.step(unit.label))
        stack.enter_context(status.unit(folder, unit.name, one))
        experiment = _experiment(kind, spec)
        started = time.monotonic()
        checkpoint = _checkpoint(folder, unit)
        one.begin(experiment.steps(unit), experiment.step)
        record = experiment.compute(unit, device, checkpoint, one.advance)
        experiment.material.data.check_unchanged()
        environment = Environment(
            inputs=experiment.inputs,
            device=device,
            threads=torch.get_num_threads(),
            torch=str(torch.__version__),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 1),
        )
    return Finished(record, environment)


def common(spec: Any, units: Iterable[Finished[Any]]) -> dict[str, Any]:
    """The fields of `Result` that say what was computed, when and how; of at least one unit."""
    from rawdrift import __version__

    how = [(unit.record.precision, unit.environment) for unit in units]
    environments = [environment for _, environment in how]

    def listed(values: Iterable[object]) -> str:
        return ", ".join(sorted(set(map(str, values))))

    return {
        "version": __version__,
        "spec": to_dict(spec),
        "created": max(e.finished for e in environments),
        "duration_s": round(sum(e.seconds for e in environments), 1),
        "device": listed(e.device for e in environments),
        "precision": listed(precision for precision, _ in how),
        "threads": listed(e.threads for e in environments),
        "torch": listed(e.torch for e in environments),
    }


def _checkpoint(folder: Path, unit: Unit) -> Path:
    return folder / "records" / f"{unit.name}.ckpt"


def _check_inputs(
    environment: Environment, experiment: Experiment[Any, Any, Any], folder: Path
) -> None:
    if environment.inputs != experiment.inputs:
        raise InputError(
            f"the data, the weights, an ISP file, or code of yours and what it reads have changed "
            f"since {folder} was begun; choose a new folder"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Use so many threads of torch inside; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
