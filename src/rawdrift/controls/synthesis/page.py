"""The page of a drift synthesis run, and its findings in a few lines."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rawdrift.configurations import NAMES, in_words
from rawdrift.controls.synthesis import figures
from rawdrift.controls.synthesis.caveats import caveats, doubt
from rawdrift.controls.synthesis.compare import compare as compare
from rawdrift.controls.synthesis.heatmap import heatmap, middle, others, severities
from rawdrift.controls.synthesis.result import SynthesisResult, Worst
from rawdrift.controls.synthesis.tables import tables
from rawdrift.report import pictures, style
from rawdrift.report.page import GLOSSARY, compose
from rawdrift.report.tables import span

METHOD = (
    "drops: paired score intervals over images or groups; those of the largest drops and of ranks "
    "hold together for all comparisons of the page, and a drop is reported only if its interval "
    "excludes zero (docs/explanation/numbers.md)"
)
"""How the statements were made, for evidence."""


def write(run: Path, result: SynthesisResult) -> str:
    """Draw figures/ and tables/ into the run folder; return the page."""
    blocks = result.views.blocks() if result.views else {}
    return compose(
        Path(__file__).with_name("page.html.j2"),
        run,
        result,
        _figures(result, run),
        tables(result),
        caveats=caveats(result),
        cases={kind: _case(result, worst, run) for kind, worst in result.worst.items()},
        compared=result.compared,
        doubt=partial(doubt, result),
        left_out_pipelines=[
            name
            for name in result.spec.get("synthesis", {}).get("train", ())
            if name not in result.train
        ],
        middle=middle(result) if result.severities else None,
        glossary=GLOSSARY if {*result.train, *result.test} <= {*NAMES} else (),
        blocks={
            title: [
                (style.case(name), _words(name), pictures.data_uri(run, path))
                for name, path in block.items()
            ]
            for title, block in blocks.items()
        },
    )


def plot(result: SynthesisResult) -> Figure:
    """Draw the heat map of training pipelines by tests (Figure 2 of the paper)."""
    return heatmap(result)


def lines(result: SynthesisResult, run: Path) -> Iterator[str]:
    """Tell the average and the largest drop of each kind, for a terminal."""
    metric, average = style.metric(result.metric, inside=True), dict(result.average_drops.items())
    for kind, worst in result.worst.items():
        tests = "on other pipelines" if kind == "isp" else "under corruptions"
        mean = average[kind]
        average_drop = f"{style.number(mean.value, 3)} ({span(mean.low, mean.high, 3)})"
        tested = style.case(worst.test, worst.severity)
        remark = "" if worst.is_drop else f", {doubt(result, worst)}"
        if result.trained_here and result.repeats == 1:
            remark += "; for one training of each fold"
        yield (
            f"{tests}, the average drop of {metric} is {average_drop}; {_largest(worst)} is "
            f"that of a model of {worst.train} on {tested}{remark}"
        )


def _largest(worst: Worst) -> str:
    """Introduce the largest of all drops, which may be none."""
    drop = f"{style.number(worst.drop, 3)} ({span(worst.low, worst.high, 3)})"
    if worst.drop <= 0:
        return f"nothing lowers it, and the largest difference, {drop},"
    before, after = style.apart(worst.matched, worst.mean, 3)
    which = "shown" if worst.is_drop else "measured"
    return f"the largest drop {which}, {drop}, from {before} to {after},"


def changes(worst: Worst) -> list[str]:
    """List the steps in which the training pipeline and the tested one differ."""
    one, other = worst.train, worst.test
    if worst.kind != "isp" or not {one, other} <= {*NAMES}:
        return []
    steps = ("demosaicing", "sharpening", "denoising")
    pairs = zip(steps, in_words(one).split(", "), in_words(other).split(", "), strict=True)
    return [f"{step}: {a} to {b}" for step, a, b in pairs if a != b]


def _figures(result: SynthesisResult, run: Path) -> Mapping[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {"heatmap": partial(heatmap, result)}
    if len(result.train) > 1:
        drawn["ranking"] = partial(figures.ranking, result)
    else:
        drawn["losses"] = partial(figures.losses, result)
    if result.corruptions:
        drawn["severities"] = partial(figures.severity_lines, result)
        drawn["drops"] = partial(figures.drops, result)
        if others(result):
            drawn["heatmap-severities"] = partial(severities, result)
    if result.views:
        drawn["views"] = partial(figures.views, result.views, run)
    for kind, worst in result.worst.items():
        if worst.images:
            drawn[f"worst-{kind}"] = partial(figures.worst_case, result, worst, run)
    return drawn


def _words(name: str) -> str:
    return in_words(name)


def _case(result: SynthesisResult, worst: Worst, run: Path) -> dict[str, Any]:
    """What the template needs to show a worst case."""
    return {
        "worst": worst,
        "name": style.case(worst.test, worst.severity),
        "cell": result.cell(worst.train, worst.case),
        "own": result.own(worst.train),
        "changes": changes(worst),
        "strength": {name.replace("_", " "): value for name, value in worst.strength.items()},
        "images": pictures.embed(run, result.metric, worst.images),
    }
