"""Checks of user input, and the error that they raise."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, get_args, get_origin, get_type_hints

_CAUSES = 5  # that are shown, the most frequent first
_EXAMPLES = 3  # of each
_LONG = 400  # characters of a reason
_MOST = 2000  # characters of a message
_COMMANDS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NAMES_AND_NUMBERS = re.compile(r"\S*[/\\]\S*|'[^']*'|(?<![A-Za-z])\d+")


def visible(text: str) -> str:
    """Return a text whose control characters, and those that turn its direction, are replaced."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


class InputError(ValueError):
    """The user's input is wrong. The message says what is wrong, what was expected, what to do.

    The middle of a long one is left out, and control characters are replaced: it may quote a file.
    """

    def __str__(self) -> str:
        text = visible(super().__str__())
        return text if len(text) <= _MOST else f"{text[: _MOST // 2]} ... {text[-_MOST // 2 :]}"


class Failures:
    """Files that could not be used. The others are processed, and these reported at the end.

    reasons: what was wrong, by file.
    """

    reasons: dict[str, str]

    def __init__(self, reasons: Mapping[str, str] | None = None):
        self.reasons = dict(reasons or {})

    def add(self, name: object, error: InputError | OSError) -> None:
        """Note the error of a file."""
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename}: {error.strerror}"
        self.reasons[str(name)] = reason

    def check(self, total: int, what: str) -> None:
        """Raise an InputError if files failed, of `total`: each cause once, with examples."""
        if not self.reasons:
            return
        if total == 1:
            raise InputError(self.causes())
        rest = "all the others are done" if len(self.reasons) < total else "nothing is done"
        raise InputError(
            f"{len(self.reasons)} of {total} {what} can't be used, {rest}: {self.causes()}"
        )

    def causes(self) -> str:
        """Return what was wrong, each cause once."""
        return "; ".join(grouped(self.reasons.items()))


def grouped(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is said of names, given as (name, text): like texts once, with examples.

    Texts that differ only in names and numbers are alike. The most frequent come first.
    """
    by_cause = defaultdict(list)
    for name, text in texts:
        cause = _NAMES_AND_NUMBERS.sub("", text.replace(name, ""))
        by_cause[cause].append((name, text))
    groups = sorted(by_cause.values(), key=len, reverse=True)
    said = []
    for (_, text), *others in groups[:_CAUSES]:
        text = text if len(text) <= _LONG else f"{text[:_LONG]}..."
        if others:
            examples = [name for name, _ in others[: _EXAMPLES - 1]]
            more = len(others) - len(examples)
            text += f" (so {'is' if len(others) == 1 else 'are'} {', '.join(examples)}"
            text += f" and {more} more)" if more else ")"
        said.append(text)
    if len(groups) > _CAUSES:
        said.append(f"and {sum(map(len, groups[_CAUSES:]))} for other reasons")
    return said


def choose(kind: str, name: object, valid: Iterable[str]) -> str:
    """Return `name` if it is one of `valid`; otherwise raise an InputError that lists them."""
    names = list(valid)
    if isinstance(name, str) and name in names:
        return name
    close = closest(name, names) if isinstance(name, str) else None
    hint = f" (did you mean {close!r}?)" if close else ""
    choices = f"choose one of {'; '.join(names)}" if names else "there is none to choose"
    raise InputError(f"unknown {kind} {name!r}{hint}; {choices}")


def closest(name: str, names: Sequence[str]) -> str | None:
    """The name most like a wrong one, as a whole or by a part, as "gamma.gamma" is like "gama"."""
    parts = {part: full for full in reversed(names) for part in re.split(r"[.:\[]", full)}
    for known in ({full: full for full in names}, parts):
        if close := get_close_matches(name, known, n=1):
            return known[close[0]]
    return None


def choose_literals(name: str, spec: object) -> None:
    """Raise InputError unless each field of the type Literal["a", "b", ...] has one of its values.

    name: of the part of the spec, which begins the names of its fields.
    """
    for field, kind in get_type_hints(type(spec)).items():
        values = get_args(kind)
        if get_origin(kind) is Literal and isinstance(values[0], str):
            choose(f"{name}.{field}", getattr(spec, field), values)


def distinct(name: str, values: Sequence[object], least: int = 0) -> None:
    """Raise InputError that names the field if it has a value twice, or fewer than `least`."""
    if len(set(values)) != len(values):
        raise InputError(f"{name} must not repeat a value, got {values}")
    if len(values) < least:
        raise InputError(f"{name} is empty; name at least one")


def numbers(name: str, values: object, count: int) -> tuple[float, ...]:
    """Return `count` finite numbers as floats. Raises InputError that names the field."""
    if (
        not isinstance(values, Sequence)
        or isinstance(values, str)
        or len(values) != count
        or not all(is_number(value) for value in values)
    ):
        raise InputError(f"{name} must be {count} finite numbers, got {values!r}")
    return tuple(float(value) for value in values)


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float; a bool is not."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # an int may be too large for a float


def positive(name: str, value: object) -> float:
    """Return a finite number above zero. Raises InputError that names the field."""
    if not is_number(value) or value <= 0:  # type: ignore[operator]
        raise InputError(f"{name} must be a number above 0, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def not_negative(name: str, value: object) -> float:
    """Return a finite number of at least 0. Raises InputError that names the field."""
    if not is_number(value) or value < 0:  # type: ignore[operator]
        raise InputError(f"{name} must be a number of at least 0, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def whole(name: str, value: object, least: int) -> int:
    """Return a whole number of at least `least`. Raises InputError that names the field."""
    if not is_number(value) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value
