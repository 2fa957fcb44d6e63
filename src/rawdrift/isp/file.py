"""A pipeline as a file: a camera file, with the steps beside the camera's numbers.

    name = "lab-cam"              # fields of a camera: its black and white level, white balance,
    ...                           # color matrix and gamma are the pipeline's
    [isp]
    format = 1
    configuration = "ma,s,ga"     # if its steps have a name
    [[isp.steps]]                 # in order
    name = "black_level"
    kind = "BlackLevel"           # without numbers here: the camera's
    [[isp.steps]]
    name = "demosaic"
    kind = "Malvar2004"
    kernels = [...]
    [[isp.steps]]
    name = "saturation"
    kind = "import:my_lab.steps.Saturation"    # the user's own; imported only if that is allowed
    amount = 1.1

A file holds numbers and the names of steps, and no code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rawdrift import __version__, configurations, files, imports
from rawdrift.camera.camera import Camera, check_camera, read_toml, toml
from rawdrift.checks import InputError, choose, is_number
from rawdrift.configurations import check_name, is_external, is_file
from rawdrift.isp.external import External
from rawdrift.isp.number import Number, Option
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import configuration, static
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS
from rawdrift.isp.yuv import Channels

FORMAT = 1


def open(  # noqa: A001
    reference: str | Path,
    camera: Camera | None = None,
    *,
    channels: Channels = "luma",
    allow_import: Iterable[str] = (),
) -> Pipeline:
    """Return the static pipeline that a reference names: one of `CONFIGURATIONS`, an ISP file, or
    a black box, see `External`.

    reference: in a name, "-" leaves a step out, as in "bi,-,ga".
    camera: whose numbers a configuration has, and that the raw files of a black box state; an ISP
    file (.toml) has its own camera. channels: of a configuration. allow_import: see `load`; the
    command or import that `reference` itself is needs none.

    Raises InputError for an unknown reference, and for one that needs a camera without it.
    """
    name = configurations.check(str(reference))
    if is_file(name):
        return load(name, allow_import=allow_import)
    if camera is None:
        raise InputError(
            f"the ISP {name!r} has no numbers of its own; give the camera that it is for (camera=, "
            f"or --camera): a shipped one, such as raw-drone, or a camera file (.toml)"
        )
    if is_external(name):
        with imports.allowing(imports.references(name)):
            return External(name, camera)
    return static(name, camera, channels)


def save(isp: Pipeline, path: str | Path, camera: Camera | None = None) -> None:
    """Write a pipeline, learned or not, as a TOML file that `load` gives back to the last bit.

    `Camera.load` reads the file too, with the black level, white balance, color matrix and gamma
    of the pipeline. A step of the user's own is written as `import:package.module.Name`.

    camera: that the pipeline was made for; the file keeps its name, noise and optics.

    Raises InputError for steps that can't be imported from a module, for numbers that no step
    takes, such as NaN, for a pipeline that is not this camera's, and for a path that does not end
    in .toml.
    """
    path = Path(path)
    _check_suffix(path)
    files.write(path, to_toml(isp, camera, name=path.stem))


def load(
    path: str | Path, *, parametrized: bool = False, allow_import: Iterable[str] = ()
) -> Pipeline:
    """Return the pipeline of a file that `save` wrote, all numbers float64.

    parametrized: every number is an `nn.Parameter`, to go on learning; else a buffer.
    allow_import: the steps of your own that the file may name, as import:package.module.Name. A
        file that names any other is refused, and nothing is imported.

    Raises InputError for any other file, saying what is wrong with it.
    """
    with imports.allowing(allow_import):
        return read(path, parametrized=parametrized)[1]


def read(path: str | Path, *, parametrized: bool = False) -> tuple[Camera, Pipeline]:
    """Return the camera of an ISP file, and the pipeline that `load` gives."""
    path = Path(path)
    _check_suffix(path)
    try:
        text = files.read_text(path)
    except FileNotFoundError:
        raise InputError(f"ISP file {path} does not exist") from None
    except UnicodeDecodeError:
        raise InputError(f"ISP file {path} is not text in UTF-8") from None
    return from_toml(text, str(path), parametrized=parametrized)


def kind(step: type[Step]) -> str:
    """Return what files call a class: its name, or import:package.module.Name of a user's own."""
    ours = step.__module__.partition(".")[0] == "rawdrift"
    return step.__name__ if ours else f"import:{step.__module__}.{step.__qualname__}"


def to_toml(isp: Pipeline, camera: Camera | None = None, name: str = "isp") -> str:
    """Return the text of an ISP file; see `save`. name: of the camera if none is given."""
    base = _base(isp, camera, name)
    written, rows = base, []
    claims = _claims(isp)
    for step_name, step in isp.steps.items():
        values = _values(step)
        if step_name in claims:
            changes: Any = {field: values.get(key) for key, field in claims[step_name].items()}
            try:
                written = replace(written, **changes)
                values = {k: v for k, v in values.items() if k not in claims[step_name]}
            except InputError:  # learning has left what a camera can have, as below a black of zero
                pass
        rows.append({"name": step_name, "kind": _checked_kind(step_name, step), **values})
    if written != base:
        origin = f"; made of camera {camera.name}: {camera.provenance}" if camera else ""
        provenance = f"A pipeline saved by rawdrift {__version__}{origin}"
        written = replace(written, provenance=provenance)
    table: dict[str, Any] = {"format": FORMAT}
    if name_of_steps := configuration(isp.steps):
        table["configuration"] = name_of_steps
    text = f"{written.to_toml()}\n{toml({'isp': table | {'steps': rows}})}"
    with imports.allowing(row["kind"] for row in rows if imports.is_import(row["kind"])):
        from_toml(text, "the pipeline")
    return text


def from_toml(text: str, source: str, *, parametrized: bool = False) -> tuple[Camera, Pipeline]:
    """Return camera and pipeline of an ISP file's text; see `load`. source: for errors."""
    camera = Camera.from_toml(text, source)
    table = read_toml(text, source).get("isp")
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
        rows = table["steps"]
        if not isinstance(rows, list):
            raise InputError(f"[[isp.steps]] must be tables, got {rows!r}")
        for row in rows:
            if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
                raise InputError(f"each of [[isp.steps]] must be a table with a name, got {row!r}")
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    imports.check_allowed(
        (row["kind"] for row in rows if imports.is_import(row.get("kind"))), source
    )
    try:
        steps: dict[str, Step] = {}
        at = camera
        for row in rows:
            if row["name"] in steps:
                raise InputError(f"two steps have the name {row['name']!r}; give each its own")
            step = steps[row["name"]] = _step(row, at, parametrized)
            if (cfa := step.cfa_after(at.cfa)) and cfa != at.cfa:
                at = replace(at, cfa=cfa)
        isp = Pipeline(steps, camera.bit_depth)
        if "configuration" in table:
            claimed = check_name(table["configuration"], "[isp] configuration")
            if claimed != (actual := configuration(isp.steps)):
                raise InputError(
                    f"[isp] configuration is {claimed!r}, but its steps are "
                    f"{actual or 'of no name'}; correct it, or leave it out"
                )
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return camera, isp


def _base(isp: Pipeline, camera: Camera | None, name: str) -> Camera:
    """The camera that all steps are for. InputError if there is none."""
    if camera is not None:
        check_camera(camera)
    steps = [step for step in isp.steps.values() if "cfa" in step.options]
    changed = [at for at, step in enumerate(steps) if step.cfa_after(step.cfa) != step.cfa]
    patterns = {step.cfa for step in steps[: changed[0] + 1 if changed else None]}
    if len(patterns) != 1 and (patterns or camera is None):
        raise InputError(
            f"the steps must be for one cfa pattern, got {', '.join(sorted(patterns)) or 'none'}"
        )
    cfa = patterns.pop() if patterns else camera.cfa  # type: ignore[union-attr]
    base = camera or Camera(name, cfa, bit_depth=isp.bit_depth)
    if (base.cfa, base.bit_depth) != (cfa, isp.bit_depth):
        raise InputError(
            f"the pipeline takes {cfa} mosaics of {isp.bit_depth} bits, but camera {base.name!r} "
            f"gives {base.cfa} of {base.bit_depth} bits; give the camera it was made for"
        )
    return base


def _from_camera(step: type[Step]) -> dict[str, str]:
    """The numbers and options that stand either in the camera's fields or in the step's row, with
    these fields. A required option, such as the cfa, is always the camera's."""
    options = {name: option for name, option in step.options.items() if not option.required}
    declared: dict[str, Number | Option] = {**step.numbers, **options}
    return {name: item.camera for name, item in declared.items() if item.camera}


def _claims(isp: Pipeline) -> dict[str, dict[str, str]]:
    """The steps whose numbers the camera's fields hold: of several that share a field, the first,
    and rawdrift's own before a user's."""
    claims: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for name, step in sorted(isp.steps.items(), key=lambda item: item[1].stage is None):
        fields = _from_camera(type(step))
        if fields and taken.isdisjoint(fields.values()):
            claims[name] = fields
            taken |= set(fields.values())
    return claims


def _values(step: Step) -> dict[str, Any]:
    """The options and numbers of a step that its row holds, unless the camera's fields do."""
    values = {
        name: getattr(step, name) for name, option in step.options.items() if not option.camera
    }
    for name, number in step.numbers.items():
        value = getattr(step, name).detach().to("cpu", torch.float64).tolist()
        outside = number.used_below is not None and not number.allows(value)
        values[name] = number.used_below if outside else value
    for name in _from_camera(type(step)):
        if name in step.options and getattr(step, name) is not None:
            values[name] = getattr(step, name)
    return values


def _checked_kind(name: str, step: Step) -> str:
    """The kind of a step, if a file that names it can be loaded."""
    cls = type(step)
    problem = None
    if cls.__init__ is not Step.__init__:
        problem = "it constructs itself; declare its numbers and options in place of __init__"
    elif cls.__module__ == "__main__" or "." in cls.__qualname__:
        problem = (
            "it can't be imported; put the class at the top level of a module of its own, such as "
            "mine.py, and import it from there"
        )
    reference = kind(cls)
    if problem is None and imports.is_import(reference):
        if imports.resolve(reference, f"step {name!r}") is not cls:
            problem = f"{reference} is another object; save it under the name of its class"
    elif problem is None and STEPS.get(reference) is not cls:
        problem = f"it is none of {', '.join(STEPS)}"
    if problem:
        raise InputError(f"step {name!r} is a {cls.__name__}, which can't be saved: {problem}")
    return reference


def _class(kind: object, name: str) -> type[Step]:
    if not imports.is_import(kind):
        return STEPS[choose(f"kind of step {name!r}", kind, STEPS)]
    step = imports.resolve(str(kind), f"kind of step {name!r}")
    if not (isinstance(step, type) and issubclass(step, Step)):
        raise InputError(f"kind of step {name!r}: {kind} is not a class of steps (rd.isp.Step)")
    return step


def _step(row: Mapping[str, Any], camera: Camera, parametrized: bool) -> Step:
    name = row["name"]
    cls = _class(row.get("kind"), name)
    values = {key: value for key, value in row.items() if key not in ("name", "kind")}
    from_camera = _from_camera(cls)
    declared: dict[str, Number | Option] = {**cls.options, **cls.numbers}
    required = [key for key, item in declared.items() if not item.camera]
    if not values.keys().isdisjoint(from_camera):  # the row, not the camera, holds all of them
        required += [key for key in from_camera if key in cls.numbers]
        values = {k: cls.options[k].default for k in from_camera if k in cls.options} | values
    optional = [key for key in from_camera if key not in required]
    _check_keys(f"field of step {name!r}", values, required, optional)
    for key in cls.numbers:
        if key in values:
            values[key] = _tensor(f"{name}.{key}", values[key])
    try:
        return cls.of(camera, parametrized=parametrized, **values)
    except InputError as error:
        raise InputError(f"step {name!r}: {error}") from None


def _tensor(name: str, value: object) -> Tensor:
    def numeric(part: object) -> bool:
        return all(map(numeric, part)) if isinstance(part, (list, tuple)) else is_number(part)

    if not numeric(value):
        raise InputError(f"{name} must be finite numbers, got {value!r}")
    try:
        return torch.tensor(value, dtype=torch.float64)
    except (RuntimeError, TypeError, ValueError):  # rows of different lengths
        raise InputError(f"{name} must be rows of the same length, got {value!r}") from None


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
