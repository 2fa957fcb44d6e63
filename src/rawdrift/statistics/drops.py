"""Drops of a metric between two answers to the same images, with confidence intervals."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift import imports
from rawdrift.checks import InputError
from rawdrift.statistics import measures
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import Estimates, estimate
from rawdrift.statistics.measures import Array, Measure, Outcomes

CLASSES = (*measures.classification(2),)
MASKS = (*measures.segmentation(),)


def drop(
    truth: Any,
    before: Any,
    after: Any,
    metric: str = "accuracy",
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the drop of a metric between two answers to the same N images, with its interval.

    The value is metric(before) - metric(after). The interval covers the drop in the population that
    the images, or their groups, come from with this confidence.

    Args:
        truth: the right answers: class numbers (N,), or masks (N, H, W) of class numbers. Masks
            that hold 0 and one other number are of one object; other masks of all their classes.
        before, after: the answers, with the shape of `truth`.
        metric: "accuracy", "balanced_accuracy" or "macro_f1" of classes, "iou" or "dice" of masks,
            or "import:package.module.name"; see `rawdrift.Task`.
        groups: (N,) the slide, flight or patient of each image. Images of one group may be alike:
            the interval then rests on the number of groups.
        confidence: of the two-sided interval, between 0 and 1.
        seed: of simulated distributions. The interval of a single drop needs none.

    Raises InputError for arguments that don't fit together.
    """
    del seed  # for the signature of `largest_drop`
    return _drops(truth, before, [after], metric, groups, confidence)[0].interval(confidence)


def largest_drop(
    truth: Any,
    before: Any,
    after: Sequence[Any],
    metric: str = "accuracy",
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[int, Interval]:
    """Return which of several answers loses most, and the interval of the largest drop.

    The interval accounts for the choice: it covers the largest of all true drops with this
    confidence. after: answers, each with the shape of `truth`. Other arguments: see `drop`.
    """
    return _drops(truth, before, after, metric, groups, confidence).largest(confidence, seed)


def _drops(
    truth: Any,
    before: Any,
    after: Sequence[Any],
    metric: str,
    groups: Sequence[Hashable] | None,
    confidence: float,
) -> Estimates:
    """Estimate the drops of M answers, (M,)."""
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1, such as 0.95, got {confidence!r}")
    given = read_answers(truth, before, after, metric, groups)
    values = estimate(given.measure, given.features, given.clusters)
    return values[:1] - values[1:]


class Answers(NamedTuple):
    """Several answers to N images. outcomes, features: (M, N, ...). labels: right answers (N,) that
    go with them. clusters: (N,)."""

    measure: Measure
    outcomes: Outcomes
    labels: NDArray[np.int64]
    features: Array
    clusters: NDArray[np.int64]


def read_answers(
    truth: Any,
    before: Any,
    after: Sequence[Any],
    metric: str,
    groups: Sequence[Hashable] | None,
) -> Answers:
    """Return answers before, then those after. Raises InputError that names the argument."""
    right = _numbers("truth", truth, None)
    answers = [_numbers("before", before, right.shape)]
    answers += [_numbers("after", one, right.shape) for one in after]
    if len(answers) == 1:
        raise InputError("after holds no answers; give at least one array")
    measure, outcomes, labels = _outcomes(metric, right, answers)
    features = measure.features(outcomes, labels)
    if np.isnan(measure.of(features.sum(-2))).any():
        raise InputError(f"{metric} is not defined for these answers: no image counts")
    return Answers(measure, outcomes, labels, features, _clusters(groups, len(right)))


def _numbers(name: str, values: Any, shape: tuple[int, ...] | None) -> NDArray[np.int64]:
    """Return class numbers as an array. Raises InputError that names the argument."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of class numbers: {error}") from error
    if shape is None and (array.ndim not in (1, 3) or array.size == 0):
        raise InputError(
            f"{name} must be class numbers (N,) or masks (N, H, W) of at least one image, got "
            f"shape {array.shape}"
        )
    if shape is not None and array.shape != shape:
        raise InputError(
            f"{name} must have the shape of truth, {shape}, got {array.shape}; give the class of "
            f"each image or pixel, not probabilities"
        )
    wrong: Any = None if array.dtype.kind in "biuf" else array.dtype
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = next(iter(array[array % 1 != 0].tolist()), None)
    if wrong is not None:
        raise InputError(f"{name} must hold class numbers, which are whole numbers, got {wrong}")
    return array.astype(np.int64)


def _outcomes(
    metric: str, truth: NDArray[np.int64], answers: list[NDArray[np.int64]]
) -> tuple[Measure, Outcomes, NDArray[np.int64]]:
    """Return the metric, the outcomes of M answers, and the right answers (N,) of its features."""
    of_masks = truth.ndim > 1
    table = measures.classification(1)
    if of_masks:
        table = measures.segmentation(int(np.prod(truth.shape[1:])))
    if metric in (CLASSES if of_masks else MASKS):
        raise InputError(
            f"metric {metric} is for {'class numbers' if of_masks else 'masks'}, and truth has the "
            f"shape {truth.shape}; choose one of {', '.join(table)}"
        )
    if of_masks:
        measure = measures.resolve(metric, "masks", table, 3)
        classes = np.unique(np.concatenate([_present(x) for x in (truth, *answers)]))
        if len(classes) <= 2 and classes[0] == 0:
            classes = classes[1:]
        outcomes = np.stack([_overlaps(answer, truth, classes) for answer in answers])
        return measure, outcomes, np.zeros(len(truth), np.int64)
    outcomes = np.stack(answers)
    if not imports.is_import(metric):  # users' own get the numbers as they are
        classes, numbers = np.unique(np.stack([truth, *answers]), return_inverse=True)
        truth, *answers = numbers.reshape(len(answers) + 1, -1)
        table = measures.classification(len(classes))
        outcomes = np.stack(answers)
    return measures.resolve(metric, "class numbers", table, 1), outcomes, truth


def _present(mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers in a mask; counting is faster than sorting."""
    few = mask.min() >= 0 and mask.max() < 2**16
    return np.flatnonzero(np.bincount(mask.ravel())) if few else np.unique(mask)


def _overlaps(answer: NDArray[Any], truth: NDArray[Any], classes: NDArray[Any]) -> Outcomes:
    """Count pixels (N, C, 3) of each class in the intersection, the answer and the mask."""
    counts = np.empty((len(truth), len(classes), 3), np.int64)
    for number, value in enumerate(classes):
        mask, predicted = truth == value, answer == value
        for part, pixels in enumerate((predicted & mask, predicted, mask)):
            counts[:, number, part] = pixels.sum(axis=(1, 2))
    return counts


def _clusters(groups: Sequence[Hashable] | None, images: int) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(images)
    names = list(groups)
    if len(names) != images:
        raise InputError(f"groups must name the group of each of {images} images, got {len(names)}")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
