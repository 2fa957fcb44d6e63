"""The sliders of an ISP, from what its steps declare, and the ISP at a setting of them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from rawdrift.checks import InputError, choose
from rawdrift.controls.evidence.signature import Signature
from rawdrift.controls.forensics.quantities import Candidate, bounded, candidates, split
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.isp.external import BlackBox
from rawdrift.isp.pipeline import Pipeline

_WIDER = 2.0  # a slider reaches as many times as far as the declared drift


def of(isp: Pipeline) -> list[dict[str, Any]]:
    """Return the steps in order, each with its numbers; a number has sliders that turn it as a
    whole, its knobs, and one for each entry."""
    by_step: dict[str, list[Candidate]] = {name: [] for name in isp.steps}
    for candidate in candidates(isp).values():
        by_step[split(candidate.axis.name)[0]].append(candidate)
    return [
        {
            "step": name,
            "kind": "black box" if isinstance(step, BlackBox) else type(step).__name__,
            "options": {key: str(getattr(step, key)) for key in step.options if key != "positions"},
            "numbers": list(
                _of_box(step, by_step[name])
                if isinstance(step, BlackBox)
                else _numbers(isp, name, by_step[name])
            ),
        }
        for name, step in isp.steps.items()
    ]


def _numbers(isp: Pipeline, name: str, found: list[Candidate]) -> Iterator[dict[str, Any]]:
    step = isp.steps[name]
    knobs = step.knobs()
    for number, declared in step.numbers.items():
        mine: dict[str, list[dict[str, Any]]] = {"knobs": [], "entries": []}
        for candidate in found:
            quantity = split(candidate.axis.name)[1]
            if quantity in knobs and knobs[quantity][0] == number:
                mine["knobs"].append(_slider(candidate))
            elif quantity == number:
                mine["entries"].append(_slider(candidate))
        shape = list(getattr(step, number).shape)
        yield {"name": number, "shape": shape, "unit": declared.unit, **mine}


def _of_box(box: BlackBox, found: list[Candidate]) -> Iterator[dict[str, Any]]:
    """The settings of a black box: numbers in their usual range, and choices by their places."""
    for candidate in found:
        name = split(candidate.axis.name)[1]
        value = candidate.axis.default
        wide = max(1.0, abs(value))
        low, high = box.program.ranges.get(name, (value - wide, value + wide))
        choices = box.choices.get(name)
        if choices is not None and len(choices) < 2:
            continue
        entry = {
            **_slider(candidate),
            "label": name.replace("_", " "),
            "low": min(low, value),
            "high": max(high, value),
            "drift": None,
            "choices": choices,
        }
        yield {"name": name, "shape": [], "unit": "", "knobs": [], "entries": [entry]}


def _slider(candidate: Candidate) -> dict[str, Any]:
    axis, quantity = candidate.axis, candidate.quantity
    low = axis.default - _WIDER * (axis.default - axis.low)
    high = axis.default + _WIDER * (axis.high - axis.default)
    low = low if low > quantity.above else axis.low
    limit = candidate.limit[1] if candidate.limit else np.inf
    high = high if high < limit else axis.high
    return {
        "name": axis.name,
        "label": axis.label,
        "unit": axis.unit,
        "value": axis.default,
        "low": max(low, quantity.least),
        "high": min(high, quantity.most),
        "bound": quantity.bound if quantity.bound != "above -inf" else "",
        "drift": [axis.low, axis.high] if candidate.drifts else None,
    }


def at(isp: Pipeline, values: Mapping[str, float]) -> Pipeline:
    """Return a copy of an ISP with these numbers, by the names of its sliders.

    Raises InputError for a name that it lacks, and for a value outside of the declared bounds.
    """
    if not values:
        return isp
    known = _known(isp)
    axes = []
    for name, value in values.items():
        candidate = known[choose("number of this ISP", name, known)]
        default = candidate.axis.default
        if not candidate.quantity.allows(value):
            raise InputError(f"{name} must be {candidate.quantity.bound}, got {value:g}")
        if candidate.limit is not None and value >= candidate.limit[1]:
            raise InputError(f"{name} must stay below {candidate.limit[1]:g}, got {value:g}")
        if value == default:
            continue
        axes.append(bounded(candidate, sorted((default, value)), abs(default)))
    if not axes:
        return isp
    setting = np.array([values[axis.name] for axis in axes])
    return ParameterSpace(tuple(axes)).pipeline(isp, setting)


@lru_cache(maxsize=8)
def _known(isp: Pipeline) -> dict[str, Candidate]:
    """The sliders of an ISP, whose own numbers nobody changes."""
    return candidates(isp)


def envelope(signature: Signature) -> dict[str, Any]:
    """Return the envelope of a signature: for each axis its interval if it alone moves, and if
    several do; and what it was signed for."""
    content = signature.content
    return {
        "configuration": content["isp"]["configuration"],
        "camera": content["camera"].get("name", ""),
        "axes": {
            name: {"alone": [one["low"], one["high"]], "together": list(content["box"][name])}
            for name, one in content["tolerances"].items()
        },
    }
