"""Names and numbers of a camera's settings, as a reader knows them."""

from collections.abc import Sequence

from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.result import ForensicsResult
from rawdrift.report import style


def group(space: Sequence[Axis], name: str) -> str:
    """Name a group of parameters: all, a step, a parameter or an axis."""
    labels = {axis.name: axis.label for axis in space} | {"all": "all parameters"}
    return labels.get(name) or name.replace(".", " ").replace("_", " ")


def value(number: float, axis: Axis, unit: bool = False) -> str:
    """Write a setting with as many digits as its axis needs, and with its `unit` if asked for."""
    text = style.number(number, digits(axis))
    return f"{text} {axis.unit}" if unit and axis.unit else text


def digits(axis: Axis) -> int:
    """Decimals that tell 80 steps or more within the axis apart."""
    width = axis.high - axis.low
    return next((d for d in range(6) if width * 10**d >= 80), 6)


def moved(result: ForensicsResult) -> list[str]:
    """What the worst setting changes, in words.

    What matters most comes first, by Sobol indices if they are known, else by how far a value moves
    within its interval.
    """
    setting = result.worst.setting.parameters
    indices = {} if result.sensitivity is None else result.sensitivity.indices

    def weight(axis: Axis) -> float:
        far = abs(setting[axis.name] - axis.default) / (axis.high - axis.low)
        if axis.name in indices:
            return far * max(indices[axis.name].total.value, 1e-6)
        return far

    changed = [a for a in result.space if setting.get(a.name, a.default) != a.default]
    return [
        f"{axis.label} {value(setting[axis.name], axis, unit=True)} "
        f"(own: {value(axis.default, axis)})"
        for axis in sorted(changed, key=lambda axis: -weight(axis))
    ]
