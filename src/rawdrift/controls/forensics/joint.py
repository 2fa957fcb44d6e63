"""The box of all axes together: it is shrunk by attacks from inside, then validated."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.gradient_search import search_chain
from rawdrift.controls.forensics.result import Validation
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.statistics.basics import Interval, wilson

SCAN = 8  # settings between the default and a bound of the space, tried from the inside out
HALVINGS = 6  # of the gap between the last setting that holds and the first that does not: 0.2 %
ROUNDS = 8  # of attacks on the joint box
MARGIN = 0.01  # extra shrinking after the second attack; it doubles with each further one
SEARCH = 10  # steps of the adversarial search, from two starts
ATTACKS = 32  # random settings of each attack, half of them corners
SMALLEST = 1e-3  # scale at which a joint box is given up: the default alone


class Box(NamedTuple):
    """Bounds (D,) of settings."""

    low: Vector
    high: Vector


def joint_box(
    chain: Chain,
    space: ParameterSpace,
    alone: Box,
    holds: Callable[[Vector], bool],
    rng: np.random.Generator,
) -> tuple[Box, float]:
    """Shrink the box of all tolerances until an attack finds no setting inside that fails.

    With many axes, each attack finds a corner a little worse than the last, so the box is shrunk by
    a growing margin. Only a box that withstood its last attack is returned, else the default alone.
    Returns the box and its scale.
    """
    default, scale = space.default, 1.0
    for attempt in range(ROUNDS):
        box = _scaled(space, alone, scale)
        shrunk = 1.0
        for setting in _attacks(chain, space, box, rng, attempt):
            at = default + shrunk * (setting - default)
            if not holds(at):
                shrunk *= reach(default, at, holds)
        if shrunk == 1:
            return box, scale
        scale *= shrunk * (1 - MARGIN * 2 ** (attempt - 1) if attempt else 1)
        if scale < SMALLEST:
            break
    return Box(default, default), 0.0


def _scaled(space: ParameterSpace, box: Box, scale: float) -> Box:
    return Box(*(space.clip(space.default + scale * (end - space.default)) for end in box))


def _attacks(
    chain: Chain, space: ParameterSpace, box: Box, rng: np.random.Generator, attempt: int
) -> Iterator[Vector]:
    """Settings of a box: the worst that a search finds, then random corners, then random others."""
    wide = [i for i in range(len(space)) if box.low[i] < box.high[i]]
    if not wide:
        return
    inside = ParameterSpace(
        tuple(replace(space.axes[i], low=float(box.low[i]), high=float(box.high[i])) for i in wide)
    )
    worst = space.default
    search = search_chain(chain, inside, restarts=2, steps=SEARCH, seed=attempt)
    worst[wide] = [*search.parameters.values()]
    yield worst
    size = (ATTACKS // 2, len(space))
    yield from np.where(rng.integers(0, 2, size), box.low, box.high)
    yield from box.low + rng.random(size) * (box.high - box.low)


def validate(
    chain: Chain,
    space: ParameterSpace,
    box: Box,
    max_drop: float,
    cameras: int,
    rng: np.random.Generator,
) -> Validation:
    """Draw new cameras from the box, and count those that lose more than `max_drop`."""
    drops = []
    for _ in range(cameras):
        setting = box.low + rng.random(len(space)) * (box.high - box.low)
        drops.append(chain.baseline.metric - chain.score(space, setting).metric)
    violations = sum(drop > max_drop for drop in drops)
    share = violations / cameras
    low, high = wilson(share, cameras)
    interval = Interval(share, min(low, share), max(high, share))  # rounding aside
    return Validation(cameras, violations, interval, max(drops))


def reach(start: Vector, end: Vector, holds: Callable[[Vector], bool]) -> float:
    """The share of the way from `start`, which holds, to `end` up to which settings hold."""
    good = 0.0
    for bad in np.arange(1, SCAN + 1) / SCAN:
        if not holds(start + bad * (end - start)):
            break
        good = float(bad)
    else:
        return 1.0
    for _ in range(HALVINGS):
        middle = (good + float(bad)) / 2
        if holds(start + middle * (end - start)):
            good = middle
        else:
            bad = middle
    return good
