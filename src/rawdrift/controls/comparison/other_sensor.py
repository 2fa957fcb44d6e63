"""Raw files of one camera as another one would have taken them, as far as both cameras say."""

from collections.abc import Iterator
from math import sqrt
from typing import ClassVar, NamedTuple, final

from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.controls.sensor_settings import SensorSettings
from rawdrift.isp.step import Kind, Step
from rawdrift.sensor.bayer import plane
from rawdrift.sensor.response import response


@final
class OtherSensor(Step):
    """A raw frame of one camera as another sensor would have taken it, of the same light and at
    the same share of its range: mosaic (..., H, W) to mosaic.

    settings: what adds noise and blur, see `SensorSettings`. black, white: of both cameras, in
    units of full scale. moved: in words.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"

    def __init__(
        self, own: Camera, other: Camera, settings: SensorSettings | None, moved: list[str]
    ):
        super().__init__()
        self.own, self.other, self.settings, self.moved = own, other, settings, moved

    def shown_numbers(self) -> list[str]:
        return self.moved

    def forward(self, x: Tensor) -> Tensor:
        if self.settings is not None:
            x = self.settings(x)
        if self.own.black_level == self.other.black_level:
            return x
        old, new = (plane(c.black_level, self.own.cfa, x) for c in (self.own, self.other))
        whites = self.own.white_level, self.other.white_level
        if whites[0] is None or whites[1] is None:  # only subtracted, so that the scale stays
            return (x - old + new).clamp(0, 1)
        return (new + (x - old) * (whites[1] - new) / (whites[0] - old)).clamp(0, whites[1])


class Difference(NamedTuple):
    """How a sensor differs. step: what moves raw files of the old one to it, None if nothing does.
    moved, not_moved: what it does and what it can't do, in words."""

    step: OtherSensor | None
    moved: list[str]
    not_moved: list[str]

    @property
    def moves_black(self) -> bool:
        """Whether raw files have another black level, which the ISP must know."""
        return self.step is not None and self.step.own.black_level != self.step.other.black_level


def difference(own: Camera, other: Camera, seed: int) -> Difference:
    """Return how the sensor of another camera differs from that of the raw files' own.

    Noise can be added, and not be taken away; so can a blur, whose noise is made up for.
    """
    moved: list[str] = []
    not_moved: list[str] = []
    numbers = _numbers(own, other, moved, not_moved)
    settings = SensorSettings(own, seed=seed, **numbers) if numbers else None
    if own.black_level != other.black_level:
        levels = (f"{min(c.black_level):.4g}" for c in (own, other))
        moved.append("black level {} to {} of full scale".format(*levels))
    step = OtherSensor(own, other, settings, moved) if moved else None
    return Difference(step, moved, not_moved)


def _numbers(
    own: Camera, other: Camera, moved: list[str], not_moved: list[str]
) -> dict[str, float]:
    """Return the settings of `SensorSettings`, and note what they do and what is left."""
    numbers: dict[str, float] = {}
    silent = [c.name for c in (own, other) if c.noise is None]
    coded = [c.name for c in (own, other) if c.linearization is not None]
    if silent or coded:
        if coded:
            why = f"the values of {' and '.join(coded)} are coded (linearization)"
        else:
            why = f"not stated by {' and '.join(silent)}"
        if own.noise != other.noise:
            not_moved.append(f"noise: {why}")
        if own.optics != other.optics:
            not_moved.append("point spread: a blur takes noise away, which must be known")
        return {}
    for what, text in _noise(own, other, numbers):
        (moved if what else not_moved).append(text)
    before, after = (None if c.optics is None else c.optics.psf_sigma for c in (own, other))
    if before == after:
        return numbers
    if before is None or after is None:
        missing = own if before is None else other
        not_moved.append(f"point spread: not stated by {missing.name}")
    elif after < before:
        not_moved.append(f"point spread: {after:g} px is sharper than the raw files, {before:g} px")
    else:
        numbers["psf_sigma"] = sqrt(after**2 - before**2)
        moved.append(f"point spread {before:g} to {after:g} px")
    return numbers


def _noise(own: Camera, other: Camera, numbers: dict[str, float]) -> Iterator[tuple[bool, str]]:
    """Set the numbers of noise; yield whether something is moved, and what, in words."""
    assert own.noise is not None  # checked
    assert other.noise is not None
    old, new = response(own), response(other)
    electrons = max(old.range), max(new.range)  # of a white pixel
    if electrons[1] < 0.999 * electrons[0]:
        numbers["exposure"] = electrons[1] / electrons[0]
        numbers["gain"] = 1 / numbers["exposure"]
        yield True, f"shot noise of {electrons[0]:.0f} to {electrons[1]:.0f} electrons at white"
    elif electrons[1] > 1.001 * electrons[0]:
        yield (
            False,
            f"shot noise: {electrons[1]:.0f} electrons at white are less noisy than the raw files, "
            f"{electrons[0]:.0f}",
        )
    before, after = own.noise.read_noise, other.noise.read_noise
    if before != after:
        if before is None or after is None:
            yield False, f"read noise: not stated by {(own if before is None else other).name}"
        elif after < before:
            yield (
                False,
                f"read noise: {after:g} electrons are less than in the raw files, {before:g}",
            )
        else:
            numbers["read_noise"] = sqrt(after**2 - before**2)
            yield True, f"read noise {before:g} to {after:g} electrons"
    for name in ("dark_current", "row_noise", "full_well"):
        if getattr(own.noise, name) != getattr(other.noise, name):
            yield False, f"{name.replace('_', ' ')}: no way to move it is implemented"
