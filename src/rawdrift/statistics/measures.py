"""The measures of a task, as sums over images of features of the answers.

So many measures of many draws of images are one matrix product; see `resampling`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Outcomes = NDArray[np.int64]  # (..., N) classes, or of masks (..., N, C, 3) counts of pixels


class Measure(NamedTuple):
    """A number of many images.

    features: of outcomes and the right answers (N,), (..., N, K).
    of: from sums of the features over images, (..., K), to values (...). It doesn't change if all
        sums are scaled alike. NaN where it is not defined.
    """

    features: Callable[[Outcomes, NDArray[Any]], Array]
    of: Callable[[Array], Array]

    def value(self, outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        """Of all images, (...)."""
        return self.of(self.features(outcomes, truth).sum(-2))


def classification(classes: int) -> dict[str, Measure]:
    """By name, the first one first; torchmetrics and scikit-learn define them alike."""

    def recalls(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        own = _one_hot(np.broadcast_to(truth, outcomes.shape), classes)
        return np.concatenate([own * (outcomes == truth)[..., None], own], axis=-1)

    def hits(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
        own = _one_hot(np.broadcast_to(truth, outcomes.shape), classes)
        said = _one_hot(outcomes, classes)
        return np.concatenate([own * said, (own + said) / 2], axis=-1)

    return {
        "accuracy": Measure(_right, _mean_of_ratios),
        "balanced_accuracy": Measure(recalls, _mean_of_ratios),
        "macro_f1": Measure(hits, _mean_of_ratios),
    }


def segmentation() -> dict[str, Measure]:
    """Of all pixels of all images together, mean over the classes that are there or were found."""
    return {
        "iou": Measure(lambda x, _: _pixels(x, lambda i, f, t: f + t - i), _mean_of_ratios),
        "dice": Measure(lambda x, _: _pixels(x, lambda i, f, t: (f + t) / 2), _mean_of_ratios),
    }


def _right(outcomes: Outcomes, truth: NDArray[Any]) -> Array:
    right = np.asarray(outcomes == truth, dtype=np.float64)
    return np.stack([right, np.ones_like(right)], axis=-1)


def _pixels(outcomes: Outcomes, whole: Callable[..., Any]) -> Array:
    shared, found, there = np.moveaxis(outcomes.astype(np.float64), -1, 0)
    return np.concatenate([shared, whole(shared, found, there)], axis=-1)


def _mean_of_ratios(sums: Array) -> Array:
    """The first half of the sums over the second half, mean over those that are not 0 / 0."""
    part, whole = np.split(sums, 2, axis=-1)
    there = whole > 0
    ratios = np.divide(part, whole, out=np.zeros_like(part), where=there)
    count = there.sum(-1)
    total = ratios.sum(-1)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def _one_hot(values: NDArray[Any], classes: int) -> Array:
    return np.asarray(values[..., None] == np.arange(classes), dtype=np.float64)
