"""A dataset's description in words, and a sheet of its images."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from rawdrift import files
from rawdrift.data.describe import Sample
from rawdrift.report import style
from rawdrift.report.contact_sheet import fit

SAMPLES = 8  # of each class
_SIDE = 160
_GAP = 10
_MARGIN = 28
_TITLE = 46
_HEAD = 40  # above the images of a class
_NAME = 24  # below an image
_DPI = 100
_SETS = 8  # of duplicates that are listed; JSON has all


def dataset_text(found: Mapping[str, Any]) -> str:
    """What `rawdrift.data.describe` has found, in lines for a terminal."""
    lines = [f"{'images':15}{found['images']}{_list(', of ', found['sizes'], ' pixels')}"]
    lines[0] += f" ({', '.join(found['values'])})" if found["values"] else ""
    lines += _line("masks", f"of {found['masks']} images" if found["masks"] else "none")
    lines += _line("classes", _list("", found["classes"]) or "none")
    groups = found["groups"]
    if groups:
        sizes = groups.values()
        lines += _line("groups", f"{len(groups)}, of {min(sizes)} to {max(sizes)} images")
    else:
        lines += _line("groups", "none")
    for camera, noise in zip(found["cameras"], found["noise"], strict=True):
        lines += _line("camera", f"{camera['name']}, {camera['cfa']}, {camera['images']} images")
        lines += _line("  noise", _noise(noise))
    for kind, words in (("white", "at white"), ("black", "at black")):
        share = found["clipping"][kind]
        if share:
            worst = f"most {share['worst']:.3%} in {share['image']}" if share["worst"] else "none"
            lines += _line(words, f"{share['mean']:.3%} of the sites; {worst}")
    lines += _sets("duplicates", found["duplicates"]["exact"], "exact")
    lines += _sets("", found["duplicates"]["near"], "near")
    for kind, what, words in (
        ("leaks", "group", "duplicates in several groups"),
        ("contradictions", "label", "duplicates with several labels"),
    ):
        if found[kind]:
            named = [[f"{one['image']} ({one[what]})" for one in places] for places in found[kind]]
            lines += _sets(kind, named, words)
    alike = found["duplicates"]["exact"] or found["duplicates"]["near"]
    if alike and not groups:
        lines += _line("", "without groups, duplicates may stand in both training and test")
    return "\n".join(lines)


def _line(name: str, words: str) -> list[str]:
    return [f"{name:15}{words}"]


def _list(before: str, counts: Mapping[str, int], after: str = "") -> str:
    if len(counts) == 1 and after:
        return f"{before}{next(iter(counts))}{after}"
    words = ", ".join(f"{style.plain(name)} {count}" for name, count in counts.items())
    return f"{before}{words}{after}" if words else ""


def _noise(noise: Mapping[str, Any] | None) -> str:
    if noise is None:
        return "can't be told from these images"
    words = f"about {noise['sigma']:.3g} DN"
    if noise["gain"] is not None:
        words += f"; gain about {noise['gain']:.3g} DN per electron"
    if noise["read_noise"] is not None:
        words += f", read noise {noise['read_noise']:.3g} DN"
    return words


def _sets(name: str, sets: Sequence[Sequence[str]], words: str) -> list[str]:
    count = "none" if not sets else f"{len(sets)} set{'s' * (len(sets) > 1)}"
    lines = _line(name, f"{words}: {count}")
    lines += [f"{'':17}{' = '.join(places)}" for places in sets[:_SETS]]
    return lines + [f"{'':17}and {len(sets) - _SETS} more; see --json"] * (len(sets) > _SETS)


def sample_sheet(
    samples: Iterable[Sample], counts: Mapping[str, int], path: Path, title: str
) -> None:
    """Write pictures of every class, a row each, as one PNG.

    samples: class by class; only what is drawn stays in memory. counts: images of each class.
    """
    rows = [
        (label, [(one.image, fit(one.picture, _SIDE).clip(0, 1)) for one in group])
        for label, group in groupby(samples, key=lambda sample: sample.label)
    ]
    if not rows:
        raise ValueError("a sheet needs at least one sample")
    pictures = [picture for _, row in rows for _, picture in row]
    tall = max(picture.shape[0] for picture in pictures)
    wide = max(_SIDE // 2, *(picture.shape[1] for picture in pictures))
    columns = max(3, *(len(row) for _, row in rows))
    width = 2 * _MARGIN + columns * (wide + _GAP) - _GAP
    step = _HEAD + tall + _NAME
    height = _MARGIN + _TITLE + len(rows) * step + _MARGIN // 2
    with style.drawing():
        figure = style.sheet(width / _DPI, height / _DPI)
        figure.set_dpi(_DPI)

        def write(x: float, y: float, text: str, size: float, **look: Any) -> None:
            # In pixels from the top left corner; a point is 1/72 inch.
            figure.text(
                x / width, 1 - y / height, text, fontsize=size * 72 / _DPI, va="baseline", **look
            )

        write(_MARGIN, _MARGIN + 16, style.plain(title, (width - 2 * _MARGIN) // 12), 20)
        for i, (label, row) in enumerate(rows):
            top = _MARGIN + _TITLE + i * step
            count = counts.get(label)
            words = f"{label} ({count})" if count else label
            write(_MARGIN, top + _HEAD - 12, style.plain(words, 60), 15, weight="bold")
            for j, (name, picture) in enumerate(row):
                left = _MARGIN + j * (wide + _GAP)
                below = top + _HEAD + picture.shape[0]
                figure.figimage(picture, left, height - below, origin="upper")
                write(left, below + 15, style.plain(name, wide // 7), 11, color=style.MUTED)
        content = BytesIO()
        figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    files.write(path, content.getvalue())
