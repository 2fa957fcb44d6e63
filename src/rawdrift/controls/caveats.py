"""Caveats that several controls share: a headline and an explanation each, where they apply."""

from collections.abc import Iterator

from rawdrift.controls.result import Finding, Majority, Result
from rawdrift.report import style
from rawdrift.report.tables import span

Caveat = tuple[str, str]

_FEW_FOLDS = 3
_FEW_IMAGES = 100
_FEW_GROUPS = 10


def line(finding: Finding) -> str:
    """Write a finding for a terminal."""
    return f"check first: {finding.headline} {finding.explanation}"


def remarks(result: Result) -> Iterator[str]:
    """Yield what a reader must know beside the headline, for a terminal."""
    if result.expected is not None and result.expected.agrees:
        yield as_expected(result)
    for headline, explanation in alike(result):
        yield f"{headline} {explanation}"


def as_expected(result: Result) -> str:
    """Say that the metric agrees with `Task.expected`."""
    assert result.expected is not None  # the caller looked
    value, measured = result.expected.value, result.expected.measured
    return (
        f"the {style.metric(result.metric, inside=True)} on the matched views, "
        f"{measured.value:.3f}, agrees with the expected {value:g} (99 % interval "
        f"{span(measured.low, measured.high, 3)})"
    )


def alike(result: Result) -> Iterator[Caveat]:
    """Yield the caveat of near-duplicates."""
    found = result.alike
    if found is None:
        return
    where = "stand in several groups" if found.of_groups else "are in training and in test"
    examples = "; ".join(", ".join(names) for names in found.examples)
    yield (
        f"{found.images} images are nearly the same as others and {where}.",
        f"They count as independent, so the intervals are too narrow and a model may know its test "
        f"images. Among {found.compared} images compared: {examples}. Look at them "
        f"(rawdrift data describe), and give images of one scene the same group.",
    )


def majority_to_beat(result: Result) -> Majority | None:
    """Return the most frequent class, if always answering it is what an accuracy compares with.

    None for other metrics, and where a finding says already that the model guesses.
    """
    is_told = any(finding.kind == "guessing" for finding in result.findings)
    return None if is_told or result.metric != "accuracy" else result.data.majority


def few_folds(folds: int, compared: str) -> Iterator[Caveat]:
    """Yield the caveat of few folds. compared: what is trained in each, in the plural."""
    if folds == 1:
        yield (
            "One split.",
            f"Other training images could change the order, and nothing here shows how much. "
            f"Without the column split, folds compare {compared} more safely.",
        )
    elif folds < _FEW_FOLDS:
        yield (
            f"Only {folds} folds.",
            "The spread over folds is hardly known: another split could change the order, and "
            "intervals do not cover other training images. "
            f"Use {_FEW_FOLDS} folds or more to compare {compared}.",
        )


def few_images(result: Result, images: int, which: str = "images") -> Iterator[Caveat]:
    """Yield the caveat of few images, called `which`."""
    if images < _FEW_IMAGES:
        metric = style.metric(result.metric, inside=True)
        one = f"One image moves the {metric} by about {1 / images:.2f}. "
        yield (
            f"Only {images} {which}." if images > 1 else "Only one image.",
            f"{one if result.data.majority else ''}The intervals are wide: a difference of a few "
            "images may be chance.",
        )


def few_groups(groups: int | None, more: str = "") -> Iterator[Caveat]:
    """Yield the caveat of few groups, and with `more`, what follows from it, of any number."""
    if groups is not None and (groups < _FEW_GROUPS or more):
        yield (
            f"Only {groups} groups." if groups > 1 else "Only one group.",
            "Images of one group are alike, so the intervals count groups, and so few groups say "
            f"little about the next one.{more}",
        )
