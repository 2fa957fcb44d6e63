"""Targets, losses and scores, against independent packages and closed forms."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.segmentation import dice_score, mean_iou

import rawdrift as rd
from rawdrift.data.dataset import RawDataset
from rawdrift.models import losses, networks
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.models.spec import Task
from rawdrift.models.targets import targets_of

SEEDS = st.integers(0, 10_000)


def dataset(values=None, labels=None):
    count = len(values if values is not None else labels)
    return RawDataset(
        mosaics=torch.zeros(count, 6, 8, dtype=torch.uint16),
        images=tuple(map(str, range(count))),
        cameras=(rd.Camera(name="c", cfa="RGGB"),),
        camera_index=torch.zeros(count, dtype=torch.long),
        classes=("a", "b") if labels is not None else (),
        labels=labels,
        masks=values,
    )


def random_masks(seed, classes, count=5):
    """Truth and logits (N, C, 6, 8), some of their masks without some of the classes."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, max(classes, 2), (count, 6, 8), generator=rng)
    truth[0] = 0
    logits = torch.randn(count, classes, 6, 8, generator=rng)
    logits[0, 0] = -9.0 if classes == 1 else 9.0
    return truth.to(torch.uint8), logits


def segmentation(classes, count):
    values = torch.zeros(count, 2, 2, dtype=torch.uint8)
    return Segmentation(tuple(map(str, range(classes))), values)


def test_binary_masks_and_masks_of_classes():
    values = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat(2, 6, 3)[:, :, :8]
    binary = targets_of(dataset(values), Task("unetplusplus"))
    assert (binary.kind, binary.outputs) == ("segmentation", 1)
    assert torch.equal(binary.values, (values > 0).to(torch.uint8))
    classes = targets_of(dataset(values), Task("unetplusplus", mask="classes"))
    assert classes.names == ("0", "128", "255")
    assert torch.equal(torch.tensor([0, 128, 255])[classes.values.long()], values.long())


def test_the_kind_follows_the_model_and_the_data():
    masks = torch.zeros(4, 6, 8, dtype=torch.uint8)
    both = dataset(masks, torch.tensor([0, 1, 0, 1]))
    cases = {
        "resnet18": "classification", "timm:x": "classification", "unetplusplus": "segmentation",
        "import:a.b": "classification",
    }  # fmt: skip
    for model, kind in cases.items():
        assert targets_of(both, Task(model)).kind == kind
    assert targets_of(dataset(masks), Task("import:a.b")).kind == "segmentation"
    assert targets_of(both, Task("import:a.b", kind="segmentation")).kind == "segmentation"
    for data, task, message in [
        (dataset(masks), Task(), "no labels.*unetplusplus"),
        (dataset(None, torch.tensor([0, 1])), Task("unetplusplus"), "no masks"),
        (both, Task(kind="segmentation"), "choose unetplusplus"),
        (both, Task("unetplusplus", kind="classification"), "for segmentation"),
        (both, Task("unetplusplus", mask="classes"), "one value"),
    ]:
        with pytest.raises(rd.InputError, match=message):
            targets_of(data, task)


@given(seed=SEEDS)
def test_scores_of_classes_are_those_of_scikit_learn(seed):
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (12,), generator=rng) % 3  # of the fourth class there is none
    targets = Classification(tuple("abcd"), torch.cat([truth, truth]))
    outcomes = targets.outcome(torch.randn(12, 4, generator=rng), truth)
    found = targets.scores(outcomes, torch.arange(12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are not there
        expected = {
            "accuracy": sklearn.metrics.accuracy_score(truth, outcomes),
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(truth, outcomes),
            "macro_f1": sklearn.metrics.f1_score(truth, outcomes, average="macro"),
        }
        recall = sklearn.metrics.recall_score(truth, outcomes, labels=range(4), average=None)
    expected |= {f"recall:{'abcd'[c]}": recall[c] for c in set(truth.tolist())}
    assert found == pytest.approx(expected, abs=1e-12)


@given(seed=SEEDS, classes=st.sampled_from([1, 3]))
def test_scores_of_masks_are_those_of_torchmetrics(seed, classes):
    truth, logits = random_masks(seed, classes)
    targets = segmentation(classes, len(truth))
    outcomes = targets.outcome(logits, truth)
    predicted = (logits[:, 0] > 0).long() if classes == 1 else logits.argmax(dim=1)
    first = 1 if classes == 1 else 0  # binary: of the object alone

    def one_hot(x):
        return F.one_hot(x.long(), max(classes, 2)).movedim(-1, 1)[:, first:]

    there = (one_hot(predicted) + one_hot(truth)).sum(dim=(2, 3)) > 0
    iou = mean_iou(one_hot(predicted), one_hot(truth), classes, per_class=True)
    dice = dice_score(one_hot(predicted), one_hot(truth), classes, average=None)
    for i in range(len(truth)):
        expected = [x[i][there[i]].double() for x in (iou, dice)]
        expected = [float(x.mean()) if len(x) else 1.0 for x in expected]
        scores = targets.scores(outcomes[i : i + 1], torch.tensor([i]))
        assert [scores["iou"], scores["dice"]] == pytest.approx(expected)
        assert [scores["image_iou"], scores["image_dice"]] == pytest.approx(expected)


def test_empty_masks():
    truth = torch.zeros(3, 4, 4, dtype=torch.uint8)
    truth[2, 0, :2] = 1
    logits = torch.full((3, 1, 4, 4), -1.0)
    logits[1, 0, 0, 0] = 1.0  # found, where there is nothing
    logits[2, 0, 0, 1:3] = 1.0  # one pixel of two, and one beside
    targets = segmentation(1, 3)
    outcomes = targets.outcome(logits, truth)
    for i, iou, dice in [(0, 1, 1), (1, 0, 0), (2, 1 / 3, 1 / 2)]:
        scores = targets.scores(outcomes[i : i + 1], torch.tensor([i]))
        assert (scores["iou"], scores["dice"]) == pytest.approx((iou, dice))
    together = targets.scores(outcomes, torch.arange(3))
    expected = {"iou": 1 / 4, "dice": 2 / 5, "image_iou": 4 / 9, "image_dice": 1 / 2}
    assert together == pytest.approx(expected)


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0, 1, 1, 1, 2, 2, 1])
    found = losses.balanced_weights(4, labels[:6])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[:6].numpy())
    np.testing.assert_allclose(found[:3] * 4, expected * 3)  # one more class, with no image
    assert found[3] == 0


def loss_of(logits, truth, **task):
    kind = Classification if logits.ndim == 2 else Segmentation
    targets = kind(tuple(map(str, range(logits.shape[1]))), truth)
    return targets.loss(Task(**task), torch.arange(len(truth)))(logits, truth)


@given(seed=SEEDS)
def test_losses_are_what_their_formulas_say(seed):
    truth, logits = random_masks(seed, 1)
    p, t = logits[:, 0].double().sigmoid(), truth.double()
    cross_entropy = -(t * p.log() + (1 - t) * (1 - p).log())
    dice = 1 - 2 * (p * t).sum() / (p + t).sum()
    weights = torch.where(t > 0, 1 / t.sum(), 1 / (1 - t).sum())
    balanced = (weights * cross_entropy).sum() / weights.sum()
    for settings, expected in [
        ({"loss": "cross_entropy"}, cross_entropy.mean()),
        ({"loss": "dice"}, dice),
        ({"loss": "auto"}, cross_entropy.mean() + dice),
        ({"loss": "cross_entropy", "class_weights": "balanced"}, balanced),
        ({"loss": "dice_cross_entropy", "class_weights": "balanced"}, balanced + dice),
    ]:
        assert float(loss_of(logits, truth, **settings)) == pytest.approx(float(expected), rel=1e-4)


@given(seed=SEEDS)
def test_losses_of_several_classes(seed):
    truth, logits = random_masks(seed, 3)
    p, t = logits.softmax(dim=1), F.one_hot(truth.long(), 3).movedim(-1, 1).float()
    cross_entropy = F.cross_entropy(logits, truth.long())
    dice = (1 - 2 * (p * t).sum(dim=(0, 2, 3)) / (p + t).sum(dim=(0, 2, 3))).mean()
    torch.testing.assert_close(loss_of(logits, truth, loss="cross_entropy"), cross_entropy)
    torch.testing.assert_close(loss_of(logits, truth), cross_entropy + dice, rtol=1e-4, atol=1e-5)
    images, labels = logits[:, :, 0, 0], truth[:, 0, 0].long()
    torch.testing.assert_close(loss_of(images, labels), F.cross_entropy(images, labels))
    labels[:] = 2
    labels[0] = 1
    weighted = loss_of(images, labels, class_weights="balanced")
    by_image = F.cross_entropy(images, labels, reduction="none")
    torch.testing.assert_close(weighted, (by_image[0] + by_image[1:].mean()) / 2)


def test_dice_is_for_masks():
    data = SimpleNamespace(labels=torch.tensor([0, 1]), masks=None, classes=("a", "b"))
    with pytest.raises(rd.InputError, match="is for masks"):
        Classification.of(data, Task(loss="dice"))


OWN = """
import numpy as np
from rawdrift.statistics.measures import Measure

def costs(predicted, truth):  # missing class 1 costs five times as much as a false alarm
    return -np.where(predicted == truth, 0, np.where(truth == 1, 5, 1))

def found_b(predicted, truth):
    return np.where(truth == 1, predicted == 1, np.nan)

def found_pixels(pixels, truth):  # the share of the mask that was found, over classes
    return pixels[..., 0].sum(-1) / pixels[..., 2].sum(-1)

def right(predicted, truth):
    hits = (predicted == truth).astype(float)
    return np.stack([hits, np.ones_like(hits)], axis=-1)

share = Measure(right, lambda sums: sums[..., 0] / sums[..., 1])
vector = Measure(right, lambda sums: sums)

def one_number(predicted, truth): return 0.5
def breaks(predicted, truth): return truth.no_such_thing
number = 3
"""


@pytest.fixture
def own(own_module):
    """A module of the user's in the working folder."""
    return own_module("own_scores", OWN)


LABELS = torch.tensor([0, 1, 1, 0, 1, 0])
ANSWERS = torch.tensor([0, 1, 0, 1, 1, 0])


def scores_by(metric, indices=range(6)):
    targets = targets_of(dataset(labels=LABELS), Task(metric=metric))
    indices = torch.tensor(indices)
    return targets.scores(ANSWERS[indices], indices)


@pytest.mark.parametrize(("name", "value"), [("costs", -1.0), ("found_b", 2 / 3), ("share", 2 / 3)])
def test_a_metric_of_ones_own_comes_first(name, value, own):
    known = scores_by("auto")
    scores = scores_by(f"import:own_scores.{name}")
    assert list(scores) == [f"import:own_scores.{name}", *known]
    assert scores == pytest.approx({f"import:own_scores.{name}": value, **known})


def test_a_metric_of_ones_own_is_left_out_where_it_is_not_defined(own):
    assert scores_by("import:own_scores.found_b", [0, 3]) == scores_by("auto", [0, 3])


def test_the_metric_of_a_task_comes_first():
    names = ["accuracy", "balanced_accuracy", "macro_f1", "recall:a", "recall:b"]
    assert list(scores_by("auto")) == list(scores_by("accuracy")) == names
    scores = scores_by("macro_f1")
    assert list(scores) == ["macro_f1", "accuracy", "balanced_accuracy", "recall:a", "recall:b"]
    assert scores == scores_by("auto")


@pytest.mark.parametrize("classes", [1, 3])
def test_a_metric_of_masks_of_ones_own(classes, own):
    truth, logits = random_masks(0, classes)
    truth[0] = torch.arange(48).reshape(6, 8) % max(classes, 2)
    mask = "binary" if classes == 1 else "classes"
    task = Task("unetplusplus", mask=mask, metric="import:own_scores.found_pixels")
    targets = targets_of(dataset(truth), task)
    outcomes = targets.outcome(logits, truth)
    scores = targets.scores(outcomes, torch.arange(len(truth)))
    names = ["iou", "dice", "image_iou", "image_dice"]
    assert list(scores) == ["import:own_scores.found_pixels", *names]
    shares = outcomes[..., 0].sum(-1) / outcomes[..., 2].sum(-1)
    assert scores["import:own_scores.found_pixels"] == pytest.approx(float(shares.mean()))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("iou", "unknown task.metric for classification 'iou'.*accuracy"),
        ("import:own_scores.no", "own_scores has no no; it has .*costs"),
        ("import:no_such_scores.net", "there is no module no_such_scores"),
        ("import:own_scores.number", "of type int"),
        ("import:own_scores.one_number", "value for each image"),
        ("import:own_scores.vector", r"one number.*\(2,\)"),
        ("import:own_scores.breaks", "fails for the right answers: AttributeError"),
    ],
)
def test_metrics_that_can_not_be_used_say_why(metric, message, own):
    with pytest.raises(rd.InputError, match=message):
        scores_by(metric)


def test_the_fingerprint_changes_with_a_metric_of_ones_own(own):
    def fingerprint(metric):
        task = Task(metric=metric)
        return networks.fingerprint(task, targets_of(dataset(labels=LABELS), task))

    first = fingerprint("import:own_scores.costs")
    assert first != fingerprint("auto") == fingerprint("macro_f1")
    (own / "own_scores.py").write_text(OWN + "# changed\n")
    assert fingerprint("import:own_scores.costs") != first
