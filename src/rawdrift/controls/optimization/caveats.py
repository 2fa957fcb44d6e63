"""What makes the numbers of a drift optimization run weaker than they look."""

from collections.abc import Iterator

from rawdrift.controls.caveats import (
    Caveat,
    alike,
    few_folds,
    few_groups,
    few_images,
    majority_to_beat,
)
from rawdrift.controls.optimization.findings import listed
from rawdrift.controls.optimization.result import OptimizationResult
from rawdrift.text import counted

_FEW_EPOCHS = 5


def caveats(result: OptimizationResult) -> Iterator[Caveat]:
    """Yield a headline and an explanation for each."""
    data, folds = result.data, result.folds
    majority = majority_to_beat(result)
    if majority and (weak := _no_better(result, majority.share)):
        yield (
            "No better than guessing.",
            f"Always answering “{majority.label}” would be right {majority.share:.2f} of the time, "
            f"and not above that in the end are {'; '.join(weak)}. Differences between such "
            "trainings say nothing: train longer, or check the labels.",
        )
    trainings = folds * result.repeats
    part = [
        f"{row.setting} at {row.intensity:g} ({row.trainings} of {trainings})"
        for row in result.table
        if row.trainings < trainings
    ]
    if part:
        yield (
            "Not of all trainings.",
            f"Failed and diverged trainings are left out of {listed(part)}, which flatters "
            "settings that diverge. Differences compare the images that both have answered.",
        )
    yield from few_folds(folds, "settings")
    yield from few_images(result, data.tested)
    yield from few_groups(data.groups)
    yield from alike(result)
    if result.epochs < _FEW_EPOCHS:
        yield (
            f"Only {counted(result.epochs, 'epoch')}.",
            "Curves this short show neither how far a setting would get nor how stable it is.",
        )


def _no_better(result: OptimizationResult, share: float) -> list[str]:
    """Return the settings at each intensity that are right no more often than this share."""
    phrases = []
    for intensity in result.intensities:
        rows = result.at(intensity)
        weak = [row.setting for row in rows if row.final.mean <= share]
        if weak:
            names = "all settings" if len(weak) == len(rows) > 1 else listed(weak)
            phrases.append(f"{names} at intensity {intensity:g}")
    return phrases
