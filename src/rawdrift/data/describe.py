"""Describe a dataset, and find what is wrong with it, reading one image at a time."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rawdrift import isp, plots, progress
from rawdrift.camera.bits import BitsInUse
from rawdrift.camera.camera import Camera
from rawdrift.cfa import sampled
from rawdrift.checks import Failures, InputError, grouped
from rawdrift.data.duplicates import Duplicates
from rawdrift.data.frame import Cameras, Frame, Frames, NoCameraError, Row, size
from rawdrift.data.levels import Levels
from rawdrift.data.names import look_alike, shown
from rawdrift.data.noise import NoiseCurve
from rawdrift.isp.develop import picture
from rawdrift.text import Shown, brief, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

SAMPLE_ISP = "bi,s,ga"


class Description(dict[str, Any], Shown):
    """What `describe` returns: a dictionary that shows itself."""

    __str__ = Shown.__str__

    def shown_rows(self) -> list[tuple[str, str]]:
        return [(name, brief(value)) for name, value in self.items() if brief(value)]

    def to_frame(self) -> "pandas.DataFrame":
        """Return the classes as a pandas DataFrame: how many images each has."""
        return frame([{"class": name, "images": n} for name, n in self["classes"].items()])

    def plot(self) -> "Figure":
        """Draw how many images each class has (Matplotlib)."""
        return plots.intervals("images", list(self["classes"]), list(self["classes"].values()))


def describe(frames: Frames) -> Description:
    """Return a description of images, as JSON can hold it:

    images: how many can be read. unreadable: what is wrong with the others, by name.
    no_camera: of those of them that only lack a camera, how many `images`, their sizes and values,
        min, max, `bits` that hold max (null for floats), `multiple_of`, of which all values are
        multiples, and `means` of the sites of 2x2 cells; null if no image lacks one.
    frames: how many frames the images are tiles of; null if they are no tiles.
    sizes, values: how many images have each size ("HxW") and type. masks: how many have one;
        mask_values: of their pixels, the share that has each value; empty_masks: how many are 0
        everywhere.
    classes, groups: how many images each has. cameras: name, cfa and how many images.
    clipping: the share of sites at or above `white` (white level) and at or below `black` (black
        level), mean over images, and the worst with its name.
    levels: by camera, of the values of all its images, in DN or in the units of floats: min, max,
        `full` scale, bits that hold max (null for floats), and for each site of the color filter
        array its name, black level and mean, and the values below which 1, 50 and 99 % of a sample
        lie. misfits: by camera, what in these images contradicts it.
    noise: by camera, as `NoiseEstimate`; null where images are too small or all clipped.
    notes: what to check: how images were read, bits that are not used, names that look alike.
    duplicates: sets of names, `exact` and `near` (see `Duplicates`; exact ones are not repeated).
    leaks: sets of duplicates that stand in several groups, and so in training and test.
    contradictions: sets of duplicates with several labels.
    """
    rows = frames.rows
    failures = Failures()
    seen, bare = _Seen(getattr(frames, "notes", ())), _Bare()
    for index in progress.over(range(len(rows)), "describing", "image"):
        try:
            frame = frames.read(index)
        except NoCameraError as error:
            failures.add(rows[index].image, error)
            bare.add(rows[index], error.mosaic)
        except (InputError, PermissionError) as error:
            failures.add(rows[index].image, error)
        else:
            seen.add(rows[index], frame)
    found = {
        "images": len(seen.rows),
        "frames": _frames(frames),
        "unreadable": failures.reasons,
        "no_camera": bare.found(),
        "sizes": dict(seen.sizes),
        "values": dict(seen.values),
        "masks": seen.masks,
        "mask_values": seen.mask_values(),
        "empty_masks": seen.empty_masks,
        "classes": _counted(row.label for row in (*seen.rows, *bare.rows)),
        "groups": _counted(row.group for row in (*seen.rows, *bare.rows)),
        "cameras": [
            {"name": camera.name, "cfa": camera.cfa, "images": seen.by_camera[i]}
            for i, camera in enumerate(seen.cameras.unique)
        ],
        "clipping": {
            "white": _worst(seen.rows, seen.white),
            "black": _worst(seen.rows, seen.black),
        },
        "levels": [levels.found() for levels in seen.levels],
        "misfits": [levels.misfits() for levels in seen.levels],
        "splits": _counted(row.split for row in (*seen.rows, *bare.rows)),
        "notes": seen.found(),
        "noise": [
            None if (estimate := curve.estimate()) is None else asdict(estimate)
            for curve in seen.noise
        ],
        **_duplicates(seen.rows, seen.duplicates),
    }
    return Description(found)


class _Bare:
    """What is in files without a camera."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.sizes: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.ends: list[tuple[float, float]] = []
        self.means: list[NDArray[Any]] = []
        self.divisor = 0

    def add(self, row: Row, mosaic: NDArray[Any]) -> None:
        self.rows.append(row)
        self.sizes[size(mosaic)] += 1
        self.values[mosaic.dtype.name] += 1
        self.ends.append((mosaic.min().item(), mosaic.max().item()))
        sites = [[mosaic[row::2, column::2].mean() for column in (0, 1)] for row in (0, 1)]
        self.means.append(np.array(sites, float))
        if mosaic.dtype.kind == "u":
            self.divisor = math.gcd(self.divisor, int(np.gcd.reduce(mosaic, axis=None)))

    def found(self) -> dict[str, Any] | None:
        if not self.rows:
            return None
        low, high = min(low for low, _ in self.ends), max(high for _, high in self.ends)
        is_whole = isinstance(high, int)
        return {
            "images": len(self.rows),
            "sizes": dict(self.sizes),
            "values": dict(self.values),
            "min": low,
            "max": high,
            "bits": high.bit_length() if isinstance(high, int) else None,
            "multiple_of": self.divisor if is_whole and self.divisor else None,
            "means": np.mean(self.means, 0).tolist(),
        }


class Sample(NamedTuple):
    """A developed image. picture: (H, W, 3) in [0, 1]. mask: (H, W) uint8, or None."""

    label: str
    image: str
    picture: NDArray[np.float32]
    mask: NDArray[np.uint8] | None


def samples(frames: Frames, each: int) -> Iterator[Sample]:
    """Yield up to `each` images of every class, from first to last, developed by `SAMPLE_ISP`.

    Images that can't be read are skipped.
    """
    rows = frames.rows
    by_label: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_label.setdefault(row.label, []).append(index)
    for label, indices in sorted(by_label.items()):
        chosen = np.linspace(0, len(indices) - 1, min(each, len(indices))).round().astype(int)
        for index in (indices[i] for i in chosen):
            try:
                frame = frames.read(index)
            except (InputError, PermissionError):
                continue
            yield Sample(label, rows[index].image, _developed(frame), frame.mask)


class _Seen:
    """What is counted, image by image."""

    def __init__(self, notes: Sequence[str]) -> None:
        self.of_folder = notes
        self.rows: list[Row] = []
        self.sizes: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.masks = self.empty_masks = 0
        self.mask_pixels = np.zeros(256, np.int64)
        self.cameras = Cameras()
        self.by_camera: Counter[int] = Counter()
        self.white: list[float] = []
        self.black: list[float] = []
        self.noise: list[NoiseCurve] = []
        self.bits: list[BitsInUse] = []
        self.levels: list[Levels] = []
        self.notes: list[tuple[str, str]] = []
        self.duplicates = Duplicates()

    def add(self, row: Row, frame: Frame) -> None:
        mosaic, camera = frame.mosaic, frame.camera
        self.rows.append(row)
        self.sizes[size(mosaic)] += 1
        self.values[mosaic.dtype.name] += 1
        if frame.mask is not None:
            self.masks += 1
            self.empty_masks += not frame.mask.any()
            self.mask_pixels += np.bincount(frame.mask.ravel(), minlength=256)
        which = self.cameras.index(camera)
        self.by_camera[which] += 1
        if which == len(self.noise):
            self.noise.append(NoiseCurve(camera))
            self.bits.append(BitsInUse(camera))
            self.levels.append(Levels(camera))
        self.bits[which].add(mosaic)
        self.levels[which].add(mosaic)
        self.notes += [(row.image, f"{row.image}: {note}") for note in frame.notes]
        self.noise[which].add(mosaic)
        white, black = clipped(mosaic, camera)
        self.white.append(white)
        self.black.append(black)
        self.duplicates.add(mosaic)

    def mask_values(self) -> dict[str, float]:
        """Return the share of the pixels of masks that has each value."""
        counts = self.mask_pixels
        return {str(v): float(counts[v] / counts.sum()) for v in np.flatnonzero(counts)}

    def found(self) -> list[str]:
        """Return what the user should check."""
        notes = [*self.of_folder, *grouped(self.notes)]
        for bits in self.bits:
            notes += filter(None, (bits.upper(), bits.lower()))
        for what in ("label", "group"):
            for names in look_alike(getattr(row, what) for row in self.rows):
                notes.append(f"{what}s look alike: {shown(names)}")
        return notes


def clipped(mosaic: NDArray[Any], camera: Camera) -> tuple[float, float]:
    """Return the shares of sites at or above the white level, and at or below the black level."""
    full = 1.0 if mosaic.dtype.kind == "f" else 2.0**camera.bit_depth - 1
    # Half a DN of room for levels that were rounded when they were written.
    room = 0.5 / (2**camera.bit_depth - 1) * full
    # The highest code of the ADC, where its bits are left-justified.
    step = 2 ** (camera.bit_depth - (camera.adc_bits or camera.bit_depth))
    highest = round((camera.white_level or 1.0) * (2**camera.bit_depth - 1)) // step * step
    white = highest / (2**camera.bit_depth - 1) * full - room
    low = sum(
        int(np.count_nonzero(pixels <= camera.black_level[site] * full + room))
        for site, pixels in sampled(mosaic, camera.cfa)
    )
    return np.count_nonzero(mosaic >= white) / mosaic.size, low / mosaic.size


def _developed(frame: Frame) -> NDArray[np.float32]:
    with torch.inference_mode():
        mosaic = torch.from_numpy(frame.mosaic)
        view = isp.views(mosaic, frame.camera, [SAMPLE_ISP])[SAMPLE_ISP]
    return picture(view)


def _frames(frames: Frames) -> int | None:
    tiling = getattr(frames, "tiling", None)
    return None if tiling is None else len(np.unique(tiling.frame))


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name).items()))


def _worst(rows: Sequence[Row], shares: Sequence[float]) -> dict[str, Any] | None:
    if not shares:
        return None
    worst = int(np.argmax(shares))
    return {"mean": float(np.mean(shares)), "worst": shares[worst], "image": rows[worst].image}


def _duplicates(rows: Sequence[Row], duplicates: Duplicates) -> dict[str, Any]:
    exact, linked = duplicates.exact(), duplicates.near()

    def names(sets: Iterable[Sequence[int]]) -> list[list[str]]:
        return [[rows[index].image for index in indices] for indices in sets]

    def several(what: str) -> list[list[dict[str, str]]]:
        return [
            [{"image": rows[index].image, what: getattr(rows[index], what)} for index in indices]
            for indices in linked
            if len({getattr(rows[index], what) for index in indices}) > 1
        ]

    return {
        "duplicates": {"exact": names(exact), "near": names(s for s in linked if s not in exact)},
        "leaks": several("group"),
        "contradictions": several("label"),
    }
