"""Pictures of a drift optimization run, as data that the page itself holds."""

from pathlib import Path
from typing import Any

from rawdrift.report import pictures, style


def views(summary: dict[str, Any], run: Path) -> list[dict[str, Any]]:
    """By intensity, the views of each image: `columns`, in words, and `images` with their views in
    that order. Settings with the same views share a column: learned begins as frozen."""
    found = []
    for intensity in summary["intensities"]:
        samples = [s for s in summary["samples"] if s["intensity"] == intensity]
        known = [n for n in summary["settings"] if all(n in s["views"] for s in samples)]
        names: dict[tuple[str, ...], list[str]] = {}
        for name in known if samples else ():
            before, after = (
                tuple(pictures.data_uri(run, sample["views"][name][when]) for sample in samples)
                for when in ("before", "after")
            )
            if before == after:
                names.setdefault(after, []).append(name)
            else:
                names.setdefault(before, []).append(f"{name}, before")
                names.setdefault(after, []).append(f"{name}, after")
        if names:
            found.append(
                {
                    "intensity": intensity,
                    "columns": [" = ".join(same) for same in names.values()],
                    "images": [
                        {
                            "name": sample["image"],
                            "label": sample.get("label"),
                            "shown": [column[i] for column in names],
                        }
                        for i, sample in enumerate(samples)
                    ],
                }
            )
    return found


def stages(summary: dict[str, Any], run: Path) -> list[dict[str, Any]]:
    """By intensity and setting, the stages of an image with their gradients. Settings with the same
    stages are told together."""
    found: list[dict[str, Any]] = []
    for entry in summary["stages"]:
        told = {
            "intensity": entry["intensity"],
            "image": entry["image"],
            "stages": [_stage(stage, run) for stage in entry["stages"]],
        }
        same = next((o for o in found if told == {key: o[key] for key in told}), None)
        if same is None:
            found.append(told | {"settings": [entry["setting"]]})
        else:
            same["settings"].append(entry["setting"])
    return found


def _stage(stage: dict[str, Any], run: Path) -> dict[str, Any]:
    return {
        "name": stage["name"].replace("_", " "),
        "view": pictures.data_uri(run, stage["view"]),
        "gradient": pictures.data_uri(run, stage["gradient"]),
        "white": _short(stage["view_white"]),
        "mean": _short(stage["gradient_mean"]),
    }


def _short(value: float | None) -> str:
    """With two digits that count."""
    if value is None:
        return style.number(None, 0)
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")
