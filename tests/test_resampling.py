"""Metrics and permutation tests against closed forms, independent packages and simulation."""

import sys

import numpy as np
import pytest
import torch
from sklearn import metrics

from rawdrift.checks import InputError
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.statistics import measures
from rawdrift.statistics.measures import classification, segmentation
from rawdrift.statistics.resampling import clusters

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
