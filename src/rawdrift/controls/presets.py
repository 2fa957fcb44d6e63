"""Settings that ship with a control, as YAML files that `--config` takes by name."""

from pathlib import Path

from rawdrift.checks import InputError
from rawdrift.controls.control import Control


def names(control: Control) -> list[str]:
    """The names of a control's presets."""
    return sorted(path.stem for path in control.presets.glob("*.yaml")) if control.presets else []


def find(control: Control, name: str) -> Path:
    """The file of a preset, or `name` itself if it is a file."""
    if Path(name).is_file():
        return Path(name)
    known = names(control)
    if control.presets and name in known:
        return control.presets / f"{name}.yaml"
    others = f", or one of {', '.join(known)}" if known else ""
    raise InputError(f"--config {name} is neither a file nor a preset; give a YAML file{others}")
