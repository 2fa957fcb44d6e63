"""Packed datasets: two files instead of many, which open at once however large they are.

A store is a folder that any program can read: mosaics.tif and masks.tif (BigTIFF, one page for each
image, uncompressed and contiguous, so that they can be mapped into memory), manifest.csv (line i is
page i), cameras/*.toml, and pack.json with the size and the SHA-256 of each file.
"""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
import torch
from torch import Tensor

from rawdrift import files, progress
from rawdrift.camera.camera import Camera
from rawdrift.camera.tiff import BITS, Tiff
from rawdrift.checks import Failures, InputError, grouped
from rawdrift.data.dataset import RawDataset
from rawdrift.data.frame import Cameras, Frame, Frames, Row, check_alike
from rawdrift.data.manifest import Folder, described, read_manifest, table
from rawdrift.data.spec import Data

INDEX = "pack.json"
_MOSAICS, _MASKS, _MANIFEST = "mosaics.tif", "masks.tif", "manifest.csv"
_FORMAT = {"format": "rawdrift-pack", "version": 1}
_AGAIN = "it was damaged or changed: pack the data again"


def write(frames: Frames, out: Path) -> Failures:
    """Pack images into the new folder `out`, one at a time; it appears whole or not at all.

    Returns the files that can't be used; the store holds the others, and names these in pack.json.
    Raises InputError if no image can be used, or `out` exists.
    """
    rows = frames.rows
    failures = Failures()
    cameras = Cameras()
    packed: list[Row] = []
    notes: list[tuple[str, str]] = []
    first: Frame | None = None
    with files.new_folder(out) as folder:
        with ExitStack() as open_files:
            stacks: dict[str, tifffile.TiffWriter] = {}
            for index in progress.over(range(len(rows)), "packing", "image"):
                row = rows[index]
                try:
                    frame = frames.read(index)
                    if first is not None:
                        check_alike(frame, row.image, first, packed[0].image)
                except (InputError, PermissionError) as error:
                    failures.add(row.image, error)
                    continue
                first = first or frame
                notes += [(row.image, f"{row.image}: {note}") for note in frame.notes]
                for name, page in ((_MOSAICS, frame.mosaic), (_MASKS, frame.mask)):
                    if page is not None:
                        if name not in stacks:
                            writer = tifffile.TiffWriter(folder / name, bigtiff=True)
                            stacks[name] = open_files.enter_context(writer)
                        stacks[name].write(page, contiguous=True, photometric="minisblack")
                toml = f"cameras/{cameras.index(frame.camera)}.toml"
                mask = "" if frame.mask is None else _MASKS
                packed.append(replace(row, mask=mask, camera=toml))
        if first is None:
            failures.check(len(rows), "images")
            raise InputError("the dataset has no images, expected at least one to pack")
        for number, camera in enumerate(cameras.unique):
            camera.save(folder / f"cameras/{number}.toml")
        files.write(folder / _MANIFEST, table(packed))
        written = sorted(path for path in folder.rglob("*.*") if path.name[0] != ".")
        content = {
            **_FORMAT,
            "shape": [len(packed), *first.mosaic.shape],
            "dtype": first.mosaic.dtype.name,
            "left_out": failures.reasons,
            "notes": [*getattr(frames, "notes", ()), *grouped(notes)],
            "files": {path.relative_to(folder).as_posix(): _stamp(path) for path in written},
        }
        files.write(folder / INDEX, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return failures


def open_folder(spec: Data) -> Frames:
    """Return the images of a folder: packed ones mapped, others to be read one by one."""
    root = Path(str(spec.root))
    return load(root) if (root / INDEX).exists() else Folder(root, spec.trust)


def load(root: Path) -> RawDataset:
    """Return a packed dataset, whose images are mapped into memory and read when they are used.

    Raises InputError if a file does not have the size and the checksum that are noted.
    """
    index = _index(root)
    for name, stamp in index.files.items():
        path = root / name
        if not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{root / INDEX} names {name!r}, outside of the folder; {_AGAIN}")
        if not path.is_file():
            raise InputError(f"{path} is missing; {_AGAIN}")
        if path.stat().st_size != stamp["bytes"]:
            raise InputError(
                f"{path} has {path.stat().st_size} bytes, not {stamp['bytes']}; {_AGAIN}"
            )
        _check(path, stamp)
    rows = read_manifest(root / _MANIFEST).rows
    if len(rows) != index.shape[0]:
        raise InputError(
            f"{root / _MANIFEST} lists {len(rows)} images, not {index.shape[0]}; {_AGAIN}"
        )
    cameras = Cameras()
    camera_files = dict.fromkeys(row.camera for row in rows)
    for name in camera_files:
        if name not in index.files:
            raise InputError(f"{INDEX} does not list the camera file {name!r}; {_AGAIN}")
    places = {name: cameras.index(Camera.load(root / name)) for name in camera_files}
    stacks = [name for name in (_MOSAICS, _MASKS) if name in index.files]
    return RawDataset(
        mosaics=_mapped(root / _MOSAICS, index.shape, index.dtype),
        cameras=tuple(cameras.unique),
        camera_index=torch.tensor([places[row.camera] for row in rows]),
        masks=_mapped(root / _MASKS, index.shape, "uint8") if _MASKS in stacks else None,
        mapped={root / name: index.files[name]["sha256"] for name in stacks},
        notes=index.notes,
        **described(rows),
    )


def verify(root: Path) -> None:
    """Raise InputError unless this is a packed dataset whose files have their checksums."""
    files.check_folder(root)
    _index(root)
    load(root)


class _Index(NamedTuple):
    """pack.json. shape: N, H, W. files: bytes and sha256 by name. notes: of reading."""

    shape: tuple[int, ...]
    dtype: str
    files: dict[str, dict[str, Any]]
    notes: tuple[str, ...]


def _index(root: Path) -> _Index:
    path = root / INDEX
    try:
        held = json.loads(path.read_text("utf-8"))
        version = {key: held[key] for key in _FORMAT}
        stamps = {
            str(name): {"bytes": int(stamp["bytes"]), "sha256": str(stamp["sha256"])}
            for name, stamp in held["files"].items()
        }
        notes = tuple(map(str, held.get("notes", ())))
        index = _Index(tuple(map(int, held["shape"])), str(held["dtype"]), stamps, notes)
        if len(index.shape) != 3 or index.dtype not in ("uint8", "uint16", "float32"):
            raise ValueError(index.shape, index.dtype)
    except FileNotFoundError:
        raise InputError(
            f"{root} is not a packed dataset: it has no {INDEX}, and no checksums to compare with"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise InputError(f"{path} is not the index of a packed dataset; {_AGAIN}") from None
    if version != _FORMAT:
        raise InputError(
            f"{path} is of {version['format']} {version['version']}, but this version of rawdrift "
            f"reads {_FORMAT['format']} {_FORMAT['version']}: pack the data with this one"
        )
    return index


def _stamp(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}


def _check(path: Path, stamp: dict[str, Any]) -> None:
    if not path.is_file():
        raise InputError(f"{path} is missing; {_AGAIN}")
    if _stamp(path) != stamp:
        raise InputError(f"{path} does not have the checksum that {INDEX} notes; {_AGAIN}")


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> Tensor:
    """Map the pages of a stack (N, H, W). Writing to them changes no file (copy on write)."""
    try:
        with path.open("rb") as file:
            first = Tiff(file, str(path)).first
            found = first.size[:2], first.value(BITS, 1)
            place = first.segments()[0].place
        if found != (shape[1:], 8 * np.dtype(dtype).itemsize):
            raise ValueError(f"pages of {found[0]} pixels, not {shape[1:]} of {dtype}")
        order = np.dtype(dtype).newbyteorder(first.file.order)
        return torch.from_numpy(np.memmap(path, order, "c", place, shape))
    except (InputError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} can't be mapped ({error}); {_AGAIN}") from None
