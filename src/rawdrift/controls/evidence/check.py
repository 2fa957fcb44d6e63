"""Check whether a camera is inside the envelope of a signature."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.controls.evidence.signature import Signature
from rawdrift.imports import is_import
from rawdrift.isp.file import kind
from rawdrift.isp.number import Array, Number
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import configuration
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS
from rawdrift.text import Shown

SENSOR = "SensorSettings"  # a step before the ISP, whose numbers are relative to the camera's
# Files round their numbers. Two numbers are the same if they differ by less than this share of the
# tensor's largest number plus about one DN of 16 bits.
RELATIVE, ABSOLUTE = 1e-3, 1e-5


_LEVELS = {"black_level.white": "white_level"}  # whose name in a camera file is another


class Outside(NamedTuple):
    """A parameter that is outside the envelope.

    low, high: its bounds, equal if it was validated at one value alone. by: how far it is beyond
    the nearer bound; None if it is not a number.
    """

    parameter: str
    value: float | str | None
    low: float | str | None
    high: float | str | None
    by: float | None
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.by is None:
            name = self.parameter
            if name in _LEVELS:
                name += f" ({_LEVELS[name]} of the camera)"
            value = "left out" if self.value is None else self.value
            how = "without it" if self.low is None else f"for {self.low} alone"
            return f"{name} is {value}, validated {how}"
        if self.low == self.high:
            where = f"validated at {self.low:g} alone"
        else:
            where = f"validated from {self.low:g} to {self.high:g}"
        return f"{self.parameter} is {self.value:g}{unit}, {where}: outside by {self.by:g}{unit}"


@dataclass(frozen=True)
class Verdict(Shown):
    """What a check says.

    outside: the parameters outside the envelope. moved: axes on which the camera differs. together:
    whether these were compared with the joint box, because they are several. notes: what the
    signature states, and what it says nothing about.
    """

    outside: tuple[Outside, ...]
    moved: tuple[str, ...]
    together: bool
    notes: tuple[str, ...]

    def shown_title(self) -> str:
        return f"{'inside' if self.inside else 'outside'} the envelope"

    def shown_rows(self) -> list[tuple[str, str]]:
        outside = [("outside", str(one)) for one in self.outside]
        return [*outside, *(("note", note) for note in self.notes)]

    @property
    def inside(self) -> bool:
        """Whether no parameter is outside."""
        return not self.outside

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values, for JSON."""
        table = asdict(self) | {"outside": [outside._asdict() for outside in self.outside]}
        return {"inside": self.inside, **table}


class _Moved(NamedTuple):
    value: float
    same: bool


def check(
    signature: Signature,
    camera: Camera,
    configuration: str | None = None,
    isp: Pipeline | None = None,
) -> Verdict:
    """Compare a camera with the envelope of a signature.

    If the camera differs on one axis, that may go as far as its tolerance; if on several, they may
    go as far as the joint box. What is not an axis must be as it was signed. No code is imported.

    configuration: of the ISP that will develop the camera's images. isp: this ISP itself, whose
    other numbers and options are compared too; without it, they are taken to be those of the
    signature. Raises InputError if the signature is for another ISP.
    """
    content = signature.content
    signed = content["isp"]["configuration"]
    if configuration is not None and configuration != signed:
        raise InputError(
            f"the signature is for the ISP {signed!r}, not for {configuration!r}; check with the "
            f"signature for that one"
        )
    if isp is not None:
        _check_steps(content, isp)
    places: dict[str, _Moved] = {}
    outside = list(_fixed(content, camera))
    for step in content["isp"]["steps"]:
        cls = type(isp.steps[step["name"]]) if isp and step["name"] in isp.steps else None
        numbers = (cls or STEPS.get(step["kind"], Step)).numbers
        for name, value in _numbers(step, camera, isp).items():
            full = f"{step['name']}.{name}"
            reference = _reference(content, full, value.shape)
            if np.isnan(value).any():  # the camera has none
                signed_value = str(reference.tolist())
                outside.append(Outside(full, None, signed_value, signed_value, None))
                continue
            inside, rest = _places(content, step["name"], name, numbers.get(name), reference, value)
            places |= inside
            outside += rest
        outside += _options(step, isp)
        if step["kind"] == SENSOR:
            places |= dict(_sensor(content, step["name"], camera))
    moved = tuple(name for name, place in places.items() if not place.same)
    units = {axis["name"]: axis["unit"] for axis in content["space"]}
    for name in moved:
        tolerance = content["tolerances"][name]
        low, high = tolerance["low"], tolerance["high"]
        if len(moved) > 1:
            low, high = content["box"][name]
        place = places[name].value
        by = max(low - place, place - high)
        if by > 0:
            outside.append(Outside(name, place, low, high, by, units[name]))
    return Verdict(tuple(outside), moved, len(moved) > 1, tuple(_notes(content)))


def describe(isp: Pipeline) -> dict[str, Any]:
    """Return what a signature holds of an ISP: its name in Table 1, its steps, and their numbers.

    A step of the user's own brings the camera fields of its numbers, so that it can be checked
    without its code.
    """
    steps: list[dict[str, Any]] = []
    for name, step in isp.steps.items():
        row: dict[str, Any] = {"name": name, "kind": kind(type(step))}
        if is_import(row["kind"]):
            row["camera"] = _fields(type(step))
        if options := [key for key, option in step.options.items() if not option.camera]:
            row["options"] = {key: getattr(step, key) for key in options}
        steps.append(row)
    return {
        "configuration": configuration({n: s for n, s in isp.steps.items() if not _is_sensor(s)}),
        "steps": steps,
        "numbers": {
            f"{name}.{number}": tensor.detach().cpu().double().tolist()
            for name, step in isp.steps.items()
            for number, tensor in step.tensors().items()
        },
    }


def _is_sensor(step: Step) -> bool:
    return kind(type(step)) == SENSOR


def _fields(step: type[Step]) -> dict[str, str]:
    """The camera fields of a step's numbers, by number."""
    return {name: number.camera for name, number in step.numbers.items() if number.camera}


def _check_steps(content: Mapping[str, Any], isp: Pipeline) -> None:
    """Raise InputError unless the ISP has the steps of the signature, but for the sensor's."""
    steps = content["isp"]["steps"]
    signed = [(s["name"], s["kind"]) for s in steps if s["kind"] != SENSOR]
    actual = [(name, kind(type(step))) for name, step in isp.steps.items()]
    if actual != signed:
        differ = [f"{name} ({kind})" for name, kind in actual if (name, kind) not in signed]
        raise InputError(
            f"the signature is for the ISP {content['isp']['configuration']!r}, not for one with "
            f"{', '.join(differ) or 'other steps'}; check with the signature for that one"
        )


def _numbers(step: Mapping[str, Any], camera: Camera, isp: Pipeline | None) -> dict[str, Array]:
    """The numbers of a step that are checked: of the ISP, or of the camera alone."""
    if isp is not None and step["name"] in isp.steps:
        tensors = isp.steps[step["name"]].tensors()
        return {name: value.detach().cpu().double().numpy() for name, value in tensors.items()}
    fields = step.get("camera") or _fields(STEPS.get(step["kind"], Step))
    return {
        name: np.array(getattr(camera, field), dtype=np.float64) for name, field in fields.items()
    }


def _options(step: Mapping[str, Any], isp: Pipeline | None) -> Iterator[Outside]:
    """Yield the options of a step that are not as they were signed."""
    if isp is None or step["name"] not in isp.steps:
        return
    for name, signed in step.get("options", {}).items():
        actual = getattr(isp.steps[step["name"]], name)
        if actual != signed:
            yield Outside(f"{step['name']}.{name}", str(actual), str(signed), str(signed), None)


def _reference(content: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    try:
        reference = np.array(content["isp"]["numbers"].get(name), dtype=np.float64)
    except (TypeError, ValueError):
        reference = np.array(np.nan)
    if reference.shape != shape or not np.isfinite(reference).all():
        raise InputError(f"the signature lacks isp.numbers {name} of shape {shape}")
    return reference


def _places(
    content: Mapping[str, Any],
    step: str,
    name: str,
    number: Number | None,
    reference: Array,
    value: Array,
) -> tuple[dict[str, _Moved], list[Outside]]:
    """Return where a tensor of a camera is on its axes, and the differences that no axis explains.

    number: its declaration; None if it belongs to a user's own step, whose code is not at hand.
    """
    axes = [axis["name"] for axis in content["space"]]
    near = RELATIVE * float(np.abs(reference).max()) + ABSOLUTE
    elements = {f"{step}.{name}{_index(at)}": at for at in np.ndindex(reference.shape)}
    places: dict[str, _Moved] = {}
    if number is not None and number.settings and not set(elements) & set(axes):
        turned = frozenset(knob for knob in number.knobs if f"{step}.{knob}" in axes)
        settings = number.settings(reference, value, turned)
        tensor = torch.from_numpy(reference)
        for knob_name, setting in settings.items():
            knob = number.knobs[knob_name]
            same = abs(setting - knob.of(tensor)) <= knob.rounding
            places[f"{step}.{knob_name}"] = _Moved(setting, same)
            tensor = knob.turn(tensor, tensor.new_tensor(setting))
        reference = tensor.numpy()
    outside = []
    for full, at in elements.items():
        after, before = float(value[at]), float(reference[at])
        if full in axes:
            places[full] = _Moved(after, abs(after - before) <= near)
        elif abs(after - before) > near:
            outside.append(Outside(full, after, before, before, abs(after - before)))
    if places.keys() - elements.keys():  # what knobs leave is of the tensor as a whole
        outside = sorted(outside, key=lambda element: element.by or 0.0)[-1:]
    return places, outside


def _index(at: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, at))}]" if at else ""


def _sensor(content: Mapping[str, Any], step: str, camera: Camera) -> Iterator[tuple[str, _Moved]]:
    """Yield gain, read noise and PSF relative to the signed camera, if both cameras have them."""
    axes = [axis["name"] for axis in content["space"]]
    was, is_ = content["camera"].get("noise") or {}, camera.noise
    optics = content["camera"].get("optics") or {}
    if f"{step}.gain" in axes and is_ is not None and was:
        ratio = is_.gain / was["gain"]
        yield f"{step}.gain", _Moved(ratio, abs(ratio - 1) <= RELATIVE)
    pairs = [
        ("read_noise", was.get("read_noise"), is_.read_noise if is_ else None),
        ("psf_sigma", optics.get("psf_sigma"), camera.optics.psf_sigma if camera.optics else None),
    ]
    for name, before, now in pairs:
        if f"{step}.{name}" in axes and before is not None and now is not None:
            added = now**2 - before**2  # variances add up
            value = math.copysign(math.sqrt(abs(added)), added)
            yield f"{step}.{name}", _Moved(value, abs(now - before) <= RELATIVE * before)


def _fixed(content: Mapping[str, Any], camera: Camera) -> Iterator[Outside]:
    """Yield the differences of what is never an axis."""
    was = content["camera"]
    if camera.cfa != was["cfa"]:
        yield Outside("demosaic.cfa", camera.cfa, was["cfa"], was["cfa"], None)
    before, now = was["white_level"], camera.white_level
    if before is None or now is None:
        if before != now:
            yield Outside("black_level.white", now, before, before, None)
    elif abs(now - before) > RELATIVE:
        yield Outside("black_level.white", now, before, before, abs(now - before))


def _notes(content: Mapping[str, Any]) -> Iterator[str]:
    yield from content.get("claims", ())
    kinds = [step["kind"] for step in content["isp"]["steps"]]
    if SENSOR not in kinds:
        yield "the signature does not speak of the sensor's noise and optics"
    if content["warnings"]:
        yield from content["warnings"]
