"""Caveats that several controls share: a headline and an explanation each, where they apply."""

from collections.abc import Iterator

from rawdrift.controls.result import Result
from rawdrift.report import style

Caveat = tuple[str, str]

_FEW_FOLDS = 3
_FEW_IMAGES = 100
_FEW_GROUPS = 10


def few_folds(folds: int, compared: str) -> Iterator[Caveat]:
    """Yield the caveat of few folds. compared: what is trained in each, in the plural."""
    if folds < _FEW_FOLDS:
        yield (
            f"Only {folds} fold{'s' * (folds > 1)}.",
            "The spread over folds is hardly known: another seed or split could change the order. "
            f"Use {_FEW_FOLDS} folds or more to compare {compared}.",
        )


def few_images(result: Result, images: int, which: str = "images") -> Iterator[Caveat]:
    """Yield the caveat of few images, called `which`."""
    if images < _FEW_IMAGES:
        metric = style.metric(result.metric, inside=True)
        one = f"One image moves the {metric} by about {1 / images:.2f}. "
        yield (
            f"Only {images} {which}.",
            f"{one if result.data.majority else ''}The intervals are wide: a difference of a few "
            "images may be chance.",
        )


def few_groups(groups: int | None, more: str = "") -> Iterator[Caveat]:
    """Yield the caveat of few groups, and with `more`, what follows from it, of any number."""
    if groups is not None and (groups < _FEW_GROUPS or more):
        yield (
            f"Only {groups} groups.",
            "Images of one group are alike, so the intervals count groups, and so few groups say "
            f"little about the next one.{more}",
        )
