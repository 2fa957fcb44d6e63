"""What makes the numbers of a forensics run weaker than they look."""

from collections.abc import Iterator

from rawdrift.controls.caveats import Caveat, alike, few_groups, few_images, majority_to_beat
from rawdrift.controls.forensics.result import ForensicsResult

_FEW_SAMPLES = 32


def caveats(result: ForensicsResult) -> Iterator[Caveat]:
    """Yield a headline and an explanation for each."""
    data = result.data
    majority, value = majority_to_beat(result), result.baseline.metric.value
    if majority and value <= majority.share:
        yield (
            "No better than guessing.",
            f"Always answering “{majority.label}” would be right {majority.share:.2f} of the "
            f"time, and with the camera's own setting the model gets {value:.2f}: what such a "
            "model loses means nothing.",
        )
    compared = [fold for _, fold in result.compared()]
    beaten = [fold for fold in compared if fold.warnings]
    if beaten:
        yield (
            f"Another method found a worse setting in {len(beaten)} of {len(compared)} searches."
            if len(compared) > 1
            else "Another method found a worse setting than the gradient search.",
            "It had as many evaluations, so worse settings than any shown here may exist: give the "
            "search more restarts or steps.",
        )
    of_model = " of a model" if result.models > 1 else ""
    for headline, explanation in few_images(result, result.tested[0], f"test images{of_model}"):
        yield headline, f"{explanation} An envelope that must hold with confidence is narrow."
    yield from few_groups(data.groups)
    yield from alike(result)
    samples = 0 if result.sensitivity is None else result.sensitivity.samples
    if 0 < samples < _FEW_SAMPLES:
        yield (
            f"Only {samples} samples for the Sobol indices.",
            "Their intervals are too wide to tell the parameters apart: use 64 samples "
            "(forensics.samples) or more.",
        )
