"""Score intervals against closed forms and exact coverage; orders, ranks and ratios."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from rawdrift.statistics import Interval, estimate, measures
from rawdrift.statistics.rankings import agreement, order, rank_bounds, ratio

ACCURACY = measures.classification(2)["accuracy"]


def accuracies(right):
    """Estimate the accuracies of answers (..., N), which are right (1) or wrong (0)."""
    right = np.asarray(right, dtype=int)
    features = ACCURACY.features(right, np.ones(right.shape[-1], int))
    return estimate(ACCURACY, features, np.arange(right.shape[-1]))


@pytest.mark.parametrize("share", [0.6, 0.9, 1.0])
def test_a_share_has_wilsons_lower_bound(share):
    found = accuracies(np.arange(400) < 400 * share)
    low, high = found.bounds(1.959964)
    expected = stats.binomtest(int(400 * share), 400).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected[0], abs=1e-4)
    assert high == 1 if share == 1 else high > expected[1] - 1e-4
    mirrored = accuracies(np.arange(400) >= 400 * share)
    assert mirrored.bounds(1.959964) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("n", [10, 30])
def test_the_exact_coverage_of_drops_in_accuracy_is_as_promised(n):
    """Over all shares of images that are lost and won; the coverage is summed, not simulated."""
    lost, won = np.array([(a, b) for a in range(n + 1) for b in range(n + 1 - a)]).T
    image = np.arange(n)
    before = ~((image >= lost[:, None]) & (image < (lost + won)[:, None]))
    after = image >= lost[:, None]
    drops = accuracies(before) - accuracies(after)
    np.testing.assert_allclose(drops.values, (lost - won) / n, atol=1e-12)
    low, high = drops.bounds(drops.critical(0.975))
    shares = [0, *np.geomspace(0.05 / n, 1, 24)]
    for a in shares:
        for b in shares:
            if a + b <= 1:
                chance = stats.multinomial.pmf(
                    np.stack([lost, won, n - lost - won], -1), n, [a, b, max(0, 1 - a - b)]
                )
                covered = (low <= a - b + 1e-12) & (a - b <= high + 1e-12)
                assert chance[covered].sum() > 0.935, (a, b)


def test_the_variance_is_that_of_the_delta_method():
    rng = np.random.default_rng(0)
    sizes = np.rint(100 * np.exp(rng.standard_normal(400)))
    found = np.rint(sizes * rng.uniform(0.5, 1, 400))
    outcomes = np.stack([found, found, sizes], -1)[:, None].astype(int)
    iou = measures.segmentation()["iou"]
    made = estimate(iou, iou.features(outcomes, np.zeros(400)), np.arange(400))
    value = found.sum() / sizes.sum()
    assert made.values == pytest.approx(value)
    expected = ((found - value * sizes) ** 2).sum() / sizes.sum() ** 2
    assert (made.influence**2).sum() == pytest.approx(expected, rel=0.05)
    assert made.weight == pytest.approx((sizes**2).sum() / sizes.sum() ** 2)


def spoiled(rng, images, share):
    """Masks of about a twentieth of 4096 pixels; in a share of images all pixels are marked."""
    area = np.clip(rng.lognormal(5.2, 0.7, images), 1, 4096).astype(int)
    before = np.stack([np.rint(0.9 * area)] * 2 + [area], -1)
    after = before.copy()
    after[rng.random(images) < share, 1] = 4096
    return np.stack([before, after])[:, :, None].astype(int)


@pytest.mark.parametrize("metric", ["iou", "dice"])
def test_images_that_are_marked_wholly_may_be_unseen(metric):
    """One image in a hundred counts as much as 13 others, and 60 images may show none."""
    measure = measures.segmentation(4096)[metric]
    drop, level = measure.value(spoiled(np.random.default_rng(0), 10**6, 0.01), np.zeros(10**6))
    drop -= level
    covered = 0
    for seed in range(100):
        outcomes = spoiled(np.random.default_rng([1, seed]), 60, 0.01)
        found = estimate(measure, measure.features(outcomes, np.zeros(60)), np.arange(60))
        of_drop, of_level = (found[0] - found[1]).interval(), found[1].interval()
        covered += of_drop.low <= drop <= of_drop.high and of_level.low <= level <= of_level.high
    assert covered >= 93


def test_a_drop_of_masks_that_is_shown_is_not_hidden_by_what_may_be_unseen():
    outcomes = np.full((2, 100, 1, 3), 200)
    outcomes[1, :, :, :2] = 180
    iou = measures.segmentation(4096)["iou"]
    found = estimate(iou, iou.features(outcomes, np.zeros(100)), np.arange(100))
    drop = (found[0] - found[1]).interval()
    assert 0.05 < drop.low < drop.value < drop.high
    assert drop.high - drop.value > 5 * (drop.value - drop.low)


def test_p_values_are_below_a_level_where_intervals_exclude_zero():
    image = np.arange(300)
    lost = (0, 1, 5, 6, 7, 9, 12, 20)
    found = accuracies(np.stack([image >= count for count in lost]))
    drops = found[:1] - found
    p, corrected = drops.p_values()
    assert (p[0], corrected[0]) == (1, 1)
    assert (p <= corrected).all()
    assert ((p < 0.05) == (drops.bounds(drops.critical(0.975))[0] > 0)).all()
    assert ((corrected < 0.05) == (drops.simultaneous(0.95)[0] > 0)).all()
    assert p[2] > 0.05 > p[3]
    assert corrected[4] > 0.05 > corrected[-1]


def test_clusters_of_all_classes_weigh_as_one_and_rare_classes_more():
    truth = np.arange(60) % 3
    balanced = measures.classification(3)["balanced_accuracy"]
    features = balanced.features(truth, truth)
    assert estimate(balanced, features, np.arange(60) // 6).weight == pytest.approx(1 / 10)
    assert estimate(balanced, features, np.arange(60)).weight == pytest.approx(1 / 60)
    rare = np.array([0] * 52 + [1] * 8)
    features = balanced.features(rare, rare)
    assert estimate(balanced, features, np.arange(60)).weight == pytest.approx(1 / 16)


def test_sums_of_estimates_are_estimates_of_sums():
    right = np.random.default_rng(1).random((3, 50)) < 0.8
    found = accuracies(right)
    for same in (found[0] - found[1], found[:2].combined([1, -1])):
        assert same.values == pytest.approx(right[0].mean() - right[1].mean())
        assert (same.least, same.most) == (-1, 1)
    drops = found[0][None] - found[1:]
    assert drops.mean().values == pytest.approx(drops.values.mean())
    np.testing.assert_allclose(drops.mean().influence, drops.influence.mean(0))
    assert drops.mean().interval() == drops.combined([0.5, 0.5]).interval()


def test_one_group_leaves_everything_possible():
    truth = np.ones(20, int)
    found = estimate(ACCURACY, ACCURACY.features(truth, truth), np.zeros(20, int))
    assert found.interval() == Interval(1, 0, 1)
    assert (found - found).interval() == Interval(0, -1, 1)


def test_a_users_measure_has_the_span_that_its_values_show():
    cost = measures.mean_over_images(lambda answers, truth: -3.0 * (answers != truth))
    wrong = np.zeros((2, 50), int)
    wrong[1, :5] = 1
    found = estimate(cost, cost.features(wrong, np.zeros(50, int)), np.arange(50))
    drop = (found[0] - found[1]).interval()
    assert drop.value == pytest.approx(0.3)
    assert drop.low < 0.3 < drop.high < 1.2
    assert not found.bounded


def test_bounds_that_hold_together_are_bonferronis_for_what_is_independent():
    rng = np.random.default_rng(2)
    independent = accuracies(rng.random((10, 400)) < 0.8)
    same = accuracies(np.tile(rng.random(400) < 0.8, (10, 1)))
    alone = independent.critical(0.975)
    bonferroni = independent.critical(1 - 0.025 / 10)
    assert independent.critical_of_all(0.95) == pytest.approx(bonferroni, rel=0.03)
    assert same.critical_of_all(0.95) == pytest.approx(alone, rel=0.04)
    assert independent[:1].critical_of_all(0.95) == alone
    assert independent.critical_of_all(0.95) == independent.critical_of_all(0.95, seed=0)


def test_ranks_are_told_where_the_data_tell_them():
    image = np.arange(500)
    found = accuracies(np.stack([image >= wrong for wrong in (10, 150, 152, 300)]))
    low, high = rank_bounds(order(found))
    assert low.tolist() == [1, 2, 2, 4]
    assert high.tolist() == [1, 3, 3, 4]
    assert rank_bounds(order(found[:1])) == (1, 1)


def test_agreement_holds_all_orders_that_are_possible():
    image = np.arange(500)
    clear = accuracies(np.stack([image >= wrong for wrong in (10, 150, 300)]))
    close = accuracies(np.stack([image >= wrong for wrong in (150, 151, 300)]))
    assert agreement(clear, clear) == Interval(1, 1, 1)
    assert agreement(clear, clear[::-1]) == Interval(-1, -1, -1)
    assert agreement(clear, close) == Interval(1, pytest.approx(1 / 3), 1)
    assert agreement(clear, clear[[0, 0, 0]]) is None


def test_a_ratio_is_bounded_where_its_divisor_is_above_zero():
    image = np.arange(1000)
    right, one, other = accuracies(np.stack([image >= wrong for wrong in (0, 200, 100)]))[:, None]
    drops = [(right - after)[0] for after in (one, other)]
    found = ratio(*drops)
    assert found.value == pytest.approx(2)
    assert 1.4 < found.low < 2 < found.high < 3
    backward = ratio(*drops[::-1])
    assert (1 / backward.high, 1 / backward.low) == pytest.approx((found.low, found.high), rel=1e-6)
    assert ratio(drops[0], (right - right)[0]) is None


def test_a_ratio_of_drops_whose_weights_differ_has_an_interval_or_none():
    """One prediction that is much larger than all masks makes the weight of one drop alone grow."""
    found = []
    for size in (100, 1000, 20_000):
        counts = np.zeros((3, 60, 1, 3), np.int64)
        counts[..., 2], counts[0] = 100, 100  # masks of 100 pixels, and they are all found
        counts[1, :, :, :2], counts[2, :, :, :2] = 85, 80
        counts[2, 0, :, 1] = size
        iou = measures.segmentation()["iou"]
        values = estimate(iou, iou.features(counts, np.zeros(60, int)), np.arange(60))
        drops = [(values[:1] - values[k : k + 1])[0] for k in (2, 1)]
        found.append(ratio(*drops))
    assert found[0].low < found[0].value < found[0].high
    assert found[-1] is None


def test_intervals_hold_their_value_and_grow_with_confidence():
    rng = np.random.default_rng(3)
    for share in (0.0, 0.02, 0.5, 1.0):
        found = accuracies(rng.random((20, 35)) < share)
        for estimates in (found, found[:1] - found[1:]):
            bounds = [estimates.bounds(estimates.critical(c)) for c in (0.6, 0.9, 0.975, 0.999)]
            for (low, high), (lower, higher) in pairwise(bounds):
                assert (lower <= low).all()
                assert (low <= estimates.values).all()
                assert (estimates.values <= high).all()
                assert (high <= higher).all()
