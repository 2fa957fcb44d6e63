"""The file: JSON, described by a schema, with a checksum."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from rawdrift import files
from rawdrift.checks import InputError

FORMAT = "rawdrift-signature"
VERSION = 1


@dataclass(frozen=True)
class Signature:
    """The content of a signature file; see `schema`.

    The checksum shows that a file is as it was written. It does not prove who wrote it: for that,
    sign the file with the tools of your trade.
    """

    content: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a signature file.

        Raises InputError for another kind of file, another version, and a file that has been
        changed since it was written.
        """
        try:
            text = files.read_text(Path(path))
        except FileNotFoundError:
            raise InputError(f"signature {path} does not exist") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a signature: it is not JSON ({error})") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, path: str) -> Self:
        """Read the text of a signature file; see `load`. path: for errors."""
        try:
            content = json.loads(
                text,
                parse_float=_finite,
                parse_int=_whole,
                parse_constant=_no_number,
            )
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not a signature: it is not JSON ({error})") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f'{path} is not a signature: its format is not "{FORMAT}"')
        if content.get("version") != VERSION:
            raise InputError(
                f"{path} is a signature of version {content.get('version')!r}, expected {VERSION}; "
                f"use the release of rawdrift that wrote it, {content.get('rawdrift')!r}"
            )
        _validate(content, path)
        if content["checksum"] != _checksum(content):
            raise InputError(
                f"{path} has been changed since it was written: its checksum does not fit; ask "
                f"for the original"
            )
        return cls(content)

    @classmethod
    def seal(cls, content: Mapping[str, Any]) -> Self:
        """Return the signature of a content, to which format, version and checksum are added.

        Raises InputError if the schema refuses it.
        """
        whole = {"format": FORMAT, "version": VERSION, **content}
        whole = json.loads(json.dumps(whole, allow_nan=False))  # as it will be read
        whole["checksum"] = _checksum(whole)
        _validate(whole, "the signature")
        return cls(whole)

    def save(self, path: str | Path) -> None:
        """Write the file."""
        files.write(Path(path), json.dumps(self.content, indent=1, allow_nan=False) + "\n")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _whole(text: str) -> int:
    value = int(text)
    _finite(text)  # a number beyond any float can't be compared
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text[:20]} is not a JSON number")


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of signature files."""
    file = resources.files("rawdrift.controls.evidence") / "signature.schema.json"
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(_canonical(rest).encode()).hexdigest()


def _validate(content: Mapping[str, Any], name: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema()).iter_errors(content))
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the whole"
        raise InputError(f"{name} is not a valid signature: {where}: {error.message[:200]}")
    axes = sorted(axis["name"] for axis in content["space"])
    if not axes == sorted(content["tolerances"]) == sorted(content["box"]):
        raise InputError(f"{name} is not a valid signature: space, tolerances and box differ")
