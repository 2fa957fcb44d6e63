"""A camera's photon transfer in the units that the stages of the sensor share."""

from dataclasses import dataclass

from rawdrift.camera.camera import Camera, check_camera
from rawdrift.checks import InputError


@dataclass(frozen=True)
class Response:
    """Numbers of a sensor, in DN of the camera's container and electrons (e-) per pixel and frame.

    gain: DN / e-. black: DN of a dark frame at R, G in red rows, G in blue rows, B.
    step: DN between two codes of the ADC; above 1 if its bits are left-justified.
    white: DN at which the ADC saturates, its highest code. full_scale: DN of 1.0 in a mosaic.
    range: e- from black to white of the four sites. full_well: e- that a pixel can hold, or None.
    dark_current, read_noise, row_noise: e-, e- rms, e- rms; 0 if unknown.
    """

    gain: float
    black: tuple[float, ...]
    step: int
    white: int
    full_scale: int
    range: tuple[float, ...]
    full_well: float | None
    dark_current: float
    read_noise: float
    row_noise: float


def response(camera: Camera) -> Response:
    """Return the numbers of a camera. InputError if its gain is unknown or its values are coded."""
    check_camera(camera)
    noise = camera.noise
    if camera.linearization is not None:
        raise InputError(
            f"camera {camera.name!r} codes its values (linearization), but light and noise can "
            f"only be simulated in linear ones; linearize the files first, and leave the field out"
        )
    if noise is None:
        raise InputError(
            f"camera {camera.name!r} has no noise, which a sensor needs to count photons; "
            f"give it noise=Noise(gain, read_noise), or in a camera file the section [noise] "
            f"with gain (DN per electron) and read_noise (electrons rms)"
        )
    full_scale = 2**camera.bit_depth - 1
    step = 2 ** (camera.bit_depth - (camera.adc_bits or camera.bit_depth))
    level = 1.0 if camera.white_level is None else camera.white_level
    white = round(level * full_scale) // step * step
    black = tuple(level * full_scale for level in camera.black_level)
    if white <= max(black):
        raise InputError(
            f"camera {camera.name!r} has an ADC of {camera.adc_bits} bits, whose highest code "
            f"{white} DN is not above the black level of {max(black):g} DN; "
            f"expected adc_bits from which black_level and white_level differ"
        )
    return Response(
        gain=noise.gain,
        black=black,
        step=step,
        white=white,
        full_scale=full_scale,
        range=tuple((white - level) / noise.gain for level in black),
        full_well=noise.full_well,
        dark_current=noise.dark_current or 0.0,
        read_noise=noise.read_noise or 0.0,
        row_noise=noise.row_noise or 0.0,
    )
