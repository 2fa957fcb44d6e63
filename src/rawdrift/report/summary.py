"""The record of a finished run, read and checked."""

import json
from pathlib import Path
from typing import Any

from rawdrift.checks import InputError, choose, is_number

_Fields = dict[str, type | tuple[type, ...]]
_SHARED: _Fields = {
    "spec": dict,
    "data": dict,
    "metric": str,
    "failed": dict,
    "version": str,
    "created": str,
    "duration_s": (int, float),
    "device": str,
    "precision": str,
    "threads": str,
    "torch": str,
}
_SYNTHESIS: _Fields = {
    "trained_here": bool,
    "train": list,
    "test": list,
    "corruptions": list,
    "severities": list,
    "severity_table": str,
    "folds": int,
    "cells": list,
    "rankings": dict,
    "orders": list,
    "agreement": (dict, type(None)),
    "average_drops": dict,
    "case_drops": list,
    "severity_matched": dict,
    "matched": dict,
    "worst": dict,
    "views": dict,
}
_FORENSICS: _Fields = {
    "trained_here": bool,
    "distance": str,
    "isp": str,
    "camera": str,
    "space": list,
    "groups": list,
    "regularizations": list,
    "models": int,
    "tested": list,
    "baseline": dict,
    "searches": list,
    "largest": dict,
    "compared": list,
    "trajectories": list,
    "worst": dict,
    "pictures": dict,
    "sensitivity": (dict, type(None)),
    "signature": (dict, type(None)),
    "model_file": str,
}
_OPTIMIZATION: _Fields = {
    "settings": list,
    "same": dict,
    "intensities": list,
    "folds": int,
    "epochs": int,
    "table": list,
    "differences": list,
    "curves": list,
    "isps": list,
    "violations": list,
    "choices": list,
    "diverged": list,
    "samples": list,
    "stages": list,
}
_FIELDS = {
    "synthesis": _SHARED | _SYNTHESIS,
    "forensics": _SHARED | _FORENSICS,
    "optimization": _SHARED | _OPTIMIZATION,
}
_INTERVAL = ("value", "low", "high")
_UNIT = ("intensity", "setting")
_CASE = ("kind", "test", "severity")
_DATA = ("name", "task", "images", "height", "width", "classes", "splits", "fingerprint")
_DROP = (*_INTERVAL, "std", "drop", "drop_low", "drop_high")
_ENTRIES: dict[str, dict[str, tuple[str, ...]]] = {
    "synthesis": {
    "cells": ("train", *_CASE, "mean", "std", "n", "low", "high", "ssim", "psnr"),
    "orders": (*_CASE, "order"),
    "case_drops": (*_CASE, *_INTERVAL),
    "agreement": _INTERVAL,
    "data": _DATA,
    "average_drops": ("isp", "severities", "ratio"),
    "matched": ("mean", "std"),
    "views": ("image", "views"),
    },
    "forensics": {
        "data": _DATA,
        "space": ("name", "default", "low", "high", "unit"),
        "baseline": (*_INTERVAL, "std", "by_fold", "n"),
        "searches": ("group", "regularization", *_DROP, "distance", "found", "folds"),
        "largest": ("largest", "worst", "is_worst"),
        "compared": ("fold", "group", "regularization", "default", "methods", "warnings"),
        "trajectories": ("regularization", "visits"),
        "worst": ("group", "regularization", *_DROP, "fold", "folds", "default", "setting"),
        "pictures": ("amplified", "images", "strips", "stages"),
        "sensitivity": ("confidence", "variance", "samples", "evaluations", "indices", "curves"),
        "signature": (
            "file", "checksum", "model", "data", "baseline", "max_drop", "confidence",
            "tolerances", "box", "scale", "validation", "method", "warnings",
        ),
    },
    "optimization": {
        "data": _DATA,
        "table": (
            *_UNIT, "folds", "mean", "std", "std_over_folds", "std_over_steps", "low", "high",
            "final", "best", "steps_to_90", "steps_to_90_of_best",
        ),
        "differences": (
            "intensity", "when", "first", "second", "n", *_INTERVAL, "p", "p_holm", "is_difference",
        ),
        "curves": (*_UNIT, "split", "metric", "points"),
        "isps": (*_UNIT, "fold", "camera", "initial", "final", "path", "clipped"),
        "violations": (*_UNIT, "fold", "camera", "parameter", "step", "what", "at_end"),
        "choices": ("intensity", "fold", "chosen", "validation", "images"),
        "diverged": (*_UNIT, "fold", "epoch", "after_step", "why"),
        "samples": ("intensity", "image", "views"),
        "stages": (*_UNIT, "image", "stages"),
    },
}  # fmt: skip
_PARTS = {
    "rankings": ("rank", "rank_low", "rank_high", "train", "mean", "low", "high", "std", "matched"),
    "worst": ("train", *_CASE, "mean", "matched", "drop", "low", "high", "is_drop", "images"),
}
"""As `_ENTRIES`, of fields of a synthesis that have entries for "isp" and "corruption"."""


def read(run: Path) -> dict[str, Any]:
    """`run/summary.json`, if it is whole: every field there, and of a synthesis a number for every
    pair."""
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
    of = choose(f"kind of run in {path}:", summary.get("kind"), _FIELDS)
    for field, kind in _FIELDS[of].items():
        if field not in summary:
            raise damaged(path, f"it lacks {field!r}")
        if not isinstance(summary[field], kind):
            raise damaged(path, f"its {field!r} is {summary[field]!r}")
    for field, names in _ENTRIES[of].items():
        _check(path, field, names, summary[field])
    if of == "synthesis":
        _check_grid(path, summary)
    return summary


def _check_grid(path: Path, summary: dict[str, Any]) -> None:
    for field, names in _PARTS.items():
        if "isp" not in summary[field]:
            raise damaged(path, f"its {field!r} has no 'isp'")
        for entries in summary[field].values():
            _check(path, field, names, entries)
    cells = by_case(summary)
    for train in summary["train"]:
        for case in cases(summary):
            if (train, *case) not in cells or not is_number(cells[train, *case]["mean"]):
                shown = " ".join(map(str, case[1:])).removesuffix(" 0")
                raise damaged(path, f"it has no number for {train} tested on {shown}")


def _check(path: Path, field: str, names: tuple[str, ...], entries: Any) -> None:
    for entry in entries if isinstance(entries, list) else [entries]:
        missing = [name for name in names if entry is not None and name not in entry]
        if missing:
            raise damaged(path, f"an entry of its {field!r} lacks {missing[0]!r}")


Case = tuple[str, str, int]
"""Kind, name, and severity, which is 0 for a pipeline."""


def cases(summary: dict[str, Any], kind: str | None = None) -> list[Case]:
    """What the models of a summary were tested on: all, or those of a kind."""
    found: list[Case] = [("isp", name, 0) for name in summary["test"]]
    found += [
        ("corruption", name, severity)
        for name in summary["corruptions"]
        for severity in summary["severities"]
    ]
    return [case for case in found if kind in (None, case[0])]


def by_case(summary: dict[str, Any]) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """The cells of a summary by training pipeline and case."""
    return {
        (cell["train"], cell["kind"], cell["test"], cell["severity"]): cell
        for cell in summary["cells"]
    }


def own(summary: dict[str, Any], train: str) -> dict[str, Any]:
    """The cell of a pipeline's own views."""
    return by_case(summary)[train, "isp", train, 0]


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
