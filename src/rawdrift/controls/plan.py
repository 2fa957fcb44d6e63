"""What a run would do and what it would cost, before it is begun."""

from pathlib import Path
from typing import Any, NamedTuple

from rawdrift import progress
from rawdrift.checks import InputError
from rawdrift.controls.control import Control
from rawdrift.controls.material import notes
from rawdrift.data.sampling import Sample, sampling
from rawdrift.text import counted

_READING = 1.5  # seconds
_SIDE = 256  # pixels


class Plan(NamedTuple):
    """units: in all. done: units that the run folder has. about: what each works on.
    seconds: that one unit takes. seen: whether `seconds` is the mean of the units that are done;
    else it was measured on a few batches. notes: on the data. basis: what was looked at.
    needs: of images, see `Experiment.needs`. ends_early: see `Experiment`.
    """

    units: int
    done: int
    about: str
    seconds: float
    seen: bool
    notes: list[str]
    basis: str = ""
    needs: tuple[str, ...] = ()
    ends_early: bool = False

    def lines(self, workers: int = 1) -> list[str]:
        """The plan for a person to read."""
        todo = self.units - self.done
        hours = todo * self.seconds / workers / 3600
        cost = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        about = "at most about" if self.ends_early and not self.seen else "about"
        how = "as the finished units took" if self.seen else "measured on a few batches here"
        return [
            *self.notes,
            f"{counted(self.units, 'unit')}, {self.done} done, {todo} to do",
            self.about,
            *filter(None, [self.basis]),
            f"{about} {self.seconds:.0f} s a unit, {how}; {about} {cost} with {workers} at a time",
            *self.needs,
        ]


def plan(control: Control, spec: Any, out: str | Path) -> Plan:
    """Look into the run folder without changing it, and measure a unit's cost.

    However many images there are, a sample of them is read, of which large ones are cut. Raises
    InputError as `experiment.run` does, as far as the sample shows it.
    """
    kind = control.load_experiment()
    store = kind.store(spec, out)
    with progress.step("planning"):
        try:
            return _plan(kind, spec, store, Sample(_READING, _SIDE))
        except (InputError, RuntimeError):  # a network may take whole images alone
            return _plan(kind, spec, store, Sample(_READING, None))


def _plan(kind: Any, spec: Any, store: Any, sample: Sample) -> Plan:
    with sampling(sample):
        experiment = kind(spec)
    units = [unit.name for unit in experiment.units]
    took = [finished.environment.seconds for finished in store.records(units)]
    seconds = sum(took) / len(took) if took else sample.area * experiment.measure()
    basis = ""
    if sample.read < sample.of or sample.area > 1:
        cut = f", cut to {sample.side}x{sample.side} pixels" if sample.area > 1 else ""
        basis = f"estimated from {sample.read} of {counted(sample.of, 'image')}{cut}"
    about, seen = experiment.about(), bool(took)
    needs = tuple(experiment.needs())
    said = notes(experiment.material)
    early = experiment.ends_early
    return Plan(len(units), len(took), about, seconds, seen, said, basis, needs, early)
