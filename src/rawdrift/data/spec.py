"""What a user says of the raw images."""

from dataclasses import dataclass, field
from pathlib import Path

from rawdrift.checks import InputError, choose, is_number, whole

PUBLISHED = ("raw-microscopy", "raw-drone")
DATASETS = ("folder", *PUBLISHED, "synthetic-microscopy", "synthetic-drone")
INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Data:
    """The raw images and their labels.

    Args:
        name: "folder", your own images with a manifest.csv; "raw-microscopy" or "raw-drone", the
            published datasets; or drawn on the fly "synthetic-microscopy", white blood cells of
            nine classes, or "synthetic-drone", cars seen from above with their masks.
        root: of a folder: where its manifest.csv is, seen from where the command runs; of a
            published dataset: where its files are.
        intensity: of the light, as a share of the full: 0.01, 0.05, 0.1, 0.25, 0.5, 0.75 or 1. The
            images that a published dataset has at that intensity; else made from the full one.
        exclude: labels to leave out.
        images: of synthetic data: how many.
        size: of synthetic data: height and width in pixels.
        seed: of synthetic data: which images are drawn.
        balanced: of synthetic-microscopy: all classes equally often, instead of as often as in
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

    def __post_init__(self) -> None:
        choose("data.name", self.name, DATASETS)
        if not is_number(self.intensity) or self.intensity not in INTENSITIES:
            raise InputError(
                f"data.intensity must be one of {', '.join(map(str, INTENSITIES))}, "
                f"got {self.intensity!r}"
            )
        object.__setattr__(self, "intensity", float(self.intensity))
        if self.name == "synthetic-microscopy":
            object.__setattr__(self, "balanced", bool(self.balanced))
        elif self.balanced is not None:
            raise InputError("data.balanced is for data.name synthetic-microscopy alone")
        if self.name == "folder" or self.name in PUBLISHED:
            if self.root is None:
                holds = "manifest.csv" if self.name == "folder" else f"the files of {self.name}"
                raise InputError(f"data.root is missing: give the folder that holds {holds}")
            for name in ("images", "size", "seed"):
                if getattr(self, name) is not None:
                    raise InputError(
                        f"data.{name} is for synthetic data; {self.name} has its own images"
                    )
            # A run must find its data again from wherever it is resumed.
            object.__setattr__(self, "root", str(Path(self.root).expanduser().resolve()))
        else:
            if self.root is not None:
                raise InputError(
                    f"data.root is for data.name folder, {' and '.join(PUBLISHED)}; "
                    f"{self.name} needs no files"
                )
            for name, default, least in (("images", 240, 10), ("size", 96, 32), ("seed", 0, 0)):
                value = default if getattr(self, name) is None else getattr(self, name)
                object.__setattr__(self, name, whole(f"data.{name}", value, least))
