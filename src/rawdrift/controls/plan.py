"""What a run would do and what it would cost, before it is begun."""

from pathlib import Path
from typing import Any, NamedTuple

from rawdrift.controls.control import Control
from rawdrift.controls.material import notes


class Plan(NamedTuple):
    """units: in all. done: units that the run folder has. about: what each works on.
    seconds: that one unit takes. seen: whether `seconds` is the mean of the units that are done;
    else it was measured on a few batches. notes: on the data.
    """

    units: int
    done: int
    about: str
    seconds: float
    seen: bool
    notes: list[str]

    def lines(self, workers: int = 1) -> list[str]:
        """The plan for a person to read."""
        todo = self.units - self.done
        hours = todo * self.seconds / workers / 3600
        cost = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        how = "as the finished units took" if self.seen else "measured on a few batches here"
        return [
            *self.notes,
            f"{self.units} units, {self.done} done, {todo} to do",
            self.about,
            f"about {self.seconds:.0f} s a unit, {how}; about {cost} with {workers} at a time",
        ]


def plan(control: Control, spec: Any, out: str | Path) -> Plan:
    """Read the data, look into the run folder without changing it, and measure a unit's cost.

    Raises InputError as `experiment.run` does.
    """
    kind = control.load_experiment()
    store = kind.store(spec, out)
    experiment = kind(spec)
    units = [unit.name for unit in experiment.units]
    took = [finished.environment.seconds for finished in store.records(units)]
    seconds = sum(took) / len(took) if took else experiment.measure()
    return Plan(
        len(units), len(took), experiment.about(), seconds, bool(took), notes(experiment.material)
    )
