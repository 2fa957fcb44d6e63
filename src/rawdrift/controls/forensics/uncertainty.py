"""How sure a metric, and its drop, is: bootstrap over images, clustered by group."""

import numpy as np

from rawdrift.checks import InputError
from rawdrift.controls.forensics.chain import Chain
from rawdrift.statistics.basics import Interval, effective_size, wilson
from rawdrift.statistics.measures import Array
from rawdrift.statistics.resampling import DRAWS, Resampling

_BEYOND = 20  # draws beyond a bound that make it steady
_MOST = 20_000


class Uncertainty:
    """Draws of the images, or groups, of a chain: the same ones for every setting.

    level: the smallest share of draws that a bound leaves out, on one side.
    """

    def __init__(self, chain: Chain, seed: int = 0, level: float = 0.025):
        if int(chain.clusters.max()) == 0:
            raise InputError(
                "all images are of one group, which tells nothing of others; give data of several"
            )
        self.chain = chain
        self.draws = int(min(_MOST, max(DRAWS, np.ceil(_BEYOND / level))))
        self.resampling = Resampling(chain.clusters, seed, self.draws)
        self.default = self._draws(chain.baseline.features)

    def interval(self, features: Array, confidence: float) -> Interval:
        """Of the metric, two-sided. Wilson's where every draw is the same."""
        value = float(self.chain.measure.of(features.sum(0)))
        found = self.resampling.interval(value, self._draws(features), confidence)
        if self.chain.metric == "accuracy" and found.low == found.high:
            n = effective_size(features[:, 0], self.chain.clusters)
            n = min(n, self.resampling.count)
            low, high = wilson(value, n, confidence)
            return Interval(value, min(low, value), max(high, value))  # rounding aside
        return found

    def largest_drop(self, features: Array, level: float) -> float:
        """Upper confidence bound of the drop from the default, exceeded with chance `level`."""
        drop = self.chain.baseline.metric - float(self.chain.measure.of(features.sum(0)))
        draws = self.default - self._draws(features)
        return self.resampling.interval(drop, draws, 1 - 2 * level).high

    def _draws(self, features: Array) -> Array:
        return self.resampling.bootstrap(features, self.chain.measure)
