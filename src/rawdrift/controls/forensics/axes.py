"""Names and numbers of a camera's settings, as a reader knows them."""

import re
from typing import Any

from rawdrift.report import style

_CHANNELS = {
    "black_level.level": ("R", "G in red rows", "G in blue rows", "B"),
    "white_balance.gains": ("R", "G", "B"),
}
_WORDS = {
    "black_level.level": "black level",
    "white_balance.gains": "white balance gain",
    "gamma.gamma": "gamma",
    "sensor.gain": "sensor gain",
}


def words(name: str) -> str:
    """ "white_balance.gains[0]" as "white balance gain R"; of a step or group likewise."""
    whole, _, index = name.partition("[")
    found = _WORDS.get(whole, whole.replace("_", " ").replace(".", " "))
    index = index.removesuffix("]")
    channels = _CHANNELS.get(whole, ())
    if index.isdigit() and int(index) < len(channels):
        return f"{found} {channels[int(index)]}"
    if whole == "color_correction.matrix" and re.fullmatch(r"\d,\d", index):
        row, column = (("R", "G", "B")[int(i)] for i in index.split(","))
        return f"color matrix {column} to {row}"
    return f"{found} {index.replace(',', ', ')}" if index else found


def group(name: str) -> str:
    """A group of parameters."""
    return "all parameters" if name == "all" else words(name)


def value(number: float | None, axis: dict[str, Any] | None = None, unit: bool = False) -> str:
    """A setting with as many digits as its axis needs, and its unit where asked for."""
    if number is None:
        return style.number(None, 0)
    text = style.number(float(number), 3 if axis is None else digits(axis))
    return f"{text} {axis['unit']}" if unit and axis and axis["unit"] else text


def digits(axis: dict[str, Any]) -> int:
    """Behind the point, so that 80 steps or more lie within the axis."""
    width = axis["high"] - axis["low"]
    return next((d for d in range(6) if width * 10**d >= 80), 6)


def moved(summary: dict[str, Any]) -> list[str]:
    """What the worst setting changes, in words: what matters most first, where that is known, else
    what moves furthest within the space."""
    parameters = summary["worst"]["setting"]["parameters"]
    space = {axis["name"]: axis for axis in summary["space"]}
    indices = (summary["sensitivity"] or {}).get("indices", {})

    def weight(name: str) -> float:
        axis = space[name]
        far: float = abs(parameters[name] - axis["default"]) / (axis["high"] - axis["low"])
        return far * max(indices[name]["total"]["value"], 1e-6) if name in indices else far

    return [
        f"{words(name)} {value(parameters[name], space[name], unit=True)} "
        f"(own: {value(space[name]['default'], space[name])})"
        for name in sorted(parameters, key=lambda name: -weight(name))
        if parameters[name] != space[name]["default"]
    ]
