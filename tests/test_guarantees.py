"""Tests of drops that hold for any number of images: closed forms, simulations, refusals."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, multinomial

import rawdrift as rd
from rawdrift.checks import InputError
from rawdrift.statistics import DropTest, Measure, measures
from rawdrift.statistics.guarantees import largest_share, lost_and_won

CLASSES = measures.classification(2)
MASKS = measures.segmentation(4096)


def drop_test(measure, truth, before, groups=None):
    clusters = np.arange(len(truth)) if groups is None else groups
    features, least = measure.features(before, truth), measure.limits.least(before, truth)
    return DropTest(measure, features, least, clusters)


def test_unchanged_answers_follow_the_rule_of_three():
    for n, margin in ((50, 0.05), (200, 0.02), (1000, 0.01)):
        assert lost_and_won(0, 0, n, margin) == pytest.approx((1 - margin) ** n, abs=2e-4)
    for lost in (1, 5, 10):  # without images won, it is hardly more than a binomial test
        exact = binom.cdf(lost, 1000, 0.02)
        assert exact <= lost_and_won(lost, 0, 1000, 0.02) <= exact + 2e-4
    assert largest_share(0, 200, 0.05) == pytest.approx(1 - 0.05 ** (1 / 200))
    assert largest_share(5, 5, 0.05) == 1


def test_more_images_lost_or_fewer_won_are_less_extreme():
    for n, margin in ((40, 0.1), (300, 0.02), (60, -0.1)):
        for won in (0, 2, 7):
            p_values = [lost_and_won(lost, won, n, margin) for lost in range(12)]
            assert all(a <= b + 1e-9 for a, b in pairwise(p_values))
    assert all(lost_and_won(4, won, 300, 0.02) <= lost_and_won(4, 0, 300, 0.02) for won in range(9))


@pytest.mark.parametrize(("n", "margin"), [(30, 0.1), (40, 0.05), (25, -0.15)])
def test_the_exact_test_is_exact(n, margin):
    """All outcomes of n images are counted, at the margin and beyond it."""
    counts = [(lost, won) for lost in range(n + 1) for won in range(n + 1 - lost)]
    p_values = np.array([lost_and_won(lost, won, n, margin) for lost, won in counts])
    outcomes = np.array([(lost, won, n - lost - won) for lost, won in counts])
    for won in (0.0, 0.01, 0.05, 0.15, 0.4):
        for lost in {max(0.0, won + margin), won + margin + 0.05}:
            if 0 <= lost <= 1 - won and lost - won >= margin - 1e-12:
                chances = multinomial.pmf(outcomes, n, [lost, won, 1 - lost - won])
                for level in (0.05, 0.01):
                    assert chances[p_values <= level].sum() <= level + 1e-6


def rare(rng):
    """Of a class of 20 or 8 images, a fifth is lost: balanced accuracy drops by 0.1."""
    size = int(rng.choice([8, 20]))
    truth = np.repeat([0, 1], [200, size])
    return truth, truth, np.where((truth == 1) & (rng.random(len(truth)) < 0.2), 0, truth), None


def grouped(rng):
    """45 groups, a tenth of which fail as a whole."""
    groups = np.repeat(np.arange(45), rng.integers(2, 7, 45))
    truth = rng.integers(0, 2, len(groups))
    return truth, truth, np.where(rng.random(45)[groups] < 0.1, 1 - truth, truth), groups


def both_ways(rng):
    """One class loses 0.25 of its images, the other wins 0.05: balanced accuracy drops by 0.1."""
    truth = np.repeat([0, 1], [60, 90])
    before = np.where((truth == 1) & (rng.random(150) < 0.3), 0, truth)
    won = (truth == 1) & (before == 0) & (rng.random(150) < 1 / 6)
    lost = (truth == 0) & (rng.random(150) < 0.25)
    return truth, before, np.where(lost, 1, np.where(won, 1, before)), None


@pytest.mark.parametrize(
    ("metric", "draw", "margin"),
    [
        ("balanced_accuracy", rare, 0.1),
        ("balanced_accuracy", both_ways, 0.1),
        ("accuracy", grouped, 0.1),
        ("balanced_accuracy", grouped, 0.1),
    ],
)
def test_a_drop_of_the_margin_is_seldom_ruled_out(metric, draw, margin):
    measure, runs, below = CLASSES[metric], 300, 0
    for seed in range(runs):
        truth, before, after, groups = draw(np.random.default_rng([1, seed]))
        test = drop_test(measure, truth, before, groups)
        below += test.p_value(measure.features(after, truth), margin) <= 0.05
    assert below <= 0.05 * runs


def overlaps(rng, images, failing):
    """Heavy-tailed objects in images of 64 x 64; in some the net marks everything afterwards."""
    area = np.clip(rng.lognormal(6, 1, images), 10, 4000).astype(int)
    hit, size = (0.9 * area).astype(int), area
    fails = rng.random(images) < failing
    before = np.stack([hit, size, area], -1)[:, None]
    after = np.stack([np.where(fails, area, hit), np.where(fails, 4096, size), area], -1)[:, None]
    return before, after


@pytest.mark.parametrize("metric", ["iou", "dice"])
def test_masks_with_heavy_tails(metric):
    measure, below = MASKS[metric], 0
    many = np.stack(overlaps(np.random.default_rng(0), 200_000, 0.02))
    before, after = measure.value(many, np.zeros(200_000, int))
    for seed in range(200):
        rng = np.random.default_rng([2, seed])
        one, other = overlaps(rng, 300, 0.02)
        truth = np.zeros(300, int)
        test = drop_test(measure, truth, one)
        below += test.p_value(measure.features(other, truth), float(before - after)) <= 0.05
    assert below <= 10
    unchanged = test.p_value(measure.features(one, truth), 0.15)
    assert unchanged <= 0.05
    assert abs(test.needed(0.15, unchanged) - 300) <= 1


@pytest.mark.parametrize("metric", CLASSES)
def test_harmless_changes_are_accepted_and_harm_is_rejected(metric):
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 1500)
    before = np.where(rng.random(1500) < 0.9, truth, 1 - truth)
    after = np.where(rng.random(1500) < 0.003, 1 - truth, before)
    found = rd.statistics.accept(truth, before, after, margin=0.03, metric=metric)
    assert found.decision == "accept"
    assert found.p <= 0.05
    assert found.drop == rd.statistics.drop(truth, before, after, metric=metric)
    assert found.needed < 1500
    worse = np.where(rng.random(1500) < 0.3, 1 - truth, before)
    found = rd.statistics.accept(truth, before, worse, margin=0.03, metric=metric)
    assert (found.decision, found.p) == ("reject", 1.0)
    few = rd.statistics.accept(truth[:40], before[:40], before[:40], metric=metric)
    assert few.decision == "undecided"
    assert few.p > 0.05
    assert few.needed > 40
    groups = np.arange(1500) // 100
    assert rd.statistics.accept(truth, before, before, groups=groups).decision == "undecided"


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize("group", [1, 4])
def test_as_many_as_needed_suffice(metric, group):
    truth = np.arange(80) % 2
    needed = rd.statistics.accept(
        truth, truth, truth, 0.05, groups=np.arange(80) // group, metric=metric
    ).needed
    for count, decision in ((needed + 2, "accept"), (needed - 2, "undecided")):
        truth = np.arange(count * group) % 2
        groups = np.arange(count * group) // group
        found = rd.statistics.accept(truth, truth, truth, 0.05, groups=groups, metric=metric)
        assert found.decision == decision


def test_what_has_no_bounds_is_refused():
    truth = np.arange(20) % 2
    unknown = Measure(CLASSES["accuracy"].features, CLASSES["accuracy"].of)
    with pytest.raises(InputError, match="give a rawdrift.statistics.Measure with limits"):
        DropTest(unknown, unknown.features(truth, truth), None, np.arange(20))
    large = measures.mean_over_images(lambda answers, truth: 3.0 * (answers == truth))
    with pytest.raises(InputError, match="values from 3 to 3; bounds that hold"):
        drop_test(large, truth, truth)
    for wrong in ({"margin": 0}, {"alpha": 0.7}, {"margin": "0.1"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            rd.statistics.accept(truth, truth, truth, **wrong)
