"""What makes the numbers of a drift optimization run weaker than they look."""

from typing import Any

from rawdrift.controls.optimization.found import listed, rows
from rawdrift.report import style

_FEW_FOLDS = 3
_FEW_IMAGES = 100
_FEW_GROUPS = 10
_FEW_EPOCHS = 5


def caveats(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A headline and an explanation each."""
    data, metric = summary["data"], style.metric(summary, inside=True)
    found = []
    weak = _no_better(summary)
    if weak:
        majority = data["majority"]
        found.append(
            (
                "No better than guessing.",
                f"Always answering “{majority['label']}” would be right {majority['share']:.2f} of "
                f"the time, and not above that in the end are {'; '.join(weak)}. What differs "
                "between such trainings says nothing: train longer, or check the labels.",
            )
        )
    part = [
        f"{row['setting']} at {row['intensity']:g} ({row['folds']} of {summary['folds']})"
        for row in summary["table"]
        if row["folds"] < summary["folds"]
    ]
    if part:
        found.append(
            (
                "Not of all folds.",
                f"Failed and diverged trainings are left out of {listed(part)}, which flatters "
                "settings that diverge. Differences compare the images that both have answered.",
            )
        )
    if summary["folds"] < _FEW_FOLDS:
        found.append(
            (
                f"Only {summary['folds']} fold{'s' * (summary['folds'] > 1)}.",
                "The spread over folds is hardly known: another seed or split could change the "
                "order. Use 3 folds or more to compare settings.",
            )
        )
    if data["images"] < _FEW_IMAGES:
        found.append(
            (
                f"Only {data['images']} images.",
                f"One image moves the {metric} by about {1 / data['images']:.2f}, and the "
                "intervals are wide. Read differences of a few images as chance.",
            )
        )
    if data["groups"] is not None and data["groups"] < _FEW_GROUPS:
        found.append(
            (
                f"Only {data['groups']} groups.",
                "Images of one group are alike, so the intervals count groups, and so few hardly "
                "tell how the next one would fare.",
            )
        )
    if summary["epochs"] < _FEW_EPOCHS:
        found.append(
            (
                f"Only {summary['epochs']} epoch{'s' * (summary['epochs'] > 1)}.",
                "Curves so short tell neither how far a setting would get nor how stable it is.",
            )
        )
    return found


def _no_better(summary: dict[str, Any]) -> list[str]:
    majority = summary["data"].get("majority")
    if not majority or summary["metric"] != "accuracy":
        return []
    found = []
    for intensity in summary["intensities"]:
        there = rows(summary, intensity)
        weak = [row["setting"] for row in there if row["final"]["mean"] <= majority["share"]]
        if weak:
            names = "all settings" if len(weak) == len(there) > 1 else listed(weak)
            found.append(f"{names} at intensity {intensity:g}")
    return found
