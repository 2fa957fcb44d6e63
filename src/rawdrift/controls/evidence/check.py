"""Is a camera inside the envelope of a signature?"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.controls.evidence.signature import Signature
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB

Array = NDArray[np.float64]

# Files round their numbers: nearer than this share of a tensor's largest, and a DN of 16 bits, two
# numbers are the same.
RELATIVE, ABSOLUTE = 1e-3, 1e-5

# What a step takes from the camera file, by its class.
_FIELDS = {
    "BlackLevel": {"level": "black_level"},
    "WhiteBalance": {"gains": "white_balance"},
    "ColorCorrection": {"matrix": "color_matrix"},
    "Gamma": {"gamma": "gamma"},
}


class Outside(NamedTuple):
    """A parameter that is outside. by: how far beyond the nearer bound; None of what is no number.

    low, high: the bounds, equal where the signature has it at one value alone.
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
            return f"{self.parameter} is {self.value}, validated for {self.low} alone"
        if self.low == self.high:
            where = f"validated at {self.low:g} alone"
        else:
            where = f"validated from {self.low:g} to {self.high:g}"
        return f"{self.parameter} is {self.value:g}{unit}, {where}: outside by {self.by:g}{unit}"


@dataclass(frozen=True)
class Verdict:
    """outside: all parameters that are. moved: axes on which the camera differs. together: whether
    it was compared with the joint box, as where several axes differ; else with each alone. notes:
    what the signature does not speak of."""

    outside: tuple[Outside, ...]
    moved: tuple[str, ...]
    together: bool
    notes: tuple[str, ...]

    @property
    def inside(self) -> bool:
        return not self.outside

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        table = asdict(self) | {"outside": [found._asdict() for found in self.outside]}
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

    An axis on which the camera differs alone may go as far as its tolerance; several, as far as the
    joint box. What is no axis must be as it was. configuration: of the ISP that the camera is to be
    developed with. isp: the same, whose other numbers are compared too; without it they are taken
    to be those of the signature. InputError where the signature is of another one.
    """
    content = signature.content
    signed = content["isp"]["configuration"]
    if configuration is not None and configuration != signed:
        raise InputError(
            f"the signature is of the ISP {signed!r}, not of {configuration!r}; ask for one of that"
        )
    if isp is not None:
        _check_steps(content, isp)
    places: dict[str, _Moved] = {}
    outside = list(_fixed(content, camera))
    for step in content["isp"]["steps"]:
        for name, value in _numbers(step, camera, isp).items():
            reference = _reference(content, f"{step['name']}.{name}", value.shape)
            found, rest = _places(content, step["name"], name, reference, value)
            places |= found
            outside += rest
        if step["kind"] == "SensorSettings":
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


def _check_steps(content: Mapping[str, Any], isp: Pipeline) -> None:
    """InputError unless the ISP has the steps of the signature; that of the sensor is no ISP's."""
    steps = content["isp"]["steps"]
    signed = [(s["name"], s["kind"]) for s in steps if s["kind"] != "SensorSettings"]
    found = [(name, type(step).__name__) for name, step in isp.steps.items()]
    if found != signed:
        differ = [f"{name} ({kind})" for name, kind in found if (name, kind) not in signed]
        raise InputError(
            f"the signature is of the ISP {content['isp']['configuration']!r}, not of one with "
            f"{', '.join(differ) or 'other steps'}; ask for one of that"
        )


def _numbers(step: Mapping[str, str], camera: Camera, isp: Pipeline | None) -> dict[str, Array]:
    """What a step has where it is checked: of the ISP, or of the camera alone."""
    if isp is not None and step["name"] in isp.steps:
        state = isp.steps[step["name"]].state_dict()
        return {name: value.cpu().double().numpy() for name, value in state.items()}
    fields = _FIELDS.get(step["kind"], {})
    return {name: np.array(getattr(camera, field)) for name, field in fields.items()}


def _reference(content: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    try:
        found = np.array(content["isp"]["numbers"].get(name), dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if found.shape != shape or not np.isfinite(found).all():
        raise InputError(f"the signature lacks isp.numbers {name} of shape {shape}")
    return found


def _places(
    content: Mapping[str, Any], step: str, name: str, reference: Array, value: Array
) -> tuple[dict[str, _Moved], list[Outside]]:
    """Where a tensor of a camera is on its axes, and what no axis explains."""
    axes = [axis["name"] for axis in content["space"]]
    near = RELATIVE * float(np.abs(reference).max()) + ABSOLUTE
    elements = {f"{step}.{name}{_index(at)}": at for at in np.ndindex(reference.shape)}
    turned = {}
    if name == "matrix" and not set(elements) & set(axes):
        turned = _color(axes, step, reference, value)
        reference = _turned(reference, turned, step)
    places, outside = dict(turned), []
    for full, at in elements.items():
        is_, was = float(value[at]), float(reference[at])
        if full in axes:
            places[full] = _Moved(is_, abs(is_ - was) <= near)
        elif abs(is_ - was) > near:
            outside.append(Outside(full, is_, was, was, abs(is_ - was)))
    if turned:  # what they leave is of the matrix as a whole: its largest difference tells
        outside = sorted(outside, key=lambda found: found.by or 0.0)[-1:]
    return places, outside


def _index(at: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, at))}]" if at else ""


def _color(axes: list[str], step: str, reference: Array, value: Array) -> dict[str, _Moved]:
    """Saturation and hue, those that are axes: what turns one matrix into the other, nearest by
    least squares in the plane of U and V."""
    try:
        change = value @ np.linalg.inv(reference)
    except np.linalg.LinAlgError:
        return {}
    chroma = (YUV_FROM_RGB.numpy() @ change @ RGB_FROM_YUV.numpy())[1:, 1:]
    along = (chroma[0, 0] + chroma[1, 1]) / 2
    across = (chroma[1, 0] - chroma[0, 1]) / 2
    hue = math.atan2(across, along) if f"{step}.hue" in axes else 0.0
    saturation = math.hypot(along, across) if f"{step}.hue" in axes else along
    found = {}
    if f"{step}.saturation" in axes:
        found[f"{step}.saturation"] = _Moved(saturation, abs(saturation - 1) <= RELATIVE)
    if f"{step}.hue" in axes:
        found[f"{step}.hue"] = _Moved(math.degrees(hue), abs(hue) <= RELATIVE)
    return found


def _turned(matrix: Array, moved: Mapping[str, _Moved], step: str) -> Array:
    saturation = moved.get(f"{step}.saturation", _Moved(1.0, True)).value
    hue = math.radians(moved.get(f"{step}.hue", _Moved(0.0, True)).value)
    cos, sin = math.cos(hue), math.sin(hue)
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[cos, -sin], [sin, cos]])
    found: Array = RGB_FROM_YUV.numpy() @ turn @ YUV_FROM_RGB.numpy() @ matrix
    return found


def _sensor(content: Mapping[str, Any], step: str, camera: Camera) -> Iterator[tuple[str, _Moved]]:
    """Gain, read noise and PSF relative to the camera of the signature, where both have them."""
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
    """What is never an axis."""
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
    kinds = [step["kind"] for step in content["isp"]["steps"]]
    if "SensorSettings" not in kinds:
        yield "the signature does not speak of the sensor's noise and optics"
    if content["warnings"]:
        yield from content["warnings"]
