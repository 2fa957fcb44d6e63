"""Tables for the page, for programs (CSV) and for papers (LaTeX)."""

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from rawdrift import files
from rawdrift.checks import visible
from rawdrift.report import style
from rawdrift.statistics import Interval


class Column(NamedTuple):
    """A column, whose values are text, numbers, None, or (low, high) of an interval.

    name: in CSV. head: for a reader; "" for a column that is in CSV alone. digits: decimals of
    numbers; None for text and counts. by_row: whether each row has its own number of decimals.
    """

    name: str
    head: str
    digits: int | None = None
    by_row: bool = False

    def show(self, value: Any, digits: int | None = None) -> str:
        """Write a value for a reader, with `digits` instead of the column's."""
        digits = self.digits if digits is None else digits
        if isinstance(value, tuple):
            low, high = value
            return span(low, high, digits or 0)
        if value is None or isinstance(value, float):
            least = 10 ** -(digits or 0)
            if value is not None and self.name.startswith("p_") and value < least:
                return f"< {least}"
            return style.number(value, digits or 0)
        return str(value)

    @property
    def is_number(self) -> bool:
        return self.digits is not None


def span(low: float | None, high: float | None, digits: int) -> str:
    """Write an interval as "low to high".

    Ranks have no decimals (digits=0), but tied ones may be halves, which are shown.
    """
    if low is None or high is None:
        return "not known"
    ends = [style.number(v, digits or 1).removesuffix("" if digits else ".0") for v in (low, high)]
    return (" to " if "\N{MINUS SIGN}" in "".join(ends) else "\N{EN DASH}").join(ends)


class Table(NamedTuple):
    """Rows of values. name: of its files. digits: of each row, for `Column.by_row`."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    digits: Sequence[int] = ()

    @property
    def visible(self) -> list[Column]:
        """The columns for a reader."""
        return [column for column in self.columns if column.head]

    def shown(self) -> list[list[str]]:
        """Write the rows of visible columns for a reader."""
        rows = []
        for number, row in enumerate(self.rows):
            own = self.digits[number] if self.digits else None
            pairs = zip(self.columns, row, strict=True)
            rows.append([c.show(value, own if c.by_row else None) for c, value in pairs if c.head])
        return rows


Columns = Sequence[tuple[Column, Callable[[Any], Any]]]
"""Columns, and the value that each has for an item."""


def table(
    name: str, title: str, columns: Columns, items: Iterable[Any], digits: Sequence[int] = ()
) -> Table:
    """Return a table with a row for each item. An `Interval` is shown by its ends."""
    rows = [[_ends(value(item)) for _, value in columns] for item in items]
    return Table(name, title, [column for column, _ in columns], rows, digits)


def _ends(value: Any) -> Any:
    return (value.low, value.high) if isinstance(value, Interval) else value


def write(table: Table, folder: Path) -> None:
    """Write `folder`/NAME.csv and NAME.tex."""
    files.write(folder / f"{table.name}.csv", to_csv(table))
    files.write(folder / f"{table.name}.tex", to_latex(table))


def to_csv(table: Table) -> str:
    """Write a table as CSV: numbers in full, intervals as two columns, unknown values empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spans = [
        any(isinstance(row[i], tuple) for row in table.rows) for i in range(len(table.columns))
    ]
    names: list[str] = []
    for column, span in zip(table.columns, spans, strict=True):
        names += [f"{column.name}_low", f"{column.name}_high"] if span else [column.name]
    writer.writerow(map(files.plain_cell, names))
    for row in table.rows:
        values: list[Any] = []
        for value, span in zip(row, spans, strict=True):
            values += (value or (None, None)) if span else [value]
        writer.writerow(map(files.plain_cell, values))
    return text.getvalue()


_LONGEST = 40  # rows that fit on a page


def to_latex(table: Table) -> str:
    """Write a table for the LaTeX package booktabs, and a long one for longtable."""
    long = len(table.rows) > _LONGEST
    environment = "longtable" if long else "tabular"
    align = "".join("r" if column.is_number else "l" for column in table.visible)
    head = [" & ".join(_escape(column.head) for column in table.visible) + r" \\"]
    body = [" & ".join(map(_escape, row)) + r" \\" for row in table.shown()]
    return "\n".join(
        [
            f"% {_escape(style.plain(table.title, 200))}",
            rf"% needs \usepackage{{booktabs{',longtable' if long else ''}}}",
            rf"\begin{{{environment}}}{{{align}}}",
            r"\toprule",
            *head,
            r"\midrule",
            *([r"\endhead"] if long else []),
            *body,
            r"\bottomrule",
            rf"\end{{{environment}}}",
            "",
        ]
    )


_SPECIAL = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        "\N{INFINITY}": r"$\infty$",
        "\N{NO-BREAK SPACE}": "~",
    }
)


def _escape(text: str) -> str:
    return " ".join(visible(text).split()).translate(_SPECIAL)
