"""Opening a dataset by its name, or one that a function of the user makes."""

from dataclasses import replace

import torch

from rawdrift.checks import InputError
from rawdrift.data.columns import SPLITS
from rawdrift.data.dataset import RawDataset
from rawdrift.data.frame import Excluding, Frames
from rawdrift.data.intensity import Dimmed, dimmed
from rawdrift.data.manifest import collect
from rawdrift.data.spec import DATASETS, Data
from rawdrift.data.tiled import tiled
from rawdrift.imports import resolve


def load(spec: Data) -> RawDataset:
    """Return the images of a dataset, those of excluded labels among them.

    Images of a packed folder are read when they are used; all others are in memory.
    Raises InputError if the images or their labels can't be used.
    """
    images = _open(spec)
    if spec.tile is None:
        return _at_intensity(images, spec)
    if isinstance(images, RawDataset):
        images = _at_intensity(images, spec)
    elif spec.intensity != 1.0:
        images = Dimmed(images, spec.intensity)
    cut = tiled(images, spec.tile, spec.stride, bool(spec.drop_empty))
    return replace(cut, intensity=spec.intensity)


def frames(spec: Data) -> Frames:
    """Return the images of a dataset, without excluded labels, to be read one by one.

    Images in files are not held in memory, so there may be any number of them.
    """
    spec.check_raw()
    images = load(spec) if spec.tile is not None else _open(spec)
    if isinstance(images, RawDataset) or spec.intensity != 1.0:
        return _at_intensity(images, spec).without(spec.exclude)
    return Excluding(images, spec.exclude)


def _open(spec: Data) -> Frames:
    spec.check_root()
    images = resolve(DATASETS.get(spec.name, spec.name), "data.name")(spec)
    if isinstance(images, RawDataset):
        if spec.name not in DATASETS:
            _check(images, spec.name)
    elif not hasattr(images, "rows") or not hasattr(images, "read"):
        raise InputError(
            f"data.name {spec.name} must return a rawdrift.data.RawDataset, or an object with rows "
            f"and read(index), got {type(images).__name__}"
        )
    opened: Frames = images
    return opened


def _at_intensity(images: Frames, spec: Data) -> RawDataset:
    data = images if isinstance(images, RawDataset) else collect(images)
    return data if data.intensity == spec.intensity else dimmed(data, spec.intensity)


def _check(data: RawDataset, name: str) -> None:
    """Raise InputError unless the parts of a user's dataset fit together."""
    count, kinds = len(data.images), (torch.uint16, torch.float32)
    parts = (data.mosaics, data.camera_index, data.labels, data.masks, data.groups, data.splits)
    lengths = [len(part) for part in parts if part is not None]
    if len(data.mosaics.shape) != 3 or data.mosaics.dtype not in kinds:
        problem = (
            f"mosaics of shape {tuple(data.mosaics.shape)} and type {data.mosaics.dtype}; expected "
            f"(N, H, W), uint16 DN or float32 in [0, 1]"
        )
    elif any(length != count for length in lengths) or count == 0:
        problem = f"{count} images, but mosaics, camera_index and others of lengths {lengths}"
    elif data.masks is not None and (
        data.masks.shape != data.mosaics.shape or data.masks.dtype != torch.uint8
    ):
        problem = f"masks {tuple(data.masks.shape)} of {data.masks.dtype}; expected the shape of "
        problem += "the mosaics and uint8"
    elif not _is_index(data.camera_index, len(data.cameras)):
        problem = f"a camera_index that does not fit its {len(data.cameras)} cameras"
    elif data.labels is not None and not _is_index(data.labels, len(data.classes)):
        problem = f"labels that do not fit its {len(data.classes)} classes"
    elif not {*(data.splits or ())} <= {*SPLITS}:
        problem = f"splits {sorted({*(data.splits or ())})}, expected train and test"
    else:
        return
    raise InputError(f"data.name {name} returned {problem}")


def _is_index(values: torch.Tensor, count: int) -> bool:
    """Whether values are int64, from 0 to count - 1."""
    return values.dtype == torch.int64 and 0 <= int(values.min()) <= int(values.max()) < count
