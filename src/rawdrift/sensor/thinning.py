"""The same frame with less light."""

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, is_number
from rawdrift.sensor import adc, noise
from rawdrift.sensor.bayer import plane
from rawdrift.sensor.response import Response, response


@torch.no_grad()
def dim(mosaic: Tensor, camera: Camera, *, intensity: float, generator: torch.Generator) -> Tensor:
    """The raw frame as the same camera would have taken it with `intensity` times the light.

    mosaic: (..., H, W) floating in [0, 1]; returned in the same shape and type. intensity: above 0,
    at most 1, which changes nothing. generator: draws the noise, on the mosaic's device.

    Each photoelectron is kept with probability t = intensity, independently: a Poisson count of
    mean mu becomes one of mean t mu, so that variance stays equal to the mean, where a mere product
    would leave t**2 mu. A pixel's electrons e = (DN - black) / gain are known but for the read
    noise, of variance r, and quantization, of variance q. With the whole electrons n =
    max(round(e), 0),

        e' = Binomial(n, t) + t (e - n) + Normal(0, a)
        a  = (1 - t**2) r - t**2 q - t (1 - t) (n - e), at least 0

    has the mean t mu and, quantized once more, the variance t mu + r + q of a frame that was taken
    so: thinning leaves t**2 (r + q) of them, a adds what lacks, and its last term takes off what a
    Binomial adds where read noise made e negative. Beyond mean and variance the two distributions
    agree too, the better the more electrons there are. The electrons of the dark current, which do
    not depend on the light, are thinned with the others and made up for by Poisson((1 - t) of their
    mean); row noise is filled up as read noise is, once a row.

    How much light a saturated site has seen is not known: it is taken for one whose mean just
    saturates, gets the noise of one, and may come out darker than it would have been. Noise that
    the camera file does not know is not added: shadows are then too clean. Noise that was cut off
    at 0, in a camera without a pedestal, stays so.

    Raises InputError for a camera without noise, and for what is no mosaic or intensity.
    """
    if not is_number(intensity) or not 0 < intensity <= 1:
        raise InputError(
            f"intensity must be above 0 and at most 1 (all of the light), got {intensity!r}"
        )
    if not mosaic.is_floating_point() or mosaic.ndim < 2:
        raise InputError(
            f"mosaic must be floating and of shape (..., H, W), got {mosaic.dtype} of shape "
            f"{tuple(mosaic.shape)}"
        )
    if not bool(((mosaic >= 0) & (mosaic <= 1)).all()):
        raise InputError("mosaic must be in [0, 1] everywhere, got values beyond or NaN")
    sensor, t = response(camera), float(intensity)
    if t == 1:
        return mosaic.clone()

    dn = mosaic.to(torch.promote_types(mosaic.dtype, torch.float32)) * sensor.full_scale
    black = plane(sensor.black, camera.cfa, dn)
    electrons = (dn - black) / sensor.gain + sensor.dark_current
    whole = electrons.round().clamp(min=0)
    kept = torch.binomial(whole, torch.full_like(whole, t), generator=generator)

    read, rounding = sensor.read_noise**2, (sensor.step / sensor.gain) ** 2 / 12
    lacking = (1 - t**2) * read - t**2 * rounding - t * (1 - t) * (whole - electrons)
    saturated = _saturated(dn, electrons, sensor)
    lacking = lacking.clamp(min=0) + saturated * t**2 * (whole + read)
    dimmed = kept + t * (electrons - whole) + lacking.sqrt() * noise.read(dn, 1.0, generator)
    if sensor.dark_current:
        again = torch.full_like(dn, (1 - t) * sensor.dark_current)
        dimmed += torch.poisson(again, generator) - sensor.dark_current
    if sensor.row_noise:
        dimmed += noise.row(dn, (1 - t**2) ** 0.5 * sensor.row_noise, generator)

    dn = adc.quantize(black + sensor.gain * dimmed, sensor.step, sensor.white)
    return (dn / sensor.full_scale).to(mosaic.dtype)


def _saturated(dn: Tensor, electrons: Tensor, sensor: Response) -> Tensor:
    """Sites at the highest code, or as near to the full well as read noise tells."""
    full = dn > sensor.white - sensor.step / 2
    if sensor.full_well is not None:
        full |= electrons > sensor.full_well - 3 * sensor.read_noise
    return full
