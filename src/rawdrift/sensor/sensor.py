"""Photons to digital numbers."""

from typing import final

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.camera.read import to_unit
from rawdrift.cfa import offsets
from rawdrift.checks import InputError

_CHANNELS = (0, 1, 1, 2)  # of R, G in red rows, G in blue rows, B


@final
class Sensor(nn.Module):
    """A linear Bayer sensor with shot noise, read noise and an ADC (EMVA 1288).

    electrons = Poisson(irradiance * full_well) + Normal(0, read_noise)
    DN        = clip(round(black + gain * electrons), 0, white)

    with black and white the camera's levels in DN, and the full well of each of the four sites such
    that irradiance 1 reaches white: full_well = (white - black) / gain, in electrons. A camera
    without a white level saturates at the full scale of its container. A read noise that is not
    known is left out: from a few hundred electrons on, shot noise dwarfs it.

    Raises InputError for a camera whose gain is not known.
    """

    black: Tensor
    full_well: Tensor

    def __init__(self, camera: Camera):
        super().__init__()
        if camera.noise is None:
            raise InputError(
                f"camera {camera.name!r} has no noise, so that a sensor can't count its photons; "
                f"give it noise=Noise(gain, read_noise), or in a camera file the section [noise] "
                f"with gain (DN per electron) and read_noise (electrons rms)"
            )
        self.cfa = camera.cfa
        self.bit_depth = camera.bit_depth
        self.gain = camera.noise.gain
        self.read_noise = camera.noise.read_noise or 0.0
        full_scale = 2**camera.bit_depth - 1
        self.white = round((1.0 if camera.white_level is None else camera.white_level) * full_scale)
        black = torch.tensor(camera.black_level, dtype=torch.float64) * full_scale
        self.register_buffer("black", black)
        self.register_buffer("full_well", (self.white - black) / self.gain)

    def forward(self, irradiance: Tensor, generator: torch.Generator) -> Tensor:
        """Irradiance (..., 3, H, W) to a mosaic (..., H, W), float32 in [0, 1].

        irradiance: of the color channels; 1 just saturates, more is cut.
        generator: draws the noise, on the irradiance's device. No gradient passes.
        """
        return to_unit(self.digital(irradiance, generator), self.bit_depth)

    @torch.no_grad()
    def digital(self, irradiance: Tensor, generator: torch.Generator) -> Tensor:
        """The same in digital numbers, as they would be in the file: (..., H, W) uint16."""
        if irradiance.ndim < 3 or irradiance.shape[-3] != 3 or not irradiance.is_floating_point():
            raise InputError(
                f"irradiance must be floating and of shape (..., 3, H, W), got {irradiance.dtype} "
                f"of shape {tuple(irradiance.shape)}"
            )
        if not bool((irradiance >= 0).all()):  # so that NaN is caught as well
            raise InputError("irradiance must be at least 0 everywhere, got negative or NaN")
        expected = torch.empty_like(irradiance[..., 0, :, :])
        black = torch.empty_like(expected)
        for site, (row, column) in enumerate(offsets(self.cfa)):
            light = irradiance[..., _CHANNELS[site], row::2, column::2]
            expected[..., row::2, column::2] = light * self.full_well[site].to(light)
            black[..., row::2, column::2] = self.black[site].to(light)
        # Far beyond saturation the count does not matter, and would overflow.
        expected.clamp_(max=100 + 4 * float(self.full_well.max()))
        electrons = torch.poisson(expected, generator)
        electrons += self.read_noise * expected.normal_(generator=generator)
        dn = black.add_(electrons, alpha=self.gain)
        return dn.clamp_(0, self.white).add_(0.5).to(torch.uint16)  # cut, that is rounded
