"""Raw-Drone: cars seen from a drone (Appendix B.5.2 of the paper)."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rawdrift import files, progress
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.data.masks import values as mask_values
from rawdrift.data.published import (
    find,
    intensity_to_read,
    on_disk,
    pictures,
    read,
    read_all,
    scale_name,
)
from rawdrift.data.spec import Data
from rawdrift.data.tiles import SIZE, cut

LAYOUT = (
    "drone/images_tiles_256/raw_scale100/*.tif with drone/masks_tiles_256/*.png, or "
    "drone/images_full/raw_scale100/*.DNG with drone/masks_full"
)

_TILES = ("images_tiles_256", "masks_tiles_256")
_FRAMES = ("images_full", "masks_full")
_RAW = (".dng", ".tif", ".tiff")
_MASK = (".png", ".tif", ".tiff")

Pairs = list[tuple[Path, Path]]


class _Cut(NamedTuple):
    """Tiles with a car. mosaics: (N, H, W) uint16. masks: the same, uint8. names, groups: N."""

    mosaics: NDArray[np.uint16]
    masks: NDArray[np.uint8]
    names: list[str]
    groups: list[str]


def load(spec: Data) -> RawDataset:
    """Return the 548 tiles with a car, 256x256, with masks (car 1, else 0), below `spec.root`.

    Without tiles on disk, whole photographs are tiled (disjoint, from the upper left) and named as
    the authors name them. Tiles without a car are not part of the dataset. A tile's group is its
    photograph. The intensity is that of `spec` if it is on disk, else 1.

    Raises InputError if files are missing or broken.
    """
    base = locate(Path(str(spec.root)))
    camera = Camera.load("raw-drone")
    intensity = intensity_to_read(spec.intensity, camera, _on_disk(base))
    if (base / _TILES[0] / scale_name(intensity)).is_dir():
        cut = _read_tiles(_tiles(base, intensity), camera)
    else:
        cut = _cut_frames(_frames(base, intensity), camera)
    if not cut.names:
        raise InputError("no mask of Raw-Drone holds a car: expected values above 0 where cars are")
    return RawDataset(
        mosaics=torch.from_numpy(cut.mosaics),
        images=tuple(cut.names),
        cameras=(camera,),
        camera_index=torch.zeros(len(cut.names), dtype=torch.long),
        masks=torch.from_numpy(cut.masks),
        groups=tuple(cut.groups),
        intensity=intensity,
    )


def check(root: Path) -> None:
    """Raise InputError unless all images of the full intensity are below `root`."""
    base = locate(root)
    if (base / _TILES[0] / scale_name(1.0)).is_dir():
        _tiles(base, 1.0)
    else:
        _frames(base, 1.0)


def locate(root: Path) -> Path:
    """Return the folder that holds the images and masks: `root`, or one below it."""
    base = find(root, lambda f: any((f / images).is_dir() for images, _ in (_TILES, _FRAMES)))
    if base is None:
        files.check_folder(root)
        raise InputError(f"{root} does not hold Raw-Drone; expected {LAYOUT} in it")
    return base


def _on_disk(base: Path) -> list[float]:
    return on_disk(base / images for images, _ in (_TILES, _FRAMES))


def _tiles(base: Path, intensity: float) -> Pairs:
    """Return tiles with their masks, which have the same stem."""
    folder = base / _TILES[0] / scale_name(intensity)
    images = {path.stem: path for path in pictures(folder, (".tif", ".tiff"))}
    masks = {path.stem: path for path in pictures(base / _TILES[1], _MASK)}
    if images.keys() != masks.keys() or not images:
        alone = sorted(images.keys() ^ masks.keys())
        raise InputError(
            f"{folder} has {len(images)} tiles and {base / _TILES[1]} {len(masks)} masks; expected "
            f"one mask of the same name for each tile"
            + (f", but {alone[0]} stands alone: get the missing files" if alone else "")
        )
    for stem in images:
        if not re.fullmatch(r"\d+_\d+", stem):
            raise InputError(
                f"{images[stem]} is not named as a tile; expected PHOTOGRAPH_TILE, as 03_00012.tif"
            )
    return [(images[stem], masks[stem]) for stem in images]


def _frames(base: Path, intensity: float) -> Pairs:
    """Return whole photographs with their masks.

    A mask's name contains that of its photograph, or ends with the same number.
    """
    folder = base / _FRAMES[0] / scale_name(intensity)
    frames = pictures(folder, _RAW)
    masks = pictures(base / _FRAMES[1], _MASK)
    if not frames:
        have = ", ".join(map(str, _on_disk(base))) or "none"
        raise InputError(
            f"{base} has no images of the intensity {intensity}, on disk are the intensities "
            f"{have}; expected {LAYOUT}"
        )
    pairs: Pairs = []
    for frame in frames:
        word = rf"(?<![^\W_]){re.escape(frame.stem)}(?![^\W_])"
        named = [mask for mask in masks if re.search(word, mask.stem, re.IGNORECASE)]
        number = _number(frame)
        numbered = [mask for mask in masks if number is not None and _number(mask) == number]
        matches = [mask for mask in named if mask.stem == frame.stem] or named or numbered
        if len(matches) != 1:
            names = ", ".join(mask.name for mask in matches or masks[:3]) or "no masks"
            raise InputError(
                f"{base / _FRAMES[1]} has {len(matches)} masks for {frame.name} ({names}); "
                f"expected one whose name contains {frame.stem}: rename it {frame.stem}.png"
            )
        for other, mask in pairs:
            if mask == matches[0]:
                raise InputError(
                    f"{mask} fits {other.name} and {frame.name}; expected a mask for each: rename "
                    f"them {other.stem}.png and {frame.stem}.png"
                )
        pairs.append((frame, matches[0]))
    return pairs


def _number(path: Path) -> int | None:
    """Return the last number in a name."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else None


def _read_tiles(pairs: Pairs, camera: Camera) -> _Cut:
    mosaics = read_all([image for image, _ in pairs], camera)
    masks = np.stack([_read_mask(mask, mosaics.shape[1:]) for _, mask in pairs])
    cars = np.flatnonzero(masks.any((1, 2)))
    names = [pairs[i][0].name for i in cars]
    return _Cut(mosaics[cars], masks[cars], names, [name.split("_")[0] for name in names])


def _cut_frames(pairs: Pairs, camera: Camera) -> _Cut:
    mosaics, masks, names, groups = [], [], [], []
    for number, (frame, mask) in enumerate(progress.over(pairs, "tiling", "image")):
        mosaic = read(frame, camera)
        truth = _whole_tiles(_read_mask(mask, mosaic.shape))
        cars = truth.any((1, 2))
        mosaics.append(_whole_tiles(mosaic)[cars])
        masks.append(truth[cars])
        names += [f"{number:02d}_{i:05d}.tif" for i in range(cars.sum())]
        groups += [f"{number:02d}"] * int(cars.sum())
    return _Cut(np.concatenate(mosaics), np.concatenate(masks), names, groups)


def _whole_tiles(image: NDArray[Any]) -> NDArray[Any]:
    """Return the tiles of an image (H, W), without the rest at the right and lower edges."""
    rows, columns = (length // SIZE * SIZE for length in image.shape)
    return cut(image[:rows, :columns])


def _read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return 1 where a mask (a picture of any depth) is above 0 in any color, else 0."""
    mask = mask_values(path)
    if mask.ndim == 3:
        alpha = mask.shape[-1] in (2, 4)
        mask = np.any(mask[..., :-1] if alpha else mask, axis=-1)
    if mask.shape != shape:
        raise InputError(
            f"mask {path} has {mask.shape} pixels but its image has {tuple(shape)}; "
            f"expected the same size"
        )
    return (mask > 0).astype(np.uint8)
