"""What a run would do, and what it would cost, before it is begun."""

from pathlib import Path
from typing import Any, NamedTuple

from rawdrift.controls.experiment import Experiment, U
from rawdrift.controls.material import notes
from rawdrift.runs.store import Store


class Plan(NamedTuple):
    """units: in all, and done: those that the run folder has. about: what each works on. seconds:
    that one unit takes, and whether this was seen in units that are done, or measured on a few
    batches. notes: on the data."""

    units: int
    done: int
    about: str
    seconds: float
    seen: bool
    notes: list[str]

    def lines(self, workers: int = 1) -> list[str]:
        """For a person to read."""
        todo = self.units - self.done
        hours = todo * self.seconds / workers / 3600
        cost = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        how = "as the units that are done took" if self.seen else "measured on a few batches here"
        return [
            *self.notes,
            f"{self.units} units, {self.done} done, {todo} to do",
            self.about,
            f"about {self.seconds:.0f} s a unit, {how}; about {cost} with {workers} at a time",
        ]


def plan(kind: type[Experiment[U]], spec: Any, out: str | Path) -> Plan:
    """Read the data, look into the run folder, which is left as it is, and measure what a unit
    costs. Raises InputError as `experiment.run` does."""
    store = Store(Path(out), spec, kind.columns)
    experiment = kind(spec)
    units = [unit.name for unit in experiment.units]
    took = [record["seconds"] for record in store.records(units)]
    seconds = sum(took) / len(took) if took else experiment.measure()
    return Plan(
        len(units), len(took), experiment.about(), seconds, bool(took), notes(experiment.material)
    )
