"""The uncertainty of a metric and of its drop: bootstrap over images, or over their groups."""

import math

from rawdrift.statistics.basics import Interval, effective_size, wilson
from rawdrift.statistics.measures import Array, Measure
from rawdrift.statistics.resampling import DRAWS, Clusters, Resampling


class Uncertainty:
    """Intervals of a metric and of its drop from a default, with the same draws for every setting.

    clusters: (N,) the group of each image. default: features (N, K) of the answers with the
    camera's own setting.
    """

    def __init__(
        self,
        metric: str,
        measure: Measure,
        clusters: Clusters,
        default: Array,
        seed: int = 0,
        draws: int = DRAWS,
    ):
        self.is_share = metric == "accuracy"
        self.measure = measure
        self.clusters = clusters
        self.draws = draws
        self.resampling = Resampling(clusters, seed, draws)
        self.default = self._value(default)
        self._default_draws = self._draws(default)

    def interval(self, features: Array, confidence: float) -> Interval:
        """The metric's two-sided interval: Wilson's where every draw of an accuracy is the same."""
        value = self._value(features)
        interval = self.resampling.interval(value, self._draws(features), confidence)
        if self.is_share and interval.low == interval.high:
            n = effective_size(features[:, 0], self.clusters)
            low, high = wilson(value, min(n, self.resampling.count), confidence)
            return Interval(value, min(low, value), max(high, value))  # rounding aside
        return interval

    def drop(self, features: Array, confidence: float) -> Interval:
        """The two-sided interval of the drop from the default."""
        draws = self._default_draws - self._draws(features)
        return self.resampling.interval(self.default - self._value(features), draws, confidence)

    def largest_drop(self, features: Array, level: float) -> float:
        """The upper confidence bound of the drop, exceeded with chance `level`."""
        bound = self.drop(features, 1 - 2 * level).high
        return math.inf if bound is None else bound

    def _value(self, features: Array) -> float:
        return float(self.measure.of(features.sum(0)))

    def _draws(self, features: Array) -> Array:
        return self.resampling.bootstrap(features, self.measure)
