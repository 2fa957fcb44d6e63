"""Dataset drift controls for machine learning with optical images.

A raw mosaic (`read_raw`) becomes a view (`isp`), and the controls (`synthesis`, `forensics`,
`optimization`) ask what a model makes of it when the camera or its processing changes. Names are
imported when first used, so that `import rawdrift` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rawdrift import corruptions, isp, sensor
    from rawdrift.camera.camera import Camera
    from rawdrift.camera.read import Raw, read_raw
    from rawdrift.checks import InputError
    from rawdrift.controls import forensics, optimization, synthesis

__version__ = "0.1.0"
__all__ = [
    "Camera",
    "InputError",
    "Raw",
    "corruptions",
    "forensics",
    "isp",
    "optimization",
    "read_raw",
    "sensor",
    "synthesis",
]

_HOMES = {
    "Camera": "rawdrift.camera.camera",
    "InputError": "rawdrift.checks",
    "Raw": "rawdrift.camera.read",
    "read_raw": "rawdrift.camera.read",
    "corruptions": "rawdrift.corruptions",
    "forensics": "rawdrift.controls.forensics",
    "isp": "rawdrift.isp",
    "optimization": "rawdrift.controls.optimization",
    "sensor": "rawdrift.sensor",
    "synthesis": "rawdrift.controls.synthesis",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rawdrift' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    value = getattr(module, name) if name[0].isupper() or name == "read_raw" else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
