"""What to check before a result is trusted: every control reports it in place of its headline.

The evidence is gathered once, before anything is computed: whether the files fit their camera,
which images are nearly the same, and, of a checkpoint, whether it answers better with another input
(`trials`). The answers of each model to its own views then tell whether it guesses, and whether the
order of its outputs is right.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from rawdrift import progress
from rawdrift.controls.material import Material
from rawdrift.controls.result import (
    Alike,
    ClassScore,
    Confusion,
    Expected,
    Finding,
    Result,
)
from rawdrift.controls.trials import Trial, Tried, tried
from rawdrift.data.duplicates import Duplicates
from rawdrift.data.plausible import unused_bits, wrong_greens
from rawdrift.report import style
from rawdrift.statistics import estimate, sanity
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.measures import Measure, Outcomes
from rawdrift.text import counted

if TYPE_CHECKING:
    from rawdrift.controls.experiment import Experiment

COMPARED = 4096  # images that are looked through for near-duplicates
EXPECTED = 0.99
"""The confidence of the interval that contradicts an expected value."""
_FEW_GROUPS = 8  # fewer show nothing by themselves
_EXAMPLES = 3

R = TypeVar("R", bound=Result)


class Matched(NamedTuple):
    """Answers to some images. images: their numbers, (n,). outcomes: (n, ...), see `Targets`."""

    images: NDArray[np.int64]
    outcomes: Outcomes


def joined(parts: Sequence[Matched]) -> Matched:
    """Join the answers of folds."""
    return Matched(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Evidence(NamedTuple):
    """What is known before anything is computed. tried: of a checkpoint alone."""

    findings: list[Finding]
    tried: Tried | None
    alike: Alike | None


def gather(experiment: "Experiment[Any, Any, Any]", spec: Any) -> Evidence:
    """Look at the files of an experiment, and try its checkpoint."""
    material, views = experiment.material, experiment.views()
    outcome = None
    if views:
        outcome = tried(material, spec.task, views, spec.seed)
    better = outcome.better if outcome else None
    findings = list(_of_files(material, better))
    if outcome and better and not findings:  # one mistake makes other inputs look better, too
        findings.append(_of_trial(material, outcome.given, better))
    return Evidence(findings, outcome, _alike(material))


def examine(
    experiment: "Experiment[Any, Any, R]",
    result: R,
    evidence: Evidence,
    matched: Mapping[str, Matched],
) -> R:
    """Return the result with all findings, confusion matrices, and what else `Result` says."""
    material, spec = experiment.material, result.spec
    findings = list(evidence.findings)
    confusions = []
    if material.targets.of_classes:
        confusions = [_confusion(material, name, one) for name, one in matched.items()]
        findings += _of_order(material, matched)
    if not any(finding.kind == "order" for finding in findings):
        findings += _of_guesses(material, matched)
        if material.targets.of_classes and not findings:
            findings += _of_recall(material, matched)
    value = spec.get("task", {}).get("expected")
    expected = None
    if value is not None:
        expected = _expected(material, float(value), matched, result.metric)
    if expected is not None and not expected.agrees:
        findings.append(_of_expected(style.metric(result.metric, inside=True), expected))
    return replace(
        result,
        findings=findings,
        confusions=confusions,
        expected=expected,
        alike=evidence.alike,
    )


def _of_files(material: Material, better: Trial | None) -> Iterator[Finding]:
    """Yield what in the files contradicts the camera. better: of a checkpoint."""
    for unused in unused_bits(material.data):
        yield Finding(
            "bits",
            f"The images use {unused.bits} of the {unused.of} bits that camera {unused.camera} "
            f"states.",
            f"The largest value is {unused.largest}, so the views are nearly black. Check "
            f"bit_depth of the camera: it should probably be {unused.likely}. "
            f"If the light was so low, state adc_bits {unused.of}.",
        )
    for greens in wrong_greens(material.data):
        alike = list(greens.alike)
        if better and better.kind == "cfa" and better.name in alike:
            alike = [better.name]
        yield Finding(
            "cfa",
            f"The images contradict the CFA {greens.cfa} of camera {greens.camera}.",
            f"The two sites that it calls green differ {greens.ratio:.1f} times as much as the two "
            f"others. Check cfa of the camera: it should probably be {' or '.join(alike)}.",
        )


def _of_trial(material: Material, given: Trial, better: Trial) -> Finding:
    """Say which input a checkpoint seems to expect."""
    metric = style.metric(next(iter(material.targets.measures)), inside=True)
    images = f"{metric} on {counted(given.images, 'image')}"
    change = f"{images} is {given.value:.2f}, and would be {better.value:.2f}"
    if better.kind == "cfa":
        camera = material.data.cameras[0]
        return Finding(
            "cfa",
            f"The CFA {camera.cfa} of camera {camera.name} seems to be wrong.",
            f"As {better.name}, the network answers better: {change}. Check cfa of the camera.",
        )
    if better.kind == "pipeline":
        return Finding(
            "pipeline",
            f"Views of {better.name} suit the network better than those of {given.name}, which are "
            f"said to be its own.",
            f"The {change} on them. Check which pipeline made the views that it was trained on.",
        )
    if better.kind == "bits":
        return Finding(
            "bits",
            f"The images seem to use {better.name} bits only.",
            f"Brightened accordingly, the network answers better: {change}. Check bit_depth.",
        )
    ratio = better.std / max(given.std, 1e-9)
    mistake = "be another one than this network was trained with"
    if ratio > 1.5:
        mistake = "be forgotten"
    elif ratio < 1 / 1.5:
        mistake = "be applied twice"
    inputs = {
        "none": "with task.normalize none",
        "imagenet": "with task.normalize imagenet",
        "views": f"normalized by mean and standard deviation of these views, {_numbers(better)}",
    }[better.name]
    return Finding(
        "normalization",
        f"The normalization of the network's input seems to {mistake}.",
        f"The input has a standard deviation of {given.std:.2f}; {inputs} it has {better.std:.2f}, "
        f"and the network answers better: {change}. Check task.normalize, and whether the network "
        f"normalizes by itself.",
    )


def _numbers(trial: Trial) -> str:
    rows = (", ".join(f"{x:.3f}" for x in row) for row in trial.numbers or [])
    return f"[{', '.join(f'[{row}]' for row in rows)}]"


def _of_order(material: Material, matched: Mapping[str, Matched]) -> Iterator[Finding]:
    """Yield a better order of the outputs, if one fits the answers of all models."""
    names = material.targets.names
    orders = set()
    for one in matched.values():
        counts, size = _counts(material, one)
        orders.add(sanity.better_order(counts, size if _has_groups(material, one) else 1.0))
    if len(orders) != 1 or (order := orders.pop()) is None:
        return
    before = after = images = 0
    for one in matched.values():
        counts, _ = _counts(material, one)
        before, images = before + int(np.trace(counts)), images + int(counts.sum())
        after += int(sum(counts[meaning, output] for output, meaning in enumerate(order)))
    moved = [names[k] for k, meaning in enumerate(order) if meaning != k]
    which = " and ".join(f"“{name}”" for name in moved)
    what = f"The classes {which} seem to be swapped"
    if len(moved) > 2:
        what = "The outputs of the network seem to be in another order than the classes"
    new = ", ".join(names[meaning] for meaning in order)
    yield Finding(
        "order",
        f"{what}.",
        f"With the outputs in the order [{new}], {after / images:.2f} of the answers would be "
        f"right instead of {before / images:.2f}. Check the labels, and task.classes, the order of "
        f"the outputs.",
    )


def _of_guesses(material: Material, matched: Mapping[str, Matched]) -> Iterator[Finding]:
    """Yield a finding if no model was shown to be better than a constant answer."""
    told = [_guess(material, one) for one in matched.values()]
    if not told or None in told:
        return
    first = next(text for text in told if text)
    yield Finding(
        "guessing",
        "The model is not shown to be better than guessing on its own views."
        if len(told) == 1
        else "No model is shown to be better than guessing on its own views.",
        f"{first} What such a model loses means nothing. Check the labels, the camera, "
        f"task.normalize and the pipeline, or train longer.",
    )


def _guess(material: Material, one: Matched) -> str | None:
    """Say why answers may be guesses; None if they are not, or if it can't be said."""
    from scipy.special import stdtrit  # not for commands that compute nothing

    metric, measure = next(iter(material.targets.measures.items()))
    name = style.metric(metric, inside=True)
    if material.targets.of_classes:
        counts, size = _counts(material, one)
        p = sanity.p_guessing(counts, size if _has_groups(material, one) else 1.0)
        if p < sanity.CERTAIN:
            return None
        return (
            f"Of {counts.sum()} answers {np.trace(counts)} are right; as many would be with the "
            f"same answers in random order (p = {p:.2f})."
        )
    part = material.targets.take(one.images)
    constants = part.constant_outcomes()
    if constants is None:
        return None
    features = measure.features(np.concatenate([one.outcomes[None], constants]), part.truth)
    values = estimate(measure, features, material.clusters(one.images))
    if np.isnan(values.values[1:]).all():
        return None
    best = int(np.nanargmax(values.values[1:])) + 1
    value, guess = float(values.values[0]), float(values.values[best])
    # Not the interval of a claim, which allows for images that no one has seen.
    gain = values[:1] - values[best : best + 1]
    clusters = gain.influence.shape[-1]
    error = float(np.sqrt((gain.influence**2).sum() * clusters / max(clusters - 1, 1)))
    is_better = value - guess > error * stdtrit(clusters - 1, 1 - sanity.CERTAIN)
    many = clusters >= _FEW_GROUPS
    if value > guess and (not many or is_better):
        return None
    return f"The {name} is {value:.3f}; a mask that ignores the image gets {guess:.3f}."


def _of_recall(material: Material, matched: Mapping[str, Matched]) -> Iterator[Finding]:
    """Yield the classes of many images that no model ever recognizes."""
    names = material.targets.names
    tables = [_counts(material, one)[0] for one in matched.values()]
    lost = [set(sanity.never_recognized(counts)) for counts in tables]
    for index in sorted(set.intersection(*lost)) if lost else ():
        images = int(tables[0][index].sum())
        most = int(np.argmax(tables[0][index]))
        yield Finding(
            "recall",
            f"None of the {images} images of “{names[index]}” is recognized.",
            f"Most of them are taken for “{names[most]}”. What the model loses on other views "
            f"leaves this class out. Check its labels and the order of the outputs "
            f"(task.classes), or train longer.",
        )


def _expected(
    material: Material, value: float, matched: Mapping[str, Matched], metric: str
) -> Expected | None:
    """Compare with the model whose metric is closest to the expected value."""
    measure = material.targets.measures_by(metric)[metric]
    intervals = [_value(material, metric, measure, one) for one in matched.values()]
    if not intervals:
        return None
    closest = min(intervals, key=lambda interval: abs(interval.value - value))
    low, high = closest.low, closest.high
    return Expected(value, closest, low is None or high is None or low <= value <= high)


def _value(material: Material, metric: str, measure: Measure, one: Matched) -> Interval:
    part = material.targets.take(one.images)
    features = measure.features(one.outcomes, part.truth)
    return estimate(measure, features, material.clusters(one.images)).interval(EXPECTED)


def _of_expected(metric: str, expected: Expected) -> Finding:
    value, low, high = expected.measured.value, expected.measured.low, expected.measured.high
    is_low = value < expected.value
    check = (
        "Check that the camera, task.normalize, task.classes and the pipeline are those of the "
        "training."
        if is_low
        else "Check whether these are images that the model was trained on."
    )
    return Finding(
        "expected",
        f"The {metric} on the matched views is {value:.3f}, not {expected.value:g} as expected.",
        f"With 99 % confidence it lies between {low:.3f} and {high:.3f}. {check}",
    )


def _confusion(material: Material, name: str, one: Matched) -> Confusion:
    counts, size = _counts(material, one)
    classes = [
        ClassScore(label, images, answered, recall, precision)
        for label, images, answered, (recall, precision) in zip(
            material.targets.names,
            counts.sum(1).tolist(),
            counts.sum(0).tolist(),
            sanity.recall_and_precision(counts, size),
            strict=True,
        )
    ]
    return Confusion(name, counts.tolist(), classes)


def _counts(material: Material, one: Matched) -> tuple[NDArray[np.int64], float]:
    """Return the confusion matrix, and the share of its images that are independent."""
    truth = material.targets.truth[one.images]
    groups = None
    if material.data.groups is not None:
        groups = material.clusters(one.images)
    counts = sanity.confusion(truth, one.outcomes, material.targets.outputs)
    return counts, sanity.independent_share(truth, one.outcomes, groups)


def _has_groups(material: Material, one: Matched) -> bool:
    """Whether there are so many groups that they show something; fewer count as images."""
    return len(np.unique(material.clusters(one.images))) >= _FEW_GROUPS


def _alike(material: Material) -> Alike | None:
    """Return near-duplicates in several groups, or without groups in training and test."""
    data, _, splits = material
    fold = np.full(len(data), -1)
    for number, split in enumerate(splits):
        fold[split.test] = number
    sides = fold.tolist() if data.groups is None else data.groups
    if len({*sides}) < 2:
        return None
    chosen = np.linspace(0, len(data) - 1, min(COMPARED, len(data))).round().astype(int).tolist()
    duplicates = Duplicates()
    for index in progress.over(chosen, "looking for near-duplicates", "image"):
        mosaic = data.mosaics[index].numpy()
        duplicates.add(mosaic.reshape(-1, mosaic.shape[-1]))  # of a pair, all six planes
    sets = [[chosen[k] for k in indices] for indices in duplicates.near()]
    apart = [images for images in sets if len({sides[i] for i in images}) > 1]
    if not apart:
        return None
    return Alike(
        images=sum(map(len, apart)),
        compared=len(chosen),
        of_groups=data.groups is not None,
        examples=[[data.images[i] for i in images[:_EXAMPLES]] for images in apart[:_EXAMPLES]],
    )
