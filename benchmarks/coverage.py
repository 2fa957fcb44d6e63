"""How often what rawdrift claims is true: simulated data sets whose truth is known.

    python -m benchmarks.coverage [--only WORD] [--runs 2000] [--processes 2] [--write]

A claim is a function that draws one data set and says whether the claim held there. To add one,
write the function and yield a line in `_claims`. `--write` puts the table into docs/coverage.md.
"""

import argparse
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import rawdrift as rd
from rawdrift.statistics import Estimates, Interval, estimate, measures
from rawdrift.statistics.rankings import order, rank_bounds, ratio
from rawdrift.statistics.trainings import Trainings, repeated

DOC = Path(__file__).parents[1] / "docs" / "coverage.md"
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
    runs: int = 2000
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
    `rare` of the images loses its whole mask."""

    sigma: float
    each: float
    rare: float

    def shares(self, rng: Rng, images: int) -> tuple[Array, Array, Array]:
        """Draw areas in pixels, and the shares of them that are found before and after."""
        areas = np.clip(200 * np.exp(self.sigma * rng.standard_normal(images)), 1, 4096).astype(int)
        before = rng.uniform(0.8, 1, images)
        after = before * (1 - rng.uniform(0, self.each, images))
        return areas, before, np.where(rng.random(images) < self.rare, 0, after)

    def masks(self, rng: Rng, images: int) -> tuple[Array, ...]:
        areas, *shares = self.shares(rng, images)
        pixels = np.arange(4096).reshape(64, 64)
        sizes = (areas, *(np.rint(share * areas) for share in shares))
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
    before, after = ((share * sizes).round().sum() / sizes.sum() for share in shares)
    return float(before), float(after)


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


def envelope_holds(rng: Rng, images: int, axes: int, max_drop: float) -> bool:
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
    iou = measures.segmentation()["iou"]
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


# Drops at settings that were searched for.


def drop_of_search(rng: Rng, images: int) -> bool:
    """Search for a setting that harms a network which none harms: it is right for 4 of 5 images at
    every setting, for others at each. Whether the drop is said to be 0, which it is."""

    class Hashed(nn.Module):
        def forward(self, view: Any) -> Any:
            is_bright = torch.where(view[:, 1, 1, 1] > 0.5, 1.0, -1.0)
            lucky = (view[:, 0, 4:, 4:].mean((1, 2)) * 1e4) % 1 > 0.2
            x = torch.where(lucky, is_bright, -is_bright) + 0 * view.mean((1, 2, 3))
            return torch.stack([-x, x], dim=1)

    labels = np.arange(images) % 2
    mosaics = rng.uniform(0.2, 0.6, (images, 8, 8))
    mosaics[:, :4, :4] = np.where(labels, 0.8, 0.05)[:, None, None]
    data: Any = list(zip(torch.from_numpy(mosaics).float(), labels.tolist(), strict=True))
    isp = rd.isp.static("bi,s,ga", rd.camera.camera.Camera("any", "RGGB"))
    isp = isp.remove("sharpen").remove("denoise")
    space = rd.forensics.ParameterSpace.around(isp, {"gamma.gamma": 0.2})
    seed = int(rng.integers(2**31))
    found = rd.forensics.search(
        Hashed(), isp, data, space, restarts=1, steps=4, rivals=(), seed=seed
    )
    return covers(found.drop, 0.0)


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
]  # fmt: skip
SEEDS = [  # standard deviations by seeds and training images; by images it is 1
    Seeds(200, 5, 3, 0.0), Seeds(200, 5, 2, 0.1), Seeds(200, 5, 3, 0.4), Seeds(200, 5, 2, 0.4),
    Seeds(200, 2, 3, 0.4), Seeds(60, 3, 5, 0.4), Seeds(1000, 5, 2, 0.3), Seeds(200, 5, 3, 0.1, 0.3),
    Seeds(200, 10, 2, 0.1, 0.3),
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
            yield Claim(what, partial(drop_of_masks, areas=x, images=n, metric=metric), 1000)
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
            yield Claim(f"largest drop, {n} images: {what}", holds, 1000)
    for step in (0.0, 0.005, 0.03):
        what = f"all ranks of 12 models, 300 images, accuracies {100 * step:g} % apart"
        yield Claim(what, partial(ranks, images=300, models=12, step=step), 1000)
    yield Claim(
        "ratio of two drops, 300 images", partial(ratio_of_drops, images=300, one=0.2, other=0.1)
    )
    for x in SEEDS:
        what = f"no gain by another seed, {x.images} images, {x.folds} folds, {x.repeats} repeats: "
        what += f"seeds {x.seeds:g}, training images {x.sets:g}"
        yield Claim(what, partial(no_gain, seeds=x))
    for n in (60, 100, 300):
        what = f"drop at a setting that was searched for, {n} images, none harms the network"
        yield Claim(what, partial(drop_of_search, images=n), 400)

    for metric, x in RELEASES:
        name = metric.replace(" ", "_").lower()
        what = f"a drop of {metric} of the margin is not accepted, {_images(x.counts)} images: "
        what += f"{_percent(x.lost)} of right ones lost, {_percent(x.won)} of others won"
        yield Claim(what, partial(refuses_classes, changes=x, metric=name))
    for metric, x in MASKS[:4]:
        what = f"a drop of {metric} of the margin is not accepted, 150 masks of area ({x.sigma:g}):"
        what += f" each loses up to {_percent(x.each)}, {_percent(x.rare)} all"
        yield Claim(what, partial(refuses_masks, areas=x, images=150), 1000)
    for sizes, alike, lost in GROUPS:
        x = Groups(45, sizes, alike, lost)
        what = f"45 {sizes} groups, intraclass correlation {alike:g}"
        what = f"a drop of accuracy of the margin is not accepted, {what}: {_percent(lost)} lost"
        yield Claim(what, partial(refuses_groups, groups=x))
    for images, axes, most in ((210, 1, 0.02), (250, 3, 0.02), (120, 2, 0.1)):
        what = f"envelope of {axes} gains with a drop of {most:g}, {images} images"
        holds = partial(envelope_holds, images=images, axes=axes, max_drop=most)
        yield Claim(what, holds, 400)


CLAIMS = [*_claims()]


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """Format the rows as Markdown."""
    yield "| claim | promised | measured | Monte Carlo standard error | data sets |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.claim} | {row.promised:.0%} | {row.share:.1%} | {row.error:.1%} | {row.runs} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="claims that hold this word")
    parser.add_argument("--runs", type=int, help="data sets of each claim")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write docs/coverage.md")
    options = parser.parse_args()
    chosen = [number for number, claim in enumerate(CLAIMS) if options.only in claim.what]
    start, rows = time.perf_counter(), []
    with ProcessPoolExecutor(options.processes) as pool:
        for row in pool.map(partial(measure, runs=options.runs), chosen):
            rows.append(row)
            mark = " <" if row.share + 2 * row.error < row.promised else ""
            print(f"{row.share:6.1%} of {row.promised:.0%}  {row.claim}{mark}", flush=True)
    if options.write:
        minutes = (time.perf_counter() - start) / 60
        took = f"The table took {minutes:.0f} minutes in {options.processes} processes."
        DOC.write_text(
            "\n".join([DOC.read_text().split("The table took")[0] + took, "", *table(rows), ""])
        )


if __name__ == "__main__":
    main()
