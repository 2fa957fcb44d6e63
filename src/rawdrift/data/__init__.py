"""Raw images with their labels, and how they are split."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rawdrift.data import manifest
from rawdrift.data.dataset import RawDataset
from rawdrift.runs.spec import Data


def load(spec: Data) -> RawDataset:
    """The dataset that a spec names."""
    return _LOADERS[spec.name](spec)


def _folder(spec: Data) -> RawDataset:
    def progress(rows: list[Any], what: str) -> Iterable[Any]:
        bar: Iterable[Any] = tqdm(rows, desc=what, unit="image", leave=False, disable=None)
        return bar

    return manifest.load(Path(str(spec.root)), progress)


def _synthetic_microscopy(spec: Data) -> RawDataset:
    from rawdrift.data.synthetic import microscopy

    return microscopy.make(*_order(spec), balanced=bool(spec.balanced))


def _synthetic_drone(spec: Data) -> RawDataset:
    from rawdrift.data.synthetic import drone

    return drone.make(*_order(spec))


def _order(spec: Data) -> tuple[int, int, int]:
    assert spec.images is not None
    assert spec.size is not None
    assert spec.seed is not None
    return spec.images, spec.size, spec.seed


_LOADERS: dict[str, Callable[[Data], RawDataset]] = {
    "folder": _folder,
    "synthetic-microscopy": _synthetic_microscopy,
    "synthetic-drone": _synthetic_drone,
}
