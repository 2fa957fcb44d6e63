"""The levels of a camera's images, and what in them contradicts the camera."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.cfa import is_bayer, layout, sampled
from rawdrift.data.plausible import COMPARED, differences, unlike_greens

_SAMPLE = 4096  # values of each site that are kept of an image
_IMAGES = 256  # whose values are kept
_LOW, _HIGH = 1, 99  # percentiles
_BELOW = 0.25  # share of a site's values below its black level that noise does not explain
_ABOVE = 0.001  # share of values above the white level


class Levels:
    """Collect the values of a camera's images by the sites of its color filter array."""

    def __init__(self, camera: Camera):
        self.camera = camera
        self._least, self._most, self._count = np.inf, -np.inf, 0
        self._is_float = False
        self.sites = layout(camera.cfa).sites
        self._sums = np.zeros(len(self.sites))
        self._below = np.zeros(len(self.sites))
        self._above = 0
        self._numbers = np.zeros(len(self.sites))
        self._samples: list[list[NDArray[Any]]] = [[] for _ in self.sites]
        self._greens: list[tuple[float, float]] = []

    @property
    def full(self) -> float:
        """Full scale, in the units of the values."""
        return 1.0 if self._is_float else 2.0**self.camera.bit_depth - 1

    def add(self, mosaic: NDArray[Any]) -> None:
        """Add a mosaic (H, W): DN, or floats in [0, 1]."""
        self._is_float = mosaic.dtype.kind == "f"
        self._least = min(self._least, float(mosaic.min()))
        self._most = max(self._most, float(mosaic.max()))
        camera = self.camera
        if camera.white_level is not None:
            room = 0.5 / (2**camera.bit_depth - 1) * self.full
            self._above += int(np.count_nonzero(mosaic > camera.white_level * self.full + room))
        for site, values in sampled(mosaic, camera.cfa):
            self._sums[site] += values.sum(dtype=np.float64)
            self._numbers[site] += values.size
            black = camera.black_level[site] * self.full
            self._below[site] += np.count_nonzero(values < black - 1e-3 * self.full)
            if self._count < _IMAGES:
                flat = values.ravel()
                self._samples[site].append(flat[:: max(1, len(flat) // _SAMPLE)].copy())
        if self._count < COMPARED and is_bayer(camera.cfa):
            self._greens.append(differences(mosaic, camera))
        self._count += 1

    def found(self) -> dict[str, Any]:
        """Return the levels as JSON can hold them; see `describe`."""
        sites = []
        for site, name in enumerate(self.sites):
            low, middle, high = np.percentile(
                np.concatenate(self._samples[site]), [_LOW, 50, _HIGH]
            ).tolist()
            sites.append(
                {
                    "site": name,
                    "black_level": self.camera.black_level[site] * self.full,
                    "low": low,
                    "median": middle,
                    "high": high,
                    "mean": float(self._sums[site] / self._numbers[site]),
                }
            )
        return {
            "min": self._least,
            "max": self._most,
            "full": self.full,
            "bits": None if self._is_float else int(self._most).bit_length(),
            "sites": sites,
        }

    def misfits(self) -> list[str]:
        """Return what contradicts the camera."""
        camera, found = self.camera, []
        if greens := unlike_greens(camera, self._greens):
            found.append(
                f"the sites that {camera.cfa} calls green differ {greens.ratio:.1f} times as much "
                f"as the others; check cfa: the images look like {' or '.join(greens.alike)}"
            )
        shares = self._below / self._numbers
        if (worst := int(shares.argmax())) >= 0 and shares[worst] > _BELOW:
            found.append(
                f"{shares[worst]:.0%} of the values of {self.sites[worst]} lie below its black "
                f"level of {camera.black_level[worst] * self.full:.4g}; check black_level and "
                f"bit_depth"
            )
        if camera.white_level is not None and self._above > _ABOVE * self._numbers.sum():
            found.append(
                f"values up to {self._most:.6g} lie above the white level of "
                f"{camera.white_level * self.full:.6g}; check white_level and bit_depth"
            )
        return found
