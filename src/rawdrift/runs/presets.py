"""Settings that ship with rawdrift, as YAML files that `--config` takes by name: a folder of them
for each command."""

from pathlib import Path

from rawdrift.checks import InputError

_FOLDER = Path(__file__).parent / "preset_files"


def names(command: str) -> list[str]:
    """Of the presets of a command."""
    return sorted(path.stem for path in (_FOLDER / command).glob("*.yaml"))


def find(command: str, name: str) -> Path:
    """The file of a preset, or `name` itself where it is a file."""
    path = Path(name)
    if path.is_file():
        return path
    if name in names(command):
        return _FOLDER / command / f"{name}.yaml"
    known = names(command)
    others = f", or one of {', '.join(known)}" if known else ""
    raise InputError(f"--config {name} is no file and no preset; give a YAML file{others}")
