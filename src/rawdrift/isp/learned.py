"""A pipeline as a file: a camera file, with the steps beside the camera's numbers.

    name = "lab-cam"              # fields of a camera: its black and white level, white balance,
    ...                           # color matrix and gamma are the pipeline's
    [isp]
    format = 1
    configuration = "ma,s,ga"     # where it is one of Table 1
    [[isp.steps]]                 # in order
    name = "black_level"
    kind = "BlackLevel"           # without numbers here: the camera's
    [[isp.steps]]
    name = "demosaic"
    kind = "Malvar2004"
    kernels = [...]

A file holds numbers and names of rawdrift's own steps, and no code.
"""

import inspect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rawdrift import __version__, files
from rawdrift.camera.camera import Camera, toml
from rawdrift.cfa import Pattern
from rawdrift.checks import InputError, choose, is_number, positive
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS as KINDS
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance
from rawdrift.neighborhood import NO_BLUR

FORMAT = 1
_FIELDS: dict[type[Step], dict[str, str]] = {  # a step's numbers, as a camera calls them
    BlackLevel: {"level": "black_level", "white": "white_level"},
    WhiteBalance: {"gains": "white_balance"},
    ColorCorrection: {"matrix": "color_matrix"},
    Gamma: {"gamma": "gamma"},
}


def save(isp: Pipeline, path: str | Path, camera: Camera | None = None) -> None:
    """Write a pipeline, learned or not, as a TOML file that `load` gives back to the last bit.

    `Camera.load` reads the file too, with the black level, white balance, color matrix and gamma
    of the pipeline.

    camera: that it was made for; the file keeps its name, noise and optics.

    Raises InputError for steps that are not rawdrift's own, for numbers that no step takes, as NaN,
    for a pipeline that is not this camera's, and for a path that does not end in .toml.
    """
    path = Path(path)
    _check_suffix(path)
    files.write(path, to_toml(isp, camera, name=path.stem))


def load(path: str | Path, *, parametrized: bool = False) -> Pipeline:
    """The pipeline of a file that `save` wrote, all numbers float64.

    parametrized: every number is an `nn.Parameter`, to go on learning; else a buffer.

    Raises InputError for any other file, saying what is wrong with it.
    """
    return read(path, parametrized=parametrized)[1]


def read(path: str | Path, *, parametrized: bool = False) -> tuple[Camera, Pipeline]:
    """The camera of an ISP file, and the pipeline that `load` gives."""
    path = Path(path)
    _check_suffix(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(f"ISP file {path} does not exist") from None
    except UnicodeDecodeError:
        raise InputError(f"ISP file {path} is not text in UTF-8") from None
    return from_toml(text, str(path), parametrized=parametrized)


def is_file(name: str) -> bool:
    """Whether this names an ISP file, and no configuration."""
    return Path(name).suffix == ".toml"


def label(name: str) -> str:
    """What to call an ISP that is given by its configuration or by its file."""
    return Path(name).stem if is_file(name) else name


def configuration(isp: Pipeline) -> str | None:
    """The name in Table 1 of a pipeline with these steps in this order; None where it has none."""
    return _known().get(_kinds(isp))


def to_toml(isp: Pipeline, camera: Camera | None = None, name: str = "isp") -> str:
    """The text of an ISP file; see `save`. name: of the camera where none is given."""
    cfa = _pattern(isp)
    base = camera or Camera(name, cfa, bit_depth=isp.bit_depth)
    if (base.cfa, base.bit_depth) != (cfa, isp.bit_depth):
        raise InputError(
            f"the pipeline takes {cfa} mosaics of {isp.bit_depth} bits, but camera {base.name!r} "
            f"gives {base.cfa} of {base.bit_depth} bits; give the camera it was made for"
        )
    said, rows = base, []
    told: set[type[Step]] = set()  # of several steps of a kind, the camera says the first one's
    for step_name, step in isp.steps.items():
        kind = type(step)
        if kind not in KINDS.values():
            raise InputError(
                f"step {step_name!r} is a {kind.__name__}, which can't be saved; expected one of "
                f"{', '.join(KINDS)}"
            )
        numbers = _numbers(step)
        row: dict[str, Any] = {"name": step_name, "kind": kind.__name__}
        if hasattr(step, "channels"):
            row["channels"] = step.channels
        fields = _FIELDS.get(kind)
        if fields and kind not in told:
            try:
                changes: Any = {field: numbers.get(key) for key, field in fields.items()}
                said, numbers = replace(said, **changes), {}
            except InputError:  # learning has left what a camera can have, as below a black of zero
                pass
        told.add(kind)
        rows.append(row | numbers)
    if said != base:
        origin = f"; made of camera {camera.name}: {camera.provenance}" if camera else ""
        said = replace(said, provenance=f"A pipeline saved by rawdrift {__version__}{origin}")
    table: dict[str, Any] = {"format": FORMAT, "configuration": configuration(isp), "steps": rows}
    if table["configuration"] is None:
        del table["configuration"]
    text = f"{said.to_toml()}\n{toml({'isp': table})}"
    from_toml(text, "the pipeline")
    return text


def from_toml(text: str, source: str, *, parametrized: bool = False) -> tuple[Camera, Pipeline]:
    """Camera and pipeline of an ISP file's text; see `load`. source: what errors call it."""
    camera = Camera.from_toml(text, source)
    table = tomllib.loads(text).get("isp")
    if table is None:
        raise InputError(
            f"{source} is a camera file and holds no ISP; expected a table [isp], as rd.isp.save "
            f"writes it; for a camera, name one of the twelve ISPs"
        )
    try:
        _check_keys("[isp] field", table, ("format", "steps"), ("configuration",))
        if table["format"] != FORMAT:
            raise InputError(
                f"[isp] format is {table['format']!r}, expected {FORMAT}; use the release of "
                f"rawdrift that wrote it"
            )
        if not isinstance(table["steps"], list):
            raise InputError(f"[[isp.steps]] must be tables, got {table['steps']!r}")
        steps: dict[str, Step] = {}
        for row in table["steps"]:
            name, step = _step(row, camera, parametrized)
            if name in steps:
                raise InputError(f"two steps have the name {name!r}; give each its own")
            steps[name] = step
        isp = Pipeline(steps, camera.bit_depth)
        if "configuration" in table:
            said = choose("[isp] configuration", table["configuration"], CONFIGURATIONS)
            found = configuration(isp)
            if said != found:
                raise InputError(
                    f"[isp] configuration is {said!r}, but its steps are "
                    f"{found or 'none of Table 1'}; correct it, or leave it out"
                )
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return camera, isp


def _step(row: object, camera: Camera, parametrized: bool) -> tuple[str, Step]:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise InputError(f"each of [[isp.steps]] must be a table with a name, got {row!r}")
    name = row["name"]
    kind = KINDS[choose(f"kind of step {name!r}", row.get("kind"), KINDS)]
    fields = _FIELDS.get(kind, {})
    values = {key: value for key, value in row.items() if key not in ("name", "kind")}
    if not values:
        values = {key: getattr(camera, field) for key, field in fields.items()}
        values = {key: value for key, value in values.items() if value is not None}
    takes = [key for key in inspect.signature(kind).parameters if key not in ("cfa", "white")]
    _check_keys(f"field of step {name!r}", values, takes, [key for key in fields if key == "white"])
    made = {
        key: value if key == "channels" else _tensor(f"{name}.{key}", value)
        for key, value in values.items()
    }
    if "white" in made:
        made["white"] = positive(f"{name}.white", values["white"])
    if parametrized:
        made |= {k: nn.Parameter(v) for k, v in made.items() if isinstance(v, Tensor)}
    if "cfa" in inspect.signature(kind).parameters:
        made["cfa"] = camera.cfa
    try:
        return name, kind(**made)
    except InputError as error:
        raise InputError(f"step {name!r}: {error}") from None


def _numbers(step: Step) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        key: value.detach().to("cpu", torch.float64).tolist()
        for key, value in step.state_dict().items()
    }
    if isinstance(step, BlackLevel) and step.white is not None:
        numbers["white"] = step.white
    if isinstance(step, UnsharpMask) and numbers["radius"] <= 0:
        numbers["radius"] = NO_BLUR  # as which it is used
    return numbers


def _tensor(name: str, value: object) -> Tensor:
    def numeric(part: object) -> bool:
        return all(map(numeric, part)) if isinstance(part, (list, tuple)) else is_number(part)

    if not numeric(value):
        raise InputError(f"{name} must be finite numbers, got {value!r}")
    try:
        return torch.tensor(value, dtype=torch.float64)
    except (RuntimeError, TypeError, ValueError):  # rows of different lengths
        raise InputError(f"{name} must be rows of the same length, got {value!r}") from None


def _pattern(isp: Pipeline) -> Pattern:
    """The color filter array that all steps on the mosaic are for."""
    found: set[Any] = {step.cfa for step in isp.steps.values() if hasattr(step, "cfa")}
    if len(found) != 1:
        raise InputError(f"the steps must be for one cfa pattern, got {', '.join(sorted(found))}")
    pattern: Pattern = found.pop()
    return pattern


def _kinds(isp: Pipeline) -> tuple[tuple[str, type[Step]], ...]:
    return tuple((name, type(step)) for name, step in isp.steps.items())


@cache
def _known() -> dict[tuple[tuple[str, type[Step]], ...], str]:
    any_camera = Camera("any", "RGGB")
    return {_kinds(static(name, any_camera)): name for name in CONFIGURATIONS}


def _check_suffix(path: Path) -> None:
    if not is_file(str(path)):
        raise InputError(f"an ISP file ends in .toml, got {str(path)!r}")


def _check_keys(
    what: str, table: object, required: Sequence[str], optional: Sequence[str] = ()
) -> None:
    if not isinstance(table, Mapping):
        raise InputError(f"{what}s must be a table, got {table!r}")
    for key in table:
        choose(what, key, (*required, *optional))
    for key in required:
        if key not in table:
            raise InputError(f"{what} {key} is missing")
