"""How every control runs: unit by unit, gone on with by what is missing, wherever units run."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from tqdm import tqdm

from rawdrift.checks import InputError
from rawdrift.controls.material import Material, notes
from rawdrift.runs.executor import Compute, Failed
from rawdrift.runs.spec import to_yaml
from rawdrift.runs.store import Record, Records, Store
from rawdrift.runs.tracker import tracker

HOW = ("device", "precision", "threads", "torch")  # a unit was computed with


class Unit(Protocol):
    """What is computed in one piece, and is lost where it is stopped half-way."""

    @property
    def name(self) -> str:
        """What a file can be called."""

    @property
    def label(self) -> str:
        """For a person to read."""


U = TypeVar("U", bound=Unit)
Tell = Callable[[], object]  # of one step of progress


class Experiment(ABC, Generic[U]):
    """A control's experiment with its data, as each process has it that computes units.

    It is made from its spec alone, which raises InputError where data and spec do not fit. A unit
    gives the same numbers wherever and in whatever order it is computed.

    units: in the order of the results. material: what they work on; where there are several, the
    first. inputs: fingerprints of what results depend on beside the spec. step: what progress is
    counted in.
    """

    columns: ClassVar[tuple[str, ...]]
    units: list[U]
    material: Material
    inputs: list[str]
    step: str

    @abstractmethod
    def __init__(self, spec: Any) -> None: ...

    @abstractmethod
    def steps(self, unit: U) -> int:
        """How often `compute` tells."""

    def cost(self, unit: U) -> float:
        """What `compute` takes in proportion to other units, as far as that is known before."""
        return self.steps(unit)

    @abstractmethod
    def compute(self, unit: U, device: str, checkpoint: Path, tell: Tell) -> Record:
        """A unit's `rows`, its `precision`, and what else `summarize` needs.

        checkpoint: a file of the unit's own, to carry on from if it was stopped.
        """

    @abstractmethod
    def line(self, record: Record) -> str:
        """What a finished unit has found, in a few words."""

    @abstractmethod
    def summarize(
        self, records: Records, failed: Mapping[str, str], folder: Path
    ) -> dict[str, Any]:
        """Everything that the report shows, from the records of all units that are done.

        failed: reasons by the label of a unit.
        """

    @abstractmethod
    def headline(self, summary: Mapping[str, Any]) -> dict[str, float]:
        """The few numbers by which runs are told apart."""

    @abstractmethod
    def about(self) -> str:
        """What a unit works on, in one line."""

    @abstractmethod
    def measure(self) -> float:
        """About how many seconds a unit takes, from a little of its work."""


def run(
    kind: type[Experiment[U]],
    spec: Any,
    out: str | Path,
    compute: Compute | None = None,
    tracking: str = "none",
) -> dict[str, Any]:
    """Run an experiment, or go on with it, in the folder `out`.

    Writes spec.yaml, results.csv (one row a measurement), summary.json and what the experiment
    adds; returns the summary. A unit that fails is told of and does not stop the rest; it is tried
    again when the run is started again.

    compute: where units run; the same numbers for the same number of threads.
    tracking: "none", or "mlflow".

    Raises InputError where the data or the folder do not fit the spec, and if every unit fails.
    """
    compute = compute or Compute()
    executing = compute.executor()
    store = Store(Path(out), spec, kind.columns)
    experiment = _here(kind, spec, anew=True)
    for note in notes(experiment.material):
        tqdm.write(note)
    units = {unit.name: unit for unit in experiment.units}
    records = store.records(units)
    with store, _threads(compute.unit_threads):
        for record in records:
            _check_inputs(record, experiment, store.folder)
        tracked = tracker(tracking, store.folder, spec)
        todo = dict(units)
        for name in units:
            held = store.read(name)
            if held is not None:
                tracked.log(name, held)
                del todo[name]
        store.write_results(units)
        if len(todo) < len(units):
            tqdm.write(f"{len(units) - len(todo)} of {len(units)} units are done already")
        left, seconds, spent = len(todo), 0.0, 0.0
        to_spend = sum(experiment.cost(unit) for unit in todo.values())
        failed: dict[str, str] = {}
        total = sum(experiment.steps(unit) for unit in todo.values())
        with tqdm(total=total, unit=experiment.step, disable=None) as bar:
            tell = bar.update if compute.kind == "inline" else None
            work = partial(_work, kind, spec, store.folder, compute.unit_threads, tell)
            for unit, found in executing.map(work, list(todo.values())):
                left -= 1
                to_spend -= experiment.cost(unit)
                if tell is None:
                    bar.update(experiment.steps(unit))
                if isinstance(found, Failed):
                    failed[unit.label] = found.reason
                    tqdm.write(f"{unit.label} failed: {found.reason}")
                    continue
                record = found.result
                _check_inputs(record, experiment, store.folder)
                store.append(unit.name, record)
                _checkpoint(store.folder, unit).unlink(missing_ok=True)
                tracked.log(unit.name, record)
                seconds += record["seconds"]
                spent += experiment.cost(unit)
                minutes = to_spend * seconds / spent / compute.at_a_time / 60
                tqdm.write(
                    f"{experiment.line(record)} ({record['seconds']:.0f} s; {left} to go, about "
                    f"{minutes:.1f} min)"
                )
        store.write_results(units)
        summary = experiment.summarize(records, failed, store.folder)
        store.write_summary(summary)
        tracked.finish(experiment.headline(summary))
        return summary


# The last experiment that this process has read the data of: a worker's next unit has them at hand.
_LAST: dict[tuple[type, str], Any] = {}


def _here(kind: type[Experiment[U]], spec: Any, anew: bool = False) -> Experiment[U]:
    key = kind, to_yaml(spec)
    if anew or key not in _LAST:
        _LAST.clear()
        _LAST[key] = kind(spec)
    experiment: Experiment[U] = _LAST[key]
    return experiment


def _work(
    kind: type[Experiment[U]],
    spec: Any,
    folder: Path,
    threads: int | None,
    tell: Tell | None,
    unit: U,
) -> Record:
    """The record of a unit."""
    experiment = _here(kind, spec)
    started = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with _threads(threads):
        found = experiment.compute(unit, device, _checkpoint(folder, unit), tell or (lambda: None))
        used = torch.get_num_threads()
    return {
        "inputs": experiment.inputs,
        **found,
        "device": device,
        "threads": used,
        "torch": torch.__version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
    }


def environment(records: Sequence[Record]) -> dict[str, Any]:
    """When and with what units were computed, and how long that took in all."""
    return {
        "created": max(record["finished"] for record in records),
        "duration_s": round(sum(record["seconds"] for record in records), 1),
        **{key: ", ".join(sorted({str(record[key]) for record in records})) for key in HOW},
    }


def _checkpoint(folder: Path, unit: Unit) -> Path:
    return folder / "records" / f"{unit.name}.ckpt"


def _check_inputs(record: Record, experiment: Experiment[U], folder: Path) -> None:
    if record["inputs"] != experiment.inputs:
        raise InputError(
            f"the data or the weights have changed, or an ISP file, since {folder} was begun; "
            f"choose a new folder"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """With that many threads of torch inside; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
