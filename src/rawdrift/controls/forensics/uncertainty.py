"""The uncertainty of a metric and of its drop over images, or over their groups."""

import math

from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import Clusters, estimate
from rawdrift.statistics.measures import Array, Measure
from rawdrift.statistics.resampling import DRAWS, Resampling


class Uncertainty:
    """Intervals of a metric and of its drop from a default.

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
        self.measure = measure
        self.clusters = clusters
        self.draws = draws
        self.resampling = Resampling(clusters, seed, draws)
        self.default = estimate(measure, default, clusters)
        self._default_draws = self.resampling.bootstrap(default, measure)

    def interval(self, features: Array, confidence: float) -> Interval:
        """The metric's two-sided interval."""
        return estimate(self.measure, features, self.clusters).interval(confidence)

    def drop(self, features: Array, confidence: float) -> Interval:
        """The two-sided interval of the drop from the default."""
        after = estimate(self.measure, features, self.clusters)
        return (self.default - after).interval(confidence)

    def largest_drop(self, features: Array, level: float) -> float:
        """The upper confidence bound of the drop, exceeded with chance `level`."""
        draws = self._default_draws - self.resampling.bootstrap(features, self.measure)
        value = float(self.default.values - self.measure.of(features.sum(0)))
        bound = self.resampling.interval(value, draws, 1 - 2 * level).high
        return math.inf if bound is None else bound
