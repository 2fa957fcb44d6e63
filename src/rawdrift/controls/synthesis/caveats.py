"""What makes the numbers of a run weaker than they look."""

from collections.abc import Iterator

from rawdrift.controls.caveats import (
    Caveat,
    alike,
    few_folds,
    few_groups,
    few_images,
    majority_to_beat,
)
from rawdrift.controls.synthesis.result import SynthesisResult, Worst
from rawdrift.report import style
from rawdrift.statistics.estimates import can_show


def caveats(result: SynthesisResult) -> Iterator[Caveat]:
    """Yield what a reader must know first: a headline and an explanation each."""
    data = result.data
    if result.trained_here:
        yield from few_folds(result.folds, "pipelines")
        if result.repeats == 1:
            yield (
                "Each fold was trained once.",
                "The intervals cover other images, but not other seeds: another seed could give "
                "other drops and another order of the pipelines. Set task.repeats to 3 or more to "
                "compare pipelines rather than trainings.",
            )
    yield from few_images(result, data.tested)
    yield from alike(result)
    nothing = (
        f" No drop, however large, could be claimed among {result.compared} comparisons: test "
        f"on fewer pipelines and corruptions, or get more groups."
    )
    yield from few_groups(data.groups, nothing if is_too_few(result) else "")
    majority = majority_to_beat(result)
    if majority is None:
        return
    weak = [name for name in result.train if result.own(name).mean <= majority.share]
    if weak:
        which = "any pipeline" if len(weak) == len(result.train) else "; ".join(weak)
        advice = (
            "Train longer, or check the labels."
            if result.trained_here
            else "Check the labels, task.normalize, and the training pipeline."
        )
        yield (
            "No better than guessing.",
            f"Always answering “{majority.label}” would be right {majority.share:.2f} of the time. "
            f"Even on their own views, models trained on {which} are not above this, so their "
            f"drops mean nothing. {advice}",
        )


def is_too_few(result: SynthesisResult) -> bool:
    """Whether there are so few groups, or images, that no drop can be claimed."""
    units = result.data.tested if result.data.groups is None else result.data.groups
    return not can_show(units, result.compared)


def doubt(result: SynthesisResult, worst: Worst) -> str:
    """What to say about a drop that is not claimed, and what the data rule out."""
    said = "which is not shown to be more than chance"
    if is_too_few(result):
        units = "images" if result.data.groups is None else "groups"
        said = f"which so few {units} cannot tell from chance"
    if worst.most >= worst.matched:
        return f"{said}; no drop is ruled out"
    return f"{said}; one of more than {style.at_most(worst.most)} is ruled out on any of them"
