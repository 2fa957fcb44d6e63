"""The light of a synthetic aerial photograph: one sun, one sky, one exposure."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.texture import Array, Rng


class Daylight(NamedTuple):
    """azimuth, elevation: of the sun, radians, from x towards y. direct: its share of the light on
    flat ground. sun, sky: their colors (3,), and haze: light that the air adds (3,), all relative
    to a white surface. exposure: what such a surface becomes."""

    azimuth: float
    elevation: float
    direct: float
    sun: Array
    sky: Array
    haze: Array
    exposure: float

    @classmethod
    def draw(cls, rng: Rng) -> "Daylight":
        """From a day with thin clouds to one without, never near noon."""
        direct = rng.uniform(0.25, 0.75)
        warm = rng.uniform(0.0, 1.0) * direct
        cast = np.exp(rng.normal(0, 0.03, 3))
        return cls(
            azimuth=rng.uniform(0, 2 * math.pi),
            elevation=math.radians(rng.uniform(25, 60)),
            direct=direct,
            sun=(np.array([1 + 0.10 * warm, 1, 1 - 0.16 * warm]) * cast).astype(np.float32),
            sky=(np.array([0.88, 0.97, 1.16]) * cast).astype(np.float32),
            haze=(np.array([0.010, 0.012, 0.016]) * rng.uniform(0.5, 1.5)).astype(np.float32),
            exposure=1.2 * math.exp(rng.normal(0, 0.18)),
        )

    @property
    def shadow(self) -> tuple[float, float]:
        """Where a shadow falls along x and y, for each meter of height."""
        long = 1 / math.tan(self.elevation)
        return -long * math.cos(self.azimuth), -long * math.sin(self.azimuth)

    def toward(self, heading: float) -> tuple[float, float, float]:
        """The unit vector to the sun: along that heading, across it, and up."""
        flat, angle = math.cos(self.elevation), self.azimuth - heading
        return flat * math.cos(angle), flat * math.sin(angle), math.sin(self.elevation)

    def on(self, color: Array, sun: Array | float, sky: Array | float = 1.0) -> Array:
        """What a surface of that reflectance (3, ...) sends up. sun, sky: how much of each it gets,
        seen from flat open ground (...)."""
        direct = (self.direct * self.sun)[:, None, None] * sun
        around = ((1 - self.direct) * self.sky)[:, None, None] * sky
        return color * (direct + around)
