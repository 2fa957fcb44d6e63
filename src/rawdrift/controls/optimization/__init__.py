"""Drift optimization: learn the ISP together with the task model (section 2.3 of the paper)."""

from pathlib import Path

from rawdrift.controls.control import Control
from rawdrift.controls.optimization.spec import DEMO, OptimizationSpec

control = Control(
    name="optimization",
    spec=OptimizationSpec,
    experiment="rawdrift.controls.optimization.experiment:DriftOptimization",
    result="rawdrift.controls.optimization.result:OptimizationResult",
    page="rawdrift.controls.optimization.page",
    description="Learn the ISP together with the network, and compare with fixed alternatives.",
    help="drift optimization: the ISP learned with the task",
    demo=DEMO,
    presets=Path(__file__).parent / "presets",
    export="rawdrift.controls.optimization.export:export",
)
