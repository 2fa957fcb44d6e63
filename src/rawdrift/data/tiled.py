"""A dataset whose images are tiles of larger frames, cut when they are used."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import progress
from rawdrift.camera.optional import OF_WHOLE_FRAMES
from rawdrift.checks import InputError, grouped
from rawdrift.data import sampling
from rawdrift.data.dataset import RawDataset, Selection
from rawdrift.data.frame import Cameras, Frame, Frames, check_alike
from rawdrift.data.manifest import described
from rawdrift.data.tiles import Place, Tiling, check, period, places, window

_DISK = Path("/var/tmp")  # not in memory, as /tmp may be


@final
class Windows:
    """Tiles (N, size, size) of frames, cut when they are indexed.

    frames: arrays (H, W), as a rule mapped from a file.
    """

    def __init__(self, frames: Sequence[NDArray[Any]], tiling: Tiling):
        self.frames, self.tiling = frames, tiling
        self.dtype = torch.from_numpy(np.empty(0, frames[0].dtype)).dtype

    def __len__(self) -> int:
        return len(self.tiling.frame)

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        numbers = np.arange(len(self))[index if isinstance(index, slice) else np.asarray(index)]
        if numbers.ndim == 0:
            return torch.from_numpy(self._cut(int(numbers)))
        out = np.empty((len(numbers), *self.shape[1:]), self.frames[0].dtype)
        for place, number in enumerate(numbers.tolist()):
            out[place] = self._cut(number)
        return torch.from_numpy(out)

    def _cut(self, number: int) -> NDArray[Any]:
        tiling = self.tiling
        return window(self.frames[tiling.frame[number]], tiling.places[number], tiling.size)

    @property
    def shape(self) -> torch.Size:
        """(N, size, size)."""
        return torch.Size((len(self), self.tiling.size, self.tiling.size))


def tiled(
    frames: Frames, size: int, stride: int | None = None, drop_empty: bool = False
) -> RawDataset:
    """Return the tiles of frames as a dataset; see `tiles`.

    Frames in files are decoded once, one at a time, into a temporary file that vanishes with the
    process, and mapped from it; those of a packed folder are mapped where they are. Tiles of a
    frame are one group, that of the frame or the frame itself, and have its label and its split.

    drop_empty: leave out tiles whose mask is 0 everywhere.

    Raises InputError for frames without masks if empty tiles are to be dropped, and for frames that
    can't be read or are of several types.
    """
    stride = check(size, stride, "data.")
    held = _held(frames) if isinstance(frames, RawDataset) else _spooled(frames)
    for camera in held.cameras:
        if fixed := [name for name in OF_WHOLE_FRAMES if getattr(camera, name) is not None]:
            raise InputError(
                f"camera {camera.name!r} states {' and '.join(fixed)} of whole frames, which tiles "
                f"don't have; correct the files first, and leave it out of the camera"
            )
    if drop_empty and held.masks is None:
        raise InputError(
            "data.drop_empty leaves out tiles without an object, but the data have no masks; leave "
            "it out"
        )
    of_frame: list[int] = []
    kept: list[Place] = []
    tiles = 0
    for number, mosaic in enumerate(held.mosaics):
        repeat = period(held.cameras[int(held.camera_index[number])].cfa)
        for place in places(mosaic.shape, size, stride, repeat):
            tiles += 1
            mask = window(held.masks[number], place, size) if drop_empty and held.masks else None
            if mask is not None and not mask.any():
                continue
            of_frame.append(number)
            kept.append(place)
    if not kept:
        raise InputError("no tile is left: all masks are 0 everywhere; leave out data.drop_empty")
    shapes = tuple((mosaic.shape[0], mosaic.shape[1]) for mosaic in held.mosaics)
    names = tuple(row.image for row in frames.rows)
    tiling = Tiling(size, stride, names, shapes, np.array(of_frame), tuple(kept))
    rows = [
        replace(
            frames.rows[number],
            image=f"{names[number]}[{place.top},{place.left}]",
            group=frames.rows[number].group or names[number],
        )
        for number, place in zip(of_frame, kept, strict=True)
    ]
    of_rows = described(rows)
    if isinstance(frames, RawDataset):  # classes may be in another order, or without images
        of_rows["classes"] = frames.classes
        of_rows["labels"] = None if frames.labels is None else frames.labels[of_frame]
    dropped = tiles - len(kept)
    note = f"data.drop_empty leaves out {dropped} of {dropped + len(kept)} tiles, whose masks are "
    note += "empty, of tests too: false alarms there are not counted"
    whole = frames if isinstance(frames, RawDataset) else None
    return RawDataset(
        mosaics=Windows(held.mosaics, tiling),
        cameras=held.cameras,
        camera_index=held.camera_index[of_frame],
        masks=None if held.masks is None else Windows(held.masks, tiling),
        left_out=whole.left_out if whole else {},
        intensity=whole.intensity if whole else 1.0,
        mapped=whole.mapped if whole else {},
        notes=(*held.notes, *[note] * bool(dropped)),
        tiling=tiling,
        **of_rows,
    )


class _Held:
    """Frames as arrays. masks: None without any."""

    def __init__(
        self,
        mosaics: Sequence[NDArray[Any]],
        masks: Sequence[NDArray[Any]] | None,
        cameras: tuple[Any, ...],
        camera_index: Tensor,
        notes: tuple[str, ...],
    ):
        self.mosaics, self.masks, self.notes = mosaics, masks, notes
        self.cameras, self.camera_index = cameras, camera_index


def _held(data: RawDataset) -> _Held:
    masks = None if data.masks is None else list(_arrays(data.masks))
    return _Held(list(_arrays(data.mosaics)), masks, data.cameras, data.camera_index, data.notes)


def _arrays(images: Any) -> Iterator[NDArray[Any]]:
    """Yield images as arrays, those that are mapped from a file without reading them."""
    if isinstance(images, Selection):
        for number in images.index.tolist():
            yield images.tensor[number].numpy()
    else:
        for number in range(len(images)):
            yield images[number].numpy()


def _spooled(frames: Frames) -> _Held:
    """Decode frames into a temporary file, one at a time, and map them from it."""
    sample = sampling.current()
    if sample is not None:
        return _of_sample(frames, sample)
    rows, cameras = frames.rows, Cameras()
    notes: list[tuple[str, str]] = []
    camera_index: list[int] = []
    mosaics: list[NDArray[Any]] = []
    masks: list[NDArray[Any]] = []
    first: Frame | None = None
    with tempfile.TemporaryFile(dir=_folder()) as file:
        for number in progress.over(range(len(rows)), "reading", "frame"):
            frame = frames.read(number)
            first = first or frame
            check_alike(frame, rows[number].image, first, rows[0].image, of_one_size=False)
            camera_index.append(cameras.index(frame.camera))
            notes += [(rows[number].image, f"{rows[number].image}: {n}") for n in frame.notes]
            mosaics.append(_mapped(file, frame.mosaic))
            if frame.mask is not None:
                masks.append(_mapped(file, frame.mask))
    of_folder = getattr(frames, "notes", ())
    return _Held(
        mosaics,
        masks or None,
        tuple(cameras.unique),
        torch.tensor(camera_index),
        (*of_folder, *grouped(notes)),
    )


def _of_sample(frames: Frames, sample: sampling.Sample) -> _Held:
    """Decode some frames, which stand for the others."""
    some, index = sample.frames(frames, crop=False)
    cameras = Cameras()
    of_camera = [cameras.index(frame.camera) for frame in some]
    masks = [some[i].mask for i in index if some[i].mask is not None]
    return _Held(
        [some[i].mosaic for i in index],
        [mask for mask in masks if mask is not None] or None,
        tuple(cameras.unique),
        torch.tensor([of_camera[i] for i in index]),
        tuple(getattr(frames, "notes", ())),
    )


def _mapped(file: IO[bytes], array: NDArray[Any]) -> NDArray[Any]:
    """Append an array to a file, and map it from there. InputError if the disk is full."""
    place = file.seek(0, os.SEEK_END)
    try:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
    except OSError as error:
        raise InputError(
            f"{_folder()} has no room for the decoded frames ({error.strerror}); set the "
            f"environment variable TMPDIR to a folder on a larger disk"
        ) from None
    return np.memmap(file, array.dtype, "c", place, array.shape)


def _folder() -> str:
    """Return the folder for temporary files, on a disk unless TMPDIR says otherwise."""
    on_disk = "TMPDIR" not in os.environ and _DISK.is_dir() and os.access(_DISK, os.W_OK)
    return str(_DISK) if on_disk else tempfile.gettempdir()
