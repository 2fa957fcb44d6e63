"""Resampling against closed forms, independent packages and simulation."""

import sys

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from rawdrift.checks import InputError
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.statistics import Interval, Resampling, holm, measures
from rawdrift.statistics.measures import classification, segmentation
from rawdrift.statistics.resampling import clusters

ACCURACY, BALANCED_ACCURACY, MACRO_F1 = classification(4).values()


def right_features(predicted, labels):
    return ACCURACY.features(np.asarray(predicted), np.asarray(labels))


def answers(rng, n, classes=4, share=0.7):
    labels = rng.integers(0, classes, n)
    predicted = np.where(rng.random(n) < share, labels, rng.integers(0, classes, n))
    return predicted, labels


def test_measures_are_those_of_scikit_learn():
    predicted, labels = answers(np.random.default_rng(0), 200)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
    }
    for name, measure in classification(4).items():
        assert measure.value(predicted, labels) == pytest.approx(expected[name], abs=1e-12)


def test_classes_that_are_not_there_do_not_count():
    predicted = labels = np.array([0, 0, 1])
    for measure in classification(3).values():
        assert measure.value(predicted, labels) == 1


def test_masks_are_measured_over_all_pixels():
    pixels = np.array([[[[10, 20, 20]], [[0, 0, 0]]], [[[0, 5, 5]], [[4, 4, 4]]]])  # 2 tests
    measures = segmentation()
    np.testing.assert_allclose(measures["iou"].value(pixels, np.zeros(2)), [10 / 30, 4 / 14])
    np.testing.assert_allclose(measures["dice"].value(pixels, np.zeros(2)), [20 / 40, 8 / 18])
    assert np.isnan(measures["iou"].value(np.zeros((2, 1, 3), int), np.zeros(2)))


MINE = """
import numpy as np
from rawdrift.statistics import Measure

def worth(outcomes, truth):
    return np.where(truth == 2, np.nan, 3.0 * (outcomes == truth))

def found(outcomes, truth):
    return outcomes[:, 0, 0] / outcomes[:, 0, 2]

def total(outcomes, truth):
    return 1.0

ERROR = Measure(
    lambda outcomes, truth: np.stack([outcomes != truth, outcomes == outcomes], -1).astype(float),
    lambda sums: -sums[..., 0] / sums[..., 1],
)
NUMBER = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module with metrics of a user's own."""
    (tmp_path / "mymetrics.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mymetrics", raising=False)


def test_a_users_function_is_a_measure(mine):
    predicted, labels = answers(np.random.default_rng(0), 60)
    counts = labels != 2  # the function gives NaN to the others
    own = measures.resolve("import:mymetrics.worth", "classification", {}, 1)
    expected = 3 * metrics.accuracy_score(labels[counts], predicted[counts])
    assert own.value(predicted, labels) == pytest.approx(expected)
    several = np.stack([predicted, labels, predicted]).reshape(3, 1, 60)
    np.testing.assert_allclose(own.value(several, labels), [[expected], [3], [expected]])
    resampling = Resampling(np.arange(60), draws=20)
    draws = resampling.bootstrap(own.features(predicted, labels), own)
    held = np.repeat(np.arange(60), resampling.weights[0].astype(int))
    assert draws[0] == pytest.approx(own.value(predicted[held], labels[held]))


def test_a_users_function_of_masks_is_a_measure(mine):
    pixels = np.array([[[[5, 9, 10]], [[10, 20, 10]]], [[[0, 4, 4]], [[1, 1, 2]]]])  # 2 tests
    own = measures.resolve("import:mymetrics.found", "segmentation", {}, 3)
    np.testing.assert_allclose(own.value(pixels, np.zeros(2)), [0.75, 0.25])


def test_a_users_measure_is_taken_as_it_is_and_comes_first(mine):
    name = "import:mymetrics.ERROR"
    table = Classification(tuple("abcd"), torch.arange(4), name).measures
    assert list(table) == [name, "accuracy", "balanced_accuracy", "macro_f1"]
    masks = Segmentation(("object",), torch.ones(1, 2, 2, dtype=torch.uint8), "dice")
    assert list(masks.measures) == ["dice", "iou"]
    predicted, labels = answers(np.random.default_rng(0), 60)
    accuracy = metrics.accuracy_score(labels, predicted)
    assert table[name].value(predicted, labels) == pytest.approx(accuracy - 1)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("iou", "unknown metric of classification 'iou'.*accuracy"),
        ("import:mymetrics.nothing", "mymetrics has no nothing"),
        (
            "import:mymetrics.NUMBER",
            "NUMBER is of type int; expected a rawdrift.statistics.Measure",
        ),
        ("import:mymetrics.total", r"a value for each image, shape \(2,\), got shape \(\)"),
    ],
)
def test_what_is_no_metric_is_refused(mine, name, complaint):
    table = measures.classification(3)
    with pytest.raises(InputError, match=complaint):
        measures.resolve(name, "classification", table, 1).value(np.arange(2), np.arange(2))


def test_draws_are_those_of_the_images_that_they_hold():
    """A draw's value is the measure of the images that it holds, each as often as it holds it."""
    rng = np.random.default_rng(0)
    predicted, labels = answers(rng, 30)
    groups = rng.integers(0, 7, 30)
    groups[:7] = np.arange(7)
    resampling = Resampling(groups, draws=20)
    found = resampling.bootstrap(MACRO_F1.features(predicted, labels), MACRO_F1)
    for weights, value in zip(resampling.weights, found, strict=True):
        held = np.repeat(np.arange(30), weights[groups].astype(int))
        expected = metrics.f1_score(
            labels[held],
            predicted[held],
            average="macro",
            labels=sorted({*labels[held], *predicted[held]}),
        )
        assert value == pytest.approx(expected, abs=1e-12)


def test_clusters_are_groups_or_images():
    assert clusters(3, None).tolist() == [0, 1, 2]
    assert clusters(4, ["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize(("groups", "each"), [(150, 1), (30, 8), (10, 20)])
def test_intervals_of_paired_differences_cover_what_they_promise(groups, each):
    """Two answers to images of groups that differ in difficulty, 800 times."""
    rng = np.random.default_rng(1)
    held = np.repeat(np.arange(groups), each)
    resampling = Resampling(held, draws=1000)
    hard = rng.beta(4, 2, (800, groups)) if each > 1 else np.full((800, groups), 0.7)
    loss = 0.15
    one = rng.random((800, len(held))) < hard[:, held]
    both = one & (rng.random(one.shape) >= loss)
    truth = loss * 4 / 6 if each > 1 else loss * 0.7
    covered = 0
    for first, second in zip(one, both, strict=True):
        features = [np.stack([x, np.ones_like(x)], -1).astype(float) for x in (first, second)]
        draws = [resampling.bootstrap(x, ACCURACY) for x in features]
        value = float(first.mean() - second.mean())
        found = resampling.interval(value, draws[0] - draws[1])
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 800 <= 0.98


def test_intervals_of_macro_f1_cover_what_they_promise():
    rng = np.random.default_rng(2)
    resampling = Resampling(np.arange(200), draws=400)
    predicted, labels = answers(rng, 400_000)
    truth = metrics.f1_score(labels, predicted, average="macro")
    covered = 0
    for _ in range(300):
        features = MACRO_F1.features(*answers(rng, 200))
        draws = resampling.bootstrap(features, MACRO_F1)
        found = resampling.interval(float(MACRO_F1.of(features.sum(0))), draws)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 300 <= 0.98


def test_one_cluster_tells_nothing():
    resampling = Resampling(np.zeros(20, dtype=np.int64), draws=50)
    features = right_features(np.arange(20) % 2, np.zeros(20))
    draws = resampling.bootstrap(features, ACCURACY)
    assert resampling.interval(0.5, draws) == Interval(0.5, -1, 1)
    assert resampling.interval(0.5, draws, bounds=None) == Interval(0.5, None, None)
    assert resampling.interval(0.5, np.zeros(0), bounds=(0, 1)) == Interval(0.5, 0, 1)


def test_p_values_are_uniform_where_nothing_differs_and_small_where_it_does():
    rng = np.random.default_rng(3)
    held = np.repeat(np.arange(25), 4)
    resampling = Resampling(held)
    found = []
    for _ in range(300):
        level = rng.random(25)[held]
        one, other = (right_features(rng.random(100) < level, True) for _ in range(2))
        found.append(resampling.p_values(one, other, ACCURACY, flips=199))
    rejected = np.mean(np.array(found) <= 0.05)
    assert 0.02 <= rejected <= 0.08
    worse = right_features(np.arange(100) % 3 == 0, True)
    assert resampling.p_values(right_features(np.ones(100), 1), worse, ACCURACY) < 0.001


def test_p_values_of_independent_images_are_those_of_the_exact_sign_test():
    lost, won = 14, 4  # McNemar's exact test is a sign test of the images that changed
    before = np.array([1] * lost + [0] * won + [1] * 40)
    after = np.array([0] * lost + [1] * won + [1] * 40)
    found = Resampling(np.arange(58)).p_values(
        right_features(before, 1), right_features(after, 1), ACCURACY
    )
    assert found == pytest.approx(stats.binomtest(lost, lost + won).pvalue, abs=0.006)
    same = right_features(before, 1)
    assert Resampling(np.arange(58)).p_values(same, same, ACCURACY) == 1


def test_holm_is_that_of_a_worked_example():
    # 0.01 * 4, 0.02 * 3 and 0.03 * 2 which may not fall, 0.5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_same_seed_gives_the_same_draws():
    one, other, another = (Resampling(np.arange(9), seed=seed).weights for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, another)
