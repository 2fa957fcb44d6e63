"""Metrics of a task, each as a function of sums over images.

The influence of an image, and a metric of other sets of images, follow from sums alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift import imports
from rawdrift.checks import InputError, choose

Array = NDArray[np.float64]
Outcomes = NDArray[np.int64]
"""Answers to N images: (..., N) predicted classes; of masks (..., N, C, 3), the number of pixels of
each class in the intersection, in the prediction and in the mask."""


class Limits(NamedTuple):
    """What is known of the wholes of a metric before any answer is given; see `guarantees`.

    Parts are from 0 to their wholes.

    least: maps outcomes and right answers (N,), of which the former may be any, to the smallest
        wholes (N, K) that answers to these images can have. is_fixed: whether all answers have
        these wholes. is_share: whether wholes are 1 and parts 0 or 1. most: the largest whole of
        an image. wrong: the largest whole of an image nothing of which is right; None if images
        cannot count for more than others do. touched: by how much one changed answer can lower
        parts relative to wholes, all classes added up.
    """

    least: Callable[[Outcomes, NDArray[Any]], Array]
    is_fixed: bool = False
    is_share: bool = False
    most: float = 1.0
    wrong: float | None = None
    touched: float = 1.0


class Measure(NamedTuple):
    """A metric of a set of images; a larger value is better.

    features: maps outcomes and right answers (N,) to (..., N, K). Right answers are classes; for
        masks, whose outcomes hold everything, they are zeros.
    of: maps sums of features over images, (..., K), to values (...), NaN where the metric is not
        defined. Scaling all sums by one factor does not change it.
    bounded: whether values are always in [0, 1].
    wholes: maps features to how much an image counts for each of C classes, (..., C), if the metric
        is a mean over classes; None if all images count alike.
    limits: for tests that hold for any number of images; features are then K parts, followed by K
        wholes, and the metric is the mean of their ratios. None if they are not known.
    """

    features: Callable[[Outcomes, NDArray[Any]], Array]
    of: Callable[[Array], Array]
    bounded: bool = False
    wholes: Callable[[Array], Array] | None = None
    limits: Limits | None = None

    def value(self, outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        """Return the metric of all images, (...)."""
        return self.of(self.features(outcomes, truth).sum(-2))


def resolve(name: str, kind: str, table: Mapping[str, Measure], outcome_axes: int) -> Measure:
    """Return a metric of a table by its name, or the user's own, "import:package.module.name".

    That is a `Measure`, or a function of outcomes (N,) or (N, C, 3) and right answers (N,) that
    gives a value for each image, (N,), NaN for images that do not count: the metric is their mean.

    kind: of the task, for errors. outcome_axes: the number of axes of outcomes.
    """
    if not imports.is_import(name):
        return table[choose(f"metric of {kind}", name, table)]
    found = imports.resolve(name, "a metric")
    if isinstance(found, Measure):
        return found
    if not callable(found):
        raise InputError(
            f"metric {name} is of type {type(found).__name__}; expected a rawdrift.statistics."
            f"Measure, or a function of outcomes and right answers that gives a value per image"
        )
    return mean_over_images(found, outcome_axes, name)


def classification(classes: int) -> dict[str, Measure]:
    """Return accuracy, balanced accuracy and macro F1, defined as by scikit-learn.

    Classes without any image don't count in the means over classes.
    """

    def recalls(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        own = _one_hot(np.broadcast_to(truth, outcomes.shape), classes)
        return np.concatenate([own * (outcomes == truth)[..., None], own], axis=-1)

    def hits(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        own = _one_hot(np.broadcast_to(truth, outcomes.shape), classes)
        predicted = _one_hot(outcomes, classes)
        return np.concatenate([own * predicted, (own + predicted) / 2], axis=-1)

    def own(_: Outcomes, truth: NDArray[Any]) -> Array:
        return _one_hot(truth, classes)

    every = Limits(lambda _, truth: np.ones((len(truth), 1)), is_fixed=True, is_share=True)
    half = Limits(lambda _, truth: _one_hot(truth, classes) / 2, touched=1.5)
    return {
        "accuracy": Measure(_right, _mean_of_ratios, True, _wholes, every),
        "balanced_accuracy": Measure(
            recalls, _mean_of_ratios, True, _wholes, Limits(own, is_fixed=True)
        ),
        "macro_f1": Measure(hits, _mean_of_ratios, True, _wholes, half),
    }


def segmentation(pixels: int = 1) -> dict[str, Measure]:
    """Return IoU and Dice of the pixels of all images together.

    They are means over the classes that are in a mask or were predicted. pixels: of an image, all
    of which may be taken for an object.
    """

    def union(outcomes: Outcomes, _: NDArray[Any]) -> Array:
        return _pixels(outcomes, lambda i, p, m: p + m - i)

    def mean_size(outcomes: Outcomes, _: NDArray[Any]) -> Array:
        return _pixels(outcomes, lambda i, p, m: (p + m) / 2)

    return {
        "iou": Measure(
            union,
            _mean_of_ratios,
            True,
            _wholes,
            Limits(
                lambda x, _: x[..., 2].astype(np.float64), most=pixels, wrong=pixels, touched=2.0
            ),
        ),
        "dice": Measure(
            mean_size,
            _mean_of_ratios,
            True,
            _wholes,
            Limits(lambda x, _: x[..., 2] / 2, most=pixels, wrong=pixels / 2, touched=1.5),
        ),
    }


def _right(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
    right = np.asarray(outcomes == truth, dtype=np.float64)
    return np.stack([right, np.ones_like(right)], axis=-1)


def _pixels(outcomes: Outcomes, whole: Callable[..., Any]) -> Array:
    intersection, prediction, mask = np.moveaxis(outcomes.astype(np.float64), -1, 0)
    return np.concatenate([intersection, whole(intersection, prediction, mask)], axis=-1)


def mean_over_images(
    function: Callable[..., Any], outcome_axes: int = 1, name: str = "a function"
) -> Measure:
    """Return the mean over images of a function that gives a value for each; see `resolve`."""

    def features(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        leading = outcomes.shape[: outcomes.ndim - outcome_axes]
        found = np.empty((*leading, len(truth), 2))
        for at in np.ndindex(leading):
            values = np.asarray(function(outcomes[at], truth), dtype=np.float64)
            if values.shape != truth.shape:
                raise InputError(
                    f"metric {name} must give a value for each image, shape {truth.shape}, got "
                    f"shape {values.shape}"
                )
            defined = ~np.isnan(values)
            found[at] = np.stack([np.where(defined, values, 0), defined], axis=-1)
        return found

    limits = Limits(lambda _, truth: np.zeros((len(truth), 1)))
    return Measure(features, _mean_of_ratios, wholes=_wholes, limits=limits)


def _mean_of_ratios(sums: Array) -> Array:
    """Divide the first half of the sums by the second; the mean of those that are not 0 / 0."""
    part, whole = np.split(sums, 2, axis=-1)
    defined = whole > 0
    ratios = np.divide(part, whole, out=np.zeros_like(part), where=defined)
    count = defined.sum(-1)
    total = ratios.sum(-1)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def _wholes(features: Array) -> Array:
    """Return the second half of features (..., 2 C): what `_mean_of_ratios` divides by."""
    return features[..., features.shape[-1] // 2 :]


def _one_hot(values: NDArray[Any], classes: int) -> Array:
    return np.asarray(values[..., None] == np.arange(classes), dtype=np.float64)
