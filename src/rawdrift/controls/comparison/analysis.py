"""The statistics of a comparison: from the answers to all ISPs between the two to the result."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from math import factorial
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from rawdrift.checks import InputError
from rawdrift.controls.comparison.result import (
    Blame,
    ComparisonRecord,
    ComparisonResult,
    Decision,
    GroupChange,
    Interaction,
    MaskPair,
    Remedy,
    Stopped,
)
from rawdrift.controls.comparison.sides import Stage
from rawdrift.controls.comparison.spec import ComparisonSpec
from rawdrift.controls.experiment import common
from rawdrift.controls.flips import flips
from rawdrift.controls.material import Material, about
from rawdrift.runs.store import Finished
from rawdrift.statistics.acceptance import decide
from rawdrift.statistics.drops import Answers
from rawdrift.statistics.estimates import Estimates, estimate
from rawdrift.statistics.measures import Measure, Outcomes
from rawdrift.statistics.sequential import Blocks, blocks, decide_early

_DECISIONS: dict[str, Decision] = {
    "accept": "non-inferior",
    "reject": "inferior",
    "undecided": "undecided",
}
_GROUPS = 8  # that lose most are listed


class Tested(NamedTuple):
    """The answers of all networks, each image once.

    images: their numbers, (N,), sorted. outcomes: by coalition, (2**K, N, ...). masks: by image.
    """

    images: NDArray[np.int64]
    outcomes: Outcomes
    masks: dict[int, MaskPair]


def join(records: Iterable[ComparisonRecord]) -> Tested:
    """Join the answers of folds."""
    parts = [*records]
    images = np.concatenate([np.array(part.images) for part in parts])
    outcomes = np.concatenate([np.array(part.outcomes) for part in parts], axis=1)
    order = np.argsort(images)
    masks = {image: pair for part in parts for image, pair in part.masks.items()}
    return Tested(images[order], outcomes[:, order], masks)


def answers(material: Material, tested: Tested, which: Sequence[int] | None = None) -> Answers:
    """Return what statistics need of the answers of these coalitions, by default of all."""
    targets = material.targets.take(tested.images)
    measure = next(iter(targets.measures.values()))
    outcomes = tested.outcomes if which is None else tested.outcomes[list(which)]
    return Answers(
        measure,
        outcomes,
        targets.truth,
        measure.features(outcomes, targets.truth),
        material.clusters(tested.images),
    )


def analyze(
    spec: ComparisonSpec,
    material: Material,
    stages: Sequence[Stage],
    units: Iterable[Finished[ComparisonRecord]],
    failed: Mapping[str, str],
) -> ComparisonResult:
    """Compute the result, without pictures, from all finished units.

    Raises InputError if a unit failed: a fold that is missing is no random part of the images.
    """
    if failed:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"a comparison needs all folds, and {len(failed)} failed: {reasons}")
    tested = join(unit.record for unit in units)
    given = answers(material, tested)
    metric = next(iter(material.targets.measures))
    levels = estimate(given.measure, given.features, given.clusters)
    if np.isnan(levels.values).any():
        raise InputError(
            f"{metric} is not defined for the answers to one of the ISPs: no image counts; check "
            f"the masks or labels, or choose another metric"
        )
    comparison = spec.comparison
    before, after = comparison.labels
    pair = answers(material, tested, (0, -1))
    verdict = decide(pair, comparison.margin, comparison.alpha)
    decision, p, stopped = verdict.decision, verdict.p, None
    if comparison.stop_early:
        order = early_order(material, spec.seed)
        places = [np.searchsorted(tested.images, block) for block in order]
        tested_blocks = [
            place
            for place, block in zip(places, order, strict=True)
            if np.isin(block, tested.images).all()
        ]
        early = decide_early(pair, tested_blocks, comparison.margin, comparison.alpha)
        decision, p = early.verdict, early.p
        stopped = Stopped(len(tested.images), len(material.tested), len(order))
    drop = levels[0] - levels[-1]
    lost = won = None
    if material.targets.of_classes:
        right = tested.outcomes[[0, -1]] == given.labels
        lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    result = ComparisonResult(
        **common(spec, units),
        data=about(spec.data, material),
        metric=metric,
        failed=dict(failed),
        before=before,
        after=after,
        trained_here=spec.task.checkpoint is None,
        margin=comparison.margin,
        alpha=comparison.alpha,
        decision=_DECISIONS[decision],
        p=p,
        needed=verdict.needed,
        metric_before=levels[0].interval(),
        metric_after=levels[-1].interval(),
        drop=drop.interval(),
        blame=_blame(levels, stages, spec.seed),
        remedies=_remedies(levels, stages, drop, spec.seed),
        interactions=_interactions(levels, stages, spec.seed),
        stages=[stage.name for stage in stages],
        values=levels.values.tolist(),
        stopped=stopped,
        lost=lost,
        won=won,
        flips=flips(
            material,
            tested.images,
            (before, tested.outcomes[0]),
            (after, tested.outcomes[-1]),
        ),
        groups=_groups(material, tested, given.measure, given.features[[0, -1]]),
    )
    if result.metric_before.value <= comparison.margin:
        why = (
            f"The margin of {comparison.margin:g} is not below the metric before, "
            f"{result.metric_before.value:.3f}: no drop could reach it."
        )
        return undecided(result, why)
    return result


def early_order(material: Material, seed: int) -> Blocks:
    """Return the numbers of the images in the blocks after which an early decision may be taken."""
    images = material.tested
    labels = material.targets.truth[images]
    return [images[block] for block in blocks(labels, material.clusters(images), seed)]


def undecided(result: ComparisonResult, why: str) -> ComparisonResult:
    """Return a result that decides nothing."""
    return replace(result, decision="undecided", why=why)


def _blame(levels: Estimates, stages: Sequence[Stage], seed: int) -> list[Blame]:
    """Return the Shapley values of the drop: what a stage adds to the drop when it is switched
    after some of the others, averaged over all orders of switching."""
    count = len(stages)

    def weight(size: int) -> float:
        return factorial(size) * factorial(count - size - 1) / factorial(count)

    shares = [_added(levels, [i], count, weight) for i in range(count)]
    blame = [
        Blame(stage=stage.name, **interval, before=stage.before, after=stage.after)
        for stage, interval in zip(stages, _together(shares, seed), strict=True)
    ]
    return sorted(blame, key=lambda one: -one.value)


def _remedies(
    levels: Estimates, stages: Sequence[Stage], drop: Estimates, seed: int
) -> list[Remedy]:
    """Return how much of the metric comes back if one stage alone is reverted."""
    last = len(levels.values) - 1
    back = [levels[last - 2**i] - levels[last] for i in range(len(stages))]
    loss = drop.interval()
    is_clear = loss.low is not None and loss.low > 0
    remedies = [
        Remedy(
            stage=stage.name,
            **interval,
            share=interval["value"] / loss.value if is_clear else None,
        )
        for stage, interval in zip(stages, _together(back, seed), strict=True)
    ]
    return sorted(remedies, key=lambda one: -one.value)


def _interactions(levels: Estimates, stages: Sequence[Stage], seed: int) -> list[Interaction]:
    count = len(stages)
    pairs = [*combinations(range(count), 2)]
    if not pairs:
        return []

    def weight(size: int) -> float:
        return factorial(size) * factorial(count - size - 2) / factorial(count - 1)

    added = [_added(levels, pair, count, weight) for pair in pairs]
    interactions = [
        Interaction(one=stages[one].name, other=stages[other].name, **interval)
        for (one, other), interval in zip(pairs, _together(added, seed), strict=True)
    ]
    return sorted(interactions, key=lambda one: -abs(one.value))


def _added(levels: Estimates, switched: Sequence[int], count: int, weight: Any) -> Estimates:
    """Average what switching these stages, one or a pair, adds to the drop.

    weight: of the states of the other stages, by how many of them are switched.
    """
    others = [i for i in range(count) if i not in switched]
    states = [
        sum(1 << i for i in part)
        for n in range(len(others) + 1)
        for part in combinations(others, n)
    ]
    weights = np.array([weight(state.bit_count()) for state in states])
    bits = [1 << i for i in switched]

    def drop(state: int, bit: int) -> Estimates:
        return levels[np.array(states) + state] - levels[np.array(states) + state + bit]

    added = drop(0, bits[0])
    if len(bits) > 1:
        added = drop(bits[1], bits[0]) - added
    return added.combined(weights)


def _together(estimates: Sequence[Estimates], seed: int) -> Iterator[dict[str, float]]:
    """Yield value, low and high of each estimate; these intervals hold together."""
    stacked = estimates[0].stack(*estimates[1:])
    low, high = stacked.simultaneous(seed=seed)
    for of_one in zip(stacked.values, low, high, strict=True):
        yield dict(zip(("value", "low", "high"), map(float, of_one), strict=True))


def _groups(
    material: Material, tested: Tested, measure: Measure, features: NDArray[np.float64]
) -> list[GroupChange]:
    """Return the groups that lose most."""
    names = material.data.groups
    if names is None:
        return []
    of = np.array([names[i] for i in tested.images.tolist()])
    changes = []
    for name in dict.fromkeys(of.tolist()):
        inside = of == name
        before, after = measure.of(features[:, inside].sum(1)).tolist()
        changes.append(
            GroupChange(
                group=name,
                n=int(inside.sum()),
                before=_number(before),
                after=_number(after),
                drop=_number(before - after),
            )
        )
    return sorted(changes, key=lambda one: -(one.drop or 0.0))[:_GROUPS]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
