"""Drift optimization: the ISP learned with the task (section 2.3 of the paper).

What stands before the network is compared at low and high light, everything else being equal: an
ISP at the camera's values, the same ISP learned with the network, raw without an ISP, a network as
the ISP, and the best of the twelve static pipelines.
"""

from pathlib import Path
from typing import Any

from rawdrift.controls import experiment
from rawdrift.controls.optimization.control import DriftOptimization
from rawdrift.runs.executor import Compute
from rawdrift.runs.optimization import OptimizationSpec

__all__ = ["DriftOptimization", "run"]


def run(
    spec: OptimizationSpec, out: str | Path, compute: Compute | None = None, tracking: str = "none"
) -> dict[str, Any]:
    """Run a drift optimization experiment, or go on with it, in the folder `out`: `experiment.run`.

    A training that diverges is a result: results.csv has the metric `diverged` of it, and its curve
    ends there. Beside the records it leaves samples: views before and after, and gradients.
    """
    return experiment.run(DriftOptimization, spec, out, compute, tracking)
