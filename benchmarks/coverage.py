"""How often what rawdrift claims is true: simulated data sets whose truth is known.

    python -m benchmarks.coverage [--only WORD] [--runs 1000] [--processes 2] [--write]

A claim is a function that draws one data set and says whether the claim held there. To add one,
write the function and yield a line in `_claims`. `--write` puts what was measured into the table of
docs/explanation/coverage.md, in place of earlier lines of the same claims, so that it can be
measured in pieces.
"""

import argparse
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import rawdrift as rd
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.chain import Chain, Score
from rawdrift.controls.forensics.gradient_search import search_of
from rawdrift.controls.forensics.joint import Box, corners_of
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.forensics.tolerance import envelope_of
from rawdrift.controls.trust import EXPECTED
from rawdrift.statistics import DropTest, Estimates, Interval, estimate, measures, sanity
from rawdrift.statistics.rankings import order, rank_bounds, ratio
from rawdrift.statistics.trainings import Trainings, repeated

DOC = Path(__file__).parents[1] / "docs" / "explanation" / "coverage.md"
CONFIDENCE = 0.95
MANY = 200_000  # images that stand for the population

Rng = np.random.Generator
Array = NDArray[Any]


class Claim(NamedTuple):
    """A statement that we print. holds: draws a data set, and says whether the statement is true.

    runs: data sets of the full table. promised: in what share of data sets it holds, at least.
    """

    what: str
    holds: Callable[[Rng], bool]
    runs: int = 1000
    promised: float = CONFIDENCE


class Measured(NamedTuple):
    claim: str
    promised: float
    share: float
    error: float
    runs: int


def measure(number: int, runs: int | None = None) -> Measured:
    """Measure a claim of the table; its data sets depend on its words alone."""
    claim = CLAIMS[number]
    runs = runs or claim.runs
    seed = zlib.crc32(claim.what.encode())
    held = sum(bool(claim.holds(np.random.default_rng([seed, run]))) for run in range(runs))
    share = held / runs
    # The error of Agresti and Coull's estimate: not 0 where all runs or none hold.
    shrunk = (held + 2) / (runs + 4)
    return Measured(
        claim.what, claim.promised, share, math.sqrt(shrunk * (1 - shrunk) / runs), runs
    )


# Drops of classes.


class Changes(NamedTuple):
    """Classes with `counts` images; of each class a share is `right` before, of these a share is
    `lost`, and of the wrong ones a share is `won`: one number for all classes or one for each."""

    counts: tuple[int, ...]
    right: tuple[float, ...] | float
    lost: tuple[float, ...] | float
    won: tuple[float, ...] | float

    def draw(self, rng: Rng, times: int = 1) -> tuple[Array, Array, Array]:
        """Draw right answers, and those before and after."""
        classes = len(self.counts)
        truth = np.repeat(np.arange(classes), np.array(self.counts) * times)
        right, lost, won = (np.broadcast_to(x, classes)[truth] for x in self[1:])
        before = rng.random(len(truth)) < right
        after = np.where(before, rng.random(len(truth)) >= lost, rng.random(len(truth)) < won)
        wrong = (truth + rng.integers(1, max(classes, 2), len(truth))) % max(classes, 2)
        return truth, np.where(before, truth, wrong), np.where(after, truth, wrong)


def covers(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def drop_of_classes(rng: Rng, changes: Changes, metric: str) -> bool:
    before, after = metric_before_and_after(changes, metric)
    return covers(rd.statistics.drop(*changes.draw(rng), metric), before - after)


@cache
def metric_before_and_after(changes: Changes, metric: str) -> tuple[float, float]:
    """Compute a metric of the population."""
    truth, *answers = changes.draw(np.random.default_rng(0), MANY // sum(changes.counts))
    one = measures.classification(max(2, len(changes.counts)))[metric]
    before, after = one.of(np.stack([one.features(x, truth).sum(0) for x in answers]))
    right, lost, won = (np.broadcast_to(x, len(changes.counts)) for x in changes[1:])
    if metric != "macro_f1":  # of the others, the mean is known
        weights = changes.counts if metric == "accuracy" else None
        before = np.average(right, weights=weights)
        after = np.average(right * (1 - lost) + (1 - right) * won, weights=weights)
    return float(before), float(after)


# Drops of masks.


class Areas(NamedTuple):
    """Masks with lognormal areas. Each loses up to a share `each` of its pixels, and a share
    `rare` of the images loses its whole mask. In a share `spoiled`, all pixels are marked after."""

    sigma: float
    each: float
    rare: float
    spoiled: float = 0.0

    def shares(self, rng: Rng, images: int) -> tuple[Array, Array, Array]:
        """Draw areas in pixels, and the shares of them that are found before and after."""
        areas = np.clip(200 * np.exp(self.sigma * rng.standard_normal(images)), 1, 4096).astype(int)
        before = rng.uniform(0.8, 1, images)
        after = before * (1 - rng.uniform(0, self.each, images))
        return areas, before, np.where(rng.random(images) < self.rare, 0, after)

    def masks(self, rng: Rng, images: int) -> tuple[Array, ...]:
        areas, *shares = self.shares(rng, images)
        pixels = np.arange(4096).reshape(64, 64)
        sizes = [areas, *(np.rint(share * areas) for share in shares)]
        sizes[2] = np.where(rng.random(images) < self.spoiled, pixels.size, sizes[2])
        return tuple(pixels < size[:, None, None] for size in sizes)


def drop_of_masks(rng: Rng, areas: Areas, images: int, metric: str) -> bool:
    before, after = found_of_masks(areas)
    if metric == "dice":
        before, after = 2 * before / (1 + before), 2 * after / (1 + after)
    return covers(rd.statistics.drop(*areas.masks(rng, images), metric), before - after)


@cache
def found_of_masks(areas: Areas) -> tuple[float, float]:
    """Return the shares of all pixels of masks that are found in the population, which are IoUs."""
    sizes, *shares = areas.shares(np.random.default_rng(0), 20 * MANY)
    before, after = ((share * sizes).round().sum() for share in shares)
    spoiled, whole, all_pixels = areas.spoiled, sizes.sum(), 4096 * len(sizes)
    after = ((1 - spoiled) * after + spoiled * whole) / (
        (1 - spoiled) * whole + spoiled * all_pixels
    )
    return float(before / whole), float(after)


# Drops of groups.


class Groups(NamedTuple):
    """Groups of images. sizes: "equal", of 20; "uneven", lognormal. The share of right answers
    varies between groups with an intraclass correlation `alike`, as does the share of these that
    is lost, with mean `lost`; 1: all images of a group are alike."""

    count: int
    sizes: str
    alike: float
    lost: float

    def draw(self, rng: Rng, count: int | None = None) -> tuple[Array, Array, Array]:
        """Draw which answers are right before and after, and the group of each."""
        count = count or self.count
        sizes = np.full(count, 20)
        if self.sizes == "uneven":
            sizes = np.maximum(1, 12 * np.exp(rng.standard_normal(count))).astype(int)
        group = np.repeat(np.arange(count), sizes)
        right, kept = self._of_groups(rng, 0.9, count), self._of_groups(rng, 1 - self.lost, count)
        before = rng.random(len(group)) < right[group]
        return before, before & (rng.random(len(group)) < kept[group]), group

    def _of_groups(self, rng: Rng, mean: float, count: int) -> Array:
        if self.alike == 1:
            return (rng.random(count) < mean).astype(float)
        both = 1 / self.alike - 1
        return rng.beta(mean * both, (1 - mean) * both, count)


def drop_of_groups(rng: Rng, groups: Groups) -> bool:
    before, after, group = groups.draw(rng)
    found = rd.statistics.drop(np.ones(len(group), int), before, after, groups=group.tolist())
    return covers(found, 0.9 * groups.lost)


# The largest of many drops, ranks, ratios and metrics.


def largest_drop(
    rng: Rng, images: int, lost: Sequence[float], churn: float = 0.02, alike: float = 0.0
) -> bool:
    """Tests of one model with 85 % right answers, each with a true drop of `lost` * 0.85; a share
    `alike` of the images has the same luck in all tests."""
    right = rng.random(images) < 0.85
    luck = rng.random((2, images))
    after = []
    for share in lost:
        same = rng.random(images) < alike
        own = np.where(same, luck, rng.random((2, images)))
        kept, won = own[0] >= share + churn, own[1] < churn * 0.85 / 0.15
        after.append(np.where(right, kept, won))
    truth = np.ones(images, int)
    _, found = rd.statistics.largest_drop(truth, right, after, seed=int(rng.integers(2**31)))
    return covers(found, 0.85 * max(lost))


def none_is_shown(rng: Rng, images: int, tests: int, groups: int = 0) -> bool:
    """Tests that lose and win as many images each: none is called a drop."""
    cluster = rng.integers(0, groups, images) if groups else np.arange(images)
    cluster = np.unique(cluster, return_inverse=True)[1]
    right = rng.random(images) < 0.85
    luck = rng.random((2, tests, cluster.max() + 1))[:, :, cluster]
    after = np.where(right, luck[0] >= 0.05, luck[1] < 0.05 * 0.85 / 0.15)
    accuracy = measures.classification(2)["accuracy"]
    features = accuracy.features(np.vstack([right, after]).astype(int), np.ones(images, int))
    values = estimate(accuracy, features, cluster)
    low, _ = (values[:1] - values[1:]).simultaneous(CONFIDENCE, int(rng.integers(2**31)))
    return not (low > 0).any()


def of_shared_images(right: Array) -> Estimates:
    """Estimate the accuracies of models (M, N), which are right or wrong on the same images."""
    accuracy = measures.classification(2)["accuracy"]
    features = accuracy.features(right.astype(int), np.ones(right.shape[1], int))
    return estimate(accuracy, features, np.arange(right.shape[1]))


def ranks(rng: Rng, images: int, models: int, step: float) -> bool:
    """All ranks of models whose true accuracies fall by `step` from one to the next; if it is 0,
    every rank is as true as any other."""
    own = rng.random((models, images))
    luck = np.where(rng.random((models, images)) < 0.7, rng.random(images), own)
    low, high = rank_bounds(order(of_shared_images(luck < 0.9 - step * np.arange(models)[:, None])))
    rank = np.arange(1, models + 1)
    first, last = (rank, rank) if step else (1, models)
    return bool(((low <= first) & (last <= high)).all())


def ratio_of_drops(rng: Rng, images: int, one: float, other: float) -> bool:
    """The ratio of two drops of one model, where one is printed at all."""
    right = rng.random(images) < 0.9
    after = [right & (rng.random(images) >= share) for share in (one, other)]
    found = of_shared_images(np.array([right, *after]))
    interval = ratio(found[0] - found[1], found[0] - found[2])
    return interval is None or covers(interval, one / other)


# Releases and envelopes.


def refuses_classes(rng: Rng, changes: Changes, metric: str) -> bool:
    """A drop of exactly the margin is not accepted."""
    before, after = metric_before_and_after(changes, metric)
    answers = changes.draw(rng)
    return rd.statistics.accept(*answers, before - after, metric=metric).decision != "accept"


def refuses_masks(rng: Rng, areas: Areas, images: int) -> bool:
    before, after = found_of_masks(areas)
    answers = areas.masks(rng, images)
    return rd.statistics.accept(*answers, before - after, metric="iou").decision != "accept"


def refuses_groups(rng: Rng, groups: Groups) -> bool:
    before, after, group = groups.draw(rng)
    found = rd.statistics.accept(
        np.ones(len(group), int), before, after, 0.9 * groups.lost, groups=group.tolist()
    )
    return found.decision != "accept"


class Gains(nn.Module):
    """Is wrong where a gain of R, G or B is beyond what the two corners of the image allow, (of
    mosaics of `with_limits`)."""

    def forward(self, view: Tensor) -> Tensor:
        x = view.clamp(min=1e-6) ** 2.2
        fails = (x[:, :, 1, 1] > 0.3).any(1) | (x[:, :, 6, 6] < 0.3).any(1)
        answer = torch.where(x[:, 1, 1, 6] > 0.3, 1.0, -1.0) * torch.where(fails, -1.0, 1.0)
        return torch.stack([-answer, answer], 1)


FLAT = rd.Camera("flat", "RGGB", (0.0,) * 4, white_balance=(1.0,) * 3, gamma=2.2)
FLAT_ISP = rd.isp.static("bi,s,ga", FLAT).remove("sharpen").remove("denoise")
FAILING = 0.3  # of the images, by a change of a gain of 0.2, for each gain and direction


def with_limits(rng: Rng, images: int) -> list[tuple[Tensor, int]]:
    """Draw mosaics that fail above a gain, and below one, for each of R, G and B."""
    labels = np.arange(images) % 2
    above, below = rng.random((2, images, 3))
    high = 0.3 / np.where(above < FAILING, 1 + 0.2 * above / FAILING + 1e-5, 2.0)
    low = 0.3 / np.where(below < FAILING, 1 - 0.2 * below / FAILING - 1e-5, 0.5)
    mosaics = np.full((images, 8, 8), 0.1, np.float32)
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        mosaics[:, row:4:2, column:4:2] = high[:, channel, None, None]
        mosaics[:, 4 + row :: 2, 4 + column :: 2] = low[:, channel, None, None]
    mosaics[:, :4, 4:] = np.where(labels, 0.7, 0.1)[:, None, None]
    return [*zip(torch.from_numpy(mosaics), labels.tolist(), strict=True)]


def envelope_of_gains(rng: Rng, images: int, axes: int, max_drop: float) -> bool:
    """All ends, the corners of the box and the share of cameras that lose too much."""
    names = [f"white_balance.gains[{i}]" for i in range(axes)]
    space = rd.forensics.ParameterSpace.around(FLAT_ISP, dict.fromkeys(names, (0.8, 1.2)))
    safe = rd.forensics.envelope(
        Gains(), FLAT_ISP, with_limits(rng, images), space, max_drop=max_drop, cameras=60,
        seed=int(rng.integers(2**31)),
    )  # fmt: skip

    def loss(gains: Array) -> Array:
        """The drop of the population at gains (..., D)."""
        return 1 - (1 - FAILING * np.abs(gains - 1) / 0.2).prod(-1)

    most = max_drop + 1e-4
    ends = [end for one in safe.tolerances.values() for end in (one.low, one.high)]
    low, high = np.array([*safe.box.values()]).T
    drawn = rng.uniform(low, high, (5000, axes))
    return bool(
        loss(np.array(ends)[:, None]).max() <= most
        and loss(np.where(high - 1 > 1 - low, high, low)) <= most
        and (loss(drawn) > most).mean() <= safe.validation.share.high
    )


def metric_of_classes(rng: Rng, changes: Changes, metric: str) -> bool:
    truth, before, _ = changes.draw(rng)
    of_classes = measures.classification(max(2, len(changes.counts)))[metric]
    found = estimate(of_classes, of_classes.features(before, truth), np.arange(len(truth)))
    return covers(found.interval(), metric_before_and_after(changes, metric)[0])


def metric_of_masks(rng: Rng, areas: Areas, images: int) -> bool:
    sizes, before, _ = areas.shares(rng, images)
    pixels = np.rint(before * sizes)
    outcomes = np.stack([pixels, pixels, sizes], -1)[:, None].astype(int)
    iou = measures.segmentation(4096)["iou"]
    found = estimate(iou, iou.features(outcomes, np.zeros(images)), np.arange(images)).interval()
    return covers(found, found_of_masks(areas)[0])


def metric_of_groups(rng: Rng, groups: Groups) -> bool:
    before, _, group = groups.draw(rng)
    accuracy = measures.classification(2)["accuracy"]
    features = accuracy.features(before.astype(int), np.ones(len(group), int))
    return covers(estimate(accuracy, features, group).interval(), 0.9)


# Settings that were trained with several seeds.


class Seeds(NamedTuple):
    """Settings in folds that are trained several times. Whether an answer is right depends on the
    image, on luck, on the seed of its training, and on the training images of its fold."""

    images: int
    folds: int
    repeats: int
    seeds: float
    sets: float = 0.0

    def draw(self, rng: Rng, ability: Array) -> Trainings:
        """Estimate the accuracy of a setting on images of this ability to be recognized."""
        fold = np.arange(self.images) % self.folds
        of_fold = self.sets * rng.standard_normal(self.folds)
        accuracy, features = measures.classification(2)["accuracy"], []
        for _ in range(self.repeats):
            moved = of_fold + self.seeds * rng.standard_normal(self.folds)
            right = ability + moved[fold] + 0.5 * rng.standard_normal(self.images) > 0
            features.append(accuracy.features(right.astype(int), np.ones(self.images, int)))
        return repeated(accuracy, features, np.arange(self.images), fold)


def no_gain(rng: Rng, seeds: Seeds) -> bool:
    """Two settings that differ by nothing but their seeds, and what they made of their sets."""
    ability = rng.normal(1.3, 1, seeds.images)
    gain = seeds.draw(rng, ability) - seeds.draw(rng, ability)
    return covers(gain.interval(), 0)


# Envelopes and searches of networks whose weakness is known.

SPOILED = 4096  # pixels of an image


class Weak(NamedTuple):
    """A network that changes its answer to some images as a camera leaves its setting, in D axes
    from -1 to 1 around it.

    An image changes where an axis goes beyond what it tolerates, which is drawn for each axis and
    direction: at an end of an axis a share `fails` of the images has changed, for each class. In a
    region of the box, a share `harm` changes besides. Images that are right before are wrong then;
    if there are `groups`, of uneven sizes, all images of a group change together. Masks are marked
    wholly then.

    counts: images of each class. right: the share of right answers before. region: (M, D) settings
    to whether they lie in it. churn: of images that are right or wrong by chance, anew at each
    setting, so that none harms.
    """

    counts: tuple[int, ...]
    axes: int
    fails: tuple[float, ...] = (0.0,)
    metric: str = "accuracy"
    right: float = 1.0
    groups: int = 0
    region: Callable[[Array], Array] | None = None
    harm: float = 0.0
    churn: float = 0.0

    @property
    def space(self) -> ParameterSpace:
        return ParameterSpace(tuple(Axis(f"x{i}", 0.0, -1.0, 1.0) for i in range(self.axes)))

    @property
    def measure(self) -> measures.Measure:
        if self.metric == "iou":
            return measures.segmentation(SPOILED)["iou"]
        return measures.classification(max(2, len(self.counts)))[self.metric]

    def changed(self, settings: Array) -> Array:
        """The share of images of each class (M, C) that has changed at settings (M, D)."""
        kept = (1 - np.abs(settings)[..., None] * np.array(self.fails)).prod(-2)
        inside = 0.0 if self.region is None else self.harm * self.region(settings)[:, None]
        return np.broadcast_to(1 - kept * (1 - inside), (len(settings), len(self.counts)))

    def loss(self, settings: Array) -> Array:
        """The drop of the population (M,) at settings (M, D)."""
        changed = self.changed(settings)
        if self.metric == "iou":
            share, mean = changed[:, 0], mean_area()
            union = (1 - share) * mean + share * SPOILED
            return 0.9 - ((1 - share) * 0.9 * mean + share * mean) / union
        weights = None if self.metric == "balanced_accuracy" else np.array(self.counts)
        return self.right * np.average(changed, axis=-1, weights=weights)

    def draw(self, rng: Rng) -> "WeakChain":
        """Draw images, or groups of them, and what each tolerates."""
        truth = rng.permutation(np.repeat(np.arange(len(self.counts)), self.counts))
        cluster = np.arange(len(truth))
        if self.groups:
            shares = rng.dirichlet(np.full(self.groups, 3.0))
            cluster = np.sort(rng.choice(self.groups, len(truth), p=shares))
            cluster = np.unique(cluster, return_inverse=True)[1]
        of, fails = cluster.max() + 1, np.array(self.fails)
        fails = fails[0] if self.groups or len(fails) == 1 else fails[truth][:, None, None]
        with np.errstate(divide="ignore"):
            tolerance = rng.random((of, 2, self.axes)) / fails
        is_right = rng.random(len(truth)) < self.right
        areas = lognormal_areas(rng, len(truth))
        return WeakChain(self, truth, cluster, tolerance[cluster], rng.random(of)[cluster],
                         is_right, areas)  # fmt: skip


def lognormal_areas(rng: Rng, images: int) -> Array:
    return np.clip(600 * np.exp(0.7 * rng.standard_normal(images)), 10, SPOILED).astype(int)


@cache
def mean_area() -> float:
    return float(lognormal_areas(np.random.default_rng(0), 20 * MANY).mean())


class WeakChain(Chain):
    """Images and a `Weak` network, as searches and envelopes see them."""

    def __init__(self, weak: Weak, truth: Array, cluster: Array, *of_images: Array):
        self.weak, self.answers, self.clusters = weak, truth, cluster
        everything = (torch.arange(len(truth)),)
        self.seed = int(1e9 * of_images[1].sum())  # of what is drawn for these images
        self.of_images = of_images
        self.tolerance, self.luck, self.right, self.areas = of_images
        self.metric, self.measure, self.distance = weak.metric, weak.measure, "l2"
        self.targets = SimpleNamespace(of_classes=weak.metric != "iou")
        self.truth, self.asked = torch.from_numpy(truth), 0
        self._known = {}
        self.orders = {"stored": everything, "doubtful": everything, "surest": everything}
        self.baseline = self.score(None)

    per_step = 3
    ascends = True

    def take(self, images: Array) -> "WeakChain":
        cluster = np.unique(self.clusters[images], return_inverse=True)[1]
        each = [of[images] for of in self.of_images]
        return WeakChain(self.weak, self.answers[images], cluster, *each)

    def score(self, space: Any, setting: Any = None) -> Score:
        at = np.zeros(self.weak.axes)
        if setting is not None:
            at[[int(name[1:]) for name in space.names]] = setting
        changed = (np.stack([at, -at]) > self.tolerance).any((1, 2))
        if self.weak.harm and self.weak.region is not None and self.weak.region(at[None])[0]:
            changed = changed | (self.luck < self.weak.harm)
        if self.weak.churn:
            chance = np.random.default_rng([zlib.crc32(at.tobytes()), self.seed])
            changed = changed | (chance.random(len(changed)) < self.weak.churn)
        outcomes = self._outcomes(changed)
        features = self.measure.features(outcomes, self.answers)
        metric = float(self.measure.of(features.sum(0)))
        self.asked += 1
        return Score(float(changed.mean()), metric, 0.0, features, outcomes)

    exact = score

    def values(self, space: Any, setting: Any) -> Any:
        return space, setting

    def outcomes(self, batch: Any, values: Any, where: str) -> Any:
        return torch.from_numpy(self.score(*values).outcomes)

    def slope(self, space: Any, setting: Any, regularization: float) -> Any:
        return self.score(space, setting), np.zeros(len(space))

    def drop_test(self) -> DropTest:
        right = self._outcomes(np.zeros(len(self.answers), bool), True)
        least = self.measure.limits.least(right, self.answers)
        return DropTest(self.measure, self.baseline.features, least, self.clusters)

    def _outcomes(self, changed: Array, is_right: Any = None) -> Array:
        if self.metric == "iou":
            found = np.rint(0.9 * self.areas).astype(int)
            hits = np.where(changed, self.areas, found)
            return np.stack([hits, np.where(changed, SPOILED, found), self.areas], -1)[:, None]
        right = (self.right if is_right is None else is_right) & ~changed
        return np.where(right, self.answers, (self.answers + 1) % max(2, len(self.weak.counts)))


def envelope_holds(rng: Rng, weak: Weak, max_drop: float, cameras: int = 60) -> bool:
    """All that an envelope states: of its ends, of the corners of the box, and of its cameras."""
    seed = int(rng.integers(2**31))
    safe = envelope_of(weak.draw(rng), weak.space, max_drop, cameras=cameras, seed=seed)
    ends = np.zeros((2 * weak.axes, weak.axes))
    for i, one in enumerate(safe.tolerances.values()):
        ends[2 * i, i], ends[2 * i + 1, i] = one.low, one.high
    most = max_drop + 1e-9
    holds = weak.loss(ends).max() <= most
    if safe.validation.cameras:
        low, high = np.array([*safe.box.values()]).T
        corners, _ = corners_of(Box(low, high))
        drawn = rng.uniform(low, high, (2000, weak.axes))
        holds &= weak.loss(corners).max() <= most
        holds &= (weak.loss(drawn) > most).mean() <= safe.validation.share.high
    return bool(holds)


def drop_of_search(rng: Rng, weak: Weak) -> bool:
    """The drop at a setting that was searched for."""
    seed = int(rng.integers(2**31))
    found = search_of(
        weak.draw(rng), weak.space, restarts=1, steps=4, rivals=(), seed=seed
    )  # fmt: skip
    setting = np.array([*found.parameters.values()])[None]
    return covers(found.drop, float(weak.loss(setting)[0]))


def one_corner(settings: Array) -> Array:
    return (settings > 0.9).all(-1)


def one_edge(settings: Array) -> Array:
    return (settings[:, :2] > 0.8).all(-1)


def cut_corner(settings: Array) -> Array:
    return settings.sum(-1) > 0.8 * settings.shape[-1]


def ball(settings: Array) -> Array:
    return ((settings - 0.5) ** 2).sum(-1) < 0.3**2


def diagonal(settings: Array) -> Array:
    return (settings[:, 0] * settings[:, 1]) > 0.7


# Findings about a test that can't be trusted.


def answers_of(rng: Rng, classes: int, images: int, right: float) -> Array:
    """Count images by class and answer: a share `right` is right, other answers are any class."""
    truth = rng.integers(0, classes, images)
    other = (truth + rng.integers(1, classes, images)) % classes
    answers = np.where(rng.random(images) < right, truth, other)
    return sanity.confusion(truth, answers, classes)


def is_in_order(rng: Rng, classes: int, images: int, right: float) -> bool:
    """No other order of the classes is said to fit better."""
    return sanity.better_order(answers_of(rng, classes, images, right)) is None


def is_no_guess(rng: Rng, classes: int, images: int, right: float) -> bool:
    return sanity.p_guessing(answers_of(rng, classes, images, right)) < sanity.CERTAIN


def is_a_guess(rng: Rng, classes: int, images: int, common: float) -> bool:
    """Answers that ignore the image; a class is the right one, and the answer, more often."""
    odds = np.array([common, *[(1 - common) / (classes - 1)] * (classes - 1)])
    truth, answers = (rng.choice(classes, images, p=odds) for _ in range(2))
    counts = sanity.confusion(truth, answers, classes)
    return sanity.p_guessing(counts) >= sanity.CERTAIN


def finds_swapped(rng: Rng, classes: int, images: int, right: float) -> bool:
    """Two classes are swapped, and found to be."""
    counts = answers_of(rng, classes, images, right)
    counts[:, [0, 1]] = counts[:, [1, 0]]
    return sanity.better_order(counts) == (1, 0, *range(2, classes))


def is_expected(rng: Rng, images: int, right: float) -> bool:
    """A model has the metric that it is known to have, by an interval of 99 %."""
    accuracy = measures.classification(2)["accuracy"]
    features = accuracy.features((rng.random(images) < right).astype(int), np.ones(images, int))
    return covers(estimate(accuracy, features, np.arange(images)).interval(EXPECTED), right)


ENVELOPES = [
    ("15 % are lost at each end", Weak((210,), 1, (0.15,), right=0.95), 0.02),
    ("15 % are lost at each end", Weak((300,), 1, (0.15,)), 0.02),
    ("5 % are lost at each end", Weak((1000,), 1, (0.05,), right=0.9), 0.02),
    ("10 % are lost at each end", Weak((300,), 3, (0.1,), right=0.95), 0.02),
    ("30 % are lost at each end", Weak((120,), 3, (0.3,)), 0.1),
    ("the rare class loses 40 %", Weak((200, 20), 1, (0.0, 0.4), "balanced_accuracy"), 0.1),
    ("the rare class loses 90 %", Weak((200, 8), 1, (0.0, 0.9), "balanced_accuracy"), 0.4),
    ("the rare class loses 60 %", Weak((300, 20), 3, (0.02, 0.6), "balanced_accuracy"), 0.2),
    ("30 % are lost at each end", Weak((100, 100), 1, (0.3,), "macro_f1"), 0.15),
    ("groups fail as a whole, 50 % at each end", Weak((300,), 1, (0.5,), groups=45), 0.25),
    ("groups fail as a whole, 30 % at each end", Weak((900,), 3, (0.3,), groups=120), 0.2),
    ("in 5 % of them all is marked at each end", Weak((300,), 1, (0.05,), "iou"), 0.1),
    ("in 10 % of them all is marked at each end", Weak((600,), 2, (0.1,), "iou"), 0.15),
    ("one corner of 128 loses half", Weak((600,), 7, region=one_corner, harm=0.5), 0.02),
    ("one corner of 8 loses 5 %", Weak((600,), 3, region=one_corner, harm=0.05), 0.02),
    ("an edge of two axes loses 20 %", Weak((500,), 6, region=one_edge, harm=0.2), 0.02),
    ("a cut corner loses 30 %", Weak((500,), 4, region=cut_corner, harm=0.3), 0.02),
    ("a ball inside loses all", Weak((500,), 3, region=ball, harm=1.0), 0.02),
    ("both ends of a diagonal lose 10 %", Weak((500,), 2, region=diagonal, harm=0.1), 0.02),
    ("one corner of 1024 loses half", Weak((600,), 10, region=one_corner, harm=0.5), 0.02),
    ("marks all in one corner", Weak((600,), 3, metric="iou", region=one_corner, harm=0.1), 0.1),
]
RELEASES = [
    ("accuracy", Changes((300,), 0.95, 0.02, 0.0)),
    ("accuracy", Changes((1000,), 0.9, 0.05, 0.25)),
    ("balanced accuracy", Changes((300, 20), 0.95, (0.0, 0.2), 0.0)),
    ("balanced accuracy", Changes((300, 8), 0.95, (0.0, 0.3), 0.0)),
    ("balanced accuracy", Changes((200, 200), 0.9, (0.2, 0.0), (0.0, 0.1))),
    ("macro F1", Changes((200, 200), 0.9, 0.1, 0.0)),
    ("macro F1", Changes((300, 20), 0.95, (0.0, 0.3), 0.0)),
]
SHARES = [  # right before, of these lost, of the wrong ones won
    (0.98, 0.02, 0.2), (0.99, 0.0, 0.0), (0.9, 0.05, 0.0), (0.8, 0.1, 0.4), (0.95, 0.3, 0.1),
    (1.0, 0.03, 0.0),
]  # fmt: skip
RARE = [  # images of each class, right before, lost, won
    Changes((60, 60, 8), 0.9, 0.05, 0.2),
    Changes((60, 60, 8), 0.95, (0.0, 0.0, 0.15), 0.0),
    Changes((100, 90, 20), 0.9, (0.02, 0.02, 0.3), 0.1),
    Changes((60, 60, 8), (0.9, 0.9, 0.0), 0.05, 0.1),
    Changes((8, 8, 8, 8, 8), 0.9, 0.05, 0.1),
    Changes((300, 300, 8), 0.95, 0.1, 0.1),
    Changes((8,) * 20, 0.9, 0.05, 0.1),
]


MASKS = [
    ("iou", Areas(0.5, 0.1, 0.0)), ("iou", Areas(1.0, 0.05, 0.03)), ("iou", Areas(1.0, 0.0, 0.03)),
    ("iou", Areas(1.5, 0.1, 0.0)), ("iou", Areas(1.5, 0.05, 0.1)), ("dice", Areas(1.5, 0.1, 0.05)),
    ("iou", Areas(0.7, 0.05, 0.0, 0.01)), ("iou", Areas(1.5, 0.0, 0.0, 0.03)),
    ("dice", Areas(0.7, 0.05, 0.0, 0.02)),
]  # fmt: skip
SEEDS = [  # standard deviations by seeds and training images; by images it is 1
    Seeds(200, 5, 3, 0.0), Seeds(200, 5, 2, 0.1), Seeds(200, 5, 3, 0.4), Seeds(200, 5, 2, 0.4),
    Seeds(200, 2, 3, 0.4), Seeds(60, 3, 5, 0.4), Seeds(1000, 5, 2, 0.3), Seeds(200, 5, 3, 0.1, 0.3),
    Seeds(200, 10, 2, 0.1, 0.3), Seeds(200, 3, 3, 0.1, 0.3),
]  # fmt: skip
GROUPS = [("equal", 0.1, 0.1), ("uneven", 0.3, 0.1), ("equal", 1.0, 0.1), ("uneven", 1.0, 0.05)]
TESTS = [
    ("22 tests that lose 5 % of right answers each", (0.05,) * 22, 0.0),
    ("22 alike tests that lose 5 % each", (0.05,) * 22, 0.8),
    ("one test that loses 10 %, 21 that lose nothing", (0.1, *(0.0,) * 21), 0.3),
    ("22 tests that lose nothing", (0.0,) * 22, 0.0),
]


def _percent(shares: tuple[float, ...] | float) -> str:
    each = shares if isinstance(shares, tuple) else (shares,)
    return "/".join(f"{100 * share:g}" for share in each) + " %"


def _images(counts: tuple[int, ...]) -> str:
    same = len(set(counts)) == 1 < len(counts)
    return f"{len(counts)} x {counts[0]}" if same else "/".join(map(str, counts))


def _claims() -> Iterator[Claim]:
    """Yield the claims, a line for each kind."""
    accuracies = [Changes((n,), *shares) for n in (30, 100, 300, 1000) for shares in SHARES]
    for metric, cases in (
        ("accuracy", accuracies),
        ("balanced accuracy", RARE),
        ("macro F1", RARE),
    ):
        name = metric.replace(" ", "_").lower()
        for x in cases:
            shares = f"{_percent(x.right)} right, of these {_percent(x.lost)} lost"
            what = f"drop of {metric}, {_images(x.counts)} images: {shares}, {_percent(x.won)} won"
            yield Claim(what, partial(drop_of_classes, changes=x, metric=name))
    for metric, x in MASKS:
        for n in (30, 80, 150):
            what = f"drop of {metric}, {n} masks of lognormal area ({x.sigma:g}): each loses up to "
            what += f"{_percent(x.each)}, {_percent(x.rare)} all"
            what += f"; in {_percent(x.spoiled)} all is marked" if x.spoiled else ""
            yield Claim(what, partial(drop_of_masks, areas=x, images=n, metric=metric))
    for count in (8, 12, 30):
        for sizes, alike, lost in GROUPS:
            x = Groups(count, sizes, alike, lost)
            what = f"accuracy, {count} {sizes} groups, intraclass correlation {alike:g}"
            yield Claim(f"drop of {what}: {_percent(lost)} lost", partial(drop_of_groups, groups=x))
            yield Claim(what, partial(metric_of_groups, groups=x))
    levels = [
        ("accuracy", Changes((n,), p, 0, 0)) for n in (30, 100, 1000) for p in (0.5, 0.9, 0.99)
    ]
    levels += [("balanced accuracy", x) for x in RARE[:4]] + [("macro F1", x) for x in RARE[:4]]
    for metric, x in levels:
        name = metric.replace(" ", "_").lower()
        what = f"{metric}, {_images(x.counts)} images, {_percent(x.right)} right"
        yield Claim(what, partial(metric_of_classes, changes=x, metric=name))
    for sigma in (0.5, 1.5):
        for n in (30, 150):
            what = f"IoU, {n} masks of lognormal area ({sigma:g})"
            yield Claim(what, partial(metric_of_masks, areas=Areas(sigma, 0, 0), images=n))
    for n in (50, 150, 1000):
        for what, lost, alike in TESTS:
            holds = partial(largest_drop, images=n, lost=lost, alike=alike)
            yield Claim(f"largest drop, {n} images: {what}", holds)
    for n, tests, groups in ((50, 11, 0), (300, 11, 0), (300, 132, 0), (300, 22, 12)):
        what = f"no drop is shown by any of {tests} tests that lose nothing, {n} images"
        what += f" of {groups} groups" if groups else ""
        yield Claim(what, partial(none_is_shown, images=n, tests=tests, groups=groups))
    for step in (0.0, 0.005, 0.03):
        what = f"all ranks of 12 models, 300 images, accuracies {100 * step:g} % apart"
        yield Claim(what, partial(ranks, images=300, models=12, step=step))
    yield Claim(
        "ratio of two drops, 300 images", partial(ratio_of_drops, images=300, one=0.2, other=0.1)
    )
    for x in SEEDS:
        what = f"no gain by another seed, {x.images} images, {x.folds} folds, {x.repeats} repeats: "
        what += f"seeds {x.seeds:g}, training images {x.sets:g}"
        yield Claim(what, partial(no_gain, seeds=x))
    for n in (60, 100, 300):
        what = f"drop at a setting that was searched for, {n} images"
        for weak, which in (
            (Weak((n,), 2, churn=0.2), "none harms the network"),
            (Weak((n,), 2, (0.2,), right=0.9), "ends of 2 axes lose 20 %"),
        ):
            yield Claim(f"{what}, {which}", partial(drop_of_search, weak=weak))
    for metric, x in RELEASES:
        name = metric.replace(" ", "_").lower()
        what = f"a drop of {metric} of the margin is not accepted, {_images(x.counts)} images: "
        what += f"{_percent(x.lost)} of right ones lost, {_percent(x.won)} of others won"
        yield Claim(what, partial(refuses_classes, changes=x, metric=name))
    for metric, x in MASKS[:4]:
        what = f"a drop of {metric} of the margin is not accepted, 150 masks of area ({x.sigma:g}):"
        what += f" each loses up to {_percent(x.each)}, {_percent(x.rare)} all"
        yield Claim(what, partial(refuses_masks, areas=x, images=150))
    for sizes, alike, lost in GROUPS:
        x = Groups(45, sizes, alike, lost)
        what = f"45 {sizes} groups, intraclass correlation {alike:g}"
        what = f"a drop of accuracy of the margin is not accepted, {what}: {_percent(lost)} lost"
        yield Claim(what, partial(refuses_groups, groups=x))
    what = "all that an envelope states, a network with a weakness for gains, 210 images"
    yield Claim(what, partial(envelope_of_gains, images=210, axes=1, max_drop=0.02))
    for words, weak, most in ENVELOPES:
        axes = f"{weak.axes} ax{'i' if weak.axes == 1 else 'e'}s"
        sizes = (
            f"{weak.groups} groups of {sum(weak.counts)} images"
            if weak.groups
            else (f"{_images(weak.counts)} images")
        )
        what = f"all that an envelope states, {axes}, a drop of {most:g} of "
        what += f"{weak.metric.replace('_', ' ')}, {sizes}: {words}"
        few = 20 if weak.metric == "macro_f1" else 60  # whose tests take long
        yield Claim(what, partial(envelope_holds, weak=weak, max_drop=most, cameras=few))
    for classes, n, right in ((2, 100, 0.65), (2, 60, 0.9), (5, 100, 0.75), (9, 300, 0.8)):
        of = f"{classes} classes, {n} images, {100 * right:g} % right"
        yield Claim(
            f"no other order of the classes is said to fit better, {of}",
            partial(is_in_order, classes=classes, images=n, right=right), promised=0.99,
        )  # fmt: skip
        if right > 0.7:
            yield Claim(
                f"a model is shown to be better than guessing, {of}",
                partial(is_no_guess, classes=classes, images=n, right=right), promised=0.99,
            )  # fmt: skip
            yield Claim(
                f"two swapped classes are found, {of}",
                partial(finds_swapped, classes=classes, images=n, right=right),
                promised=0.9,
            )
    for classes, n, common in ((2, 30, 0.5), (2, 100, 0.8), (5, 100, 0.2), (9, 300, 0.6)):
        what = f"answers that ignore the image are not called better than guessing, {classes} "
        what += f"classes, {n} images, the most frequent {100 * common:g} %"
        yield Claim(what, partial(is_a_guess, classes=classes, images=n, common=common))
    for n, right in ((50, 0.95), (300, 0.8)):
        what = f"a model that is as good as expected is not contradicted, {n} images, "
        what += f"{100 * right:g} % right"
        yield Claim(what, partial(is_expected, images=n, right=right), promised=0.99)


CLAIMS = [*_claims()]


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """Format the rows as Markdown."""
    yield "| claim | promised | measured | Monte Carlo standard error | data sets |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.claim} | {row.promised:.0%} | {row.share:.1%} | {row.error:.1%} | {row.runs} |"
        )


def write(rows: Sequence[Measured]) -> None:
    """Put rows into the table of the docs, in the order of the claims."""
    head, *body = table(rows)
    before, _, after = DOC.read_text().partition(head)
    lines = dict(line.split(" | ", 1) for line in [*after.strip().splitlines()[1:], *body[1:]])
    ordered = (f"| {claim.what}" for claim in CLAIMS)
    kept = (f"{what} | {lines[what]}" for what in ordered if what in lines)
    DOC.write_text("\n".join([before + head, body[0], *kept, ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="claims that hold this word")
    parser.add_argument("--runs", type=int, help="data sets of each claim")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--write", action="store_true", help="put it into docs/explanation/coverage.md"
    )
    options = parser.parse_args()
    chosen = [number for number, claim in enumerate(CLAIMS) if options.only in claim.what]
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for row in pool.map(partial(measure, runs=options.runs), chosen):
            rows.append(row)
            mark = " <" if row.share + 2 * row.error < row.promised else ""
            print(f"{row.share:6.1%} of {row.promised:.0%}  {row.claim}{mark}", flush=True)
    if options.write:
        write(rows)


if __name__ == "__main__":
    main()
