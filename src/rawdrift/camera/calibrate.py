"""A camera's black level, gain and read noise from its own dark and flat frames."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.bits import Unused, unused
from rawdrift.camera.camera import Camera, Noise
from rawdrift.camera.photon_transfer import Fit, Level, fit, measure
from rawdrift.camera.shot import read
from rawdrift.cfa import layout
from rawdrift.checks import InputError

LINEAR = 0.7  # of the way from black to saturation: EMVA 1288 fits the gain up to there
ALIKE = 0.02  # of the signal: how far the means of two frames of one exposure may differ

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """A camera with estimated numbers, and the measurements behind them.

    errors: standard errors of gain (DN/e-) and read_noise (e-). black_error: standard error of each
        black level, in DN.
    dark, flats: the measured levels. used: for each of `flats`, the sites that were fitted.
    notes: what the user should check. unused: upper bits that no value has, None if there are none:
        the camera's `bit_depth`, of which levels are shares, is then probably wrong.
    """

    camera: Camera
    errors: Noise
    black_error: float
    dark: Level
    flats: tuple[Level, ...]
    used: tuple[Mask, ...]
    notes: tuple[str, ...]
    unused: Unused | None = None

    def text(self) -> str:
        """Return the estimates with their standard errors, and the notes, as text."""
        levels = [level * (2**self.camera.bit_depth - 1) for level in self.camera.black_level]
        lines = [
            f"black level, {site}: {_with_error(level, self.black_error)} DN"
            for site, level in zip(layout(self.camera.cfa).sites, levels, strict=True)
        ]
        for name, unit in (("gain", "DN/e-"), ("read_noise", "e- rms")):
            value, error = getattr(self.camera.noise, name), getattr(self.errors, name)
            lines.append(f"{name.replace('_', ' ')}: {_with_error(value, error)} {unit}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _with_error(value: float, error: float) -> str:
    """Return a value and its error, both to the second digit of the error."""
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def calibrate(
    dark: Sequence[Path], flat: Sequence[Path], camera: Camera | None = None
) -> Calibration:
    """Estimate black level, gain and read noise by photon transfer (EMVA 1288).

    dark: two or more frames without light, at the exposure time of the data. flat: two frames at
    each of several exposures from dim to bright, of an evenly lit field, in any order: frames of
    one exposure are matched by their means. All are raw, in whole DN, from one camera at one ISO.
    camera: with at least its cfa; by default, that of the frames' own metadata.

    gain is the slope of the variance in time over the signal, for all four sites together, up to
    70 % of saturation. read_noise is the noise in time of the dark frames, minus that of
    quantization; it includes the noise of the dark current and of rows. If all values are multiples
    of 2**n, n bits of the container are empty, which sets `adc_bits`. All other fields are those of
    `camera`.

    Raises InputError for frames that can't be compared or paired, dark frames that are cut off at
    0, and flat frames that are all saturated or hold no light.
    """
    for kind, paths, why in (
        ("dark", dark, "noise in time is measured from the difference of two"),
        ("flat", flat, "two at each exposure"),
    ):
        if len(paths) < 2:
            raise InputError(f"{len(paths)} {kind} frame given, expected at least 2: {why}")
    frames = _Frames(dark[0], camera)
    bits, highest, means = frames.survey([*dark, *flat])
    step = bits & -bits or 1  # the lowest bit that any value has
    cfa = frames.camera.cfa
    at_dark = measure(frames.read(dark), cfa, step)
    if (at_dark.low == 0).any():
        raise InputError(
            f"the dark frames ({dark[0]}, ...) are cut off at 0, so that neither black level nor "
            f"read noise can be measured; expected a pedestal: raise the camera's black offset"
        )
    pairs = _pairs(flat, means[len(dark) :], at_dark)
    levels = [measure(frames.read(pair), cfa, step) for pair in pairs]
    used, notes = _usable(frames.camera, at_dark, pairs, levels)
    line = fit(at_dark, levels, used, step)
    slope_error = math.sqrt(line.covariance[1, 1])
    if line.gain < 3 * slope_error:
        raise InputError(
            f"the flat frames hold no light above the dark ones: their variance grows by "
            f"{line.gain:.2g} +- {slope_error:.2g} DN for a DN of signal; expected exposures up to "
            f"70 % of saturation"
        )
    if len(levels) == 1:
        notes.append("one exposure: that variance is linear in signal could not be checked")
    elif line.scatter > 1 + 4 * math.sqrt(2 / (line.points - 2)):
        notes.append(
            f"the points scatter {math.sqrt(line.scatter):.1f} times as much as photons alone "
            f"would, and the errors are widened by that factor; look for saturation, a lamp that "
            f"changes, or processing inside the camera"
        )
    empty = unused(frames.camera, highest)
    if empty:
        notes.append(
            f"values use {empty.bits} of {empty.of} bits, the highest is {empty.largest}; if full "
            f"scale is {2**empty.likely - 1}, measure again with bit_depth = {empty.likely}, since "
            f"levels are shares of full scale"
        )
    calibration = _calibration(frames.camera, step, at_dark, levels, used, line, notes, len(dark))
    return replace(calibration, unused=empty)


class _Frames:
    """Read the DN of frames of one size and depth."""

    def __init__(self, first: Path, camera: Camera | None):
        shot = read(first, camera)
        camera = shot.camera
        if camera is None:
            raise InputError(
                f"{first} carries no camera metadata; give a camera file, or the color filter array"
            )
        self.camera, self.first = camera, first
        self.kind = shot.mosaic.shape, shot.mosaic.dtype

    def read(self, paths: Sequence[Path]) -> Iterator[NDArray[Any]]:
        for path in paths:
            mosaic = read(path, self.camera).mosaic
            if mosaic.dtype.kind == "f":
                raise InputError(f"{path} holds floats, expected the whole DN of a camera")
            if (mosaic.shape, mosaic.dtype) != self.kind:
                raise InputError(
                    f"{path} holds {mosaic.shape} pixels of {mosaic.dtype}, but {self.first} "
                    f"{self.kind[0]} of {self.kind[1]}; expected frames of one camera and mode"
                )
            yield mosaic

    def survey(self, paths: Sequence[Path]) -> tuple[int, int, list[float]]:
        """Return the bits that are set in any value, the highest value, and each frame's mean."""
        bits, highest, means = 0, 0, []
        for mosaic in self.read(paths):
            bits |= int(np.bitwise_or.reduce(mosaic, axis=None))
            highest = max(highest, int(mosaic.max()))
            means.append(float(mosaic.mean(dtype=np.float64)))
        return bits, highest, means


def _pairs(paths: Sequence[Path], means: Sequence[float], dark: Level) -> list[tuple[Path, Path]]:
    """Return the pairs of frames of one exposure, from dark to bright."""
    order = sorted(range(len(paths)), key=lambda i: means[i])
    pairs = []
    while order:
        one, *rest = order
        signal = means[one] - dark.mean.mean()
        allowed = max(ALIKE * signal, float(np.sqrt(dark.variance.mean())))
        if not rest or means[rest[0]] - means[one] > allowed:
            nearest = min(
                (i for i in range(len(paths)) if i != one), key=lambda i: abs(means[i] - means[one])
            )
            raise InputError(
                f"{paths[one]} (mean {means[one]:.6g} DN) has no partner of its exposure; "
                f"the nearest of the {len(paths)} flat frames is {paths[nearest]} "
                f"(mean {means[nearest]:.6g} DN); expected two at each exposure, "
                f"at most {ALIKE:.0%} of the signal apart"
            )
        pairs.append((paths[one], paths[rest[0]]))
        order = rest[1:]
    return pairs


def _usable(
    camera: Camera, dark: Level, pairs: Sequence[tuple[Path, Path]], levels: Sequence[Level]
) -> tuple[list[Mask], list[str]]:
    """Return the sites of each level that are in the linear range, and notes on the others."""
    tops = np.min([level.top for level in levels], axis=0)  # inf if nothing saturates
    if camera.white_level is not None:
        tops = np.minimum(tops, camera.white_level * (2**camera.bit_depth - 1))
    limit = dark.mean + LINEAR * (tops - dark.mean)
    used = [(level.mean <= limit) & np.isinf(level.top) for level in levels]
    if not any(mask.any() for mask in used):
        raise InputError(
            f"all {2 * len(pairs)} flat frames reach beyond {LINEAR:.0%} of saturation at all "
            f"sites; expected exposures from near black to {LINEAR:.0%}"
        )
    notes = []
    for (one, other), level, mask in zip(pairs, levels, used, strict=True):
        if not mask.all():
            left_out = ", ".join(np.array(layout(camera.cfa).sites)[~mask])
            where = f" at: {left_out}" if mask.any() else ""
            saturated = np.isfinite(level.top).any()
            cause = "saturated" if saturated else f"above {LINEAR:.0%} of saturation"
            notes.append(f"{one.name} and {other.name} are {cause} and left out{where}")
    return used, notes


def _calibration(
    camera: Camera,
    step: int,
    dark: Level,
    flats: Sequence[Level],
    used: Sequence[Mask],
    line: Fit,
    notes: list[str],
    darks: int,
) -> Calibration:
    full_scale = 2**camera.bit_depth - 1
    analog = line.dark_variance - step**2 / 12
    if analog > 0:
        read = math.sqrt(analog) / line.gain
        # read = sqrt(analog) / gain: the first-order propagation of the line's errors.
        slopes = np.array([1 / (2 * read * line.gain**2), -read / line.gain])
        read_error = float(np.sqrt(slopes @ line.covariance @ slopes))
    else:
        read = 0.0
        read_error = math.sqrt(step**2 / 12) / line.gain
        notes.append("read noise is too low to be measured behind the steps of the ADC")
    errors = Noise(gain=math.sqrt(line.covariance[1, 1]), read_noise=read_error)
    # The four sites are alike: together they give a better estimate of the error than each alone.
    black_error = float(np.sqrt(np.square(dark.mean_error).mean()))
    full_well = camera.noise.full_well if camera.noise else None
    provenance = (
        f"black level, gain and read noise by photon transfer (EMVA 1288) of {2 * len(flats)} flat "
        f"and {darks} dark frames; standard errors: gain {errors.gain:.2g} DN/e-, read noise "
        f"{read_error:.2g} e-, black level {black_error:.2g} DN"
    )
    return Calibration(
        camera=replace(
            camera,
            black_level=tuple(float(level) / full_scale for level in dark.mean),
            adc_bits=camera.bit_depth - (step.bit_length() - 1) if step > 1 else camera.adc_bits,
            noise=Noise(line.gain, read, full_well=full_well),
            provenance="; ".join(part for part in (camera.provenance, provenance) if part),
        ),
        errors=errors,
        black_error=black_error,
        dark=dark,
        flats=tuple(flats),
        used=tuple(used),
        notes=tuple(notes),
    )
