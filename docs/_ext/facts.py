"""Facts of the code as Markdown: `{{ name(...) }}` in a page of reference/ is replaced by what the
function of that name returns, so that the reference says what the code does.
"""

import inspect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import jinja2

import public
from rawdrift.camera.camera import Camera, Noise, Optics, shipped
from rawdrift.cfa import MONO, PATTERNS, layout
from rawdrift.checks import InputError
from rawdrift.cli import parser
from rawdrift.configurations import CONFIGURATIONS, DEMOSAICING, DENOISING, SHARPENING
from rawdrift.controls import CONTROLS
from rawdrift.controls.evidence import signature
from rawdrift.controls.result import schema
from rawdrift.corruptions.declaration import find
from rawdrift.corruptions.table import CORRUPTIONS, LEVELS, PAPER
from rawdrift.isp.number import Knob, Number, Option, Quantity
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS


def text(value: str) -> str:
    """Escape what Markdown would take for markup, outside of backticks; join the lines."""
    parts = re.split(r"(`[^`]*`)", " ".join(value.split()))
    return "".join(
        part if i % 2 else re.sub(r"([*<|\[\]{}]|(?<!\w)_|_(?!\w))", r"\\\1", part)
        for i, part in enumerate(parts)
    )


def code(value: Any) -> str:
    """Return a value as code, as YAML and TOML would write it."""
    plain = {None: "none", True: "true", False: "false"}.get(value) if _is_plain(value) else None
    return f"`{plain or json.dumps(value, default=str)}`"


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def kind(hint: Any) -> str:
    """Return a type in words."""
    if get_origin(hint) is Literal:
        return " or ".join(code(value) for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        parts = [kind(part) for part in get_args(hint) if part is not NoneType]
        return " or ".join(parts)
    if get_origin(hint) is list:
        return f"list of {kind(get_args(hint)[0])}"
    if get_origin(hint) is tuple:
        first = get_args(hint)[0]
        return f"list of {kind(first)}"
    if get_origin(hint) is dict:
        return f"mapping of text to {kind(get_args(hint)[1])}"
    names = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "must be given"
    if value is None:
        return "optional"
    if is_dataclass(value):
        return ""
    return f"default {code(value)}"


def specs(control: str) -> str:
    """Return every field of the spec of a control."""
    spec = CONTROLS[control].spec
    return "\n".join(["```{eval-rst}", ".. program:: rawdrift", "```", *_spec(spec, "", 2)])


def _spec(spec: type, prefix: str, level: int) -> Iterator[str]:
    said = {p.arg_name: p.description for p in docstring_parser.parse(spec.__doc__ or "").params}
    hints = get_type_hints(spec)
    nested = {f.name: hints[f.name] for f in fields(spec) if is_dataclass(hints[f.name])}
    for field in fields(spec):
        name = f"{prefix}{field.name}"
        if not said.get(field.name):
            raise InputError(f"{spec.__name__}.{field.name} is not described in its docstring")
        if field.name not in nested:
            yield from _field(f"--{name}", kind(hints[field.name]), field, said[field.name])
    for name, part in nested.items():
        yield f"{'#' * level} {prefix}{name}"
        yield ""
        yield f"{text(said[name]).capitalize()} In Python {{py:class}}`rawdrift.{part.__name__}`."
        yield ""
        yield from _spec(part, f"{prefix}{name}.", level + 1)


def _field(name: str, type_: str, field: Field[Any], said: str) -> Iterator[str]:
    facts = ", ".join(filter(None, (type_, _default(field))))
    shown = text(said)
    yield from (f"```{{option}} {name}", f"*{facts}*", "", f"{shown[:1].upper()}{shown[1:]}")
    yield from ("```", "")


def camera_fields() -> str:
    """Return the fields of a camera file."""
    lines = []
    for section, of in (("", Camera), ("noise", Noise), ("optics", Optics)):
        names = {field.name: field for field in fields(of)}
        pairs = [
            pair
            for block in re.split(r"\n\s*\n", inspect.getdoc(of) or "")
            for pair in public._pairs(block, set(names))
        ] or public._pairs((inspect.getdoc(of) or "").partition(". ")[2], set(names))
        hints = get_type_hints(of)
        lines += [f"## Section `[{section}]`", ""] if section else []
        for group, said in pairs:
            for name in group.split(", "):
                field = names.pop(name)
                if is_dataclass(hints[name]) or any(map(is_dataclass, get_args(hints[name]))):
                    continue
                facts = ", ".join(filter(None, (kind(hints[name]), _default(field))))
                lines += [f"`{name}`", f": {text(said)} *({facts})*", ""]
        if names.keys() - {"noise", "optics"}:
            raise InputError(f"{of.__name__} describes nothing of {', '.join(names)}")
    return "\n".join(lines)


def cameras() -> str:
    """Return the shipped cameras as their files."""
    return "\n".join(
        f"## `{name}`\n\n```toml\n{Camera.load(name).to_toml()}```\n" for name in shipped()
    )


def arrays() -> str:
    """Return the color filter arrays with a name, and one of each other kind."""
    rows = []
    for cfa in (*PATTERNS, MONO, "XTRANS", "RCCB", "RYYB", "RCCG", "RGBW", "RRGG/RRGG/GGBB/GGBB"):
        of = layout(cfa)
        planes = ", ".join(of.planes)
        rows.append(f"| `{cfa}` | {of.height} x {of.width} | {'; '.join(of.sites)} | {planes} |")
    return "\n".join(["| array | cell | sites, in order | planes |", "|---|---|---|---|", *rows])


def configurations() -> str:
    """Return the parts of a configuration's name, and the twelve of the paper."""
    parts = (("demosaicing", DEMOSAICING), ("sharpening", SHARPENING), ("denoising", DENOISING))
    rows = [f"| {part} | `{name}` | {words} |" for part, of in parts for name, words in of.items()]
    table = "\n".join(["| part | name | |", "|---|---|---|", *rows])
    twelve = ", ".join(map(code, CONFIGURATIONS)).replace('"', "")
    return (
        f"{table}\n\nA `-` leaves sharpening or denoising out. All of them also have black level, "
        f"white balance, color correction and gamma. The twelve of the paper's Table 1: {twelve}."
    )


def isp_file() -> str:
    """Return an ISP file as it is written."""
    from rawdrift import isp

    camera = Camera.load("raw-drone")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "isp.toml"
        isp.save(isp.static("bi,s,ga", camera), path, camera)
        return f"```toml\n{path.read_text('utf-8')}```"


def steps() -> str:
    """Return every step with its numbers, options and knobs."""
    lines = []
    for name, step in STEPS.items():
        lines += [f"## {name}", "", f"{{py:class}}`rawdrift.isp.{name}`"]
        lines[-1] += f": {step.takes} to {step.gives}."
        names = {*step.numbers, *step.options}
        blocks = re.split(r"\n\s*\n", inspect.getdoc(step) or "")
        said = {name: what for block in blocks for name, what in public._pairs(block, names)}
        rest = "\n\n".join(block for block in blocks if not public._pairs(block, names))
        lines += ["", *_markdown(rest), ""]
        for number, declared in step.numbers.items():
            more = f"{text(said.pop(number))} " if number in said else ""
            lines += [f"`{number}`", f": {more}{_number(step, declared)}", ""]
            for knob, of in declared.knobs.items():
                lines += [f"`{knob}` (knob of `{number}`)", f": {_knob(of)}", ""]
        for option, setting in step.options.items():
            more = f"{text(said.pop(option))} " if option in said else ""
            lines += [f"`{option}` (option)", f": {more}{_option(setting)}", ""]
        for several, what in said.items():
            lines += [f"`{several}`", f": {text(what)}", ""]
    return "\n".join(lines)


def _markdown(docstring: str) -> Iterator[str]:
    """Yield a docstring as Markdown, as `public.rst` reads it."""
    for block in re.split(r"\n\s*\n", docstring):
        if block.startswith("    "):
            yield from ("```text", inspect.cleandoc(block), "```", "")
        else:
            yield from (text(block), "")


def _number(step: type[Step], number: Number) -> str:
    shape = "(" + ", ".join("any" if n is None else str(n) for n in number.shape) + ")"
    parts = [f"Shape `{shape}`." if number.shape else "One number."]
    if number.label:
        parts.append(f"Called {number.label}.")
    if number.elements:
        parts.append(f"Elements: {'; '.join(_flat(number.elements))}.")
    if number.camera:
        parts.append(f"Camera field `{number.camera}`.")
    if number.default is not None and not callable(number.default):
        parts.append(f"Default {code(number.default)}.")
    elif callable(number.default):
        parts.append("Default: follows from the other arguments.")
    elif not number.camera:
        parts.append("Must be given.")
    return " ".join([*parts, _quantity(number, drifts=not number.knobs)])


def _flat(names: Iterable[Any]) -> list[str]:
    return [one for name in names for one in ([name] if isinstance(name, str) else _flat(name))]


def _knob(knob: Knob) -> str:
    at = "computed from the numbers" if callable(knob.default) else f"{knob.default:g}"
    return f"Turns the numbers as a whole. Changes nothing at: {at}. {_quantity(knob)}"


def _quantity(quantity: Quantity, drifts: bool = True) -> str:
    parts = [f"Unit: {quantity.unit}."] if quantity.unit else []
    if (quantity.above, quantity.least, quantity.most) != (-math.inf, -math.inf, math.inf):
        bound = (
            quantity.bound
            if quantity.above > -math.inf or quantity.least > -math.inf
            else (f"at most {quantity.most:g}")
        )
        parts.append(f"Bounds: {bound}.")
    drift = quantity.drift
    width = [f"{drift.relative:.0%} of the value".replace("%", " %")] if drift.relative else []
    width += [f"{drift.absolute:g}"] if drift.absolute else []
    if width:
        floor = f", not below {drift.least:g}" if drift.least > -math.inf else ""
        head = "Drifts by default by" if drifts else "Single elements drift by"
        parts.append(f"{head} ± {' + '.join(width)}{floor}.")
    return " ".join(parts)


def _option(option: Option) -> str:
    parts = [f"One of {', '.join(map(code, option.choices))}."] if option.choices else []
    parts.append("Must be given." if option.required else f"Default {code(option.default)}.")
    if option.camera:
        parts.append(f"Camera field `{option.camera}`.")
    return " ".join(parts)


def corruptions() -> str:
    """Return every corruption with its constants by severity."""
    lines = []
    for name in CORRUPTIONS:
        corruption = find(name)
        of_paper = " One of the paper's ten." if name in PAPER and name != "identity" else ""
        lines += [f"## {name}", "", *_markdown(inspect.getdoc(corruption) or ""), of_paper, ""]
        rows = [
            f"| `{table}` | `{constant}` | {' | '.join(f'{v:g}' for v in values)} |"
            for table, constants in corruption.tables.items()
            for constant, values in constants.items()
        ]
        if rows:
            heads = " | ".join(map(str, LEVELS))
            lines += [f"| table | constant | {heads} |", "|---|---|" + "--:|" * len(LEVELS)]
            lines += [*rows, ""]
    return "\n".join(lines)


def commands() -> str:
    """Return every command with its arguments."""
    return "\n".join(_command(parser.build(), "rawdrift", 2))


def _command(of: Any, name: str, level: int) -> Iterator[str]:
    if level > 2:
        yield from (f"{'#' * (level - 1)} {name}", "", text(of.description or ""), "")
        yield from ("```{eval-rst}", f".. program:: {name}", "```", "")
    control = next((c for c in CONTROLS.values() if name == f"rawdrift {c.command}"), None)
    if control:
        yield from (f"Every field of its spec is a flag: {{ref}}`spec-{control.name}`.", "")
    subcommands = None
    for action in of._actions:
        if type(action).__name__ == "ActionSubCommands":
            subcommands = action
        elif not ("." in action.dest or action.help == "==SUPPRESS==") and not _is_part(action):
            yield from _argument(action)
    if subcommands:
        for command, of_it in subcommands._name_parser_map.items():
            yield from _command(of_it, f"{name} {command}", level + 1)


def _is_part(action: Any) -> bool:
    return type(action).__name__ in ("_ActionConfigLoad", "_HelpAction") or action.dest == "seed"


def _argument(action: Any) -> Iterator[str]:
    flags = [flag for flag in action.option_strings if flag.startswith("--")]
    metavar = action.metavar or action.dest.upper()
    takes = f" {metavar}".replace(" \b", "") if action.nargs != 0 else ""
    head = f"{flags[0]}{takes}" if flags else metavar
    said = text(action.help or "")
    default = action.default
    known = default not in (None, False, [], "==SUPPRESS==") and "by default" not in said
    yield from (f"```{{option}} {head}", said, "")
    yield from ([f"*default {code(default)}*"] if known else [])
    yield from ("```", "")


def exit_codes() -> str:
    """Return the exit codes, as the module of the command line states them."""
    said = inspect.getdoc(public.find("rawdrift.cli")) or ""
    found = re.search(r"Exit codes: (.*?)\. Each", " ".join(said.split()))
    if found is None:
        raise InputError("rawdrift.cli no longer states the exit codes")
    parts = found[1].replace("; and as shells have it,", ",").split(", ")
    rows = [part.split(" ", 1) for part in parts if part]
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {n} | {t} |" for n, t in rows)])


def results(control: str) -> str:
    """Return the fields of a control's summary.json, from its JSON Schema."""
    return "\n".join(_definitions(schema(control), _told_definitions))


_told_definitions: dict[str, Any] = {}


def _definitions(of: Mapping[str, Any], told: dict[str, Any]) -> Iterator[str]:
    """Yield the objects of a schema; those that another control has, too, are named alone."""
    root = of["$ref"].rsplit("/", 1)[-1]
    for name in sorted(of["$defs"], key=lambda name: name != root):
        definition = of["$defs"][name]
        if name in told:
            continue
        told[name] = definition
        yield from (f"(result-{name.lower()})=", f"### {name}", "")
        names = set(definition.get("properties", {}))
        blocks = re.split(r"\n\s*\n", definition.get("description", ""))
        pairs = [pair for block in blocks for pair in public._pairs(block, names)]
        rest = (block for block in blocks if not public._pairs(block, names))
        yield from _markdown("\n\n".join(rest))
        yield from _properties(definition, {n: s for of, s in pairs for n in of.split(", ")})


def _properties(definition: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    rows = []
    for name, value in definition.get("properties", {}).items():
        needed = "" if name in definition.get("required", ()) else ", optional"
        words = text(said.get(name, "")).replace("|", r"\|")
        rows.append(f"| `{name}` | {_schema_kind(value)}{needed} | {words} |")
    if rows:
        yield from ("| field | type | |", "|---|---|---|", *rows, "")


def _schema_kind(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        known = name in _told_definitions or name[0].isupper()
        return f"[{name}](#result-{name.lower()})" if known else name
    if "const" in value:
        return code(value["const"])
    if "enum" in value:
        return " or ".join(map(code, value["enum"]))
    if "anyOf" in value:
        return " or ".join(map(_schema_kind, value["anyOf"]))
    types = value.get("type", "any")
    names = {"null": "none", "integer": "whole number", "string": "text", "object": "mapping"}
    shown = " or ".join(names.get(t, t) for t in ([types] if isinstance(types, str) else types))
    if types == "array":
        return f"list of {_schema_kind(value.get('items') or {})}"
    more = value.get("additionalProperties")
    if types == "object" and isinstance(more, dict) and more:
        return f"mapping to {_schema_kind(more)}"
    return shown


def signature_fields() -> str:
    """Return the fields of a signature file, from its JSON Schema."""
    return "\n".join(_signature(signature.schema(), ""))


def _signature(of: Mapping[str, Any], prefix: str) -> Iterator[str]:
    shared = signature.schema()["$defs"]
    for name, value in of.get("properties", {}).items():
        if "$ref" in value:
            value = {**shared[value["$ref"].rsplit("/", 1)[-1]], **value}
            value.pop("$ref")
        parts = [_signature_kind(value)]
        if name not in of.get("required", ()):
            parts.append("optional")
        said = text(value.get("description", ""))
        yield from (f"`{prefix}{name}`", f": {said} *({', '.join(parts)})*", "")
        yield from _signature(value, f"{prefix}{name}.")
        inner = value.get("items") or value.get("additionalProperties")
        if isinstance(inner, dict):
            if "$ref" in inner:
                inner = shared[inner["$ref"].rsplit("/", 1)[-1]]
            yield from _signature(inner, f"{prefix}{name}[].")


def _signature_kind(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return value["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in value or "oneOf" in value:
        return " or ".join(map(_signature_kind, value.get("anyOf") or value["oneOf"]))
    if value.get("type") == "array":
        return f"list of {_signature_kind(value.get('items') or {})}"
    return _schema_kind(value)


def _expand(app: Any, name: str, source: list[str]) -> None:
    if name.startswith("reference/") and "{{" in source[0]:
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        source[0] = environment.from_string(source[0]).render(
            api=public.api, specs=specs, camera_fields=camera_fields, cameras=cameras,
            arrays=arrays, steps=steps, corruptions=corruptions, commands=commands,
            exit_codes=exit_codes, isp_file=isp_file, results=results,
            configurations=configurations,
            signature_fields=signature_fields,
        )  # fmt: skip


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
