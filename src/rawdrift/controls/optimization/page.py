"""The page of a drift optimization run, and the figures and tables on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from rawdrift.configurations import in_words, label
from rawdrift.controls.optimization import figures, findings, parameters
from rawdrift.controls.optimization.caveats import caveats
from rawdrift.controls.optimization.findings import FIRST, SECOND
from rawdrift.controls.optimization.result import LearnedISP, OptimizationResult, Violation
from rawdrift.controls.optimization.tables import tables
from rawdrift.controls.optimization.views import stages, views
from rawdrift.report import style
from rawdrift.report.page import compose

METHOD = (
    "gains and losses: paired score intervals over test images or groups, which hold together for "
    "all differences of the page (docs/explanation/numbers.md)"
)
"""How the statements were made, for evidence."""


def write(run: Path, result: OptimizationResult) -> str:
    """Draw figures/ and tables/ into the run folder; return the page."""
    with_numbers = {row.setting for row in result.table}
    return compose(
        Path(__file__).with_name("page.html.j2"),
        run,
        result,
        _figures(result, run),
        tables(result),
        headline=findings.headline(result),
        lead=findings.lead(result),
        beside_paper=findings.beside_paper(result),
        tiles=list(_tiles(result)),
        reference=findings.reference(result),
        caveats=caveats(result),
        isp_label=label(result.spec["optimization"]["isp"]),
        isp_words=in_words(result.spec["optimization"]["isp"]),
        left=_left(result),
        most_clipped=_most_clipped(result),
        isp_cameras=parameters.cameras(result),
        views=views(result, run),
        stage_rows=stages(result, run),
        missing=[name for name in result.settings if name not in with_numbers],
        listed=findings.listed,
        trained_here=True,
    )


def plot(result: OptimizationResult) -> Figure:
    """Draw the learning curves on test images, a panel for each intensity."""
    return figures.learning(result)


def lines(result: OptimizationResult, run: Path) -> Iterator[str]:
    """Yield the findings in a few lines, for a terminal."""
    del run
    return findings.lines(result)


def _figures(result: OptimizationResult, run: Path) -> Mapping[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {}
    if result.curves:
        drawn["learning"] = partial(figures.learning, result)
        drawn["losses"] = partial(figures.losses, result)
    if result.differences:
        drawn["differences"] = partial(figures.differences, result)
    for number, camera in enumerate(parameters.cameras(result), 1):
        drawn[f"parameters-{number}"] = partial(parameters.paths, result, camera)
        if parameters.kernel_names(result):
            drawn[f"kernels-{number}"] = partial(parameters.kernels, result, camera)
        if parameters.curve_names(result):
            drawn[f"curves-{number}"] = partial(parameters.curves, result, camera)
    for number, intensity in enumerate(result.intensities, 1):
        samples = [s for s in result.samples if s.intensity == intensity and s.masks]
        if samples:
            drawn[f"masks-{number}"] = partial(figures.masks, result, samples, run)
    if result.less_light:
        drawn["intensities"] = partial(figures.intensities, result, run)
    return drawn


class Tile(NamedTuple):
    """A key number: small stands beside it, note below."""

    head: str
    number: str
    small: str
    note: str


def _tiles(result: OptimizationResult) -> Iterator[Tile]:
    """Yield a tile for each of the three lowest intensities."""
    metric = style.metric(result.metric, inside=True)
    for intensity in sorted(result.intensities)[:3]:
        rows = findings.ranked(result, intensity)
        if not rows:
            continue
        highest = rows[0]
        gain = findings.gain(result, intensity, FIRST, SECOND)
        if gain is None:
            number, std = style.number(highest.final.mean, 3), highest.final.std
            small = "" if std is None else f"± {style.number(std, 3)}"
            note = f"{metric} in the end of {highest.setting}"
            note += ", the highest" if len(rows) > 1 else ""
        else:
            number, small = style.number(gain.value, 3), findings.interval(gain.interval)
            number = f"+{number}" if round(gain.value, 3) > 0 else number
            doubt = "" if gain.certain else ", which may be chance"
            note = (
                f"{metric} in the end, {FIRST} minus {SECOND}; {style.p_value(gain.p)}{doubt}. "
                f"Highest: {highest.setting}, {style.number(highest.final.mean, 3)}"
            )
        yield Tile(f"Intensity {intensity:g}", number, small, note)


class Left(NamedTuple):
    """How many of the learned ISPs left physics: ever, at the end, and by parameter."""

    of: int
    ever: int
    at_end: int
    parameters: dict[str, int]


def _left(result: OptimizationResult) -> Left:
    def count(entries: Iterable[LearnedISP | Violation]) -> int:
        return len({(x.intensity, x.fold, x.repeat, x.camera) for x in entries})

    by_parameter: dict[str, list[Violation]] = {}
    for violation in result.violations:
        by_parameter.setdefault(result.labels[violation.parameter], []).append(violation)
    return Left(
        of=count(result.isps),
        ever=count(result.violations),
        at_end=count(violation for violation in result.violations if violation.at_end),
        parameters={name: count(entries) for name, entries in by_parameter.items()},
    )


def _most_clipped(result: OptimizationResult) -> LearnedISP | None:
    """Return the learned ISP with the largest share of black and white values in the end."""
    return max(result.isps, key=lambda isp: isp.path[-1].clipped.total, default=None)
