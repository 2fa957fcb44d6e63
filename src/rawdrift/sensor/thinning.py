"""A frame with less light than it was taken with."""

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, is_number
from rawdrift.sensor import adc, noise
from rawdrift.sensor.bayer import plane
from rawdrift.sensor.response import Response, response


@torch.no_grad()
def dim(mosaic: Tensor, camera: Camera, *, intensity: float, generator: torch.Generator) -> Tensor:
    """Return a raw frame as the same camera would have taken it with `intensity` times the light.

    mosaic: (..., H, W) floating in [0, 1]; returned in the same shape and type. intensity: above 0,
    at most 1, which changes nothing. generator: draws the noise, on the mosaic's device.

    Each photoelectron is kept with probability t = intensity, independently: a Poisson count of
    mean mu becomes one of mean t mu, whose variance still equals its mean, whereas the product t mu
    would have the variance t**2 mu. A pixel's electrons e = (DN - black) / gain are known up to the
    read noise, of variance r, and quantization, of variance q. With the whole electrons n =
    max(round(e), 0),

        e' = Binomial(n, t) + t (e - n) + Normal(0, a)
        a  = (1 - t**2) r - t**2 q - t (1 - t) (n - e), at least 0

    has the mean t mu and, quantized once more, the variance t mu + r + q of a frame taken with less
    light: thinning leaves t**2 (r + q), a adds the rest, and its last term removes what a Binomial
    adds where read noise made e negative. The distributions agree beyond mean and variance too, the
    better the more electrons there are. The electrons of the dark current, which do not depend on
    the light, are thinned with the others and replaced by Poisson((1 - t) of their mean); row noise
    is restored like read noise, once for each row.

    The light at a saturated site is unknown. It is treated as a site whose mean just saturates,
    gets the noise of one, and may be darker than it would have been. Noise that the camera file
    does not give is not added, which leaves shadows too clean. Noise that was cut off at 0, in a
    camera without a pedestal, stays cut off.

    Raises InputError for a camera without noise, and for an impossible mosaic or intensity.
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
        raise InputError("mosaic must be in [0, 1] everywhere, got values outside or NaN")
    sensor, t = response(camera), float(intensity)
    if t == 1:
        return mosaic.clone()

    dn = mosaic.to(torch.promote_types(mosaic.dtype, torch.float32)) * sensor.full_scale
    black = plane(sensor.black, camera.cfa, dn)
    electrons = (dn - black) / sensor.gain + sensor.dark_current
    whole = electrons.round().clamp(min=0)
    thinned = torch.binomial(whole, torch.full_like(whole, t), generator=generator)

    read, rounding = sensor.read_noise**2, (sensor.step / sensor.gain) ** 2 / 12
    missing = (1 - t**2) * read - t**2 * rounding - t * (1 - t) * (whole - electrons)
    saturated = _saturated(dn, electrons, sensor)
    missing = missing.clamp(min=0) + saturated * t**2 * (whole + read)
    dimmed = thinned + t * (electrons - whole) + missing.sqrt() * noise.read(dn, 1.0, generator)
    if sensor.dark_current:
        restored = torch.full_like(dn, (1 - t) * sensor.dark_current)
        dimmed += torch.poisson(restored, generator) - sensor.dark_current
    if sensor.row_noise:
        dimmed += noise.row(dn, (1 - t**2) ** 0.5 * sensor.row_noise, generator)

    dn = adc.quantize(black + sensor.gain * dimmed, sensor.step, sensor.white)
    return (dn / sensor.full_scale).to(mosaic.dtype)


def _saturated(dn: Tensor, electrons: Tensor, sensor: Response) -> Tensor:
    """Return the sites at the highest code, or within 3 read noises of the full well."""
    full = dn > sensor.white - sensor.step / 2
    if sensor.full_well is not None:
        full |= electrons > sensor.full_well - 3 * sensor.read_noise
    return full
