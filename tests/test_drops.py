"""Drops with intervals: values against packages, coverage by simulation, laws, refusals."""

import numpy as np
import pytest
import torch
from sklearn import metrics

import rawdrift as rd
from rawdrift.checks import InputError

CLASS_METRICS = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "macro_f1": lambda t, x: metrics.f1_score(t, x, average="macro"),
}


def answers(rng, n, classes=4, share=0.9):
    truth = rng.integers(0, classes, n)
    before, after = (
        np.where(rng.random(n) < s, truth, rng.integers(0, classes, n))
        for s in (share, share - 0.1)
    )
    return truth, before, after


@pytest.mark.parametrize("metric", CLASS_METRICS)
@pytest.mark.parametrize("groups", [None, 15])
def test_the_drop_of_classes_is_that_of_scikit_learn_within_its_interval(metric, groups):
    rng = np.random.default_rng(0)
    truth, before, after = answers(rng, 90)
    names = None if groups is None else [("slide", i % groups) for i in range(90)]
    drop = rd.statistics.drop(truth + 7, before + 7, after + 7, metric, groups=names)
    of = CLASS_METRICS[metric]
    assert drop.value == pytest.approx(of(truth, before) - of(truth, after), abs=1e-12)
    assert -1 <= drop.low < drop.value < drop.high <= 1
    back = rd.statistics.drop(truth, after, before, metric, groups=names)
    assert (back.low, back.value, back.high) == pytest.approx((-drop.high, -drop.value, -drop.low))
    wider = rd.statistics.drop(truth, before, after, metric, groups=names, confidence=0.99)
    assert wider.low < drop.low
    assert wider.high > drop.high


@pytest.mark.parametrize("metric", ["iou", "dice"])
@pytest.mark.parametrize("kind", ["object", "classes", "bool", "torch"])
def test_the_drop_of_masks_is_that_of_all_pixels_together(metric, kind):
    rng = np.random.default_rng(0)
    count = 3 if kind == "classes" else 2
    truth = rng.integers(0, count, (20, 8, 8))
    before, after = (
        np.where(rng.random(truth.shape) < s, truth, rng.integers(0, count, truth.shape))
        for s in (0.9, 0.7)
    )
    of = metrics.jaccard_score if metric == "iou" else metrics.f1_score
    average = "binary" if count == 2 else "macro"
    expected = [of(truth.ravel(), x.ravel(), average=average) for x in (before, after)]
    if kind == "bool":
        truth, before, after = (x.astype(bool) for x in (truth, before, after))
    if kind == "torch":
        truth, before, after = (torch.from_numpy(x * 255) for x in (truth, before, after))
    drop = rd.statistics.drop(truth, before, after, metric)
    assert drop.value == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert drop.low < drop.value < drop.high


@pytest.mark.parametrize("metric", CLASS_METRICS)
def test_groups_of_one_image_are_no_groups(metric):
    truth, before, after = answers(np.random.default_rng(1), 60)
    names = [f"{i}" for i in range(60)]
    alone = rd.statistics.drop(truth, before, after, metric, groups=names)
    assert alone == rd.statistics.drop(truth, before, after, metric)


def test_where_nothing_changes_the_bound_is_that_of_wilson():
    for n in (30, 300):
        none = rd.statistics.drop([0] * n, [0] * n, [0] * n)
        t2 = 3.84 if n == 300 else 4.18  # Student's t of n - 1, squared
        assert none.high == pytest.approx(t2 / (n + t2), rel=0.02)
        assert none.low == -none.high
        all_lost = rd.statistics.drop([0] * n, [0] * n, [1] * n)
        assert all_lost.value == all_lost.high == 1
        assert all_lost.low < 1 - 3 / n


def test_the_largest_drop_is_one_of_them_and_wider_than_alone():
    rng = np.random.default_rng(2)
    truth, before, _ = answers(rng, 200)
    after = [np.where(rng.random(200) < s, before, 9) for s in (0.97, 0.9, 0.92)]
    index, largest = rd.statistics.largest_drop(truth, before, after, seed=1)
    alone = rd.statistics.drop(truth, before, after[index])
    assert index == 1
    assert largest.value == alone.value
    assert largest.low < alone.low
    assert largest.high >= alone.high
    assert rd.statistics.largest_drop(truth, before, after[1:2]) == (0, alone)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"after": [0, 1]}, r"after must have the shape of truth, \(4,\), got \(2,\)"),
        ({"before": np.zeros((4, 2))}, "probabilities"),
        ({"truth": []}, "at least one image"),
        ({"truth": np.zeros((2, 2))}, r"\(N,\) or masks"),
        ({"after": [0, 1, 0.5, 1]}, "after must hold class numbers.*0.5"),
        ({"after": [0, 1, np.nan, 1]}, "after must hold class numbers.*nan"),
        ({"after": list("abcd")}, "class numbers"),
        ({"metric": "iou"}, "iou is for masks"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"groups": ["a"]}, "each of 4 images, got 1"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"confidence": "0.95"}, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(changed, complaint):
    arguments = {"truth": [0, 1, 0, 1], "before": [0, 1, 0, 1], "after": [0, 1, 1, 1]} | changed
    with pytest.raises(InputError, match=complaint):
        rd.statistics.drop(**arguments)


def test_masks_are_refused_metrics_of_classes_and_empty_ones():
    masks = np.zeros((3, 4, 4), int)
    with pytest.raises(InputError, match="accuracy is for class numbers.*iou"):
        rd.statistics.drop(masks, masks, masks)
    with pytest.raises(InputError, match="no image counts"):
        rd.statistics.drop(masks, masks, masks, "iou")
    with pytest.raises(InputError, match="after holds no answers"):
        rd.statistics.largest_drop([0], [0], [])
