"""Plans of the named static ISPs without torch, whose import takes longer than developing a frame.

The steps declare their numbers; what the plans need of these ships as static.json.
"""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rawdrift import configurations
from rawdrift.camera.camera import Camera
from rawdrift.cfa import is_bayer
from rawdrift.isp.fused import plan
from rawdrift.isp.fused.plan import CannotFuseError, Layout, Plan

_FILE = Path(__file__).with_suffix(".json")
_CHOICES = ("demosaic", "sharpen", "denoise")  # that a name consists of


@lru_cache(maxsize=64)
def planned(name: str, camera: Camera, channels: str) -> Plan:
    """The plan of `presets.static(name, camera, channels)`; CannotFuseError if steps must run."""
    table = _table()
    chosen = dict(zip(_CHOICES, configurations.steps(name), strict=True))
    if (
        chosen["demosaic"] not in table["stages"]["demosaic"]
        or channels not in table["channels"]
        or not is_bayer(camera.cfa)
        or any(getattr(camera, field) is not None for field in table["added"])
    ):
        raise CannotFuseError("it has other steps, or the channels are unknown")
    steps = {
        stage: steps[chosen.get(stage) or ""]
        for stage, steps in table["stages"].items()
        if chosen.get(stage, "") is not None
    }
    values = {
        f"{stage}.{number}": getattr(camera, value) if isinstance(value, str) else value
        for stage, step in steps.items()
        for number, value in step["numbers"].items()
    }
    sharpen, denoise = (steps[s]["step"] if s in steps else None for s in ("sharpen", "denoise"))
    layout = Layout(
        demosaic=steps["demosaic"]["step"],
        sharpen=sharpen,
        denoise=denoise,
        gamma=True,
        luma=channels == "luma" or (sharpen is None and denoise is None),
        cfa=camera.cfa,
        black_cfa=camera.cfa,
        white=camera.white_level,
    )
    return plan.plan(layout, {name: np.array(value, float) for name, value in values.items()})


@cache
def _table() -> dict[str, Any]:
    """See `table`."""
    read: dict[str, Any] = json.loads(_FILE.read_text())
    return read


def table() -> dict[str, Any]:
    """What static.json holds, from the steps themselves.

    stages: by stage and short name ("" where there is no choice) a step's class, and its numbers
    as `plan.numbers` takes them, each by value or as the camera's field. channels: that filters
    may act on. added: the camera's fields that need a step more.
    """
    from rawdrift.isp import presets
    from rawdrift.isp.fused.fusable import fusable, prepared
    from rawdrift.isp.yuv import CHANNELS

    camera = Camera("any", "RGGB")
    stages: dict[str, dict[str, Any]] = {}
    for name in configurations.CONFIGURATIONS:
        chosen = dict(zip(_CHOICES, configurations.steps(name), strict=True))
        steps = [*presets.static(name, camera).steps.values()]
        layout, values, _ = fusable(steps)
        taken = {path: x.tolist() for path, x in prepared(layout, values).items()}
        for step in steps:
            stage, numbers = str(step.stage), {}
            for path, value in taken.items():
                of, number = path.split(".")
                if of == stage:
                    field = number in step.numbers and step.numbers[number].camera
                    numbers[number] = field or value
            kind = {"step": type(step).__name__, "numbers": numbers}
            stages.setdefault(stage, {})[chosen.get(stage) or ""] = kind
    return {"stages": stages, "channels": [*CHANNELS], "added": [*presets.OF_CAMERA]}


def table_file() -> tuple[Path, str]:
    """Return the path and the text of static.json; `make schemas` writes it."""
    return _FILE, json.dumps(table(), indent=1) + "\n"
