"""JSON with types: how records and results are written and read (msgspec)."""

from typing import Any, TypeVar

import msgspec

from rawdrift.checks import InputError

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """Return a struct as indented JSON. NaN and infinity, which JSON lacks, become null."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=1)


def decode(content: bytes, kind: type[T], source: str) -> T:
    """Read a struct of type `kind`. Raises InputError that names `source` and the wrong field."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{source} is damaged: {error}") from None


def _plain(value: Any) -> Any:
    """Arrays of NumPy and torch as lists, subclasses of text and of float as these."""
    if hasattr(value, "tolist"):
        return value.tolist()
    for kind in (str, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
