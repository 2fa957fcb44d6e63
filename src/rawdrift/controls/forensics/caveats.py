"""What makes the numbers of a forensics run weaker than they look."""

from typing import Any

from rawdrift.report import style

_FEW_IMAGES = 100
_FEW_GROUPS = 10
_FEW_SAMPLES = 32


def caveats(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A headline and an explanation each."""
    data, metric = summary["data"], style.metric(summary, inside=True)
    found = []
    majority = data.get("majority")
    value = summary["baseline"]["value"]
    if majority and summary["metric"] == "accuracy" and value <= majority["share"]:
        found.append(
            (
                "No better than guessing.",
                f"Always answering “{majority['label']}” would be right {majority['share']:.2f} of "
                f"the time, and the camera's own setting gets {value:.2f}: what such a model loses "
                "means nothing.",
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
        of_image = f"One image moves the {metric} by about {1 / few:.2f}. "
        one = of_image if data["task"] == "classification" else ""
        found.append(
            (
                f"Only {few} test images{' of a model' if summary['models'] > 1 else ''}.",
                f"{one}The intervals are wide, and an envelope that must hold with confidence is "
                "narrow.",
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
    samples = (summary["sensitivity"] or {}).get("samples")
    if samples and samples < _FEW_SAMPLES:
        found.append(
            (
                f"Only {samples} samples for the Sobol indices.",
                "Their intervals are too wide to tell the parameters apart: give the search 64 "
                "(forensics.samples) or more.",
            )
        )
    return found
