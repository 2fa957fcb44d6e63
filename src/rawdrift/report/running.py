"""The page of a run under way: progress, and what was measured so far. It draws no conclusion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from rawdrift.report.page import render
from rawdrift.runs.status import RunStatus

_WIDE, _TALL, _MOST = 150, 44, 24


class Line(NamedTuple):
    """A finished unit: its label, what it found, and how long it took."""

    label: str
    found: str
    seconds: float


class Curve(NamedTuple):
    """The mean loss of each epoch of a training so far."""

    label: str
    values: Sequence[float]

    @property
    def svg(self) -> Markup:
        """The curve, as an element of a page."""
        low, high = min(self.values), max(self.values)
        across = _WIDE / (len(self.values) - 1)
        points = " ".join(
            f"{i * across:.1f},{_TALL * (high - value) / (high - low or 1):.1f}"
            for i, value in enumerate(self.values)
        )
        return Markup(
            f'<svg viewBox="-3 -3 {_WIDE + 6} {_TALL + 6}" class="curve" aria-hidden="true">'
            f'<polyline points="{points}"/></svg>'
        )


def page(
    status: RunStatus,
    *,
    name: str,
    spec: str,
    under_way: Sequence[tuple[str, float, str]],
    done: Sequence[Line],
    failed: Mapping[str, str],
    curves: Sequence[Curve],
    rows: Sequence[Sequence[str]],
    log: Sequence[str],
) -> str:
    """Return the page of a run that has no result yet.

    under_way: label, share that is done, and what is being done, of each unit. rows: the head of
    results.csv and its last rows.
    """
    return render(
        Path(__file__).with_name("running.html.j2"),
        status=status,
        name=name,
        settings=spec,
        under_way=under_way,
        done=done,
        failed=failed,
        curves=curves[-_MOST:],
        rows=[[_short(cell) for cell in row] for row in rows],
        log=log,
    )


def _short(cell: str) -> str:
    """Return a cell, a number with 4 significant digits at most."""
    try:
        return f"{float(cell):.4g}" if "." in cell else cell
    except ValueError:
        return cell
