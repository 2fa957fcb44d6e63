"""Settings of the sensor as a step before the ISP."""

from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.isp.number import Number, absolute, relative
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import along_columns, along_rows, gaussian_taps
from rawdrift.sensor.bayer import plane
from rawdrift.sensor.response import response

_LEAST = 1e-12  # below it, slopes of square roots are 0


@final
class SensorSettings(Step):
    """A raw frame as the same camera would have taken it with other settings.

    exposure: light relative to that of the frame. Below 1 the shot noise of the darker frame is
        made up for, as the limit of `rawdrift.sensor.dim` for many electrons: variance t (1 - t) of
        the electrons for intensity t. Above 1 the frame keeps its noise, relative to its light.
    gain: digital numbers per electron, relative to that of the frame; noise grows with the signal.
    read_noise: electrons rms to add to those of the frame.
    psf_sigma: standard deviation in pixels of a Gaussian blur to add, within each color.

    With 1, 1, 0, 0 the frame stays as it is. Differentiable in all four; a PSF narrower than
    0.25 px reaches no neighbor, and has no slope. The noise is drawn from the seed, and is the same
    in every call for mosaics of one shape: so are results.
    Mosaic (..., H, W) to mosaic, cut at 0 and at the white level.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"

    numbers = {
        "exposure": Number(default=1.0, drift=relative(0.5), above=0.0),
        "gain": Number(default=1.0, drift=relative(0.2), above=0.0),
        "read_noise": Number(default=0.0, drift=absolute(4.0), least=0.0, unit="e- rms"),
        "psf_sigma": Number(default=0.0, drift=absolute(1.0), least=0.0, unit="px"),
    }

    def __init__(self, camera: Camera, *numbers: Any, seed: int = 0, **named: Any):
        super().__init__(*numbers, **named)
        sensor = response(camera)
        self.cfa = camera.cfa
        self.black = camera.black_level
        self.white = sensor.white / sensor.full_scale
        self.electron = sensor.gain / sensor.full_scale  # of full scale
        self.seed = seed

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        black = plane(self.black, self.cfa, x)
        signal = self._blurred(x - black)
        t, gain, read_noise = (v.to(x) for v in (self.exposure, self.gain, self.read_noise))
        generator = torch.Generator(x.device).manual_seed(self.seed)
        shot, read = (torch.empty_like(x).normal_(generator=generator) for _ in range(2))
        lost = t * (1 - t) * self.electron * signal.clamp(min=0)
        thinning = torch.where(lost > _LEAST, lost, _LEAST).sqrt() * (lost > _LEAST)
        signal = t * signal + thinning * shot + read_noise * self.electron * read
        drifted = black + gain * signal
        return torch.minimum(drifted.clamp(min=0), x.clamp(min=self.white))

    def _blurred(self, signal: Tensor) -> Tensor:
        """Each of the four sites by itself: its pixels are two apart."""
        sigma = self.psf_sigma.to(signal) / 2
        if float(sigma.detach()) == 0:
            return signal
        if min(signal.shape[-2:]) < 4:
            raise InputError(f"a blur needs 4x4 pixels or more, got {tuple(signal.shape[-2:])}")
        taps = gaussian_taps(sigma)
        blurred = torch.empty_like(signal)
        for row in range(2):
            for column in range(2):
                site = signal[..., row::2, column::2]
                blurred[..., row::2, column::2] = along_columns(along_rows(site, taps), taps)
        return blurred


def with_sensor(isp: Pipeline, camera: Camera, seed: int = 0) -> Pipeline:
    """The pipeline with the sensor's settings before it, as the step `sensor`.

    Its numbers are then axes as all others: "sensor.exposure", "sensor.gain", "sensor.read_noise",
    "sensor.psf_sigma". The camera must know its gain, else InputError.
    """
    return isp.insert("sensor", SensorSettings(camera, seed=seed), before=next(iter(isp.steps)))
