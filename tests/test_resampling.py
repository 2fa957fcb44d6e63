"""Metrics and permutation tests against closed forms, independent packages and simulation."""

import sys

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from rawdrift.checks import InputError
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.statistics import holm, measures
from rawdrift.statistics.measures import classification, segmentation
from rawdrift.statistics.resampling import clusters, p_values

ACCURACY = classification(4)["accuracy"]


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


def test_clusters_are_groups_or_images():
    assert clusters(3, None).tolist() == [0, 1, 2]
    assert clusters(4, ["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]


def test_p_values_are_uniform_where_nothing_differs_and_small_where_it_does():
    rng = np.random.default_rng(3)
    held = np.repeat(np.arange(25), 4)
    found = []
    for _ in range(300):
        level = rng.random(25)[held]
        one, other = (right_features(rng.random(100) < level, True) for _ in range(2))
        found.append(p_values(one, other, ACCURACY, held, flips=199))
    rejected = np.mean(np.array(found) <= 0.05)
    assert 0.02 <= rejected <= 0.08
    worse = right_features(np.arange(100) % 3 == 0, True)
    assert p_values(right_features(np.ones(100), 1), worse, ACCURACY, held) < 0.001


def test_p_values_of_independent_images_are_those_of_the_exact_sign_test():
    lost, won = 14, 4  # McNemar's exact test is a sign test of the images that changed
    before = np.array([1] * lost + [0] * won + [1] * 40)
    after = np.array([0] * lost + [1] * won + [1] * 40)
    features = right_features(before, 1), right_features(after, 1)
    found = p_values(*features, ACCURACY, np.arange(58))
    assert found == pytest.approx(stats.binomtest(lost, lost + won).pvalue, abs=0.006)
    same = right_features(before, 1)
    assert p_values(same, same, ACCURACY, np.arange(58)) == 1


def test_holm_is_that_of_a_worked_example():
    # 0.01 * 4, 0.02 * 3 and 0.03 * 2 which may not fall, 0.5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_same_seed_swaps_the_same_clusters():
    rng = np.random.default_rng(5)
    one, other = (right_features(rng.random(40) < 0.7, True) for _ in range(2))
    found = [p_values(one, other, ACCURACY, np.arange(40), 999, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
