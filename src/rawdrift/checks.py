"""Checks of what users give, and the one error that tells them."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_REASONS = 10  # told in full; of further files, the names


class InputError(ValueError):
    """The user's input is wrong. The message says what was found, what was expected, what to do."""


class Failures:
    """Single files that could not be used: the rest is done, and these are told at the end.

    found: what was wrong, by file.
    """

    found: dict[str, str]

    def __init__(self, found: Mapping[str, str] | None = None):
        self.found = dict(found or {})

    def add(self, name: object, error: InputError | OSError) -> None:
        """Note the error of a file."""
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename}: {error.strerror}"
        self.found[str(name)] = reason

    def check(self, total: int, what: str) -> None:
        """Raise an InputError that names every file that failed, of `total` files."""
        if not self.found:
            return
        reasons = [*self.found.values()][:_REASONS]
        if total == 1:
            raise InputError(reasons[0])
        rest = "all the others are done" if len(self.found) < total else "nothing is done"
        more = [*self.found][_REASONS:]
        if more:
            reasons.append(f"and also {', '.join(more)}")
        raise InputError(
            f"{len(self.found)} of {total} {what} can't be used, {rest}: {'; '.join(reasons)}"
        )


def choose(kind: str, name: object, valid: Iterable[str]) -> str:
    """`name` if it is one of `valid`; otherwise an InputError that lists them."""
    names = list(valid)
    if isinstance(name, str) and name in names:
        return name
    close = get_close_matches(name, names, n=1) if isinstance(name, str) else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(f"unknown {kind} {name!r}{hint}; choose one of {'; '.join(names)}")


def numbers(name: str, values: object, count: int) -> tuple[float, ...]:
    """`count` finite numbers as a tuple of floats; otherwise an InputError that names the field."""
    if (
        not isinstance(values, Sequence)
        or isinstance(values, str)
        or len(values) != count
        or not all(is_number(value) for value in values)
    ):
        raise InputError(f"{name} must be {count} finite numbers, got {values!r}")
    return tuple(float(value) for value in values)


def is_number(value: object) -> bool:
    """A finite int or float; a bool is not a number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # an int may be too large for a float


def positive(name: str, value: object) -> float:
    """A finite number above zero; otherwise an InputError that names the field."""
    if not is_number(value) or value <= 0:  # type: ignore[operator]
        raise InputError(f"{name} must be a number above 0, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def whole(name: str, value: object, least: int) -> int:
    """A whole number of at least `least`; otherwise an InputError that names the field."""
    if not is_number(value) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value
