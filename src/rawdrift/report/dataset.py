"""A dataset's description for a terminal, and a sheet of its images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.report import style
from rawdrift.report.contact_sheet import beside, fit, middle, pixel_sheet
from rawdrift.report.pictures import outline
from rawdrift.text import counted

if TYPE_CHECKING:
    from rawdrift.data.describe import Sample

SAMPLES = 8  # of each class
_CLASSES = 40  # on one sheet
_SIDE = 160
_GAP = 10
_MARGIN = 28
_TITLE = 46
_HEAD = 40  # above the images of a class
_NAME = 24  # below an image
_SETS = 8  # of duplicates that are listed, and images of each; JSON has all


def dataset_text(description: Mapping[str, Any]) -> str:
    """Write what `rawdrift.data.describe` returns as lines for a terminal."""
    lines = _line("images", str(description["images"]))
    if description["images"]:
        sizes, several = description["sizes"], len(description["sizes"]) > 1
        pixels = [f"{size} ({count})" if several else size for size, count in sizes.items()]
        values = " ".join(description["values"])
        images = str(description["images"])
        if (frames := description["frames"]) is not None:
            images = f"{counted(description['images'], 'tile')} of {counted(frames, 'frame')}"
        lines = _line("images", f"{images}, {values}, {' '.join(pixels)} pixels")
    if (bare := description["no_camera"]) is not None:
        lines += _line("no camera", _bare(bare))
    lines += _line("masks", _masks(description))
    classes = [f"{style.plain(name)} {count}" for name, count in description["classes"].items()]
    lines += _line("classes", ", ".join(classes) or "none")
    groups = description["groups"]
    if groups:
        least, most = min(groups.values()), max(groups.values())
        spread = counted(most, "image") if least == most else f"{least} to {most} images"
        each = " each" * (least == most and len(groups) > 1)
        lines += _line("groups", f"{len(groups)}, of {spread}{each}")
    else:
        lines += _line("groups", "none")
    if splits := description["splits"]:
        lines += _line("split", ", ".join(f"{name} {count}" for name, count in splits.items()))
    unused = " ".join(description["notes"])
    for camera, noise, levels, misfits in zip(
        description["cameras"],
        description["noise"],
        description["levels"],
        description["misfits"],
        strict=True,
    ):
        images = counted(camera["images"], "image")
        lines += _line("camera", f"{camera['name']}, {camera['cfa']}, {images}")
        lines += _levels(levels)
        fits = "nothing in these images contradicts it"
        if f"camera {camera['name']!r}: values use" in unused:
            misfits = [*misfits, "bits are not used, see below"]
        lines += _line("  fits", "no: " + "; ".join(misfits) if misfits else fits)
        lines += _line("  noise", _noise(noise))
    for kind, words in (("white", "at white"), ("black", "at black")):
        share = description["clipping"][kind]
        if share:
            worst = (
                f"{share['mean']:.3%} of the sites, most {share['worst']:.3%} in {share['image']}"
            )
            lines += _line(words, worst if share["worst"] else "no site")
    for note in description["notes"]:
        lines += _line("check", style.plain(note, 1000))
    lines += _sets("duplicates", description["duplicates"]["exact"], "exact")
    lines += _sets("", description["duplicates"]["near"], "near")
    for kind, what, words in (
        ("leaks", "group", "duplicates in several groups"),
        ("contradictions", "label", "duplicates with several labels"),
    ):
        if description[kind]:
            sets = [
                [f"{at['image']} ({at[what]})" for at in places] for places in description[kind]
            ]
            lines += _sets(kind, sets, words)
    alike = description["duplicates"]["exact"] or description["duplicates"]["near"]
    if alike and not groups:
        lines += _line("", "without groups, duplicates may stand in both training and test")
    return "\n".join(lines)


def _line(name: str, words: str) -> list[str]:
    indent = " " * 15
    return wrap(f"{name:15}{words}", 100, subsequent_indent=indent, drop_whitespace=True)


def _bare(bare: Mapping[str, Any]) -> str:
    """What is in files whose camera nobody states."""
    low, high = (f"{bare[end]:.6g}" for end in ("min", "max"))
    values, sizes = (" ".join(bare[name]) for name in ("values", "sizes"))
    words = f"{counted(bare['images'], 'image')}, {values}, {sizes} pixels; values {low} to {high}"
    if bare["bits"] is not None:
        words += f", which {bare['bits']} bits hold"
    if (bare["multiple_of"] or 1) > 1:
        words += f", all multiples of {bare['multiple_of']}"
    rows = " / ".join(" ".join(f"{mean:.5g}" for mean in row) for row in bare["means"])
    return f"{words}; means of the sites of 2x2 cells {rows} (of Bayer's, a diagonal is green)"


def _masks(description: Mapping[str, Any]) -> str:
    if not description["masks"]:
        return "none"
    shares = [f"{value} {share:.3g}" for value, share in description["mask_values"].items()]
    empty = description["empty_masks"]
    verb = "is" if empty == 1 else "are"
    words = f"of {counted(description['masks'], 'image')}, of which {empty} {verb} 0 "
    return f"{words}everywhere; share of pixels of each value: {', '.join(shares)}"


def _levels(levels: Mapping[str, Any]) -> list[str]:
    low, high, full = (f"{levels[name]:.6g}" for name in ("min", "max", "full"))
    of = int(levels["full"]).bit_length()
    bits = "" if levels["bits"] is None else f", {levels['bits']} of {of} bits in use"
    lines = _line("  values", f"{low} to {high} of {full}{bits}")
    lines += _line("  levels", "median (1 % to 99 %) of each color, and its black level")
    for site in levels["sites"]:
        spread = f"{site['median']:.5g} ({site['low']:.5g} to {site['high']:.5g})"
        lines += _line("", f"{site['site']}: {spread}, black {site['black_level']:.5g}")
    return lines


def _noise(noise: Mapping[str, Any] | None) -> str:
    if noise is None:
        return "cannot be estimated from these images"
    words = f"about {noise['sigma']:.3g} DN, including texture"
    if noise["gain"] is not None:
        words += f"; gain about {noise['gain']:.3g} DN per electron"
    if noise["read_noise"] is not None:
        words += f", read noise {noise['read_noise']:.3g} DN"
    return words


def _sets(name: str, sets: Sequence[Sequence[str]], words: str) -> list[str]:
    count = "none" if not sets else counted(len(sets), "set")
    lines = _line(name, f"{words}: {count}")
    for places in sets[:_SETS]:
        more = f" = {len(places) - _SETS} more" if len(places) > _SETS else ""
        lines += _line("", " = ".join(places[:_SETS]) + more)
    return lines + _line("", f"and {len(sets) - _SETS} more; see --json") * (len(sets) > _SETS)


def sample_sheet(
    samples: Iterable[Sample], counts: Mapping[str, int], path: Path, title: str
) -> None:
    """Write pictures of every class, a row each, as one PNG; without classes, with their masks.

    samples: class by class; only what is drawn stays in memory. counts: images of each class.
    """
    rows = [
        (label, [(PurePosixPath(sample.image).name, _shown(sample)) for sample in group])
        for label, group in islice(groupby(samples, key=lambda sample: sample.label), _CLASSES)
    ]
    if not rows:
        raise ValueError("a sheet needs at least one sample")
    if len(counts) > len(rows):
        title += f": {len(rows)} of {len(counts)} classes"
    pictures = [picture for _, row in rows for _, picture in row]
    tall = max(picture.shape[0] for picture in pictures)
    wide = max(_SIDE // 2, *(picture.shape[1] for picture in pictures))
    columns = max(3, *(len(row) for _, row in rows))
    width = 2 * _MARGIN + columns * (wide + _GAP) - _GAP
    step = _HEAD + tall + _NAME
    height = _MARGIN + _TITLE + len(rows) * step + _MARGIN // 2
    with pixel_sheet(path, width, height) as sheet:
        sheet.write(_MARGIN, _MARGIN + 16, style.plain(title, (width - 2 * _MARGIN) // 12), 20)
        for i, (label, row) in enumerate(rows):
            top = _MARGIN + _TITLE + i * step
            count = counts.get(label)
            words = f"{label} ({count})" if count else label or "images"
            sheet.write(_MARGIN, top + _HEAD - 12, style.plain(words, 60), 15, weight="bold")
            for j, (name, picture) in enumerate(row):
                left = _MARGIN + j * (wide + _GAP)
                sheet.show(picture, left, top + _HEAD, frame=style.RULE)
                below = top + _HEAD + picture.shape[0]
                sheet.write(left, below + 15, style.plain(name, wide // 7), 11, color=style.MUTED)


def _shown(sample: Sample) -> NDArray[np.floating]:
    """Return a picture as it is drawn, large ones with a part at 1:1 beside them.

    Without a label, the mask is outlined, and the part is around its object.
    """
    picture, mask = sample.picture.clip(0, 1), None if sample.label else sample.mask
    shown = fit(picture, _SIDE).clip(0, 1)
    is_reduced = shown.shape[0] < picture.shape[0]
    at = None
    if mask is not None:
        outline(shown, mask > 0)
        rows, columns = np.nonzero(mask)
        if len(rows):
            among = len(rows) // 2
            at = int(rows[among]), int(columns[among])
    if not is_reduced:
        return shown
    part = middle(picture, _SIDE, _SIDE, at).copy()
    if mask is not None:
        outline(part, middle(mask, _SIDE, _SIDE, at) > 0)
    return beside(shown, part)
