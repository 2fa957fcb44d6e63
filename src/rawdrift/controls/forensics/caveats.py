"""What makes the numbers of a forensics run weaker than they look."""

from rawdrift.controls.forensics.result import ForensicsResult
from rawdrift.report import style

_FEW_IMAGES = 100
_FEW_GROUPS = 10
_FEW_SAMPLES = 32


def caveats(result: ForensicsResult) -> list[tuple[str, str]]:
    """The caveats of a result: a headline and an explanation each."""
    data, metric = result.data, style.metric(result.metric, inside=True)
    notes = []
    majority, value = data.majority, result.baseline.metric.value
    if majority and result.metric == "accuracy" and value <= majority.share:
        notes.append(
            (
                "No better than guessing.",
                f"Always answering “{majority.label}” would be right {majority.share:.2f} of the "
                f"time, and with the camera's own setting the model gets {value:.2f}: what such a "
                "model loses means nothing.",
            )
        )
    compared = [fold for _, fold in result.compared()]
    beaten = [fold for fold in compared if fold.warnings]
    if beaten:
        notes.append(
            (
                f"The gradient was beaten in {len(beaten)} of {len(compared)} searches.",
                "Another method found a worse setting with as many evaluations, so worse settings "
                "than any shown here may exist: give the search more restarts or steps.",
            )
        )
    few = result.tested[0]
    if few < _FEW_IMAGES:
        of_image = f"One image moves the {metric} by about {1 / few:.2f}. "
        one = of_image if data.majority else ""
        notes.append(
            (
                f"Only {few} test images{' of a model' if result.models > 1 else ''}.",
                f"{one}The intervals are wide, and an envelope that must hold with confidence is "
                "narrow.",
            )
        )
    if data.groups is not None and data.groups < _FEW_GROUPS:
        notes.append(
            (
                f"Only {data.groups} groups.",
                "Images of one group are alike, so the intervals count groups, and so few groups "
                "hardly tell how the next one would fare.",
            )
        )
    samples = 0 if result.sensitivity is None else result.sensitivity.samples
    if 0 < samples < _FEW_SAMPLES:
        notes.append(
            (
                f"Only {samples} samples for the Sobol indices.",
                "Their intervals are too wide to tell the parameters apart: use 64 samples "
                "(forensics.samples) or more.",
            )
        )
    return notes
