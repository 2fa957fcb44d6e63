"""What a user says about the raw images. No torch."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from rawdrift.camera.camera import Trust
from rawdrift.checks import InputError, choose, is_number, whole
from rawdrift.data.tiles import check
from rawdrift.imports import is_import, named

PAIRS = "pairs"

DATASETS = {
    "folder": "import:rawdrift.data.pack.open_folder",
    PAIRS: "import:rawdrift.data.pairs.open_pairs",
    "raw-microscopy": "import:rawdrift.data.raw_microscopy.load",
    "raw-drone": "import:rawdrift.data.raw_drone.load",
    "synthetic-microscopy": "import:rawdrift.data.synthetic.microscopy.load",
    "synthetic-drone": "import:rawdrift.data.synthetic.drone.load",
}
"""The datasets by name: functions of a `Data` that return a `RawDataset`, or `Frames`."""

PUBLISHED = ("raw-microscopy", "raw-drone")
_ON_DISK = {
    "folder": "manifest.csv",
    PAIRS: "pairs.csv",
    **{name: f"the files of {name}" for name in PUBLISHED},
}
"""Datasets that have a root, and what it holds."""

INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
_SYNTHETIC = {"images": (240, 10), "size": (96, 32), "seed": (0, 0)}  # default, least


@dataclass(frozen=True)
class Data:
    """The raw images and their labels.

    Args:
        name: "folder", your own images with a manifest.csv; "raw-microscopy" or "raw-drone", the
            published datasets; or, drawn on the fly, "synthetic-microscopy", white blood cells of
            nine classes, or "synthetic-drone", cars seen from above with their masks; or
            import:package.module.name, a function of your own from this spec to a RawDataset; or,
            for comparisons alone, "pairs", see comparison.pairs.
        root: for a folder: the folder itself, with a manifest.csv or with sub-folders as labels;
            for a published dataset: where its files are.
        intensity: light intensity, as a share of the full one: 0.01, 0.05, 0.1, 0.25, 0.5, 0.75
            or 1. The images that a published dataset has at that intensity; otherwise made from
            those at full intensity.
        exclude: labels to leave out.
        images: number of synthetic images.
        size: height and width of synthetic images in pixels.
        seed: seed of the synthetic images.
        trust: "camera" or "file": which one holds where a raw file's own metadata (DNG) contradict
            its camera file; without it, another color filter array is refused, and other levels
            are pointed out.
        tile: cut frames, which may be of several sizes, into square tiles of this many pixels. The
            tiles of a frame are one group.
        stride: distance of tiles in pixels, by default data.tile; if it is smaller, tiles overlap,
            and each pixel counts in the one in which it lies farther from the edge.
        drop_empty: leave out tiles whose mask is 0 everywhere.
        balanced: for synthetic-microscopy: all classes equally often, instead of as often as in
            Raw-Microscopy.
    """

    name: str = "folder"
    root: str | None = None
    intensity: float = 1.0
    exclude: list[str] = field(default_factory=list)
    images: int | None = None
    size: int | None = None
    seed: int | None = None
    balanced: bool | None = None
    trust: Trust | None = None
    tile: int | None = None
    stride: int | None = None
    drop_empty: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", named(self.name, "data.name"))
        own = is_import(self.name)
        if not own:
            choose("data.name", self.name, [*DATASETS, "import:package.module.name"])
        if not is_number(self.intensity) or self.intensity not in INTENSITIES:
            raise InputError(
                f"data.intensity must be one of {', '.join(map(str, INTENSITIES))}, "
                f"got {self.intensity!r}"
            )
        object.__setattr__(self, "intensity", float(self.intensity))
        composed = [unicodedata.normalize("NFC", label) for label in self.exclude]
        object.__setattr__(self, "exclude", composed)  # as labels are read
        if self.name == "synthetic-microscopy":
            object.__setattr__(self, "balanced", bool(self.balanced))
        elif self.balanced is not None:
            raise InputError("data.balanced is for data.name synthetic-microscopy alone")
        on_disk = self.name in _ON_DISK
        if self.name == PAIRS and (self.tile is not None or self.intensity != 1):
            raise InputError("data.tile and data.intensity are for raw images, not for pairs")
        if self.tile is not None:
            check(self.tile, self.stride, "data.")
        elif self.stride is not None or self.drop_empty is not None:
            raise InputError("data.stride and data.drop_empty are for tiles: set data.tile")
        if self.trust is not None:
            choose("data.trust", self.trust, ("camera", "file"))
            if self.name != "folder":
                raise InputError("data.trust is for data.name folder alone")
        if self.root is not None:
            if not on_disk and not own:
                raise InputError(
                    f"data.root is for data.name folder, {' and '.join(PUBLISHED)}; "
                    f"{self.name} needs no files"
                )
            # A run must find its data again from wherever it is resumed.
            object.__setattr__(self, "root", str(Path(self.root).expanduser().resolve()))
        for name, (default, least) in _SYNTHETIC.items():
            value = getattr(self, name)
            if on_disk and value is not None:
                raise InputError(
                    f"data.{name} is for synthetic data; {self.name} has its own images"
                )
            if value is None and not on_disk and not own:
                value = default
            if value is not None:
                whole(f"data.{name}", value, min(least, 1) if own else least)
            object.__setattr__(self, name, value)

    def check_raw(self) -> None:
        """Raise InputError for pictures in place of raw images."""
        if self.name == PAIRS:
            raise InputError(
                "data.name pairs holds pictures, not raw images; it is for rawdrift compare alone"
            )

    def check_root(self) -> None:
        """Raise InputError if the folder is missing."""
        if self.name in _ON_DISK and self.root is None:
            raise InputError(
                f"data.root is missing: give the folder that holds {_ON_DISK[self.name]}"
            )
