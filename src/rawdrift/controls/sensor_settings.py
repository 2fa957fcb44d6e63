"""Settings of the sensor as a step before the ISP."""

from typing import Any, ClassVar, final
from zlib import crc32

import torch
from torch import Tensor

from rawdrift.camera.camera import Camera
from rawdrift.cfa import layout
from rawdrift.checks import InputError
from rawdrift.isp.number import Number, absolute, relative
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import along_columns, along_rows, gaussian_taps
from rawdrift.sensor.bayer import plane
from rawdrift.sensor.response import response
from rawdrift.sensor.site_blur import SiteBlur, root


@final
class SensorSettings(Step):
    """A raw frame as the same camera would have taken it with other settings, noise included.

    exposure: light relative to that of the frame, at most 1: noise can be added, not taken away.
    gain: digital numbers per electron, relative to that of the frame. Shot and read noise grow
        with the signal; quantization stays that of the converter.
    read_noise: electrons rms to add to those of the frame.
    psf_sigma: standard deviation in pixels of a Gaussian blur of the light to add, within the
        pixels of each site of the color filter array; see `rawdrift.sensor.site_blur`.

    A pixel's electrons e have the variance e + D + r + q, of light, dark current, reading (read and
    row noise) and quantization. What blurring and dimming take from it is drawn anew. With the
    blur B, exposure t and gain g, the electrons are g (t s + n), where

        s = B e + (1 - B B')^(1/2) noise of variance B e + D + r + q
        n = noise of variance t (1 - t) (s + D) + (1 - t) D + (1 - t^2) r + (1 / g^2 - t^2) q

    so that mean and variance are those of a frame that is taken with these settings, and its noise
    is as independent from pixel to pixel. This is the limit of `rawdrift.sensor.dim` for many
    electrons, which can be differentiated. A gain above 1 leaves the quantization of the frame,
    g^2 q. Nobody knows the light of a saturated site; it is taken for one that just saturates.

    With 1, 1, 0, 0 the frame stays as it is. Differentiable in all four; a PSF narrower than
    0.25 px reaches no neighbor, and has no slope. The noise of an image is drawn from the seed and
    from its content: it is the same in every call and batch, and another one for every image.
    Mosaic (..., H, W) to mosaic, cut at 0 and at the white level.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"

    numbers = {
        "exposure": Number(default=1.0, drift=relative(0.5), above=0.0, most=1.0),
        "gain": Number(default=1.0, drift=relative(0.2), above=0.0),
        "read_noise": Number(default=0.0, drift=absolute(4.0), least=0.0, unit="e- rms"),
        "psf_sigma": Number(default=0.0, drift=absolute(1.0), least=0.0, unit="px"),
    }

    def __init__(self, camera: Camera, *numbers: Any, seed: int = 0, **named: Any):
        super().__init__(*numbers, **named)
        self.sensor = response(camera)
        self.cfa = camera.cfa
        self.black = camera.black_level
        self.seed = seed

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        sensor = self.sensor
        t, gain, read_noise = (v.to(x) for v in (self.exposure, self.gain, self.read_noise))
        dark, read = sensor.dark_current, sensor.read_noise**2
        rounding = (sensor.step / sensor.gain) ** 2 / 12
        black, electron = plane(self.black, self.cfa, x), sensor.gain / sensor.full_scale
        pixels, rows = _normals(x, self.seed)
        rows = sensor.row_noise * rows
        signal = (x - black) / electron
        if float(self.psf_sigma.detach()) > 0:
            signal = self._blurred(signal, dark + read + rounding, pixels[0], rows[0])
        drawn = t * (1 - t) * (signal + dark) + (1 - t) * dark
        drawn = drawn + (1 - t**2) * read + (1 / gain**2 - t**2) * rounding
        noise = root(drawn) * pixels[1] + root(1 - t**2) * rows[1] + read_noise * pixels[2]
        drifted = black + gain * electron * (t * signal + noise)
        return torch.minimum(drifted.clamp(min=0), x.clamp(min=sensor.white / sensor.full_scale))

    def _blurred(self, signal: Tensor, floor: float, pixels: Tensor, rows: Tensor) -> Tensor:
        """Blur each site by itself, and make up for the noise that this takes.

        floor: the variance in the dark, but for the rows'.
        """
        height, width, sites, _, places = layout(self.cfa)
        if min(signal.shape[-2:]) < 4:
            raise InputError(f"a blur needs 4x4 pixels or more, got {tuple(signal.shape[-2:])}")
        result = torch.empty_like(signal)
        if max(height, width) > 2:
            for number in range(len(sites)):
                blur = SiteBlur(self.psf_sigma, number, self.cfa)
                blurred = blur(blur.gather(signal))
                noise = root(blurred + floor) * blur.gather(pixels)
                noise = noise + blur.gather(rows.expand_as(signal))
                blur.scatter(blurred + blur.taken(noise), result)
            return result
        taps = gaussian_taps(self.psf_sigma.to(signal) / height)
        for _, row, column, _ in places:  # each site is a lattice
            site = (..., slice(row, None, height), slice(column, None, width))
            blurred = along_columns(along_rows(signal[site], taps), taps)
            noise = root(blurred + floor) * pixels[site] + rows[..., row::height, :]
            result[site] = blurred + _without_blur(noise, taps)
        return result


def with_sensor(isp: Pipeline, camera: Camera, seed: int = 0) -> Pipeline:
    """The pipeline with the sensor's settings before it, as the step `sensor`.

    Its numbers are then axes as all others: "sensor.exposure", "sensor.gain", "sensor.read_noise",
    "sensor.psf_sigma". The camera must know its gain, else InputError.
    """
    return isp.insert("sensor", SensorSettings(camera, seed=seed), before=next(iter(isp.steps)))


def _normals(x: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Draw standard normals for mosaics (..., H, W), for each by its content: three for every
    pixel, (3, ..., H, W), and two for every row, (2, ..., H, 1)."""
    height, width = x.shape[-2:]
    pixels, rows = [], []
    for image in x.detach().reshape(-1, height, width):
        content = crc32(image.float().cpu().numpy().tobytes(), seed)
        generator = torch.Generator(x.device).manual_seed(content)
        pixels.append(x.new_empty(3, height, width).normal_(generator=generator))
        rows.append(x.new_empty(2, height, 1).normal_(generator=generator))
    return (
        torch.stack(pixels, dim=1).reshape(3, *x.shape),
        torch.stack(rows, dim=1).reshape(2, *x.shape[:-1], 1),
    )


def _without_blur(noise: Tensor, taps: Tensor) -> Tensor:
    """Return the part of white noise that a blur by these taps would take, (1 - B B')^(1/2) noise.

    Borders are periodic.
    """
    reach = torch.arange(len(taps), device=taps.device) - len(taps) // 2
    rows, columns = (
        (taps * torch.cos(2 * torch.pi * f[:, None] * reach)).sum(1)
        for f in (
            torch.fft.fftfreq(noise.shape[-2], dtype=taps.dtype, device=taps.device),
            torch.fft.rfftfreq(noise.shape[-1], dtype=taps.dtype, device=taps.device),
        )
    )
    share = root(1 - (rows[:, None] * columns) ** 2)
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * share, s=noise.shape[-2:])
    return filtered
