"""Drift forensics: which settings of the camera break a model, and which are safe (section 2.2).

space = ParameterSpace.around(isp, {"gamma.gamma": (1.6, 2.8), "white_balance.gains": 0.2})
found = search(net, isp, data, space); safe = envelope(net, isp, data, space)
summary = run(ForensicsSpec(...), "runs/cells")    # the sweep of both, with its run folder
"""

from pathlib import Path
from typing import Any

from rawdrift.controls.forensics.envelope import Envelope, Tolerance, envelope
from rawdrift.controls.forensics.joint import Validation
from rawdrift.controls.forensics.quantities import Axis
from rawdrift.controls.forensics.search import Found, SearchResult, Visit, search
from rawdrift.controls.forensics.sensitivity import Point, Sensitivity, Sobol, sensitivity
from rawdrift.controls.forensics.sensor_settings import SensorSettings, with_sensor
from rawdrift.controls.forensics.sign import sign
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.signature import Outside, Signature, Verdict, check
from rawdrift.runs.executor import Compute
from rawdrift.runs.forensics import ForensicsSpec
from rawdrift.tasks.weights import fingerprint

__all__ = [
    "Axis",
    "Envelope",
    "Found",
    "Outside",
    "ParameterSpace",
    "Point",
    "SearchResult",
    "Sensitivity",
    "SensorSettings",
    "Signature",
    "Sobol",
    "Tolerance",
    "Validation",
    "Verdict",
    "Visit",
    "check",
    "envelope",
    "fingerprint",
    "run",
    "search",
    "sensitivity",
    "sign",
    "with_sensor",
]


def run(
    spec: ForensicsSpec, out: str | Path, compute: Compute | None = None, tracking: str = "none"
) -> dict[str, Any]:
    """Run a drift forensics experiment, or go on with it, in the folder `out`: `sweep.run`."""
    from rawdrift.controls.forensics import sweep  # with Lightning, which the rest can do without

    return sweep.run(spec, out, compute, tracking)
