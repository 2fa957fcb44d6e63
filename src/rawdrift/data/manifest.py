"""A user's own data: a folder with manifest.csv."""

import csv
import io
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rawdrift import files, progress
from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.shot import read
from rawdrift.checks import Failures, InputError, grouped
from rawdrift.data import sampling, subfolders
from rawdrift.data.columns import COLUMNS, SPLITS, check
from rawdrift.data.dataset import RawDataset, Selection, in_order
from rawdrift.data.frame import (
    Cameras,
    Frame,
    Frames,
    NoCameraError,
    Row,
    check_alike,
    memory,
    size,
)
from rawdrift.data.masks import read as read_mask

NAME = "manifest.csv"
_LONGEST_NAME, _LONGEST_PATH = 255, 2000  # bytes and characters


def collect(frames: Frames) -> RawDataset:
    """Read all images into memory.

    Raises InputError for anything missing, broken or of another size than the rest, and if the
    images would fill more than half of the memory.
    """
    sample = sampling.current()
    if sample is not None:
        return _sampled(frames, sample)
    rows = frames.rows
    cameras = Cameras()
    notes: list[tuple[str, str]] = []
    camera_index = torch.empty(len(rows), dtype=torch.long)
    for i, row in enumerate(progress.over(rows, "reading", "image")):
        frame = frames.read(i)
        if i == 0:
            first = frame
            _check_room(frame, len(rows))
            mosaics = np.empty((len(rows), *frame.mosaic.shape), frame.mosaic.dtype)
            truth = (
                None if frame.mask is None else np.empty((len(rows), *frame.mask.shape), np.uint8)
            )
        check_alike(frame, row.image, first, rows[0].image)
        mosaics[i] = frame.mosaic
        camera_index[i] = cameras.index(frame.camera)
        if truth is not None and frame.mask is not None:
            truth[i] = frame.mask
        notes += [(row.image, f"{row.image}: {note}") for note in frame.notes]
    return RawDataset(
        mosaics=torch.from_numpy(mosaics),
        cameras=tuple(cameras.unique),
        camera_index=camera_index,
        masks=None if truth is None else torch.from_numpy(truth),
        notes=(*getattr(frames, "notes", ()), *grouped(notes)),
        root=_root(frames, rows),
        **described(rows),
    )


def _sampled(frames: Frames, sample: sampling.Sample) -> RawDataset:
    """Return the images, of which a sample was read; it stands for the others."""
    rows, cameras = frames.rows, Cameras()
    some, index = sample.frames(frames, crop=True)
    _check_room(some[0], len(rows), sample.area)
    for number, frame in enumerate(some):
        check_alike(frame, f"image {number} of a sample", some[0], rows[0].image)
    numbers = torch.tensor(index)
    camera_index = torch.tensor([cameras.index(frame.camera) for frame in some])[numbers]
    masks = [frame.mask for frame in some if frame.mask is not None]
    return RawDataset(
        mosaics=Selection(torch.from_numpy(np.stack([f.mosaic for f in some])), numbers),
        cameras=tuple(cameras.unique),
        camera_index=camera_index,
        masks=Selection(torch.from_numpy(np.stack(masks)), numbers) if masks else None,
        mapped={Path(): "a sample"},  # so that nobody reads all of it for its fingerprint
        notes=tuple(getattr(frames, "notes", ())),
        **described(rows),
    )


def described(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the fields of a `RawDataset` that rows give."""
    classes = in_order(row.label for row in rows) if rows[0].label else ()
    index = {label: i for i, label in enumerate(classes)}
    return {
        "images": _names(rows),
        "classes": classes,
        "labels": torch.tensor([index[row.label] for row in rows]) if classes else None,
        "groups": tuple(row.group for row in rows) if rows[0].group else None,
        "splits": tuple(row.split for row in rows) if rows[0].split else None,
    }


def _names(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the names of images for results: of absolute paths, what they do not share."""
    shared = _shared(_absolute(rows))
    return tuple(
        os.path.relpath(row.image, shared) if Path(row.image).is_absolute() else row.image
        for row in rows
    )


def _root(frames: Frames, rows: Sequence[Row]) -> Path | None:
    """The folder in which each image lies by its name, if there is one."""
    absolute = _absolute(rows)
    if not isinstance(frames, Folder) or 0 < len(absolute) < len(rows):
        return None
    return Path(_shared(absolute)) if absolute else frames.root


def _absolute(rows: Sequence[Row]) -> list[str]:
    return [row.image for row in rows if Path(row.image).is_absolute()]


def _shared(paths: Sequence[str]) -> str:
    return os.path.commonpath(map(os.path.dirname, paths)) if paths else ""


class Folder:
    """The images that `root/manifest.csv` lists, or without it `subfolders.find`, read one by one.

    Its columns: image (path relative to the manifest), label or mask or both, and optionally group,
    split ("train" or "test") and camera (a shipped name, or the path of a .toml file).
    `root/camera.toml` is the camera of images that name none; raw formats with metadata (DNG) need
    neither. trust: see `shot.read`. notes: what the user should know of the folder.
    """

    rows: list[Row]

    def __init__(self, root: Path, trust: Trust | None = None):
        self.root, self.trust = root, trust
        path = root / NAME
        self.rows, self.notes = (
            read_manifest(path) if os.path.lexists(path) else subfolders.find(root)
        )
        default = root / "camera.toml"
        self._cameras = {"": Camera.load(default) if default.exists() else None}

    def read(self, index: int) -> Frame:
        """Read image `index`. InputError if its file, mask or camera is missing or broken."""
        row = self.rows[index]
        if row.camera not in self._cameras:
            self._cameras[row.camera] = _camera(self.root, row)
        shot = read(self.root / row.image, self._cameras[row.camera], self.trust)
        if shot.camera is None:
            raise NoCameraError(
                f"no camera for {row.image}: put a camera.toml with at least name and cfa, such as "
                f'"RGGB", into {self.root}, or add a column camera',
                shot.mosaic,
            )
        mask = read_masked(self.root, row, shot.mosaic)
        return Frame(shot.mosaic, shot.camera, mask, shot.notes)


def _check_room(first: Frame, count: int, area: float = 1.0) -> None:
    masks = 0 if first.mask is None else first.mask.nbytes
    needed = area * count * (first.mosaic.nbytes + masks)
    if needed > memory() / 2:
        raise InputError(
            f"the {count} images fill {needed / 2**30:.1f} GiB, more than half of the memory; pack "
            f"them (rawdrift data pack) and set data.name to folder and data.root to the packed "
            f"folder: packed images are read when they are used"
        )


class Manifest(NamedTuple):
    """The rows of a manifest. notes: what the user should know of it."""

    rows: list[Row]
    notes: tuple[str, ...] = ()


def read_manifest(path: Path, known: Sequence[str] = COLUMNS) -> Manifest:
    """Read a manifest with some of the known columns. InputError if it is wrong; its files are not
    looked at."""
    try:
        text = files.read_text(path, "utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a CSV file with the columns "
            f"{', '.join(known[: known.index('label')])} and label or mask"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    wrong = Failures()
    try:
        columns = [name.strip() for name in next(reader, [])]
        notes = check(path, columns, known)
        for values in filter(None, reader):
            try:
                rows.append(_row(reader.line_num, columns, values, known))
            except InputError as error:
                wrong.add(f"line {reader.line_num}", error)
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num} is no CSV: {error}") from None
    if not rows and not wrong.reasons:
        raise InputError(f"{path} lists no images, expected one a line")
    seen: dict[str, Row] = {}
    for row in rows:
        first = seen.setdefault(os.path.realpath(path.parent / row.image), row)
        if first is not row:
            twice = f"lists {row.image} twice, in lines {first.line} and {row.line}"
            wrong.add(f"line {row.line}", InputError(twice))
    if wrong.reasons:
        several = len(wrong.reasons) > 1
        count = f"has {len(wrong.reasons)} wrong lines: " if several else ""
        raise InputError(f"{path} {count}{wrong.causes()}")
    return Manifest(rows, notes)


def table(rows: Sequence[Row]) -> str:
    """Return a manifest with the columns that the rows fill."""
    columns = [name for name in COLUMNS if getattr(rows[0], name)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(row, name) for name in columns] for row in rows)
    return text.getvalue()


def write(root: Path, pattern: str | None = None) -> tuple[Path, list[Row], tuple[str, ...]]:
    """Write `root/manifest.csv` for a folder without one; see `subfolders.find`.

    Returns its path, its rows, and what the user should know, such as files that were skipped.
    Raises InputError if there is one, or if labels are not clear.
    """
    path = root / NAME
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; remove it, or edit it")
    rows, notes = subfolders.find(root, pattern)
    for name in (name for row in rows for name in (row.image, row.mask)):
        if name != name.strip():
            raise InputError(
                f"{root} holds {name!r}, whose blanks at the end a manifest can't keep; rename it"
            )
    files.write(path, table(rows), replaces=False)
    return path, rows, notes


def _row(line: int, columns: list[str], values: list[str], known: Sequence[str]) -> Row:
    if len(values) != len(columns):
        raise InputError(
            f"line {line} has {len(values)} fields, expected {len(columns)}; put a field "
            f"that holds a comma into quotes"
        )
    fields = dict(zip(columns, values, strict=True))
    given = {name: fields[name].strip() for name in known if name in fields}
    for name in columns:
        if name in known and name != "camera" and not given[name]:
            raise InputError(f"line {line} has no {name}; fill the column")
    row = Row(given.pop("before", "") or given.pop("image"), **given, line=line)
    row = replace(row, label=_composed(row.label), group=_composed(row.group))
    if row.after == row.image:
        raise InputError(f"line {line} names {row.image} before and after; expected two pictures")
    if row.split and row.split not in SPLITS:
        raise InputError(
            f"line {line} has the split {row.split!r}, expected train or test: validation images "
            f"are held out of the training images where they are needed"
        )
    for name in (row.image, row.after, row.mask, row.camera):
        _check_name(name, line)
    return row


def _composed(text: str) -> str:
    """Return text in Unicode's composed form (NFC), in which equal texts have equal characters."""
    return unicodedata.normalize("NFC", text)


def _check_name(name: str, line: int) -> None:
    """Raise InputError for the name of a file that this system can't write."""
    try:
        longest = max(map(len, os.fsencode(name).split(b"/")))
    except UnicodeEncodeError:
        raise InputError(
            f"line {line} names {name!a}, which the locale's encoding "
            f"{sys.getfilesystemencoding()} can't write; set the environment variable LC_ALL to "
            f"C.UTF-8"
        ) from None
    if "\0" in name or longest > _LONGEST_NAME or len(name) > _LONGEST_PATH:
        raise InputError(f"line {line} names {name!r}, which can't be the name of a file")


def _camera(root: Path, row: Row) -> Camera:
    is_file = Path(row.camera).suffix == ".toml"
    return Camera.load(root / row.camera if is_file else row.camera)


def read_masked(root: Path, row: Row, image: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return the mask of a row, None if it has none. InputError if it doesn't fit the image (H, W),
    or can't be read."""
    if not row.mask:
        return None
    path = root / row.mask
    if not path.is_file():
        raise InputError(f"mask {path} of {row.image} does not exist")
    mask = read_mask(path)
    if mask.shape != image.shape:
        raise InputError(
            f"mask {path} has {size(mask)} pixels but {row.image} has {size(image)}; expected the "
            f"same size"
        )
    return mask
