"""The page of a drift forensics run, and its findings for a terminal."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from rawdrift.configurations import in_words
from rawdrift.controls.forensics import axes, figures, safety
from rawdrift.controls.forensics.caveats import caveats
from rawdrift.controls.forensics.held_out import FEWEST_GROUPS, FEWEST_IMAGES
from rawdrift.controls.forensics.result import ForensicsResult
from rawdrift.controls.forensics.tables import tables
from rawdrift.report import pictures, style
from rawdrift.report.page import compose

_MOST = 4  # settings that are named in a line

METHOD = (
    "worst setting: score interval over images or groups that the search did not use; envelope: "
    "Learn then Test along each parameter, and exact or betting tests of corners of the box and of "
    "cameras drawn from it (docs/explanation/envelope.md)"
)
"""How the statements were made, for evidence."""


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
        isp_words=in_words(result.isp) or "of a file",
        moved=axes.moved(result),
        drop_in_words=drop_in_words(result),
        credits=_credits(result),
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
    setting = worst.setting
    if not setting.metric < worst.search.default:
        yield f"no setting was found that lowers {metric}, {result.baseline.metric.value:.3f}"
    else:
        fold = f" (fold {worst.search.fold + 1}; each model has its own)" * (result.models > 1)
        at = f"{_some(axes.moved(result))}{fold}"
        after = f"{worst.metric.value:.3f}"
        before = f"{worst.metric.value + worst.drop.value:.3f}"
        others = "of images that the search did not use, " if result.baseline.held_out else ""
        if worst.drop.value > 0 and before != after:
            yield f"worst setting found: {others}{metric} falls from {before} to {after} at {at}"
        else:
            yield f"worst setting found: {at}; there, {others}{metric} does not fall, {after}"
        yield drop_in_words(result) + "."
    if result.trained_here:
        which = "these trainings" if result.models > 1 else "this training"
        yield f"this is about {which} alone: another seed makes another model"
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


def drop_in_words(result: ForensicsResult) -> str:
    """What can be said about other images at the worst setting, as a sentence without its stop."""
    metric, drop = style.metric(result.metric, inside=True), result.worst.drop
    if drop.low is None or drop.high is None:
        return (
            "Too few images to keep some from the search, so nothing is said about other images: "
            f"give at least {2 * FEWEST_IMAGES} test images, of {2 * FEWEST_GROUPS} groups or more"
        )
    sure = f"with {figures.percent(result.confidence)} confidence"
    if drop.low > 0:
        low, high = style.apart(drop.low, 0, 3)[0], style.at_most(drop.high)
        by = f"{low} to {high}" if float(low) > 0 else f"up to {high}"
        return f"There, {metric} of other images drops by {by}, {sure}"
    if drop.high > 0:
        high = style.at_most(drop.high)
        return f"No drop is shown for other images; one of more than {high} is ruled out, {sure}"
    return f"There, {metric} of other images does not drop, {sure}"


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
        if shown.stages:  # a black box has none
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


def _credits(result: ForensicsResult) -> dict[str, int]:
    """How many gradient searches each of their parts decided, the most frequent part first."""
    counts = Counter(figures.credit(fold) for search in result.searches for fold in search.folds)
    return dict(counts.most_common())
