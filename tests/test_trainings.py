"""Comparisons of trainings hold although images, seeds and training images vary."""

import numpy as np
import pytest

from rawdrift.statistics.estimates import estimate
from rawdrift.statistics.measures import classification, segmentation
from rawdrift.statistics.trainings import repeated

ACCURACY = classification(2)["accuracy"]


def planted(rng, *, seeds=0.0, sets=0.0, gain=0.0, images=200, folds=5, repeats=3, groups=None):
    """What the second of two settings gains: answers by ability and noise of an image, seed of a
    training, and training images of a fold."""
    count = groups or images
    cluster = np.arange(images) % count
    fold = cluster % folds
    ability = rng.normal(1.3, 1, count)[cluster]
    sides = []
    for setting in range(2):
        of_fold = sets * rng.standard_normal(folds)
        features = []
        for _ in range(repeats):
            shift = of_fold + seeds * rng.standard_normal(folds)
            noise = 0.5 * rng.standard_normal(images)
            right = ability + shift[fold] + noise + gain * setting > 0
            features.append(ACCURACY.features(right.astype(int), np.ones(images, int)))
        sides.append(repeated(ACCURACY, features, cluster, fold))
    return sides[1] - sides[0]


NULL = {
    "seeds": {"seeds": 0.4},
    "two repeats": {"seeds": 0.4, "repeats": 2},
    "two folds": {"seeds": 0.4, "folds": 2},
    "images alone": {},
    "training images": {"seeds": 0.2, "sets": 0.2},
    "groups": {"seeds": 0.4, "groups": 20},
}


@pytest.mark.parametrize("case", NULL)
def test_another_seed_alone_is_no_difference(case):
    """5 of 100 may be; 13 are the 99.9 % limit of that."""
    rng = np.random.default_rng(3)
    claimed = 0
    for _ in range(100):
        change = planted(rng, **NULL[case])
        claimed += change.interval().low > 0 or change.interval().high < 0
    assert claimed <= 13


def test_a_single_training_says_nothing_of_seeds_and_two_do():
    """The same images answer the same in each case but for the seeds."""
    claims = {1: 0, 2: 0}
    for repeats in claims:
        rng = np.random.default_rng(5)
        for _ in range(60):
            change = planted(rng, seeds=0.5, repeats=repeats)
            assert (change.freedom > 0) == (repeats > 1)
            claims[repeats] += change.interval().low > 0 or change.interval().high < 0
    assert claims[1] > 10
    assert claims[2] <= 6


def test_a_planted_gain_is_found():
    rng = np.random.default_rng(7)
    changes = [planted(rng, seeds=0.15, gain=0.5) for _ in range(20)]
    assert sum(change.interval().low > 0 for change in changes) >= 17


def test_the_p_value_is_where_the_interval_ends_at_zero():
    change = planted(np.random.default_rng(1), seeds=0.2, gain=0.3)
    p, corrected = change.p_values()
    assert corrected == p
    assert 1e-6 < p < 1
    low, high = change.bounds(change.critical(1 - p / 2))
    assert min(abs(low), abs(high)) < 0.01


def test_the_variance_by_seeds_is_that_of_the_means_of_trainings():
    """Where images are alike, the value is the mean of independent trainings."""
    rng = np.random.default_rng(0)
    folds, repeats, of = 4, 3, 50
    fold = np.arange(folds * of) % folds
    change = rng.normal(0, 0.1, (folds, repeats))
    change -= change.mean(1, keepdims=True)
    features = [np.stack([0.5 + change[fold, r], np.ones(len(fold))], -1) for r in range(repeats)]
    trained = repeated(ACCURACY, features, np.arange(len(fold)), fold)
    expected = (change**2).sum() / (folds * (repeats - 1)) / (folds * repeats)
    assert trained.variance() == pytest.approx(expected, rel=1e-3)
    assert trained.freedom == folds * (repeats - 1)


@pytest.mark.parametrize("name", [*classification(3), *segmentation()])
def test_one_training_gives_the_interval_of_its_images(name):
    rng = np.random.default_rng(2)
    measure = (classification(3) | segmentation())[name]
    truth = np.arange(60) % 3
    if name in segmentation():
        truth = np.zeros(60, int)
        outcomes = [rng.integers(1, 50, (60, 2, 3)) for _ in range(2)]
    else:
        outcomes = [np.where(rng.random(60) < 0.8, truth, 0) for _ in range(2)]
    one, other = (measure.features(x, truth) for x in outcomes)
    images, fold = np.arange(60), np.arange(60) % 5
    change = repeated(measure, [one], images, fold) - repeated(measure, [other], images, fold)
    alone = estimate(measure, one, images) - estimate(measure, other, images)
    assert change.interval() == alone.interval()
    twice = repeated(measure, [one, one], images, fold) - repeated(
        measure, [other, other], images, fold
    )
    assert twice.interval().low <= alone.interval().low
    assert twice.values == pytest.approx(alone.values)


def test_one_fold_alone_has_an_interval():
    rng = np.random.default_rng(5)
    features = [
        ACCURACY.features((rng.random(60) < 0.8).astype(int), np.ones(60, int)) for _ in range(2)
    ]
    one = repeated(ACCURACY, features, np.arange(60), np.zeros(60, int)).interval()
    assert one.low < one.value < one.high


def test_a_missing_repeat_of_a_fold_is_left_out():
    rng = np.random.default_rng(4)
    fold = np.arange(90) % 3
    right = rng.random((2, 90)) < 0.8
    features = [ACCURACY.features(x.astype(int), np.ones(90, int)) for x in right]
    trained = np.array([[True, True], [True, False], [True, True]])
    one = repeated(ACCURACY, features, np.arange(90), fold, trained)
    by_image = np.where(fold == 1, right[0], right.mean(0))
    assert one.values == pytest.approx(by_image.mean())
    assert one.freedom == 2
    other = features[1].copy()
    other[fold == 1] = [0.0, 1.0]
    again = repeated(ACCURACY, [features[0], other], np.arange(90), fold, trained)
    assert again.interval() == one.interval()
