"""What an experiment works on: the images, the right answers and the folds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rawdrift import files, imports
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.configurations import is_external
from rawdrift.controls import result as results
from rawdrift.controls.result import Dataset, Majority
from rawdrift.controls.spec import FOLDS
from rawdrift.data import datasets
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.splits import Split, by_column, fit_for_folds, k_fold
from rawdrift.isp import file
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets, class_order, targets_of
from rawdrift.statistics.resampling import clusters

_AT_ONCE = 64  # views by a black box that are in memory
_NAMED = 20  # outputs that are named in a line


class Material(NamedTuple):
    """What an experiment works on. Without training, one split tests all images."""

    data: RawDataset
    targets: Targets
    splits: Sequence[Split]

    @property
    def tested(self) -> NDArray[np.int64]:
        """The numbers of the images that are in a test, sorted: all of them with folds."""
        return np.sort(np.concatenate([split.test for split in self.splits]))

    def clusters(self, images: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Number the group of each of these images, or the image itself without groups."""
        groups = self.data.groups
        return clusters(len(images), None if groups is None else [groups[int(i)] for i in images])


def read(data: Data, task: Task, folds: int | None, seed: int) -> Material:
    """The data and its folds; without folds, all images are one split's test."""
    return _split(*_read(data, task), task, folds, seed)


def _split(
    images: RawDataset, targets: Targets, task: Task, folds: int | None, seed: int
) -> Material:
    if folds is None:
        return _tested_alone(images, targets)
    fit = fit_for_folds(images, folds)
    if fit is not images:  # without rare labels
        targets = targets_of(fit, task)
    return Material(fit, targets, k_fold(fit, folds, seed))


def read_split(data: Data, task: Task, folds: int | None, seed: int) -> Material:
    """The data and what of it is tested: the images of the split `test`, if the data state one, or
    folds, by default `FOLDS`. A checkpoint is tested with the former alone, or with all images.

    Raises InputError if folds are asked for although the data state a split.
    """
    images, targets = _read(data, task)
    if images.splits is None:
        if task.checkpoint is not None:
            return _tested_alone(images, targets)
        return _split(images, targets, task, FOLDS if folds is None else folds, seed)
    if folds is not None:
        raise InputError(
            f"folds is {folds}, but the data have a column split, whose test images are held out "
            f"in place of folds; leave out one of them"
        )
    split = by_column(images)
    if task.checkpoint is None:
        return Material(images, targets, [split])
    test = torch.from_numpy(split.test)
    return _tested_alone(images.take(split.test.tolist()), targets.take(test))


def _read(data: Data, task: Task) -> tuple[RawDataset, Targets]:
    images = datasets.load(data).without(data.exclude, "excluded")
    targets = targets_of(images, task)
    if targets.of_pixels:
        images = replace(images, labels=None, classes=())  # splits need not care
    elif order := class_order(task):
        images = images.ordered(order)
        targets = targets_of(images, task)
    return images, targets


def _tested_alone(images: RawDataset, targets: Targets) -> Material:
    everything = np.arange(len(images))
    return Material(images, targets, [Split(everything[:0], everything)])


def read_isp(path: str, cameras: Sequence[Camera]) -> tuple[Camera, Pipeline]:
    """Return the camera and the pipeline of an ISP file, or a black box for the first camera.

    Raises InputError unless an ISP file is for the data's one camera, and for a command or an
    import that is not allowed.
    """
    if is_external(path):
        return cameras[0], External(path, cameras[0])
    camera, pipeline = file.read(path)
    if [(c.cfa, c.bit_depth) for c in cameras] != [(camera.cfa, camera.bit_depth)]:
        names = ", ".join(f"{c.name} ({c.cfa}, {c.bit_depth} bits)" for c in cameras)
        raise InputError(
            f"ISP file {path} is for one camera ({camera.cfa}, {camera.bit_depth} bits), but "
            f"the images are of {names}"
        )
    return camera, pipeline


def isp_inputs(path: str, isp: Pipeline) -> list[str]:
    """Return checksums of an ISP file and of the code of the user's own steps in it, or what
    identifies a black box."""
    if isinstance(isp, External):
        return [isp.identity]
    kinds = {file.kind(type(step)) for step in isp.steps.values()}
    own = sorted(kind for kind in kinds if imports.is_import(kind))
    return [files.sha256(path), *(imports.checksum(kind, f"ISP file {path}") for kind in own)]


def compute_views(isps: Iterable[Pipeline], data: RawDataset) -> None:
    """Compute the views of all images by the black boxes among these, so that they are cached.

    Raises InputError, naming the image, if a program fails.
    """
    for isp in isps:
        if isinstance(isp, External):
            for index, camera in enumerate(data.cameras):
                box = isp.of(camera)
                chosen = (data.camera_index == index).nonzero()[:, 0]
                for batch in chosen.split(_AT_ONCE):
                    names = [data.images[i] for i in batch.tolist()]
                    box.views(data.mosaics[batch], names)


def notes(material: Material) -> list[str]:
    """What a reader must know of the data before anything is computed."""
    names = material.targets.names
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    order = [f"outputs of the network, in order: {', '.join(names[:_NAMED])}{more}"]
    left_out = [f"left out: label {name!r}, {why}" for name, why in material.data.left_out.items()]
    return [*(order if len(names) > 1 else ()), *left_out, *material.data.to_check()]


def training_seed(seed: int, fold: int, repeat: int = 0) -> int:
    """Return the seed of a repeat of a fold, whatever is trained and in whatever order."""
    parts = [seed, fold, repeat] if repeat else [seed, fold]
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def about(spec: Data, material: Material) -> Dataset:
    """The images, classes and folds in numbers."""
    data, targets, splits = material
    tested = data.take(material.tested.tolist())
    counts, majority = tested.counts(), None
    if targets.of_classes and counts:
        label = max(counts, key=lambda label: counts[label])
        majority = Majority(label, counts[label] / len(tested))
    return Dataset(
        name=spec.name,
        root=spec.root,
        fingerprint=data.fingerprint(),
        images=len(data),
        height=data.size[0],
        width=data.size[1],
        task=targets.kind,
        classes=data.counts(),
        outputs=list(targets.names),
        to_check=data.to_check(),
        left_out=dict(data.left_out),
        groups=None if tested.groups is None else len(set(tested.groups)),
        cameras=[camera.name for camera in data.cameras],
        majority=majority,
        frames=None if data.tiling is None else len({*data.tiling.frame.tolist()}),
        splits=[results.Split(len(split.train), len(split.test)) for split in splits],
    )
