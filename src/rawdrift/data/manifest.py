"""A user's own data: a folder with manifest.csv."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rawdrift.camera.camera import Camera
from rawdrift.camera.decode import decode, normalize
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset

COLUMNS = ("image", "label", "mask", "group", "camera")

Progress = Callable[[list[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Row:
    """One line of a manifest; what is not given is empty."""

    line: int
    image: str
    label: str = ""
    mask: str = ""
    group: str = ""
    camera: str = ""


def load(root: Path, progress: Progress = lambda items, what: items) -> RawDataset:
    """Read the images that `root/manifest.csv` lists.

    Its columns: image (path relative to the manifest), label or mask or both, and optionally group
    and camera (a shipped name, or the path of a .toml file). `root/camera.toml` serves the images
    that name no camera; raw formats with metadata (DNG) need neither.

    progress: wraps the list of rows, to show how far reading is.
    Raises InputError for anything missing, broken or of another size than the rest.
    """
    rows = read_manifest(root / "manifest.csv")
    default = root / "camera.toml"
    cameras: dict[str, Camera | None] = {"": Camera.load(default) if default.exists() else None}
    found: list[Camera] = []
    calibrations: list[Camera] = []
    mosaics: list[NDArray[Any]] = []
    masks: list[NDArray[np.uint8]] = []
    camera_index: list[int] = []
    for row in progress(rows, "reading"):
        decoded = decode(root / row.image)
        if row.camera not in cameras:
            cameras[row.camera] = _camera(root, row)
        camera = cameras[row.camera] or decoded.camera
        if camera is None:
            raise InputError(
                f"no camera for {row.image}: put a camera.toml into {root}, or add a column camera"
            )
        mosaic = normalize(decoded.mosaic, camera.bit_depth, root / row.image)
        if mosaics and mosaic.shape != mosaics[0].shape:
            raise InputError(
                f"{root / row.image} has {_size(mosaic)} pixels but {rows[0].image} has "
                f"{_size(mosaics[0])}; expected images of one size: crop or tile them"
            )
        if mosaics and mosaic.dtype != mosaics[0].dtype:
            raise InputError(
                f"{root / row.image} holds {mosaic.dtype} values but {rows[0].image} holds "
                f"{mosaics[0].dtype}; expected integers everywhere or floats everywhere"
            )
        mosaics.append(mosaic)
        # Cameras that differ in name alone, as those of DNG files, develop alike.
        numbers = replace(camera, name="any", provenance="")
        if numbers not in calibrations:
            calibrations.append(numbers)
            found.append(camera)
        camera_index.append(calibrations.index(numbers))
        if row.mask:
            masks.append(_mask(root, row, mosaic.shape))
    classes = tuple(sorted({row.label for row in rows})) if rows[0].label else ()
    return RawDataset(
        mosaics=torch.from_numpy(np.stack(mosaics)),
        images=tuple(row.image for row in rows),
        cameras=tuple(found),
        camera_index=torch.tensor(camera_index),
        classes=classes,
        labels=torch.tensor([classes.index(row.label) for row in rows]) if classes else None,
        masks=torch.from_numpy(np.stack(masks)) if masks else None,
        groups=tuple(row.group for row in rows) if rows[0].group else None,
    )


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest, checked but for the files that they name."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a CSV file with the columns image and label or mask"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check_columns(path, columns)
        rows = []
        for values in reader:
            if values:
                rows.append(_row(path, reader.line_num, columns, values))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num} is no CSV: {error}") from None
    if not rows:
        raise InputError(f"{path} lists no images, expected one a line")
    seen: dict[Path, Row] = {}
    for row in rows:
        first = seen.setdefault((path.parent / row.image).resolve(), row)
        if first is not row:
            raise InputError(
                f"{path} lists {row.image} twice, in lines {first.line} and {row.line}"
            )
    return rows


def _check_columns(path: Path, columns: list[str]) -> None:
    if "image" not in columns or not {"label", "mask"} & set(columns):
        raise InputError(
            f"{path} has the columns {columns}, expected image and label or mask (or both), "
            f"optionally group and camera"
        )
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"{path} has the column {name!r} twice")
        # Other columns are welcome, but a misspelt group would let groups straddle unseen.
        meant = get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.7)
        if meant and name not in COLUMNS:
            raise InputError(f"{path} has a column {name!r}; did you mean {meant[0]!r}? Rename it")


def _row(path: Path, line: int, columns: list[str], values: list[str]) -> Row:
    if len(values) != len(columns):
        raise InputError(
            f"{path} line {line} has {len(values)} fields, expected {len(columns)}; put a field "
            f"that holds a comma into quotes"
        )
    found = dict(zip(columns, values, strict=True))
    row = Row(line, **{name: found[name].strip() for name in COLUMNS if name in found})
    for name in ("image", "label", "mask", "group"):
        if name in columns and not getattr(row, name):
            raise InputError(f"{path} line {line} has no {name}; fill the column")
    return row


def _camera(root: Path, row: Row) -> Camera:
    is_file = Path(row.camera).suffix == ".toml"
    return Camera.load(root / row.camera if is_file else row.camera)


def _mask(root: Path, row: Row, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    path = root / row.mask
    if not path.is_file():
        raise InputError(f"mask {path} of {row.image} does not exist")
    mask = decode(path).mosaic
    if mask.shape != shape:
        raise InputError(
            f"mask {path} has {_size(mask)} pixels but {row.image} has "
            f"{shape[0]}x{shape[1]}; expected the same size"
        )
    if mask.dtype != np.uint8:
        raise InputError(f"mask {path} holds {mask.dtype} values, expected 8-bit integers")
    return mask


def _size(image: NDArray[Any]) -> str:
    return "x".join(map(str, image.shape))
