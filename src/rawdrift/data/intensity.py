"""Images with less light than they were taken with."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from rawdrift import sensor
from rawdrift.camera.camera import Camera
from rawdrift.camera.read import to_unit
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.data.frame import Frame, Frames


def check_dimmable(intensity: float, camera: Camera, have: Iterable[float] = ()) -> None:
    """Raise InputError if images of the full intensity can't be dimmed.

    have: the intensities that are on disk.
    """
    if camera.noise is None:
        on_disk = ", ".join(map(str, have))
        advice = (
            f"on disk are the intensities {on_disk}: choose one of them"
            if on_disk
            else "give its camera file a section [noise] with gain"
        )
        raise InputError(
            f"data.intensity {intensity} can't be made from the full intensity: camera "
            f"{camera.name!r} has no noise gain (DN per electron); {advice}"
        )


def dimmed(data: RawDataset, intensity: float) -> RawDataset:
    """Return the images as their cameras would take them with less light (`rawdrift.sensor.dim`).

    Integers stay integers: rounded to DN. An image's noise is drawn from its name and the
    intensity, so that it does not depend on the other images and their order.

    Raises InputError for a camera whose gain is not known.
    """
    for camera in data.cameras:
        check_dimmable(intensity, camera)
    mosaics = torch.empty((len(data), *data.size), dtype=data.mosaics.dtype)
    for i, name in enumerate(data.images):
        camera = data.cameras[int(data.camera_index[i])]
        mosaics[i] = _dim(data.mosaics[i], camera, name, intensity)
    return replace(data, mosaics=mosaics, intensity=intensity, mapped={})


class Dimmed:
    """Images as their cameras would take them with less light, one by one; see `dimmed`."""

    def __init__(self, frames: Frames, intensity: float):
        self.rows, self.notes = frames.rows, getattr(frames, "notes", ())
        self._frames, self._intensity = frames, intensity

    def read(self, index: int) -> Frame:
        """Read image `index`."""
        frame = self._frames.read(index)
        check_dimmable(self._intensity, frame.camera)
        name, mosaic = self.rows[index].image, torch.from_numpy(frame.mosaic)
        return frame._replace(mosaic=_dim(mosaic, frame.camera, name, self._intensity).numpy())


def _dim(mosaic: Tensor, camera: Camera, name: str, intensity: float) -> Tensor:
    seed = hashlib.sha256(f"{name} {intensity}".encode()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "big") % 2**63)
    unit = to_unit(mosaic, camera.bit_depth)
    dark = sensor.dim(unit, camera, intensity=intensity, generator=generator)
    if not mosaic.is_floating_point():
        dark = dark.mul(2**camera.bit_depth - 1).round()
    return dark.to(mosaic.dtype)
