"""Run by test_executor.py: a Ray cluster of two nodes, one of which dies under its unit."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from rawdrift.runs.compute import Compute
from rawdrift.runs.executor import Done


def wait_once(fifo: str) -> str:
    """The node that it runs on; the first time it waits for a death that ends it."""
    node = ray.get_runtime_context().get_node_id()
    first = Path(fifo + ".first")
    if not first.exists():
        first.write_text(node)
        Path(fifo).read_bytes()  # nobody ever writes
    return node


def main(folder: Path) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    soon = {"health_check_period_ms": 200, "health_check_failure_threshold": 3}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": soon}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    doomed = cluster.add_node(num_cpus=1)
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)

    with ThreadPoolExecutor(1) as other:
        results = other.submit(lambda: list(Compute("ray").executor().map(wait_once, [str(fifo)])))
        with fifo.open("wb"):  # both ends are open once the unit runs
            cluster.add_node(num_cpus=1)
            cluster.remove_node(doomed, allow_graceful=False)
        ((_, found),) = results.result()
    ray.shutdown()
    cluster.shutdown()
    assert found != Done(Path(f"{fifo}.first").read_text()), "the node has not died"
    print(type(found).__name__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
