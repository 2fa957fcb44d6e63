"""The page of a drift forensics run, and its findings for a terminal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from rawdrift.configurations import CONFIGURATIONS, in_words
from rawdrift.controls.forensics import axes, figures, safety
from rawdrift.controls.forensics.caveats import caveats
from rawdrift.controls.forensics.result import ForensicsResult
from rawdrift.controls.forensics.tables import tables
from rawdrift.report import pictures, style
from rawdrift.report.page import compose

_MOST = 4  # settings that are named in a line


def write(run: Path, result: ForensicsResult) -> str:
    """Draw figures and tables into the run folder; return the page."""
    shown = result.pictures
    return compose(
        Path(__file__).with_name("page.html.j2"),
        run,
        result,
        _figures(result, run),
        tables(result),
        farthest=result.farthest,
        lowest=result.lowest,
        compared=result.compared(),
        far=figures.distance(result),
        caveats=caveats(result),
        isp_words=in_words(result.isp) if result.isp in CONFIGURATIONS else "of a file",
        moved=axes.moved(result),
        group_words=partial(axes.group, result.space),
        images=pictures.embed(run, result.metric, shown.images if shown else []),
        picture=partial(pictures.data_uri, run),
        judge=partial(pictures.verdict, result.metric),
        reasons=_reasons(result.failed),
        percent=figures.percent(result.confidence),
    )


def plot(result: ForensicsResult) -> Figure:
    """Draw the metric after each search, by regularization and group of parameters."""
    return figures.by_regularization(result)


def lines(result: ForensicsResult, run: Path) -> Iterator[str]:
    """The worst setting, and the settings that are safe together."""
    metric, worst = style.metric(result.metric, inside=True), result.worst
    if worst.drop.value <= 0:
        yield f"no setting was found that lowers {metric}, {result.baseline.metric.value:.3f}"
    else:
        fold = f" (fold {worst.search.fold + 1})" if result.models > 1 else ""
        before = worst.metric.value + worst.drop.value
        yield (
            f"worst setting found: {metric} falls from {before:.3f} to {worst.metric.value:.3f} "
            f"at {_some(axes.moved(result))}{fold}"
        )
    if result.envelope is None:
        return
    if result.envelope.is_empty or result.signature is None:
        yield f"nothing is signed: {result.envelope.warnings[0]}"
        return
    yield from result.envelope.claims()
    box = [
        f"{axis.label} {axes.value(low, axis)} to {axes.value(high, axis)}"
        for axis in result.space
        for low, high in [result.envelope.box[axis.name]]
    ]
    if result.envelope.validation.cameras:
        yield f"the box: {_some(box)}"
    file = run / result.signature.file
    yield f"is another camera inside? rawdrift check {file} --camera CAMERA"


def _some(settings: Sequence[str]) -> str:
    more = f", and {len(settings) - _MOST} more" if len(settings) > _MOST else ""
    return ", ".join(settings[:_MOST]) + more


def _figures(result: ForensicsResult, run: Path) -> Mapping[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {
        "regularization": partial(figures.by_regularization, result),
        "distance": partial(figures.by_distance, result),
        "trajectory": partial(figures.trajectories, result),
    }
    if result.pictures:
        shown, before = result.pictures, "With the camera's own setting"
        drawn["stages"] = partial(figures.leverage, shown.stages)
        drawn["samples"] = partial(
            pictures.compared,
            run,
            result.metric,
            shown.images,
            before,
            "At the worst setting",
            shown.amplified,
        )
    if result.compared():
        drawn["methods"] = partial(figures.methods, result)
    if result.sensitivity:
        drawn["sobol"] = partial(safety.sobol, result.space, result.sensitivity)
        drawn["curves"] = partial(safety.curves, result.space, result.sensitivity, result.envelope)
    if result.envelope and not result.envelope.is_empty:
        drawn["envelope"] = partial(safety.envelope, result.space, result.envelope)
    return drawn


def _reasons(failed: Mapping[str, str]) -> dict[str, list[str]]:
    """The labels of failed units by their reason, which many may share."""
    labels: dict[str, list[str]] = {}
    for label, reason in failed.items():
        labels.setdefault(reason, []).append(label)
    return labels
