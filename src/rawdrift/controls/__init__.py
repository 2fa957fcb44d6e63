"""The controls: experiments on what a model makes of a change of camera or processing.

Each control is a folder; this is the only module that knows them by name.
"""

from rawdrift.controls import comparison, forensics, optimization, synthesis
from rawdrift.controls.control import Control

CONTROLS: dict[str, Control] = {
    "synthesis": synthesis.control,
    "forensics": forensics.control,
    "optimization": optimization.control,
    "comparison": comparison.control,
}


def commands() -> dict[str, Control]:
    """Return the controls by their commands."""
    return {control.command: control for control in CONTROLS.values()}
