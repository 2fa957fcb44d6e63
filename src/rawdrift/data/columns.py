"""The columns of a manifest, and what other programs call them."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from rawdrift.checks import InputError

COLUMNS = ("image", "label", "mask", "group", "split", "camera")
PAIRS = ("before", "after", "label", "mask", "group", "split")
SPLITS = ("train", "test")
"""The values of the column split."""
_MOST = 500
_ALSO = {
    "image": "images img file files filename filepath path raw picture photo photograph dng",
    "label": "labels class classes classname category target diagnosis species",
    "mask": "masks segmentation seg segmap annotation",
    "group": "groups patient subject slide case donor specimen sample flight animal person",
    "split": "splits fold set subset partition phase usage",
    "camera": "cameras sensor device",
    "before": "old reference",
    "after": "new candidate",
}
_MEANT = {word: column for column, words in _ALSO.items() for word in (column, *words.split())}


def likely(name: str, columns: Sequence[str] = COLUMNS) -> str | None:
    """Return the column of these that another name probably means, None if none is close."""
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    words += [word.removesuffix("id").removesuffix("name") for word in words]
    if {"train", "test"} <= {*words}:
        return "split"
    meant = {word: column for word, column in _MEANT.items() if column in columns}
    for known in (columns, meant):  # "mask_path" is a mask
        if hit := next((word for word in words if word in known), None):
            return meant[hit]
    whole = "".join(words[: len(words) // 2])
    close = get_close_matches(whole, [word for word in meant if word[0] == whole[:1]], 1, 0.75)
    return meant[close[0]] if close else None


def check(path: Path, columns: Sequence[str], known: Sequence[str] = COLUMNS) -> tuple[str, ...]:
    """Return what the user should know of the columns of a manifest.

    known: those that it may have: what names files, label and mask, and others.

    Raises InputError if one is missing, there twice, or misspelt.
    """
    if len(columns) > _MOST:
        raise InputError(f"{path} has {len(columns)} columns, expected a few, such as image, label")
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"{path} has the column {name!r} twice")
    at = known.index("label")
    needed, others = known[:at], known[at + 2 :]
    meant = dict(_meant(columns, known))
    if not {*needed} <= {*columns} or not {"label", "mask"} & {*columns}:
        seem = [f"{name!r} seems to be {column!r}: rename it" for name, column in meant.items()]
        raise InputError(
            f"{path} has the columns {list(columns)}, expected {', '.join(needed)} and label or "
            f"mask (or both), optionally {', '.join(others[:-1])} and {others[-1]}"
            + "".join(f"; {hint}" for hint in seem)
        )
    for name, column in meant.items():
        # Other columns are welcome, but with a misspelt group, groups would straddle unnoticed.
        if get_close_matches(name.lower(), [column], cutoff=0.7):
            raise InputError(f"{path} has a column {name!r}; did you mean {column!r}? Rename it")
    unused = [
        f"{name!r} (did you mean {meant[name]!r}? then rename it)" if name in meant else repr(name)
        for name in columns
        if name not in known
    ]
    several = "s" * (len(unused) > 1)
    verb = "are" if several else "is"
    return (f"{path.name}: column{several} {', '.join(unused)} {verb} not used",) * bool(unused)


def _meant(columns: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the unknown columns that probably mean a known one that is missing, and that one."""
    for name in columns:
        column = likely(name, known)
        if name not in known and column is not None and column not in columns:
            yield name, column
