"""The light of a synthetic aerial photograph: one sun, one sky, one exposure."""

import math

import numpy as np

from rawdrift.data.synthetic.texture import Array, Rng


class Daylight:
    """Light of a day between hazy and clear, never near noon.

    azimuth, elevation: of the sun, radians, from x towards y. direct, around: sunlight and skylight
    from a white surface on flat open ground, (3, 1, 1). haze: light that the air adds, the same.
    exposure: the value of a white surface.
    """

    def __init__(self, rng: Rng):
        self.azimuth, self.elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.44, 1.05)
        share = rng.uniform(0.25, 0.75)
        warm = rng.uniform(0.0, 1.0) * share
        cast = np.exp(rng.normal(0, 0.03, 3))
        self.direct = _column(share * cast * (1 + 0.10 * warm, 1, 1 - 0.16 * warm))
        self.around = _column((1 - share) * cast * (0.88, 0.97, 1.16))
        self.haze = _column(rng.uniform(0.5, 1.5) * np.array((0.010, 0.012, 0.016)))
        self.exposure = 1.2 * math.exp(rng.normal(0, 0.18))

    @property
    def shadow(self) -> tuple[float, float]:
        """The way (x, y) from a point to its shadow on the ground, for each meter of height."""
        x, y, up = self.toward(0)
        return -x / up, -y / up

    def toward(self, heading: float) -> tuple[float, float, float]:
        """Return the unit vector to the sun: along a heading, across it, and up."""
        flat, angle = math.cos(self.elevation), self.azimuth - heading
        return flat * math.cos(angle), flat * math.sin(angle), math.sin(self.elevation)

    def on(self, color: Array, sun: Array | float, sky: Array | float = 1.0) -> Array:
        """Return the light from a surface of reflectance `color` (3, H, W).

        sun, sky: the light of each on it, relative to flat open ground, (H, W).
        """
        return color * (self.direct * sun + self.around * sky)


def _column(color: Array) -> Array:
    return color.astype(np.float32)[:, None, None]
