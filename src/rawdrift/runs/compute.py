"""Where the units of a run are computed."""

import os
from dataclasses import dataclass

from rawdrift.checks import InputError, choose
from rawdrift.runs.executor import Executor, Inline, Processes
from rawdrift.runs.ray import RayCluster

KINDS = ("inline", "processes", "ray")


@dataclass(frozen=True)
class Compute:
    """Where and how units are computed. It is not part of an experiment: numbers are the same.

    kind: "inline" (in this process), "processes" or "ray".
    workers: how many processes run at a time; by default the number of cores over `threads`.
    threads: of torch in each unit; by default all if inline, else one.
    gpus: of each unit on a Ray cluster.
    """

    kind: str = "inline"
    workers: int | None = None
    threads: int | None = None
    gpus: float = 0

    def __post_init__(self) -> None:
        choose("compute", self.kind, KINDS)
        if self.workers is not None and self.kind != "processes":
            raise InputError(f"workers is for compute processes, not for {self.kind}; leave it out")
        for name in ("workers", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if self.gpus < 0 or (self.gpus and self.kind != "ray"):
            raise InputError(f"gpus is for compute ray, and at least 0; got {self.gpus}")

    @property
    def unit_threads(self) -> int | None:
        """Threads of torch in each unit; None leaves them as they are."""
        return self.threads if self.kind == "inline" else self.threads or 1

    @property
    def at_a_time(self) -> int:
        """How many units run at the same time, as far as it is known here."""
        if self.kind == "inline":
            return 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.workers or max(1, (cores or 1) // (self.threads or 1))

    def executor(self) -> Executor:
        """Return the executor of this kind. Raises InputError if its package is missing."""
        if self.kind == "inline":
            return Inline()
        if self.kind == "processes":
            return Processes(self.at_a_time)
        return RayCluster(self.threads or 1, self.gpus)
