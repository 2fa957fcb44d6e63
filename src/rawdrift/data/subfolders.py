"""A folder of images without a manifest: sub-folders are labels, or hold images and masks.

    ROOT/classA/1.tif                   the label is the sub-folder
    ROOT/images/1.tif, masks/1.png      pairs of the same name; an image may also lie beside masks/
    ROOT/train/..., ROOT/test/...       either of these, with a split

What fits none of these is refused, since a guess could train on wrong labels.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rawdrift.checks import InputError
from rawdrift.data.columns import SPLITS
from rawdrift.data.frame import Row

LAYOUTS = (
    "ROOT/LABEL/IMAGE, ROOT/images/IMAGE with ROOT/masks/IMAGE, or either of them in ROOT/train "
    "and ROOT/test"
)
_PLAIN = {".tif", ".tiff", ".png", ".npy"}
_RAW = {
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2",
    ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mos", ".erf", ".kdc", ".dcr", ".mef", ".mrw", ".rwl",
    ".x3f", ".gpr", ".raw",
}  # fmt: skip
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_KNOWN = ("camera.toml",)
_NAMED = 5  # files of a kind that are skipped
_STATED = ("label", "group", "split")
"""What a pattern of paths may name."""


class _File(NamedTuple):
    """An image or a mask. folders: above it, without `images` or `masks`."""

    path: PurePosixPath
    folders: tuple[str, ...]


def find(root: Path, pattern: str | None = None) -> tuple[list[Row], tuple[str, ...]]:
    """Return the images below a folder in natural order, and what was skipped.

    pattern: where the paths of images state label, group or split, such as "{label}/{group}_*": a
    name ends where what follows it begins, and * is any text without "/". The suffix is left out.

    Raises InputError if there are none, where labels, masks or splits are not clear, or where the
    pattern doesn't fit.
    """
    stated = _pattern(pattern) if pattern is not None else None
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; expected one of raw images: {LAYOUTS}")
    skipped: defaultdict[str, list[str]] = defaultdict(list)
    images, masks = _files(root, skipped)
    if not images:
        raise InputError(
            f"{root} has no manifest.csv and no raw images in sub-folders; expected a CSV file "
            f"with the columns image and label or mask, or {LAYOUTS}"
        )
    parts = [_parts(stated, pattern, image.path) for image in images]
    splits = [part["split"] for part in parts if "split" in part] or _split(root, images)
    mask_of = _paired(root, images, masks)
    rows = []
    for image, split, part in zip(images, splits, parts, strict=True):
        in_split = split and image.folders and image.folders[0].casefold() in _SPLITS
        folders = image.folders[bool(in_split) :]
        if "label" in part:
            folders = (part["label"],)
        if len(folders) > 1:
            raise InputError(
                f"{root} has no manifest.csv, and {image.path} lies in several sub-folders, of "
                f"which any could be the label; expected {LAYOUTS}, or a manifest.csv with the "
                f"columns image and label, which is written if you say what the folders are: "
                f'rawdrift data manifest {root} --pattern "{_example(image)}"'
            )
        label, group = (
            unicodedata.normalize("NFC", text).strip()
            for text in ("".join(folders), part.get("group", ""))
        )
        mask = mask_of.get(image.path, "")
        rows.append(Row(str(image.path), label, mask, group, split))
    labeled = [row for row in rows if row.label]
    if masks and 0 < len(labeled) < len(rows):
        alone = next(row.image for row in rows if not row.label)
        raise InputError(
            f"{root} has no manifest.csv, and of its images with masks some lie in the sub-folder "
            f"of a label, as {labeled[0].image}, and others don't, as {alone}; expected all or none"
        )
    if not masks:
        skipped["in no sub-folder, which would be the label"] = [
            row.image for row in rows if not row.label
        ]
        rows = labeled
        if not rows:
            raise InputError(
                f"{root} has no manifest.csv, and its images lie in no sub-folders that could be "
                f"their labels; expected {LAYOUTS}"
            )
    return rows, tuple(_note(why, names) for why, names in skipped.items() if names)


def _pattern(text: str) -> re.Pattern[str]:
    """Return the expression of a pattern of paths. InputError if it names nothing, or twice."""
    parts = re.split(r"(\{.*?\}|\*)", text)
    names = [part[1:-1] for part in parts if part.startswith("{")]
    if not names or len({*names}) < len(names) or not {*names} <= {*_STATED}:
        raise InputError(
            f"the pattern {text!r} names {', '.join(names) or 'nothing'}; expected some of "
            f"{', '.join(f'{{{name}}}' for name in _STATED)}, each once, as in "
            f'"{{label}}/{{group}}_*"'
        )
    return re.compile("".join(_expression(part) for part in parts))


def _expression(part: str) -> str:
    """Return the expression of a part of a pattern: of a name, of * or of plain text."""
    if part == "*":
        return "[^/]*"
    return f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part)


def _parts(stated: re.Pattern[str] | None, text: str | None, path: PurePosixPath) -> dict[str, str]:
    """Return what a path states of an image. InputError if the pattern doesn't fit."""
    if stated is None:
        return {}
    without = str(path.with_suffix(""))
    match = stated.fullmatch(without)
    if match is None:
        raise InputError(
            f"{without} does not fit the pattern {text!r}; expected one that fits the path of "
            f'every image, without its suffix, where * is any text without "/"'
        )
    parts = match.groupdict()
    if "split" in parts:
        split = _SPLITS.get(parts["split"].casefold())
        if split is None:
            raise InputError(
                f"the pattern {text!r} gives {path} the split {parts['split']!r}, expected "
                f"{' or '.join(SPLITS)}"
            )
        parts["split"] = split
    return parts


def _example(image: _File) -> str:
    """Return a pattern that fits an image in two folders or more."""
    return "*/" * (len(image.path.parts) - 3) + "{group}/{label}/*"


def _note(why: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"skipped, {why}: {', '.join(names[:_NAMED])}{more}"


def _files(root: Path, skipped: defaultdict[str, list[str]]) -> tuple[list[_File], list[_File]]:
    """Return the images and the masks below a folder, and note all other files."""
    images: list[_File] = []
    masks: list[_File] = []
    for path in _walk(root, skipped):
        kinds = [part.casefold() for part in path.parts[:-1]]
        of = next((kind for kind in kinds if kind in ("images", "masks")), None)
        at = kinds.index(of) if of else len(kinds)
        suffix = path.suffix.lower()
        if path.name.startswith(".") or any(part.startswith(".") for part in path.parts):
            skipped["hidden"].append(str(path))
        elif suffix in _PLAIN or (suffix in _RAW and of != "masks"):
            folders = path.parts[:at] + path.parts[at + 1 : -1]
            (masks if of == "masks" else images).append(_File(path, folders))
        elif str(path) not in _KNOWN:
            skipped["no raw image by its name"].append(str(path))
    return images, masks


def _walk(root: Path, skipped: defaultdict[str, list[str]]) -> Iterator[PurePosixPath]:
    """Yield the relative paths of all files, in natural order."""
    paths = []
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        skipped["links to folders"] += [(here / name).as_posix() for name in links]
        paths += [PurePosixPath((here / name).as_posix()) for name in names]
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{root} holds {str(path)!a}, a name that is not UTF-8; rename it"
            ) from None
    return iter(sorted(paths, key=_natural))


def _natural(path: PurePosixPath) -> list[list[tuple[int, str]]]:
    """Return a key that sorts numbers in names by their value."""
    return [
        [(int(text or -1), "") if i % 2 else (0, text) for i, text in enumerate(parts)]
        for parts in (re.split(r"([0-9]+)", part) for part in path.parts)
    ]


def _split(root: Path, images: list[_File]) -> list[str]:
    """Return the split of each image, "" without."""
    first = [image.folders[0].casefold() if image.folders else "" for image in images]
    splits = [_SPLITS.get(name, "") for name in first]
    if "train" not in splits:  # "test" alone may be a label
        return [""] * len(images)
    if others := sorted({name for name in first if name not in _SPLITS}):
        raise InputError(
            f"{root} has no manifest.csv, and beside the folder train images in "
            f"{', '.join(name or 'the folder itself' for name in others)}; expected train and test "
            f"alone (images for validation belong to train), or a manifest.csv with a column split"
        )
    if "test" not in splits:
        raise InputError(
            f"{root} has a folder train, but no images in a folder test; add it, or leave out the "
            f"folder train: without a split, folds hold images out"
        )
    return splits


def _paired(root: Path, images: list[_File], masks: list[_File]) -> dict[PurePosixPath, str]:
    """Return the mask of each image, of the same folders and stem; none if there are no masks."""
    if not masks:
        return {}
    by_name: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for mask in masks:
        by_name[mask.folders, mask.path.stem].append(str(mask.path))
    paired: dict[PurePosixPath, str] = {}
    used: dict[str, PurePosixPath] = {}
    for image in images:
        stem = image.path.stem
        named = [m for name in (stem, f"{stem}_mask") for m in by_name[image.folders, name]]
        if len(named) != 1:
            raise InputError(
                f"{root} has masks, but {image.path} has {len(named)} of the name {stem}"
                f"{' (' + ', '.join(named) + ')' if named else ''}; expected one mask for every "
                f"image, or a manifest.csv with the columns image and mask"
            )
        if (other := used.setdefault(named[0], image.path)) != image.path:
            raise InputError(
                f"{root} has the mask {named[0]} for {other} and for {image.path}; expected one "
                f"image of this name"
            )
        paired[image.path] = named[0]
    if alone := [str(mask.path) for mask in masks if str(mask.path) not in used]:
        raise InputError(
            f"{root} has masks without an image, such as {alone[0]}; expected one image of the "
            f"same name for every mask"
        )
    return paired
