"""Photon transfer (EMVA 1288 release 4.0, section 6): noise against signal gives a sensor's gain.

All numbers come by the sites of the pattern: R, G in red rows, G in blue rows, B of Bayer's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.cfa import Pattern, layout, sampled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """Statistics of two or more frames of one exposure, by site, (4,) of a Bayer
    pattern.

    mean: DN. mean_error: its standard error. variance: of a pixel in time, DN**2. freedom: degrees
    of freedom of the variance. low, top: DN at which values are cut off, -inf and inf if they are
    not.
    """

    mean: Floats
    mean_error: Floats
    variance: Floats
    freedom: Floats
    low: Floats
    top: Floats


@dataclass(frozen=True)
class Fit:
    """variance = dark_variance + gain * signal, in DN**2, DN/e- and DN.

    covariance: (2, 2) of dark_variance and gain. scatter: chi square over its degrees of freedom,
    about 1 if the points lie on the line as well as they should.
    """

    dark_variance: float
    gain: float
    covariance: Floats
    scatter: float
    points: int


def measure(frames: Iterable[NDArray[Any]], cfa: Pattern, step: int) -> Level:
    """Measure frames (H, W) of one exposure; `step` DN lie between two codes of the ADC.

    The variance is that in time: of each pixel over the frames, after each frame's mean has been
    subtracted, so that neither the pattern of the pixels nor a flickering lamp counts. For two
    frames it is EMVA's mean((a - b)**2) / 2 - (mean(a) - mean(b))**2 / 2.
    """
    count = len(layout(cfa).sites)
    sums: list[Floats | float] = [0.0] * count
    squares, means, lows, tops = np.zeros(count), [], [], []
    for frame in frames:
        samples = _by_site(frame, cfa)
        means.append([site.mean(dtype=np.float64) for site in samples])
        lows.append([_cut(site, site.min(), step) for site in samples])
        tops.append([_cut(site, site.max(), -step) for site in samples])
        for i, site in enumerate(samples):
            centered = site - means[-1][i]
            sums[i] = sums[i] + centered
            squares[i] += np.square(centered).sum()
    count, planes = len(means), [np.asarray(total) for total in sums]
    pixels = np.array([plane.size for plane in planes])
    freedom = (count - 1.0) * (pixels - 1)
    fixed = np.array([np.square(plane).sum() / count for plane in planes])
    # From rows: noise that the pixels of a row share must not count once for each pixel.
    rows = [plane.mean(axis=1) / count for plane in planes]
    return Level(
        mean=np.mean(means, axis=0),
        mean_error=np.array([row.std(ddof=1) / np.sqrt(len(row)) for row in rows]),
        variance=(squares - fixed) / freedom,
        freedom=freedom,
        low=np.nan_to_num(np.array(lows), nan=-np.inf).max(axis=0),
        top=np.nan_to_num(np.array(tops), nan=np.inf).min(axis=0),
    )


def _by_site(frame: NDArray[Any], cfa: Pattern) -> list[NDArray[Any]]:
    """Return the pixels of each site of a frame, as rows. Sites with several pixels in a cell are
    taken from whole cells."""
    height, width, names, _, places = layout(cfa)
    if len(places) > len(names):
        rows, columns = (
            n // size * size for n, size in zip(frame.shape, (height, width), strict=True)
        )
        frame = frame[:rows, :columns]
    parts: list[list[NDArray[Any]]] = [[] for _ in names]
    for site, pixels in sampled(frame, cfa):
        parts[site].append(pixels)
    return [part[0] if len(part) == 1 else np.concatenate(part, axis=1) for part in parts]


def _cut(site: NDArray[Any], last: Any, inward: int) -> float:
    """Return the extreme value `last` of a site's pixels if values are cut off there, else NaN.

    Noise has tails: the extreme value is more frequent than its neighbor only if values are cut
    off. A few hot pixels (EMVA 1288 allows 0.1 %) are not saturation.
    """
    at_last, next_to_it = (np.count_nonzero(site == int(last) + offset) for offset in (0, inward))
    cut = at_last > max(8, site.size / 1000) and at_last > next_to_it
    return float(last) if cut else np.nan


def fit(dark: Level, flats: Sequence[Level], used: Sequence[NDArray[np.bool_]], step: int) -> Fit:
    """Fit a line to the points of all `used` sites by weighted least squares.

    The estimate of a variance sigma**2 with f degrees of freedom has the variance 2 sigma**4 / f.
    sigma**2 is taken from the line (iteratively), since weights from the estimates themselves would
    favor low ones. Standard errors are widened by the scatter if it is above 1.
    """
    sites = len(dark.mean)
    signal = np.concatenate([np.zeros(sites), *(f.mean - dark.mean for f in flats)])
    variance = np.concatenate([level.variance for level in (dark, *flats)])
    freedom = np.concatenate([level.freedom for level in (dark, *flats)])
    error = np.concatenate(
        [np.zeros(sites), *(np.hypot(f.mean_error, dark.mean_error) for f in flats)]
    )
    taken = np.concatenate([np.ones(sites, bool), *used])
    signal, variance, freedom, error = (a[taken] for a in (signal, variance, freedom, error))

    design = np.stack([np.ones_like(signal), signal], axis=1)
    # The iteration starts from the outermost points.
    least = step**2 / 12  # noise of quantization, which may not show
    base = max(float(dark.variance.mean()), least)
    line = np.array([base, max((variance[-1] - base) / max(signal[-1], 1e-12), 1e-12)])
    covariance = np.eye(2)
    for _ in range(30):
        expected = np.maximum(design @ line, least)
        weight = 1 / (2 * expected**2 / freedom + (line[1] * error) ** 2)
        covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
        line, before = covariance @ design.T @ (weight * variance), line
        if np.allclose(line, before, rtol=1e-10, atol=0):
            break
    scatter = float((weight * (variance - design @ line) ** 2).sum() / max(len(signal) - 2, 1))
    return Fit(
        dark_variance=float(line[0]),
        gain=float(line[1]),
        covariance=covariance * max(scatter, 1.0),
        scatter=scatter,
        points=len(signal),
    )
