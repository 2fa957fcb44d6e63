"""What makes the numbers of a forensics run weaker than they look."""

from typing import Any

from rawdrift.report import style

_FEW_IMAGES = 100
_FEW_GROUPS = 10


def caveats(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A headline and an explanation each."""
    data, metric = summary["data"], style.metric(summary, inside=True)
    found = []
    majority = data.get("majority")
    if majority and summary["metric"] == "accuracy":
        if summary["baseline"]["value"] <= majority["share"]:
            found.append(
                (
                    "No better than guessing.",
                    f"Always answering “{majority['label']}” would be right "
                    f"{majority['share']:.2f} of the time, and the camera’s own setting gets "
                    f"{summary['baseline']['value']:.2f}: what such a model loses means nothing.",
                )
            )
    beaten = [line for line in summary["compared"] if line["warnings"]]
    if beaten:
        found.append(
            (
                f"The gradient was beaten in {len(beaten)} of {len(summary['compared'])} searches.",
                "Another method found a worse setting with as many evaluations, so worse ones may "
                "exist than any that is shown: give the search more restarts or steps.",
            )
        )
    few = summary["tested"][0]
    if few < _FEW_IMAGES:
        found.append(
            (
                f"Only {few} test images{' of a model' if summary['models'] > 1 else ''}.",
                f"One image moves the {metric} by about {1 / few:.2f}, so the intervals are wide, "
                "and an envelope that must hold with confidence is narrow.",
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
    return found
