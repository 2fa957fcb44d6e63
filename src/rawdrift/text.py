"""Tables of a few lines, for terminals and notebooks."""

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


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
