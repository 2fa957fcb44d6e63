"""Drift forensics: which settings of the camera break a model, and which are safe (section 2.2).

space = ParameterSpace.around(isp, {"gamma.gamma": (1.6, 2.8), "white_balance.gains": 0.2})
found = search(net, isp, data, space); safe = envelope(net, isp, data, space)
"""

from typing import TYPE_CHECKING

import lazy_loader

from rawdrift.controls.control import Control
from rawdrift.controls.forensics.spec import DEMO, ForensicsSpec

if TYPE_CHECKING:
    from rawdrift.controls.evidence.check import Outside, Verdict, check
    from rawdrift.controls.evidence.signature import Signature
    from rawdrift.controls.forensics.axis import Axis
    from rawdrift.controls.forensics.gradient_search import SearchResult, search
    from rawdrift.controls.forensics.methods import Visit
    from rawdrift.controls.forensics.result import (
        Envelope,
        ForensicsResult,
        Found,
        Point,
        Sensitivity,
        Sobol,
        Tolerance,
        Validation,
    )
    from rawdrift.controls.forensics.sensor_settings import SensorSettings, with_sensor
    from rawdrift.controls.forensics.signing import sign
    from rawdrift.controls.forensics.sobol import sensitivity
    from rawdrift.controls.forensics.space import ParameterSpace
    from rawdrift.controls.forensics.tolerance import envelope
    from rawdrift.models.weights import fingerprint

control = Control(
    name="forensics",
    spec=ForensicsSpec,
    experiment="rawdrift.controls.forensics.experiment:DriftForensics",
    result="rawdrift.controls.forensics.result:ForensicsResult",
    page="rawdrift.controls.forensics.page",
    export="rawdrift.controls.forensics.export:export",
    description=(
        "Search for settings of the camera that break a model, and sign those that are safe."
    ),
    help="drift forensics: settings that break a model, and safe ones",
    demo=DEMO,
)

# Imported when first used: the command line needs the control, but not torch.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "gradient_search": ["SearchResult", "search"],
        "methods": ["Visit"],
        "result": [
            "Envelope",
            "ForensicsResult",
            "Found",
            "Point",
            "Sensitivity",
            "Sobol",
            "Tolerance",
            "Validation",
        ],
        "axis": ["Axis"],
        "sensor_settings": ["SensorSettings", "with_sensor"],
        "signing": ["Outside", "Signature", "Verdict", "check", "fingerprint", "sign"],
        "sobol": ["sensitivity"],
        "space": ["ParameterSpace"],
        "tolerance": ["envelope"],
    },
)
