"""Noise profiles of DNG files, which LibRaw does not pass on."""

from pathlib import Path
from typing import Any

NOISE_PROFILE = 51041  # DNG 1.3


def noise_profile(path: Path, black: float, white: float) -> dict[str, float] | None:
    """Return the photon transfer that the tag NoiseProfile of a DNG describes, None without it.

    Returns fields of `camera.Noise`.

    black, white: levels of the green sites in DN of the camera's container.

    The tag gives a scale S and an offset O, with variance = S x + O of x = (DN - black) / R, where
    R = white - black. In DN that is R**2 (S x + O) = (R S) (DN - black) + R**2 O. Photon transfer
    has the variance gain (DN - black) + gain**2 read_noise**2 + 1/12, the last by quantization to
    whole DN. So

        gain = R S    and    read_noise = sqrt(R**2 O - 1/12) / gain, at least 0.

    A profile of three planes is read from the second, green.
    """
    import tifffile

    if path.suffix.lower() != ".dng":
        return None
    try:
        with tifffile.TiffFile(path) as file:
            profile = _find(file.pages.first)
    except tifffile.TiffFileError:  # not a DNG despite its name, but LibRaw can read it
        return None
    if profile is None or len(profile) not in (2, 6):
        return None
    scale, offset = profile[2:4] if len(profile) == 6 else profile
    distance = white - black
    if not (scale > 0 and distance > 0):
        return None
    gain = distance * scale
    read_noise = max(distance**2 * offset - 1 / 12, 0.0) ** 0.5 / gain
    return {"gain": gain, "read_noise": read_noise}


def _find(first: Any) -> tuple[float, ...] | None:
    """Return the values of the tag, which is on the first page or on one of its sub-pages."""
    for page in (first, *(first.pages or ())):
        tag = page.tags.get(NOISE_PROFILE)
        if tag is not None and isinstance(tag.value, tuple):
            return tuple(float(value) for value in tag.value)
    return None
