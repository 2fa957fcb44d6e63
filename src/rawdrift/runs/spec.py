"""Specs as plain values and as YAML."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS, check_name, is_external, is_file
from rawdrift.imports import COMMAND, named

_MAX_BYTES, _MAX_DEPTH = 1 << 18, 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # built with libyaml: ten times as fast


def to_dict(spec: Any) -> dict[str, Any]:
    """Return a spec as plain nested dictionaries, without fields that are None."""

    def present(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if value is not None}

    return asdict(spec, dict_factory=present)


def to_yaml(spec: Any) -> str:
    """Return a spec as YAML."""
    return yaml.safe_dump(to_dict(spec), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file of plain values; see `check_yaml`."""
    check_yaml(path)
    try:
        return yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} is not readable as a spec: {reason}") from None


def spec_parts(spec: type) -> list[str]:
    """Return the fields of a spec that have fields themselves."""
    return [name for name, kind in get_type_hints(spec).items() if is_dataclass(kind)]


def read_spec(path: Path, spec: type) -> dict[str, Any]:
    """Return the content of a YAML file of a spec.

    Raises InputError unless its parts are mappings: a text would be taken for another file, or for
    a class to import, and so would `class_path`.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no fields; expected those of a spec, such as data and task")
    for name in spec_parts(spec):
        if not isinstance(tree.get(name, {}), dict):
            raise InputError(f"{path}: {name} is {tree[name]!r}; expected its fields, one a line")
    for name in flat(tree):
        for word in ("class_path", "init_args", "dict_kwargs", "config"):
            if word in str(name).split("."):
                raise InputError(f"{path}: {word} is not a field of a spec")
    return tree


def check_yaml(path: Path) -> None:
    """Raise InputError for what is not YAML, and for aliases, deep nesting and huge files.

    With aliases, a few bytes can fill any memory.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path} is larger than {_MAX_BYTES} bytes, expected a spec")
    depth = 0
    try:
        for event in yaml.parse(files.read_bytes(path), Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"{path} has the YAML alias *{event.anchor}; write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise InputError(f"{path} is nested more than {_MAX_DEPTH} deep; expected a spec")
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} is not readable as a spec: {reason}") from None


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to one with dotted names."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def texts(value: Any) -> list[str]:
    """Return every text in nested dictionaries and lists."""
    if isinstance(value, Mapping):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def places(value: Any) -> list[Path]:
    """Return the absolute paths among these texts, and among the words of commands."""
    words = (
        word
        for text in texts(value)
        for word in (text.removeprefix(COMMAND).split() if text.startswith(COMMAND) else [text])
    )
    return [Path(word) for word in words if Path(word).is_absolute()]


def isp_reference(name: str, value: str, others: Iterable[str] = ()) -> str:
    """Return the ISP that a field names: a name, a black box, or the absolute path of an ISP file.

    others: names that are also valid.
    """
    if hasattr(value, "named_parameters"):
        raise InputError(
            f"{name} is an object, {type(value).__name__}; expected a name or a file: save it with "
            f"rawdrift.isp.save, and give the path"
        )
    value = named(value, name)
    if is_external(value):
        return value
    if is_file(value):
        return existing_file(name, value, "a configuration, or an ISP file (.toml)")
    return check_name(value, name, [other for other in others if other not in CONFIGURATIONS])


def existing_file(name: str, value: str, expected: str) -> str:
    """Return the absolute path of a file that a field names. Raises InputError without one."""
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{name} {value!r} is not a file; choose {expected}")
    return str(path)
