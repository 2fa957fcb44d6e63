"""Estimate noise against signal from ordinary images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.cfa import sampled

Array = NDArray[Any]

_PER_OCTAVE = 3  # bins of the signal
_SIGNALS = 16 * _PER_OCTAVE + 1  # from 1 to 2**16 DN, and what is below
_FINE = 16  # bins of an octave of the noise
_NOISES = 24 * _FINE  # from 2**-8 to 2**16 DN
_FEWEST = 500  # sites that a point of the curve needs
_MAD = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise of images, in DN of the container.

    sigma: its standard deviation, the median over all sites that were used.
    curve: (signal above black, sigma, number of sites), darkest first.
    gain: DN per photoelectron; read_noise: in DN. The line variance = gain signal + read_noise^2
        through the curve; None if the curve is too short, or does not rise.
    """

    sigma: float
    curve: list[tuple[float, float, int]]
    gain: float | None
    read_noise: float | None


class NoiseCurve:
    """Collect noise against signal from the images of a camera, one at a time.

    Each pixel of the cell of the color filter array is a picture of its own, so that only neighbors
    of one color meet. Its second difference along both axes, [1 -2 1] by [1 -2 1] over 6, removes
    every plane and keeps the standard deviation of white noise (Immerkaer, Computer Vision and
    Image Understanding 64, 1996). Half of the sites are used, those with the smallest Sobel
    gradient, which is independent of it (Tai and Yang, ISCCSP 2008); sites beside a clipped one are
    not. The median of their absolute values, by bins of the local mean, is robust to what texture
    is left.

    Limits: fine texture everywhere reads as noise, and noise that demosaicing, compression or
    resampling has smoothed reads as less. It is a look at the data, no calibration.
    """

    def __init__(self, camera: Camera):
        self.camera = camera
        self._counts = np.zeros((_SIGNALS, _NOISES), np.int64)
        self._signal = np.zeros(_SIGNALS)

    def add(self, mosaic: Array) -> None:
        """Add a mosaic (H, W), uint16 DN or float32 in [0, 1]."""
        full = 2**self.camera.bit_depth - 1
        white = full * (self.camera.white_level or 1.0)
        scale = full if mosaic.dtype.kind == "f" else 1
        for site, pixels in sampled(mosaic, self.camera.cfa):
            if min(pixels.shape) >= 3:
                plane = pixels.astype(np.float32) * scale
                self._add(plane, self.camera.black_level[site] * full, white)

    def _add(self, plane: Array, black: float, white: float) -> None:
        noise = np.abs(_filtered(plane, (1, -2, 1), (1, -2, 1))) / 6
        mean = _filtered(plane, (1, 1, 1), (1, 1, 1)) / 9 - black
        gradient = _filtered(plane, (1, 2, 1), (-1, 0, 1)) ** 2
        gradient += _filtered(plane, (-1, 0, 1), (1, 2, 1)) ** 2
        clipped = _filtered((plane <= 0) | (plane >= white), (1, 1, 1), (1, 1, 1)) > 0
        quiet = ~clipped & (gradient <= np.median(gradient))
        mean, noise = mean[quiet], noise[quiet]
        at = np.clip(1 + np.log2(np.maximum(mean, 0.5)) * _PER_OCTAVE, 0, _SIGNALS - 1).astype(int)
        level = (np.log2(np.maximum(noise, 2**-8)) + 8) * _FINE
        flat = at * _NOISES + np.clip(level, 0, _NOISES - 1).astype(int)
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)
        self._signal += np.bincount(at, weights=mean, minlength=_SIGNALS)

    def estimate(self) -> NoiseEstimate | None:
        """Return the estimate from all images so far, or None if too few sites can be used."""
        counts = self._counts.sum(axis=1)
        if counts.sum() < _FEWEST:
            return None
        curve = [
            (self._signal[i] / counts[i], _MAD * _median(self._counts[i]), int(counts[i]))
            for i in np.flatnonzero(counts >= _FEWEST)
        ]
        gain, read_noise = _line(curve)
        return NoiseEstimate(_MAD * _median(self._counts.sum(axis=0)), curve, gain, read_noise)


def _line(curve: list[tuple[float, float, int]]) -> tuple[float | None, float | None]:
    """Return the gain and read noise of a photon transfer curve."""
    rising = [point for point in curve if point[0] > 0 and point[1] > 0]
    if len(rising) < 4 or rising[-1][0] < 4 * rising[0][0]:
        return None, None
    signal, sigma, counts = np.array(rising).T
    # The error of a variance is proportional to the variance.
    slope, offset = np.polyfit(signal, sigma**2, 1, w=np.sqrt(counts) / sigma**2)
    if slope <= 0:
        return None, None
    return float(slope), float(np.sqrt(offset)) if offset > 0 else None


def _median(counts: Array) -> float:
    """Return the median of values counted in bins of the noise, interpolated within a bin."""
    sums = counts.cumsum()
    middle = sums[-1] / 2
    at = int(np.searchsorted(sums, middle))
    if at == 0:
        return 0.0
    part = (middle - (sums[at] - counts[at])) / counts[at]
    return float(2 ** ((at + part) / _FINE - 8))


def _filtered(plane: Array, down: tuple[int, ...], across: tuple[int, ...]) -> Array:
    """Return the correlation with three taps each way, without the borders."""
    height, width = plane.shape[0] - 2, plane.shape[1] - 2
    rows = np.zeros((height, plane.shape[1]), np.float32)
    for i, tap in enumerate(down):
        rows += tap * plane[i : i + height]
    result = np.zeros((height, width), np.float32)
    for i, tap in enumerate(across):
        result += tap * rows[:, i : i + width]
    return result
