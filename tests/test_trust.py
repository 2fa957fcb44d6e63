"""What to check before a test is trusted: it is found where it is wrong, and only there."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import rawdrift as rd
from invented import Invented
from rawdrift.cfa import PATTERNS
from rawdrift.controls import caveats, trust
from rawdrift.controls.material import Material
from rawdrift.controls.trust import Evidence, Matched
from rawdrift.data import RawDataset
from rawdrift.data.plausible import unused_bits, wrong_greens
from rawdrift.data.splits import Split
from rawdrift.models.chain import Develop, Normalize
from rawdrift.models.targets import targets_of
from rawdrift.sensor.bayer import mosaic
from rawdrift.statistics import sanity

NOTHING = Evidence([], None, None)


def answers(rng, truth, recall, classes, order=None):
    """Answers that are right with a chance, else any class; the outputs may be in an order."""
    drawn = np.where(rng.random(len(truth)) < recall, truth, rng.integers(0, classes, len(truth)))
    return drawn if order is None else np.asarray(order)[drawn]


def share(repeats, found):
    rng = np.random.default_rng(0)
    return np.mean([bool(found(rng)) for _ in range(repeats)])


@pytest.mark.parametrize(
    ("images", "classes", "shares"),
    [(40, 4, None), (100, 2, None), (200, 4, (0.85, 0.05, 0.05, 0.05)), (30, 10, None)],
)
def test_guesses_are_found_and_have_no_better_order(images, classes, shares):
    def found(rng):
        truth = rng.choice(classes, images, p=shares)
        counts = sanity.confusion(truth, rng.choice(classes, images, p=shares), classes)
        orders.append(sanity.better_order(counts))
        return sanity.p_guessing(counts) >= sanity.CERTAIN

    orders = []
    assert share(60, found) >= 0.87  # 0.95, less chance
    assert orders.count(None) >= 59


def test_the_same_answer_to_all_is_a_guess():
    truth = np.arange(100) % 2
    counts = sanity.confusion(truth, np.zeros(100, np.int64), 2)
    assert sanity.p_guessing(counts) == 1
    assert sanity.better_order(counts) is None


@pytest.mark.parametrize(
    ("images", "classes", "recall", "shares"),
    [
        (300, 4, 0.2, None),
        (12, 2, 1.0, None),
        (200, 10, 0.25, None),
        (200, 4, 0.5, (0.85, 0.05, 0.05, 0.05)),
    ],
)
def test_weak_honest_models_raise_no_alarm(images, classes, recall, shares):
    def found(rng):
        truth = rng.choice(classes, images, p=shares)
        counts = sanity.confusion(truth, answers(rng, truth, recall, classes), classes)
        known = sanity.p_guessing(counts) < sanity.CERTAIN
        return sanity.better_order(counts) is not None or not known

    assert share(60, found) <= 0.05


@pytest.mark.parametrize(
    ("images", "classes", "recall", "order"),
    [
        (100, 4, 0.7, (1, 0, 2, 3)),
        (100, 4, 0.7, (1, 2, 3, 0)),
        (60, 2, 0.7, (1, 0)),
        (144, 12, 0.7, (*range(1, 12), 0)),
    ],
)
def test_the_order_of_outputs_is_found(images, classes, recall, order):
    def found(rng):
        truth = np.arange(images) % classes
        counts = sanity.confusion(truth, answers(rng, truth, recall, classes, order), classes)
        return sanity.better_order(counts) == tuple(np.argsort(order).tolist())

    assert share(30, found) >= 0.8


def test_a_preference_for_a_class_is_no_other_order():
    """Most of a frequent class is taken for a rare one, which is recognized."""
    assert sanity.better_order(np.array([[20, 80], [0, 10]])) is None
    assert sanity.better_order(np.array([[0, 100], [0, 10]])) is None
    assert sanity.better_order(np.array([[20, 80], [2, 1]])) is None  # of three images


def test_an_order_with_classes_that_the_data_lack():
    """Outputs 0 and 3 are exchanged, and no image is of class 3."""
    counts = np.array([[0, 0, 0, 30], [0, 30, 0, 0], [0, 0, 30, 0], [0, 0, 0, 0]])
    assert sanity.better_order(counts) == (3, 1, 2, 0)


@pytest.mark.parametrize(("groups", "images"), [(20, 50), (10, 100), (8, 30)])
def test_good_answers_to_alike_images_are_no_guesses(groups, images):
    """The accuracy of groups differs, so images count as fewer, but all groups show the same."""
    rng = np.random.default_rng(0)
    group = np.arange(groups * images) // images
    truth = np.arange(groups * images) % 2
    right = rng.random(groups * images) < np.linspace(0.75, 1.0, groups)[group]
    for given, order in (
        (np.where(right, truth, 1 - truth), None),
        (np.where(right, 1 - truth, truth), (1, 0)),
    ):
        counts = sanity.confusion(truth, given, 2)
        size = sanity.independent_share(truth, given, group)
        assert size < 0.7
        assert sanity.better_order(counts, size) == order
        assert (sanity.p_guessing(counts, size) < 0.01) == (order is None)


def test_alike_images_count_as_fewer():
    """Twelve groups that are right or wrong as a whole are 12 observations."""
    truth = np.arange(240) % 2
    groups = np.arange(240) // 20
    right = np.isin(groups, [0, 1, 2, 3, 4, 5, 6])
    given = np.where(right, truth, 1 - truth)
    size = sanity.independent_share(truth, given, groups)
    assert size == pytest.approx(1 / 20, rel=0.2)
    counts = sanity.confusion(truth, given, 2)
    assert sanity.p_guessing(counts) < 0.05 < sanity.p_guessing(counts, size)


def test_recall_and_precision_have_wilson_intervals():
    (recall, precision), (_, never) = sanity.recall_and_precision(np.array([[8, 0], [2, 0]]))
    assert (recall.value, precision.value, never) == (1, 0.8, None)
    expected = binomtest(8, 10).proportion_ci(method="wilson")
    assert (precision.low, precision.high) == pytest.approx((expected.low, expected.high))
    assert sanity.never_recognized(np.array([[50, 0], [50, 0]])) == [1]
    assert sanity.never_recognized(np.array([[90, 0], [10, 0]])) == []  # rare


# The files


def scene(seed, cfa="RGGB", gray=False, bits=16, images=6, level=0.9):
    """Images of blocks of colors, with noise."""
    rng = np.random.default_rng(seed)
    colors = rng.uniform(0.1, level, (images, 1 if gray else 3, 4, 4)).repeat(8, 2).repeat(8, 3)
    light = torch.from_numpy(np.broadcast_to(colors, (images, 3, 32, 32)).copy())
    values = mosaic(light, cfa).numpy() * rng.normal(1, 0.02, (images, 32, 32))
    return (values.clip(0, 1) * (2**bits - 1)).round().astype(np.uint16)


def dataset(mosaics, camera, **more):
    count = len(mosaics)
    return RawDataset(
        mosaics=torch.from_numpy(mosaics),
        images=tuple(map(str, range(count))),
        cameras=(camera,),
        camera_index=torch.zeros(count, dtype=torch.long),
        **more,
    )


CAMERA = rd.Camera("c", "RGGB")


def test_unused_bits_are_found():
    (unused,) = unused_bits(dataset(scene(0, bits=12), CAMERA))
    assert (unused.bits, unused.of) == (12, 16)
    assert unused_full(4095)
    assert unused_full(4000)
    assert not unused_full(4100)
    for right in (
        dataset(scene(0), CAMERA),
        dataset(scene(0, bits=12), replace(CAMERA, bit_depth=12)),
        dataset(scene(0, bits=12) << 4, CAMERA),  # left-justified
        dataset(scene(0, bits=12), replace(CAMERA, adc_bits=16)),  # stated
        dataset(scene(0, bits=12), replace(CAMERA, white_level=4095 / 65535)),
        replace(dataset(scene(0, bits=12), CAMERA), intensity=1 / 16),  # dimmed
        dataset(scene(0, level=0.4), CAMERA),
    ):
        assert not list(unused_bits(right))


def unused_full(largest, bit_depth=14):
    values = np.full((1, 4, 4), largest, np.uint16)
    return list(unused_bits(dataset(values, replace(CAMERA, bit_depth=bit_depth))))


@pytest.mark.parametrize("cfa", PATTERNS)
def test_green_sites_that_are_not_are_found(cfa):
    for stated in PATTERNS:
        wrong = list(wrong_greens(dataset(scene(1, cfa), replace(CAMERA, cfa=stated))))
        apart = {cfa, stated} not in ({"RGGB", "BGGR"}, {"GRBG", "GBRG"}) and cfa != stated
        assert bool(wrong) == apart
        if apart:
            assert cfa in wrong[0].alike
        assert not list(
            wrong_greens(dataset(scene(1, cfa, gray=True), replace(CAMERA, cfa=stated)))
        )


def test_flat_and_dark_images_contradict_no_camera():
    for values in (np.zeros((3, 8, 8)), np.full((3, 8, 8), 20000), np.full((3, 7, 9), 65535)):
        data = dataset(values.astype(np.uint16), CAMERA)
        assert not list(wrong_greens(data))


# Checkpoints


class Remembers(nn.Module):
    """Two classes by the color of a normalized view, behind a batch normalization that remembers
    the views of its training. It knows nothing if they are others."""

    def __init__(self, mean, std):
        super().__init__()
        self.first = nn.BatchNorm2d(3, affine=False)
        self.first.running_mean.zero_()
        self.first.running_var.fill_(1.0)

    def forward(self, x):
        x = self.first(x)
        mean, std = x.mean((1, 2, 3)), x.std((1, 2, 3))
        red = (x[:, 0] - x[:, 2]).mean((1, 2))
        known = ((mean.abs() < 1) & (std > 0.3) & (std < 3)).float()
        return torch.stack([red * known, -red * known], 1)


@pytest.fixture
def checkpoint(tmp_path):
    """A trial of the net, with a normalization and a camera, on images that are red or blue."""

    def run(monkeypatch, normalize, camera=CAMERA, twice=False, bits=16):
        rng = np.random.default_rng(5)
        labels = np.arange(80) % 2
        red = np.where(labels == 0, 0.6, 0.3)
        colors = np.stack([red, np.full(80, 0.45), 0.9 - red], 1)[:, :, None, None]
        texture = rng.uniform(0.3, 1.7, (80, 1, 8, 8)).repeat(4, 2).repeat(4, 3)
        light = torch.from_numpy((colors * texture).clip(0, 1))
        values = (mosaic(light, "RGGB").numpy() * (2**bits - 1)).round().astype(np.uint16)
        data = dataset(values, camera, labels=torch.from_numpy(labels), classes=("red", "blue"))
        targets = targets_of(data, rd.Task())
        develop = Develop.static("bi,s,ga", [CAMERA], "luma")
        right = dataset((mosaic(light, "RGGB").numpy() * 65535).astype(np.uint16), CAMERA)
        own = Normalize.of(develop, right, torch.arange(80))
        first = own if normalize == "own" else Normalize.fixed(normalize)
        inner = Remembers(0, 1)
        net = nn.Sequential(first, nn.Sequential(own, inner) if twice else inner).eval()
        if normalize == "own":
            net[0] = own
        monkeypatch.setattr("rawdrift.models.networks.load_checkpoint", lambda *_: net)
        material = Material(data, targets, [Split(np.arange(0), np.arange(80))])
        views = {"bi,s,ga": Develop.static("bi,s,ga", [camera], "luma")}
        experiment = SimpleNamespace(material=material, views=lambda: views)
        spec = SimpleNamespace(task=rd.Task(), seed=0)
        return trust.gather(experiment, spec)

    return run


def test_the_right_input_raises_no_alarm(checkpoint, monkeypatch):
    evidence = checkpoint(monkeypatch, "own")
    assert evidence.findings == []
    assert evidence.tried.given.value == 1
    assert evidence.tried.given.divergence < 0.1
    assert checkpoint(monkeypatch, "none", twice=True).findings == []


def test_a_forgotten_normalization_is_named(checkpoint, monkeypatch):
    (finding,) = checkpoint(monkeypatch, "none").findings
    assert finding.kind == "normalization"
    assert "forgotten" in finding.headline
    assert "task.normalize" in finding.explanation


def test_a_normalization_that_is_applied_twice_is_named(checkpoint, monkeypatch):
    (finding,) = checkpoint(monkeypatch, "own", twice=True).findings
    assert finding.kind == "normalization"
    assert "applied twice" in finding.headline


def test_exchanged_colors_are_named(checkpoint, monkeypatch):
    (finding,) = checkpoint(monkeypatch, "own", camera=replace(CAMERA, cfa="BGGR")).findings
    assert finding.kind == "cfa"
    assert "RGGB" in finding.explanation


def test_other_greens_and_unused_bits_are_named_once(checkpoint, monkeypatch):
    (finding,) = checkpoint(monkeypatch, "own", camera=replace(CAMERA, cfa="GRBG")).findings
    assert finding.kind == "cfa"
    (finding,) = checkpoint(monkeypatch, "own", bits=12).findings
    assert finding.kind == "bits"
    assert "bit_depth" in finding.explanation


# The result


def examined(invented, outcomes, **task):
    """The result of invented runs, with other answers to the own views."""
    result = invented.result()
    result.spec["task"] |= task
    experiment = SimpleNamespace(material=invented.material)
    images = np.arange(len(outcomes))
    return trust.examine(experiment, result, NOTHING, {"bi,s,ga": Matched(images, outcomes)})


def test_the_result_says_what_is_wrong():
    invented = Invented()
    truth = invented.data.labels.numpy()
    rng = np.random.default_rng(0)
    right = examined(invented, truth)
    assert right.findings == []
    assert right.confusions[0].counts == [[150, 0], [0, 150]]
    assert [(c.label, c.n, c.recall.value) for c in right.confusions[0].classes] == [
        ("a", 150, 1), ("b", 150, 1)
    ]  # fmt: skip
    (swapped,) = examined(invented, np.where(rng.random(300) < 0.8, 1 - truth, truth)).findings
    assert swapped.kind == "order"
    assert "“a” and “b” seem to be swapped" in swapped.headline
    assert "[b, a]" in swapped.explanation
    for useless in (np.zeros(300, np.int64), rng.integers(0, 2, 300)):
        assert examined(invented, useless).findings[0].kind == "guessing"


def test_an_expected_value_is_compared():
    invented = Invented()
    truth = invented.data.labels.numpy()
    given = np.where(np.arange(300) % 5 == 0, 1 - truth, truth)  # 0.8
    agrees = examined(invented, given, expected=0.82)
    assert agrees.findings == []
    assert agrees.expected.agrees
    assert "agrees with the expected 0.82" in next(iter(caveats.remarks(agrees)))
    for value, check in ((0.95, "camera"), (0.5, "trained on")):
        (finding,) = examined(invented, given, expected=value).findings
        assert finding.kind == "expected"
        assert f"0.800, not {value:g} as expected" in finding.headline
        assert check in finding.explanation


def masks(outputs, marked, images=20):
    """A material of objects in the middle of images, and the outcomes of answers (N, H, W)."""
    rng = np.random.default_rng(3)
    truth = torch.zeros(images, 16, 16, dtype=torch.uint8)
    for mask in truth:
        row, column = rng.integers(2, 8, 2)
        mask[row : row + 6, column : column + 6] = 1
    data = dataset(np.zeros((images, 16, 16), np.uint16), CAMERA, masks=truth)
    targets = targets_of(data, rd.Task(model="unetplusplus"))
    logits = torch.where(marked(truth.bool()), 1.0, -1.0).unsqueeze(1)
    outcomes = targets.outcome(logits, targets.values).numpy()
    material = Material(data, targets, [Split(np.arange(0), np.arange(images))])
    return material, Matched(np.arange(images), outcomes)


def middle(truth):
    """What a network learns that never looks at the image."""
    marked = torch.zeros_like(truth)
    marked[:, 4:12, 4:12] = True
    return marked


@pytest.mark.parametrize(
    ("marked", "guesses"),
    [
        (lambda truth: torch.ones_like(truth), True),
        (lambda truth: torch.zeros_like(truth), True),
        (middle, True),
        (lambda truth: truth, False),
        (
            lambda truth: truth ^ (torch.rand(truth.shape, generator=torch.manual_seed(0)) < 0.05),
            False,
        ),
    ],
)
def test_masks_are_compared_with_the_best_constant_one(marked, guesses):
    material, matched = masks(1, marked)
    assert bool(list(trust._of_guesses(material, {"net": matched}))) == guesses


def test_near_duplicates_of_several_groups_are_reported():
    mosaics = scene(7, images=6)
    mosaics[4] = mosaics[1] // 2
    groups = ("a", "a", "b", "b", "c", "c")
    data = dataset(mosaics, CAMERA, groups=groups)
    splits = [Split(np.arange(3, 6), np.arange(3)), Split(np.arange(3), np.arange(3, 6))]
    for among in (data, replace(data, groups=None)):
        found = trust._alike(Material(among, None, splits))
        assert (found.images, found.examples) == (2, [["1", "4"]])
    assert trust._alike(Material(replace(data, groups=("a",) * 6), None, splits)) is None


def test_a_page_that_says_first_that_the_model_guesses_does_not_say_it_again():
    majority = SimpleNamespace(label="a", share=0.5)
    data = SimpleNamespace(majority=majority)
    guesses = trust.Finding("guessing", "The model is not better than guessing.", "")
    for findings, metric, beaten in (([], "accuracy", majority), ([guesses], "accuracy", None), ([], "iou", None)):  # fmt: skip
        result = SimpleNamespace(findings=findings, metric=metric, data=data)
        assert caveats.majority_to_beat(result) is beaten
