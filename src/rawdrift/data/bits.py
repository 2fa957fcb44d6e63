"""Bits of the container that no value of a camera uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera

_DARK = 2  # upper bits that dark images alone hardly leave unused


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
        camera, highest = self.camera, self._highest
        full = round((camera.white_level or 1.0) * (2**camera.bit_depth - 1))
        bits = highest.bit_length()
        idle = full.bit_length() - bits
        # A highest value of exactly 2**n - 1 is the full scale of n bits.
        if not highest or not (idle >= _DARK or (idle == 1 and highest == 2**bits - 1)):
            return None
        return (
            f"camera {camera.name!r}: values use {bits} of {full.bit_length()} bits, the highest "
            f"is {highest} of {full}; if full scale is {2**bits - 1}, set bit_depth = {bits} in "
            f"the camera file"
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
