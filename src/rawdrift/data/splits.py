"""Splits: folds, stratified by label, or the one that the data state; groups never straddle."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from rawdrift.checks import InputError
from rawdrift.data.columns import SPLITS
from rawdrift.data.dataset import RawDataset

# The paper dropped a class that could not be in every fold. We drop one by ourselves only if hardly
# anything is lost; beyond that share of the images the user decides.
MAX_SHARE_LEFT_OUT = 0.01
VALIDATION_FOLDS = 5  # of a fold's training images; one of them is held out

Indices = NDArray[np.int64]


class Split(NamedTuple):
    """Indices of the training and the test images of a fold, sorted."""

    train: Indices
    test: Indices


def fit_for_folds(data: RawDataset, folds: int) -> RawDataset:
    """Return the data without labels that are too rare to be in every fold.

    A label needs an image (with groups: a group) for each fold. Labels with fewer are left out, and
    noted in `left_out`, if they hold at most `MAX_SHARE_LEFT_OUT` of the images. Otherwise raises
    InputError.
    """
    if data.labels is None:
        return data
    units = _units(data)
    rare = {label: n for label, n in units.items() if n < folds}
    if rare:
        counts = data.counts()
        lost = sum(counts[label] for label in rare)
        if lost > MAX_SHARE_LEFT_OUT * len(data) or len(units) - len(rare) < 2:
            unit = "images" if data.groups is None else "groups"
            named = ", ".join(f"{label!r} has {n}" for label, n in rare.items())
            raise InputError(
                f"{folds} folds need {folds} {unit} of every label, but {named}; add images, use "
                f"fewer folds, or leave these labels out with data.exclude: {list(rare)}"
            )
        data = data.without(list(rare), f"too few for {folds} folds")
    if len(data.classes) < 2:
        raise InputError(f"the data have the labels {', '.join(data.classes)}, expected at least 2")
    return data


def k_fold(data: RawDataset, folds: int, seed: int) -> list[Split]:
    """Return `folds` splits that test each image once; the same seed gives the same splits."""
    labels = None if data.labels is None else data.labels.numpy()
    if data.groups is not None and (n := len(set(data.groups))) < folds:
        raise InputError(f"{folds} folds need {folds} groups, but there are {n}; use fewer folds")
    if len(data) < folds:
        raise InputError(f"{folds} folds need {folds} images, but there are {len(data)}")
    splits = _split(labels, data.groups, len(data), folds, seed)
    for fold, split in enumerate(splits):
        unseen = (
            set() if labels is None else set(labels.tolist()) - set(labels[split.train].tolist())
        )
        if unseen:
            names = ", ".join(data.classes[i] for i in sorted(unseen))
            raise InputError(
                f"the training images of fold {fold} have none of the labels {names}: all of them "
                f"are in the groups that are tested; use more groups, fewer folds or data.exclude"
            )
    return splits


def by_column(data: RawDataset) -> Split:
    """Return the split that the data state, whose test images are held out in place of folds.

    Raises InputError if a part is empty, a group straddles, or a label is never trained on.
    """
    train, test = (
        np.flatnonzero([split == name for split in data.splits or ()]) for name in SPLITS
    )
    if not len(train) or not len(test):
        raise InputError(
            f"the data have {len(train)} images of the split train and {len(test)} of test, "
            f"expected some of both; fill the column split, or leave it out"
        )
    if data.groups is not None:
        sides = [{data.groups[i] for i in part.tolist()} for part in (train, test)]
        if both := sorted(sides[0] & sides[1]):
            raise InputError(
                f"the group {both[0]!r} has images of the splits train and test"
                f"{f', and so have {len(both) - 1} more' if len(both) > 1 else ''}; a group must "
                f"never straddle: correct the column split or group"
            )
    if data.labels is not None:
        if len(data.classes) < 2:
            raise InputError(
                f"the data have the labels {', '.join(data.classes)}, expected at least 2"
            )
        labels = data.labels.numpy()
        if unseen := sorted({*labels[test].tolist()} - {*labels[train].tolist()}):
            names = ", ".join(data.classes[i] for i in unseen)
            raise InputError(
                f"no image of the split train has the labels {names}, "
                f"which images of test have; correct the column split, or leave these labels out "
                f"with data.exclude"
            )
    return Split(train, test)


def validation(data: RawDataset, train: Indices, seed: int) -> Split:
    """Split the training images of a fold again, holding out about one in five.

    Both parts have about the same shares of labels, and groups never straddle. Raises InputError if
    there is only one group.
    """
    groups = None if data.groups is None else [data.groups[i] for i in train.tolist()]
    units = len(train) if groups is None else len(set(groups))
    if units < 2:
        raise InputError(
            "inner validation needs two groups in the training images of each fold, but one fold "
            "has one; use more folds, or more groups"
        )
    labels = None if data.labels is None else data.labels.numpy()[train]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label is rare
        most = len(train) if labels is None else int(np.bincount(labels).max())
        if most < 2:  # one image of each label, which can't be in both parts
            labels, most = None, units
        first = _split(labels, groups, len(train), min(VALIDATION_FOLDS, units, most), seed)[0]
    return Split(train[first.train], train[first.test])


def _split(
    labels: NDArray[np.int64] | None,
    groups: Sequence[str] | None,
    images: int,
    folds: int,
    seed: int,
) -> list[Split]:
    splitter = {
        (False, False): KFold,
        (False, True): GroupKFold,
        (True, False): StratifiedKFold,
        (True, True): StratifiedGroupKFold,
    }[labels is not None, groups is not None]
    draws = int(np.random.SeedSequence(seed).generate_state(1)[0])
    splits = splitter(folds, shuffle=True, random_state=draws)
    return [Split(*pair) for pair in splits.split(np.arange(images), labels, groups=groups)]


def _units(data: RawDataset) -> dict[str, int]:
    """Return how many images each label has, or how many groups if there are any."""
    if data.groups is None or data.labels is None:
        return data.counts()
    labels: Sequence[int] = data.labels.tolist()
    pairs = set(zip(labels, data.groups, strict=True))
    return {name: sum(label == i for label, _ in pairs) for i, name in enumerate(data.classes)}
