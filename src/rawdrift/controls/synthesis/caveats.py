"""What makes the numbers of a run weaker than they look."""

from typing import Any

from rawdrift.controls.synthesis.summary import own
from rawdrift.report import style

_FEW_FOLDS = 3
_FEW_IMAGES = 100
_FEW_GROUPS = 10
_CERTAIN = 0.05  # below it a corrected p-value calls a drop one


def caveats(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A headline and an explanation each."""
    found = []
    folds, data = summary["folds"], summary["data"]
    metric = style.metric(summary, inside=True)
    if summary["trained_here"] and folds < _FEW_FOLDS:
        found.append(
            (
                f"Only {folds} folds.",
                "Each pipeline was trained twice, so the spread is hardly known: another seed or "
                "split could change the order. Use 3 folds or more to compare pipelines.",
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
    if data["groups"] is not None and (data["groups"] < _FEW_GROUPS or is_too_few(summary)):
        found.append(
            (
                f"Only {data['groups']} groups.",
                "Images of one group are alike, so the intervals count groups, and so few hardly "
                "tell how the next one would fare."
                + (
                    f" No drop, however large, could be called one among {compared(summary)} "
                    "comparisons: test on fewer pipelines and corruptions, or get more groups."
                    if is_too_few(summary)
                    else ""
                ),
            )
        )
    majority = data.get("majority")
    if majority and summary["metric"] == "accuracy":
        weak = [t for t in summary["train"] if own(summary, t)["mean"] <= majority["share"]]
        if weak:
            all_of_them = len(weak) == len(summary["train"])
            found.append(
                (
                    "No better than guessing.",
                    f"Always answering “{majority['label']}” would be right "
                    f"{majority['share']:.2f} of the time. Even on their own views, models trained "
                    f"on {'any pipeline' if all_of_them else '; '.join(weak)} are not above this, "
                    "so their drops mean nothing. "
                    + (
                        "Train longer, or check the labels."
                        if summary["trained_here"]
                        else "Check the labels, task.normalize, and the training pipeline."
                    ),
                )
            )
    return found


def compared(summary: dict[str, Any]) -> int:
    """How many drops the p-values are corrected for."""
    return sum("drop" in cell for cell in summary["cells"])


def is_too_few(summary: dict[str, Any]) -> bool:
    """Whether the least p-value that permuting so many groups or images can give, corrected for all
    comparisons, is still above what calls a drop one."""
    data = summary["data"]
    units = data["images"] if data["groups"] is None else data["groups"]
    return bool(compared(summary) * 2.0 ** (1 - units) >= _CERTAIN)


def doubt(summary: dict[str, Any]) -> str:
    """What to say of a drop that is not called one."""
    units = "images" if summary["data"]["groups"] is None else "groups"
    if is_too_few(summary):
        return f"which so few {units} can not tell from chance"
    return "which may be chance"
