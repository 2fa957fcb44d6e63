"""Tables of a few lines, for terminals and notebooks."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rawdrift.checks import InputError

if TYPE_CHECKING:
    import pandas

_LONGEST = 160  # characters of a value
Rows = Sequence[Sequence[str]]


def counted(count: int, one: str, many: str = "") -> str:
    """Return "1 image", "2 images" or "0 images". many: the plural that does not end in s alone."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def table(head: Sequence[str], rows: Rows) -> list[str]:
    """Return the lines of a table: the first column is aligned left, the others right."""
    lines = [head, *rows] if any(head) else [*rows]
    if not lines:
        return []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def pairs(rows: Rows) -> list[str]:
    """Return lines of names and what belongs to them, columns aligned left."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def html(caption: str, head: Sequence[str], rows: Rows, notes: Sequence[str] = ()) -> str:
    """Return a table as HTML, for notebooks. notes: sentences below it."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{"right" if place else "left"}">{escape(cell)}</{tag}>'
            for place, cell in enumerate(cells)
        )

    top = f"<thead><tr>{line(head, 'th')}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}{top}<tbody>{body}</tbody></table>{below}"


def frame(rows: Sequence[Mapping[str, Any]]) -> "pandas.DataFrame":
    """Return rows as a pandas DataFrame. Raises InputError if pandas is not installed."""
    try:
        import pandas
    except ModuleNotFoundError:
        raise InputError("to_frame needs pandas: pip install pandas") from None
    return pandas.DataFrame(rows)


class Shown:
    """A mixin for what prints itself: aligned lines in a terminal, a table in a notebook.

    By default these are the fields of a dataclass or struct. Subclasses may define
    `shown_title` and `shown_rows`.
    """

    __slots__ = ()

    def shown_title(self) -> str:
        """The first line."""
        return type(self).__name__

    def shown_rows(self) -> Sequence[Sequence[str]]:
        """Names, and values in a few words."""
        names: Any = getattr(self, "__struct_fields__", None)
        if names is None:
            names = getattr(self, "__dataclass_fields__", {})
        pairs_of = ((name, getattr(self, name)) for name in names)
        return [(name, brief(value)) for name, value in pairs_of if brief(value)]

    def __str__(self) -> str:
        return "\n".join([self.shown_title(), *(f"  {line}" for line in pairs(self.shown_rows()))])

    def _repr_html_(self) -> str:
        return html(self.shown_title(), (), self.shown_rows())


def brief(value: Any) -> str:
    """Return a value in a few words; "" for what is missing or empty."""
    if value is None or (not hasattr(value, "shape") and value in ("", (), [], {})):
        return ""
    if isinstance(value, bool | str | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if {"value", "low", "high"} <= {*getattr(value, "__struct_fields__", ())}:
        known = value.low is not None and value.high is not None
        return f"{value.value:.4g}" + (f" ({value.low:.4g} to {value.high:.4g})" if known else "")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = str(value.dtype).removeprefix("torch.")
        some = 0 not in value.shape
        span = f" from {float(value.min()):.4g} to {float(value.max()):.4g}" if some else ""
        return f"{dtype} {tuple(value.shape)}{span}"
    if isinstance(value, Mapping):
        parts = [f"{key} {brief(part)}" for key, part in value.items()]
        return _some(parts)
    if isinstance(value, Sequence):
        return _some([brief(part) for part in value])
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__name__


def _some(parts: Sequence[str]) -> str:
    line = ", ".join(parts)
    return line if len(line) <= _LONGEST else f"{len(parts)} entries"
