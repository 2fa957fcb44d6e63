"""What a drift synthesis run would do, and what it would cost, before it is begun."""

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from rawdrift.controls.synthesis import COLUMNS, Job, cases, prepare
from rawdrift.runs.spec import SynthesisSpec
from rawdrift.runs.store import Store
from rawdrift.tasks import models
from rawdrift.tasks.evaluate import evaluate
from rawdrift.tasks.task import BATCH, Develop
from rawdrift.tasks.train import train


class Plan(NamedTuple):
    """units: in all, and done: those that the run folder has. seconds: that one unit takes, and
    whether this was seen in units that are done, or measured on a few batches."""

    units: int
    done: int
    images: int
    cases: int
    seconds: float
    seen: bool

    def lines(self, workers: int = 1) -> list[str]:
        """For a person to read."""
        todo = self.units - self.done
        hours = todo * self.seconds / workers / 3600
        cost = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        how = "as the units that are done took" if self.seen else "measured on a few batches here"
        return [
            f"{self.units} units (training pipeline and fold), {self.done} done, {todo} to do",
            f"{self.images} images, each tested in {self.cases} cases by every pipeline's models",
            f"about {self.seconds:.0f} s a unit, {how}; about {cost} with {workers} at a time",
        ]


def plan(spec: SynthesisSpec, out: str | Path) -> Plan:
    """Read the data, look into the run folder, which is left as it is, and measure what a unit
    costs. Raises InputError as `synthesis.run` does."""
    store = Store(Path(out), spec, COLUMNS)
    job = prepare(spec)
    took = [record["seconds"] for record in store.records([unit.name for unit in job.units])]
    seconds = sum(took) / len(took) if took else _measure(spec, job)
    images = len(job.material.data)
    return Plan(len(job.units), len(took), images, len(cases(spec)), seconds, bool(took))


def _measure(spec: SynthesisSpec, job: Job) -> float:
    """Seconds of a unit, from two batches of training and one of tests after a first one of each
    has been left out."""
    data, targets, splits = job.material
    name, channels = spec.synthesis.train[0], spec.synthesis.channels
    seconds = 0.0
    if spec.task.checkpoint is None:
        indices = torch.from_numpy(splits[0].train)
        develop = Develop.static(name, data.cameras, channels)
        took = []
        for batches in (1, 3):
            few = indices[: batches * spec.task.batch_size]
            started = time.monotonic()
            net = train(data, targets, few, develop, replace(spec.task, epochs=1), seed=0)
            took.append((time.monotonic() - started, len(few)))
        images = max(took[1][1] - took[0][1], 1)
        seconds += spec.task.epochs * len(indices) * (took[1][0] - took[0][0]) / images
    else:
        net = models.load_checkpoint(spec.task, targets, data.size)
    test = torch.from_numpy(splits[0].test)
    few = test[:BATCH]
    for _ in range(2):
        started = time.monotonic()
        evaluate(
            net, data, targets, few, name, cases(spec), channels=channels,
            table=spec.synthesis.severity_table,
        )  # fmt: skip
        took_tests = time.monotonic() - started
    return max(0.0, seconds) + took_tests * len(test) / len(few)
