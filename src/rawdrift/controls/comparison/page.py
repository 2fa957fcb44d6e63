"""The page of a comparison, and its findings in a few lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from rawdrift.controls.caveats import Caveat, alike, few_folds, few_groups, few_images
from rawdrift.controls.comparison import figures
from rawdrift.controls.comparison.result import UNEXPLAINED, ComparisonResult, Remedy
from rawdrift.controls.comparison.tables import losing, tables
from rawdrift.data.spec import PAIRS
from rawdrift.report import pictures, style
from rawdrift.report.page import compose
from rawdrift.report.sample import SampleImage
from rawdrift.report.tables import span

METHOD = (
    "decision: exact test of images lost and won, or bets on bounded contributions "
    "(rawdrift.statistics.accept; with stop_early, rawdrift.statistics.sequential); drop: score "
    "interval over images or groups; blame: Shapley values over all coalitions of stages, with "
    "simultaneous intervals"
)
"""How the statements were made, for evidence."""


def write(run: Path, result: ComparisonResult) -> str:
    """Draw figures/ and tables/ into the run folder; return the page."""
    drawn: Mapping[str, Callable[[], Figure]] = {"decision": partial(figures.decision, result)}
    images = [one for one in result.images if _loses(one)]  # older runs hold one in any case
    if images:
        drawn = {**drawn, "lost": partial(_lost, result, images, run)}
    return compose(
        Path(__file__).with_name("page.html.j2"),
        run,
        result,
        drawn,
        tables(result),
        verdict=verdict(result),
        reason=reason(result),
        remedy=remedy(result),
        clear=[one for one in result.interactions if one.is_clear],
        of_pairs=result.data.name == PAIRS,
        fits=[one for one in result.stand_ins if one.isp is not None],
        unit=_unit(result),
        caveats=caveats(result),
        embedded=pictures.embed(run, result.metric, images),
        losing=losing(result),
    )


def plot(result: ComparisonResult) -> Figure:
    """Draw the drop beside the margin, and the blame of each stage."""
    return figures.decision(result)


def lines(result: ComparisonResult, run: Path) -> Iterator[str]:
    """Tell the decision, the drop and its causes, for a terminal."""
    yield verdict(result)
    yield reason(result)
    for one in result.blame if result.stages != [UNEXPLAINED] else ():
        yield (f"blame of {one.stage}: {style.number(one.value, 3)} ({span(one.low, one.high, 3)})")
    best = remedy(result)
    if best is not None:
        yield _restores(best)


def verdict(result: ComparisonResult) -> str:
    """The decision as a sentence."""
    metric, margin = style.metric(result.metric, inside=True), f"{result.margin:g}"
    start = f"{result.decision}: {result.after} in place of {result.before}"
    confidence = f"with {100 * (1 - result.alpha):g} % confidence"
    if result.decision == "non-inferior":
        return f"{start} lowers {metric} by less than {margin}, {confidence}"
    if result.decision == "inferior":
        return f"{start} lowers {metric} by more than {margin}, {confidence}"
    return f"{start} is not shown to lower {metric} by less than {margin}, nor by more"


def reason(result: ComparisonResult) -> str:
    """The numbers that the decision rests on, and if there is none, what it would take."""
    metric, drop = style.metric(result.metric, inside=True), result.drop
    p = "" if result.decision == "inferior" else f"; p = {result.p:.2g}, alpha {result.alpha:g}"
    text = (
        f"{metric} is {result.metric_before.value:.3f} before and {result.metric_after.value:.3f} "
        f"after: a drop of {style.number(drop.value, 3)} ({span(drop.low, drop.high, 3)}{p})"
    )
    if result.why is not None:
        return f"{text}. {result.why}"
    if result.stopped is not None and result.decision != "undecided":
        text += f"; known after {result.stopped.images} of {result.stopped.of} images"
    units = result.data.tested if result.data.groups is None else result.data.groups
    if result.decision == "undecided" and result.needed > units:
        text += (
            f"; {units} {_unit(result)} are too few: even without any changed answer it would take "
            f"{result.needed}"
        )
    return text


def remedy(result: ComparisonResult) -> Remedy | None:
    """The stage that gives most back if it is reverted alone, if that is more than chance and can
    be done."""
    can = [one for one in result.remedies if one.stage != UNEXPLAINED]
    return next((one for one in can if one.low is not None and one.low > 0), None)


def caveats(result: ComparisonResult) -> Iterator[Caveat]:
    """Yield what a reader must know first: a headline and an explanation each."""
    data = result.data
    if result.not_moved:
        yield (
            "The sensors differ in more than could be moved.",
            f"The raw files are of the old sensor. Not moved, and so no part of the decision: "
            f"{'; '.join(result.not_moved)}.",
        )
    for one in result.stand_ins:
        if one.why is not None:
            yield (
                f"No ISP could be fitted to {one.reference}.",
                f"So the drop can't be divided into stages: {one.why}",
            )
        for warning in one.warnings:
            yield f"The ISP that was fitted to {one.reference}:", f"{warning}."
    if result.trained_here:
        yield from few_folds(len(data.splits), "ISPs")
        yield (
            "The networks were trained here.",
            "The decision is about one training of each fold. For the release of a network of your "
            "own, test that one: task.checkpoint.",
        )
    if result.stopped is not None:
        yield (
            "Testing stopped as soon as the decision was known.",
            "The decision allows for this. Intervals, blame and tables are of the "
            f"{result.stopped.images} images that were tested, and lean toward the decision.",
        )
    yield from few_images(result, result.stopped.images if result.stopped else data.tested)
    yield from alike(result)
    yield from few_groups(data.groups)


def _restores(best: Remedy) -> str:
    share = "" if best.share is None else f", {100 * best.share:.0f} % of the drop"
    return (
        f"reverting {best.stage} alone gives back {style.number(best.value, 3)} "
        f"({span(best.low, best.high, 3)}){share}"
    )


def _unit(result: ComparisonResult) -> str:
    return "images" if result.data.groups is None else "groups"


def _loses(image: SampleImage) -> bool:
    before, after = image.matched_score, image.score
    return before is not None and after is not None and before > after


def _lost(result: ComparisonResult, images: Sequence[SampleImage], run: Path) -> Figure:
    return pictures.compared(
        run, result.metric, images, result.before, result.after, result.amplified
    )
