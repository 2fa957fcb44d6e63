"""Raw images, in memory or mapped from a file, with their labels, masks and cameras."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, choose
from rawdrift.data.frame import Frame, Row
from rawdrift.data.names import look_alike, shown
from rawdrift.data.tiles import Tiling
from rawdrift.text import counted

_CHUNK = 64  # images that are hashed at once


@final
class Selection:
    """Some images (n, H, W) of others (N, H, W), read when they are indexed."""

    def __init__(self, tensor: "Tensor | Cut", index: Tensor):
        self.tensor = tensor
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        return self.tensor[self.index[index]]

    @property
    def shape(self) -> torch.Size:
        """(n, H, W)."""
        return torch.Size((len(self), *self.tensor.shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """The tensor's."""
        return self.tensor.dtype


class Cut(Protocol):
    """Images (N, H, W) that are cut from larger ones when they are indexed; see `tiled.Windows`."""

    dtype: torch.dtype

    def __len__(self) -> int: ...

    def __getitem__(self, index: int | slice | Tensor, /) -> Tensor: ...

    @property
    def shape(self) -> torch.Size:
        """(N, H, W)."""


Images = Tensor | Selection | Cut


@dataclass(frozen=True)
class RawDataset:
    """N raw mosaics of one size, as their files hold them, with labels or masks or both.

    mosaics: (N, H, W) uint16 DN, or float32 in [0, 1]; of pairs of pictures (N, 6, H, W), see
        `pairs`. Index them by batches: those of a packed dataset are mapped from its file, and are
        read where they are used.
    images: N names.
    cameras, camera_index: the cameras, and which of them took each image, (N,) int64.
    classes, labels: names of the labels, as a rule in the order of `in_order`, and the index of
        each image's, (N,) int64.
    masks: (N, H, W) uint8.
    groups: N names of groups of images that belong together (slide, flight, patient).
    splits: for each of the N images "train" or "test", in place of folds.
    left_out: labels that were left out, with how many images each had and why.
    intensity: of the light, as a share of the full intensity.
    mapped: the files that mosaics and masks are mapped from, with their SHA-256.
    root: the folder that they were read from, if each image is a file of its own.
    notes: what the user should know of how the images were read.
    tiling: of images that are tiles, where each was cut.
    """

    mosaics: Images
    images: tuple[str, ...]
    cameras: tuple[Camera, ...]
    camera_index: Tensor
    classes: tuple[str, ...] = ()
    labels: Tensor | None = None
    masks: Images | None = None
    groups: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    intensity: float = 1.0
    mapped: Mapping[Path, str] = field(default_factory=dict)
    root: Path | None = None
    notes: tuple[str, ...] = ()
    tiling: Tiling | None = None

    def __len__(self) -> int:
        return len(self.mosaics)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a mosaic with its target: the index of its label, or its mask without labels."""
        targets = self.labels if self.labels is not None else self.masks
        if targets is None:
            raise InputError("the dataset has neither labels nor masks, expected one of them")
        return self.mosaics[index], targets[index]

    @property
    def rows(self) -> list[Row]:
        """The rows of the images, as a manifest gives them."""
        labels = [] if self.labels is None else self.labels.tolist()
        return [
            Row(
                image,
                label=self.classes[labels[i]] if labels else "",
                mask=image if self.masks is not None else "",
                group=self.groups[i] if self.groups else "",
                split=self.splits[i] if self.splits else "",
            )
            for i, image in enumerate(self.images)
        ]

    def read(self, index: int) -> Frame:
        """Return an image with its camera and mask."""
        return Frame(
            self.mosaics[index].numpy(),
            self.cameras[int(self.camera_index[index])],
            None if self.masks is None else self.masks[index].numpy(),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.mosaics.shape[-2], self.mosaics.shape[-1]

    def counts(self) -> dict[str, int]:
        """Return how many images each label has."""
        if self.labels is None:
            return {}
        by_index = Counter(self.labels.tolist())
        return {name: by_index[index] for index, name in enumerate(self.classes)}

    def without(self, labels: Sequence[str], why: str = "excluded") -> "RawDataset":
        """Return the dataset without the images of these labels, noting `why` in `left_out`."""
        if self.labels is None or not labels:
            return self
        counts = self.counts()
        for label in labels:
            choose("label of the data", label, counts)
        classes = tuple(name for name in self.classes if name not in labels)
        new_index = {self.classes.index(name): i for i, name in enumerate(classes)}
        keep = [i for i, label in enumerate(self.labels.tolist()) if label in new_index]
        return replace(
            self.take(keep),
            classes=classes,
            labels=torch.tensor([new_index[int(self.labels[i])] for i in keep], dtype=torch.long),
            left_out={**self.left_out, **{label: _noted(counts[label], why) for label in labels}},
        )

    def ordered(self, classes: Sequence[str]) -> "RawDataset":
        """Return the dataset with its labels numbered in this order.

        classes: all that it has, and maybe more. Raises InputError if one is missing.
        """
        if self.labels is None:
            return self
        used = [name for name, count in self.counts().items() if count]
        if missing := [name for name in used if name not in classes]:
            raise InputError(
                f"the data have the labels {', '.join(used)}, but the outputs of the network are "
                f"{', '.join(classes)}, without {', '.join(missing)}; name them in task.classes "
                f"as the labels, or leave labels out with data.exclude"
            )
        number = torch.tensor(
            [classes.index(name) if name in used else -1 for name in self.classes]
        )
        return replace(self, classes=tuple(classes), labels=number[self.labels])

    def take(self, index: Sequence[int] | NDArray[np.int64]) -> "RawDataset":
        """Return the dataset of these images alone, in this order."""
        indices = torch.as_tensor(index, dtype=torch.long)
        return replace(
            self,
            mosaics=_select(self.mosaics, indices),
            images=tuple(self.images[i] for i in index),
            camera_index=self.camera_index[indices],
            labels=None if self.labels is None else self.labels[indices],
            masks=None if self.masks is None else _select(self.masks, indices),
            groups=None if self.groups is None else tuple(self.groups[i] for i in index),
            splits=None if self.splits is None else tuple(self.splits[i] for i in index),
            tiling=None if self.tiling is None else self.tiling.take(index),
        )

    def to_check(self) -> list[str]:
        """Return what the user should check: how images were read, and names that look alike."""
        named = (("labels", self.classes), ("groups", self.groups or ()))
        alike = [
            f"{what} look alike: {shown(n)}" for what, names in named for n in look_alike(names)
        ]
        return [*self.notes, *alike]

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that results depend on, to notice data that have changed.

        Files that they are mapped from stand for mosaics and masks, which are then not read.
        """
        digest = hashlib.sha256()
        for part in (self.images, self.classes, self.groups, self.cameras):
            digest.update(repr(part).encode())
        if self.splits is not None:
            digest.update(repr(self.splits).encode())
        if self.tiling is not None:
            digest.update(repr((self.tiling.size, self.tiling.stride)).encode())
        for tensor in (self.camera_index, self.labels):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        if self.mapped:
            digest.update(" ".join(self.mapped.values()).encode())
            return digest.hexdigest()
        for images in (self.mosaics, self.masks):
            if images is not None:
                for start in range(0, len(images), _CHUNK):
                    digest.update(images[start : start + _CHUNK].contiguous().numpy().data)
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Raise InputError if a file that images are mapped from has changed, or any is gone."""
        gone = [name for name in self.images if self.root and not (self.root / name).exists()]
        if gone:
            raise InputError(
                f"removed from {self.root} during the run: {counted(len(gone), 'image')}, the "
                f"first {gone[0]}; restore what is missing, and start the same command again"
            )
        for path, digest in self.mapped.items():
            if not path.is_file() or files.sha256(path) != digest:
                raise InputError(
                    f"{path} was changed or removed while it was in use, so the results would mix "
                    f"two versions of the data; restore it, and start again in a new folder"
                )


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels, sorted: by value if all are whole numbers, else as text."""
    names = sorted(set(labels))
    are_numbers = all(re.fullmatch("[+-]?[0-9]+", name, re.ASCII) for name in names)
    return tuple(sorted(names, key=int) if are_numbers else names)


def _select(images: Images, indices: Tensor) -> Selection:
    if isinstance(images, Selection):
        return Selection(images.tensor, images.index[indices])
    return Selection(images, indices)


def _noted(count: int, why: str) -> str:
    return f"{counted(count, 'image')}: {why}"
