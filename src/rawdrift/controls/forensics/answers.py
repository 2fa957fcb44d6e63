"""The answers of a net at one setting, which are asked for until they decide a question."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.statistics.guarantees import DropTest
from rawdrift.statistics.measures import Array

if TYPE_CHECKING:
    from rawdrift.controls.forensics.chain import Chain


class Answers:
    """The answers to the views of one setting, a few images at a time.

    A question is decided as soon as no answers to the images that are left could change it, so
    decisions are those of all images. That takes a metric whose wholes are fixed, see
    `measures.Limits`; for others, all images are asked. No image is asked twice.

    batches: numbers of images, in the order in which they are asked.
    """

    def __init__(
        self, chain: "Chain", space: ParameterSpace, setting: Vector, batches: Sequence[Tensor]
    ):
        self._chain, self._where = chain, str(space.named(setting))
        self._values = chain.values(space, setting)
        self._left = list(batches)
        self._seen = np.zeros(len(chain.truth), dtype=bool)
        self._features = np.zeros_like(chain.baseline.features)

    @property
    def features(self) -> Array:
        """Features (N, K) of the answers to all images."""
        while self._ask():
            pass
        return self._features

    @property
    def metric(self) -> float:
        """The metric of all images."""
        return self._chain.metric_of(self.features, self._where)

    def rules_out(self, test: DropTest, margin: float, level: float) -> bool:
        """Whether the p-value of "the metric drops by `margin` or more" is at most `level`."""
        while test.least_p(self._features, self._seen, margin) <= level:
            if not self._ask():
                return True
        return False

    def holds(self, condition: Callable[[float], bool]) -> bool:
        """Whether the metric meets a condition, which any higher metric meets, too."""
        while True:
            low, high = self._bounds()
            if condition(low):
                return True
            if not condition(high):
                return False
            self._ask()

    def _bounds(self) -> tuple[float, float]:
        """Return what the metric is at least, and at most."""
        if self._seen.all():
            return self.metric, self.metric
        measure = self._chain.measure
        if measure.limits is None or not measure.limits.is_fixed:
            return -np.inf, np.inf
        wholes = np.split(self._chain.baseline.features, 2, axis=-1)[1]
        low, high = (
            float(measure.of(np.where(self._seen[:, None], self._features, rest).sum(0)))
            for rest in (np.hstack([0 * wholes, wholes]), np.hstack([wholes, wholes]))
        )
        return low, high

    def _ask(self) -> bool:
        """Ask the next images. Returns whether there were any."""
        if self._seen.all():
            return False
        chain, batch = self._chain, self._left.pop(0)
        outcomes = chain.outcomes(batch, self._values, self._where).numpy()
        self._seen[batch] = True
        self._features[batch] = chain.measure.features(outcomes, chain.answers[batch])
        chain.asked += len(batch) / len(chain.truth)
        return True
