"""Specs as plain values and as YAML."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from rawdrift.checks import InputError, choose
from rawdrift.configurations import CONFIGURATIONS, is_file


def to_dict(spec: Any) -> dict[str, Any]:
    """Return a spec as plain nested dictionaries, without fields that are None."""

    def present(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if value is not None}

    return asdict(spec, dict_factory=present)


def to_yaml(spec: Any) -> str:
    """Return a spec as YAML."""
    return yaml.safe_dump(to_dict(spec), sort_keys=False, allow_unicode=True)


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


def isp_reference(name: str, value: str) -> str:
    """Return a configuration, or the absolute path of an ISP file, that a field names."""
    if is_file(value):
        return existing_file(name, value, "a configuration, or an ISP file (.toml)")
    return choose(name, value, CONFIGURATIONS)


def existing_file(name: str, value: str, expected: str) -> str:
    """Return the absolute path of a file that a field names. Raises InputError without one."""
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{name} {value!r} is not a file; choose {expected}")
    return str(path)
