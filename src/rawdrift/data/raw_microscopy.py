"""Raw-Microscopy: white blood cells on smears (Appendix B.5.1 of the paper)."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch

from rawdrift import files
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.data.published import find, intensity_to_read, on_disk, read_all, scale_name
from rawdrift.data.spec import Data
from rawdrift.text import counted

LAYOUT = (
    "microscopy/labels/Ma190c_annotations.dat and microscopy/images/raw_scale100/*.tiff "
    "(or raw_scale001 to raw_scale075)"
)

_LABELS = Path("labels/Ma190c_annotations.dat")
# The authors' code leaves out one image, and the classes that have hardly any.
_EXCLUDED = "Ma190c_lame3_zone13_composite_Mcropped_2.tiff"
_TOO_FEW = 4


def load(spec: Data) -> RawDataset:
    """Return the 940 cells of 9 classes, 256x256, below `spec.root` in the authors' layout.

    Classes of at most 4 images are left out, as in the authors' code, and noted. The intensity must
    be one that is on disk: the camera's gain is not published, so no other can be made.

    Raises InputError if files are missing or broken.
    """
    base = locate(Path(str(spec.root)))
    camera = Camera.load("raw-microscopy")
    intensity = intensity_to_read(spec.intensity, camera, on_disk([base / "images"]))
    labels, left_out = _read_labels(base / _LABELS)
    mosaics = read_all(_paths(base, labels, intensity), camera)
    classes = tuple(sorted(set(labels.values())))
    return RawDataset(
        mosaics=torch.from_numpy(mosaics),
        images=tuple(labels),
        cameras=(camera,),
        camera_index=torch.zeros(len(labels), dtype=torch.long),
        classes=classes,
        labels=torch.tensor([classes.index(label) for label in labels.values()]),
        left_out=left_out,
        intensity=intensity,
    )


def check(root: Path) -> None:
    """Raise InputError unless all images of the full intensity are below `root`."""
    base = locate(root)
    _paths(base, _read_labels(base / _LABELS)[0], 1.0)


def locate(root: Path) -> Path:
    """Return the folder that holds images/ and labels/: `root`, or one below it."""
    base = find(root, lambda folder: (folder / _LABELS).is_file())
    if base is None:
        files.check_folder(root)
        raise InputError(f"{root} does not hold Raw-Microscopy; expected {LAYOUT} in it")
    return base


def _read_labels(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the class of each image, and why classes are left out, by all lines of the file."""
    labels: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or "/" in fields[0] or "\\" in fields[0]:
            raise InputError(f"{path} line {number} is {line!r}, expected an image and its class")
        image, label = f"{fields[0]}.tiff", fields[1]
        if labels.setdefault(image, label) != label:
            raise InputError(f"{path} line {number} calls {image} {label}, before {labels[image]}")
    counts = Counter(labels.values())
    left_out = {
        label: f"{counted(n, 'image')}: too few, as in the authors' code"
        for label, n in sorted(counts.items())
        if n <= _TOO_FEW
    }
    used = {
        image: label
        for image, label in labels.items()
        if label not in left_out and image != _EXCLUDED
    }
    if not used:
        raise InputError(f"{path} has no class of more than {_TOO_FEW} images")
    return used, left_out


def _paths(base: Path, labels: Iterable[str], intensity: float) -> list[Path]:
    folder = base / "images" / scale_name(intensity)
    paths = [folder / image for image in labels]
    if missing := [path.name for path in paths if not path.is_file()]:
        have = ", ".join(map(str, on_disk([base / "images"]))) or "none"
        raise InputError(
            f"{folder} lacks {len(missing)} of the {len(paths)} labeled images, the first is "
            f"{missing[0]}; on disk are the intensities {have}: get the missing files"
        )
    return paths
