"""Dataset drift controls for machine learning with optical images.

A raw mosaic (`read_raw`) becomes a view (`isp`), and the controls (`synthesis`, `forensics`,
`optimization`, `comparison`) ask what a model makes of it when the camera or its processing
changes. Names are imported when first used, so that `import rawdrift` costs nothing.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from rawdrift import corruptions, data, isp, models, sensor, statistics
    from rawdrift.camera.camera import Camera
    from rawdrift.camera.read import Raw, read_raw
    from rawdrift.checks import InputError
    from rawdrift.controls import comparison, forensics, optimization, synthesis
    from rawdrift.controls.comparison.spec import Comparison, ComparisonSpec
    from rawdrift.controls.forensics.spec import Forensics, ForensicsSpec
    from rawdrift.controls.optimization.spec import Optimization, OptimizationSpec, Pull
    from rawdrift.controls.result import Result, load_result
    from rawdrift.controls.run import plan, run
    from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
    from rawdrift.data.spec import Data
    from rawdrift.models.spec import Task
    from rawdrift.runs.compute import Compute

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["corruptions", "data", "isp", "models", "sensor", "statistics"],
    submod_attrs={
        "camera.camera": ["Camera"],
        "camera.read": ["Raw", "read_raw"],
        "checks": ["InputError"],
        "controls": ["comparison", "forensics", "optimization", "synthesis"],
        "controls.comparison.spec": ["Comparison", "ComparisonSpec"],
        "controls.forensics.spec": ["Forensics", "ForensicsSpec"],
        "controls.optimization.spec": ["Optimization", "OptimizationSpec", "Pull"],
        "controls.result": ["Result", "load_result"],
        "controls.run": ["plan", "run"],
        "controls.synthesis.spec": ["Synthesis", "SynthesisSpec"],
        "data.spec": ["Data"],
        "models.spec": ["Task"],
        "runs.compute": ["Compute"],
    },
)
