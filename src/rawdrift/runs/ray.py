"""Compute units on a Ray cluster: the one that RAY_ADDRESS names, or one on this machine."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rawdrift.checks import InputError
from rawdrift.runs.executor import TRIES, Done, Failed, Item, Result, attempt


class RayCluster:
    """Compute each unit as a Ray task, which Ray tries again if its worker or node dies.

    threads, gpus: what a unit needs. Nodes must see the data and the run folder under the same
    paths as the driver. Raises InputError if Ray is not installed.
    """

    def __init__(self, threads: int = 1, gpus: float = 0):
        self._ray = _ray()
        self.threads = threads
        self.gpus = gpus

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Done[Result] | Failed]]:
        ray = self._ray
        started = not ray.is_initialized()
        if started:
            _start(ray)
        needs = {"num_cpus": self.threads, "num_gpus": self.gpus}
        task = ray.remote(attempt).options(**needs, max_retries=TRIES - 1)
        shared = ray.put(work)
        running = {task.remote(shared, item): item for item in items}
        try:
            while running:
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    item = running.pop(reference)
                    yield item, _result(ray, reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if started:
                ray.shutdown()


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        last = str(error).strip().split("\n")[-1]
        return Failed(f"its worker died {TRIES} times ({last})", str(error))


def _start(ray: Any) -> None:
    """Join the cluster of RAY_ADDRESS, or start one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot join the Ray cluster at RAY_ADDRESS={address} ({error}); start it, or "
            f"unset RAY_ADDRESS to use this machine alone"
        ) from None


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError(
            'compute ray needs the package ray: pip install "rawdrift[ray]", or use processes'
        ) from None
    return ray
