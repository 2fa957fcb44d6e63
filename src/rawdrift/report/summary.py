"""The record of a finished run, read and checked."""

import json
from pathlib import Path
from typing import Any

from rawdrift.checks import InputError, choose, is_number

_KINDS = ("synthesis",)
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "spec": dict,
    "data": dict,
    "metric": str,
    "train": list,
    "test": list,
    "folds": int,
    "cells": list,
    "ranking": list,
    "best": dict,
    "average_drop": (dict, type(None)),
    "matched": (dict, type(None)),
    "worst": (dict, type(None)),
    "version": str,
    "created": str,
    "duration_s": (int, float),
    "device": str,
    "precision": str,
    "threads": str,
    "torch": str,
}
_ENTRIES = {
    "cells": ("train", "test", "mean", "std", "folds", "n"),
    "ranking": ("rank", "train", "mean", "std", "matched", "drop", "worst_test", "worst"),
    "data": ("name", "images", "height", "width"),
    "worst": ("train", "test", "mean", "matched", "drop", "low", "high", "is_drop"),
    "average_drop": ("mean", "std"),
    "matched": ("mean", "std"),
}


def read(run: Path) -> dict[str, Any]:
    """`run/summary.json`, if it is whole: every field there, and a number for every pair."""
    path = run / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{run} is not a finished run folder: it has no summary.json; give the folder of a run "
            "that has ended, or start the same command again to let it end"
        ) from None
    except (ValueError, OSError) as error:
        raise damaged(path, f"it can't be read ({error})") from None
    if not isinstance(summary, dict):
        raise damaged(path, "it holds no fields")
    choose(f"kind of run in {path}:", summary.get("kind"), _KINDS)
    for field, kind in _FIELDS.items():
        if field not in summary:
            raise damaged(path, f"it lacks {field!r}")
        if not isinstance(summary[field], kind):
            raise damaged(path, f"its {field!r} is {summary[field]!r}")
    for field, names in _ENTRIES.items():
        entries = summary[field] if isinstance(summary[field], list) else [summary[field]]
        for entry in entries:
            missing = [name for name in names if entry is not None and name not in entry]
            if missing:
                raise damaged(path, f"an entry of its {field!r} lacks {missing[0]!r}")
    cells = by_pair(summary)
    for pair in ((train, test) for train in summary["train"] for test in summary["test"]):
        if pair not in cells or not is_number(cells[pair]["mean"]):
            raise damaged(path, f"it has no number for {pair[0]} tested on {pair[1]}")
    return summary


def by_pair(summary: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The cells of a summary by training and test pipeline."""
    return {(cell["train"], cell["test"]): cell for cell in summary["cells"]}


def picture(run: Path, name: str) -> Path:
    """The path of a picture that a summary names; pictures of other folders are refused."""
    path = run / name
    if not path.resolve().is_relative_to(run.resolve()):
        raise damaged(run / "summary.json", f"its picture {name!r} is outside the run folder")
    if not path.is_file():
        raise InputError(
            f"{run} is not a finished run folder: its picture {name} is missing; restore it, or "
            "start the same command again"
        )
    return path


def damaged(path: Path, what: str) -> InputError:
    """The error for a run folder with a file that is not whole."""
    return InputError(
        f"{path.parent} is not a finished run folder: {path.name} is damaged, {what}; remove it "
        "and start the same command again"
    )
