"""The datasets by name."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rawdrift.data import manifest, pack, raw_drone, raw_microscopy
from rawdrift.data.dataset import RawDataset
from rawdrift.data.frames import Frames
from rawdrift.data.intensity import dimmed
from rawdrift.data.spec import Data


def load(spec: Data) -> RawDataset:
    """The dataset that a spec names. The images of a packed folder are read where they are used."""
    return _LOADERS[spec.name](spec)


def frames(spec: Data) -> Frames:
    """The images of a dataset, without `exclude`, to be read one by one, however many there are."""
    if spec.name == "folder" and spec.intensity == 1.0 and not _is_packed(spec):
        return manifest.Folder(Path(str(spec.root)), spec.exclude)
    return load(spec).without(spec.exclude)


def _progress(items: list[Any], what: str) -> Iterable[Any]:
    bar: Iterable[Any] = tqdm(items, desc=what, unit="image", leave=False, disable=None)
    return bar


def _is_packed(spec: Data) -> bool:
    return (Path(str(spec.root)) / pack.INDEX).exists()


def _folder(spec: Data) -> RawDataset:
    root = Path(str(spec.root))
    data = pack.load(root) if _is_packed(spec) else manifest.load(root, _progress)
    return dimmed(data, spec.intensity)


def _raw_microscopy(spec: Data) -> RawDataset:
    return raw_microscopy.load(Path(str(spec.root)), spec.intensity, _progress)


def _raw_drone(spec: Data) -> RawDataset:
    return raw_drone.load(Path(str(spec.root)), spec.intensity, _progress)


def _synthetic_microscopy(spec: Data) -> RawDataset:
    from rawdrift.data.synthetic import microscopy

    made = microscopy.make(*_order(spec), balanced=bool(spec.balanced))
    return dimmed(made, spec.intensity)


def _synthetic_drone(spec: Data) -> RawDataset:
    from rawdrift.data.synthetic import drone

    return dimmed(drone.make(*_order(spec)), spec.intensity)


def _order(spec: Data) -> tuple[int, int, int]:
    assert spec.images is not None
    assert spec.size is not None
    assert spec.seed is not None
    return spec.images, spec.size, spec.seed


_LOADERS: dict[str, Callable[[Data], RawDataset]] = {
    "folder": _folder,
    "raw-microscopy": _raw_microscopy,
    "raw-drone": _raw_drone,
    "synthetic-microscopy": _synthetic_microscopy,
    "synthetic-drone": _synthetic_drone,
}
