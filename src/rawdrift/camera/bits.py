"""Bits of the container that no value of a camera uses."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera

UNUSED = 2
"""Upper bits that dark images may leave unused only if the camera states its `adc_bits`."""

USUAL = (8, 10, 12, 14, 16)
"""Bits of converters."""


class Unused(NamedTuple):
    """A camera whose images use the lower bits of their container only.

    largest: value, in DN. bits: that hold it. of: of the container, `bit_depth`.
    """

    camera: str
    largest: int
    bits: int
    of: int

    @property
    def likely(self) -> int:
        """Bits that converters usually have, at least those in use, which may be of dark images."""
        if self.largest == 2**self.bits - 1:
            return self.bits
        return next((bits for bits in USUAL if bits >= self.bits), self.bits)


def unused(camera: Camera, largest: int, intensity: float = 1.0) -> Unused | None:
    """Return that a camera's images, whose largest value is given, leave upper bits unused.

    Either it is the full scale of fewer bits, or at least `UNUSED` bits below the camera's white
    level are never used. None if all are used, or if the camera states its `adc_bits`.

    intensity: to which images of integers were dimmed; the value is of the dimmed ones.
    """
    if camera.adc_bits is not None:
        return None
    largest = round(largest / intensity)
    bits = largest.bit_length()
    white = (camera.white_level or 1.0) * (2**camera.bit_depth - 1)
    is_full = intensity == 1 and bits > 1 and largest == 2**bits - 1 and largest < white - 1
    if not is_full and not 0 < largest * 2**UNUSED <= white:
        return None
    return Unused(camera.name, largest, bits, camera.bit_depth)


class BitsInUse:
    """Collect the bits that are set in any value of a camera's images."""

    def __init__(self, camera: Camera):
        self.camera = camera
        self._used = 0
        self._highest = 0

    def add(self, mosaics: NDArray[Any]) -> None:
        """Add mosaics of DN, of any shape; floats have no bits."""
        if mosaics.dtype.kind == "u" and mosaics.size:
            self._used |= int(np.bitwise_or.reduce(mosaics, axis=None))
            self._highest = max(self._highest, int(mosaics.max()))

    def upper(self) -> str | None:
        """Return that upper bits are never used, so that the scale may be wrong, else None."""
        found = unused(self.camera, self._highest)
        return found and (
            f"camera {found.camera!r}: values use {found.bits} of {found.of} bits, the highest is "
            f"{found.largest}; if full scale is {2**found.likely - 1}, set bit_depth = "
            f"{found.likely} in the camera file"
        )

    def lower(self) -> str | None:
        """Return that lower bits are never used, as of a left-justified converter, else None."""
        camera = self.camera
        low = (self._used & -self._used).bit_length() - 1
        bits = camera.bit_depth - low
        if low < 1 or camera.adc_bits is not None:
            return None
        return (
            f"camera {camera.name!r}: the lower {low} bits are not used; if its converter has "
            f"{bits} bits, adc_bits = {bits} in the camera file says so"
        )
