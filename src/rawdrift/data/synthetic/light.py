"""The light of a synthetic aerial photograph: one sun, one sky, one exposure."""

import math

import numpy as np

from rawdrift.data.synthetic.texture import Array, Rng


class Daylight:
    """Light of a day between hazy and clear, never near noon.

    azimuth, elevation: of the sun, radians, from x towards y. direct, around: sunlight and skylight
    from a white surface on flat open ground, (3,). haze: light that the air adds, (3,). exposure:
    the value of a white surface.
    """

    def __init__(self, rng: Rng):
        self.azimuth, self.elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.44, 1.05)
        share = rng.uniform(0.25, 0.75)
        warm = rng.uniform(0.0, 1.0) * share
        cast = np.exp(rng.normal(0, 0.03, 3))
        self.direct: Array = np.asarray(
            share * cast * (1 + 0.10 * warm, 1, 1 - 0.16 * warm), np.float32
        )
        self.around: Array = np.asarray((1 - share) * cast * (0.88, 0.97, 1.16), np.float32)
        self.haze: Array = np.asarray(
            rng.uniform(0.5, 1.5) * np.array((0.010, 0.012, 0.016)), np.float32
        )
        self.exposure = 1.2 * math.exp(rng.normal(0, 0.18))

    @property
    def sun(self) -> Array:
        """The unit vector (x, y, z) to the sun."""
        flat = math.cos(self.elevation)
        x, y = flat * math.cos(self.azimuth), flat * math.sin(self.azimuth)
        return np.array((x, y, math.sin(self.elevation)), np.float32)

    @property
    def shadow(self) -> Array:
        """The way (x, y) from a point to its shadow on the ground, for each meter of height."""
        x, y, up = self.sun
        return np.array((-x / up, -y / up), np.float32)
