"""From photons to digital numbers."""

from typing import final

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, positive
from rawdrift.sensor import adc, noise
from rawdrift.sensor.bayer import mosaic, plane
from rawdrift.sensor.optics import GaussianPSF
from rawdrift.sensor.response import response


@final
class Sensor(nn.Module):
    """A linear Bayer sensor with shot noise, dark current, read noise and an ADC (EMVA 1288).

    light     = exposure * optics(irradiance)
    N         = min(Poisson(light * range + exposure * dark_current), full_well)
    electrons = N - exposure * dark_current + Normal(0, read_noise) + one Normal(0, row_noise) a row
    DN        = clip(round(black + gain * electrons), 0, white)

    with black and white the camera's levels in DN, and the range of each of the four sites such
    that irradiance 1 reaches white: range = (white - black) / gain, in electrons. A camera without
    a white level saturates at the full scale of its container, an ADC with fewer bits (`adc_bits`)
    at its highest code, left-justified. The mean of the dark current is subtracted, as cameras do
    with covered pixels: a dark frame has the black level at any exposure, and keeps the noise.
    Unknown noise and an unknown full well are left out: above a few hundred electrons, shot noise
    dwarfs the rest.

    exposure: time relative to the one for which irradiance and dark current are given; a number
        above 0, or an nn.Parameter of shape (), which stays learnable.
    optics: a module (..., 3, H, W) -> (..., 3, H, W); by default the camera's Gaussian PSF, if it
        has one. `nn.Identity()` for light that has passed a lens already.

    Gradients reach the irradiance, the exposure and the optics' parameters. They are exact except
    for shot noise (`noise.shot`) and rounding (`adc.quantize`). Raises InputError for a camera
    whose gain is unknown.
    """

    exposure: Tensor

    def __init__(
        self,
        camera: Camera,
        *,
        exposure: float | nn.Parameter = 1.0,
        optics: nn.Module | None = None,
    ):
        super().__init__()
        self.response = response(camera)
        self.cfa = camera.cfa
        if isinstance(exposure, nn.Parameter):
            self.register_parameter("exposure", exposure)
        else:
            value = torch.tensor(positive("exposure", exposure), dtype=torch.float64)
            self.register_buffer("exposure", value)
        if optics is None:
            optics = GaussianPSF(camera.optics.psf_sigma) if camera.optics else nn.Identity()
        self.optics = optics

    def forward(self, irradiance: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mosaic (..., H, W), float32 in [0, 1], of an irradiance (..., 3, H, W).

        irradiance: of the color channels; 1 just saturates, and more is clipped. float64 is
            computed in double precision up to the mosaic.
        generator: draws the noise, on the irradiance's device.
        """
        return self._dn(irradiance, generator).float() / self.response.full_scale

    @torch.no_grad()
    def digital(self, irradiance: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mosaic in digital numbers, as in a file: (..., H, W) uint16."""
        return self._dn(irradiance, generator).to(torch.uint16)

    def _dn(self, irradiance: Tensor, generator: torch.Generator) -> Tensor:
        self._check(irradiance)
        camera = self.response
        light = irradiance.to(torch.promote_types(irradiance.dtype, torch.float32))
        light = mosaic(self.optics(light) * self.exposure.to(light), self.cfa)
        expected = light * plane(camera.range, self.cfa, light)
        dark = camera.dark_current * self.exposure.to(light)
        # Far beyond saturation the count does not matter, and would overflow.
        expected = expected.clamp(max=100 + 4 * max(camera.range)) + dark
        electrons = noise.shot(expected, generator)
        if camera.full_well is not None:
            electrons = electrons.clamp(max=camera.full_well)
        electrons = electrons - dark + noise.read(expected, camera.read_noise, generator)
        if camera.row_noise:
            electrons = electrons + noise.row(expected, camera.row_noise, generator)
        dn = plane(camera.black, self.cfa, electrons).add(electrons, alpha=camera.gain)
        return adc.quantize(dn, camera.step, camera.white)

    def _check(self, irradiance: Tensor) -> None:
        if irradiance.ndim < 3 or irradiance.shape[-3] != 3 or not irradiance.is_floating_point():
            raise InputError(
                f"irradiance must be floating and of shape (..., 3, H, W), got {irradiance.dtype} "
                f"of shape {tuple(irradiance.shape)}"
            )
        if not bool((irradiance >= 0).all()):  # so that NaN is caught as well
            raise InputError("irradiance must be at least 0 everywhere, got negative or NaN")
