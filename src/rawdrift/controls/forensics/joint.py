"""The box of all axes together: built with some of the images, and tested with the others.

A fifth of the images, or of their groups, is for building: each axis goes as far as the metric
drops by three quarters of what is allowed, at most to the end of its tolerance, and the box shrinks
until an attack finds no setting inside that loses more. The others test the box, and if that fails,
smaller ones, of three sizes in all:

- every corner, or with more than 8 axes those of an orthogonal array, must be shown to lose less
  than `max_drop`;
- of cameras drawn uniformly from the box, those that are not shown to are counted as violations.

Each of the two statements holds with a chance of 1 - error, whichever of the sizes it is about.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.controls.forensics.answers import Answers
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.gradient_search import search_chain
from rawdrift.controls.forensics.result import Validation
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.guarantees import DropTest, largest_share

BUILDING = 5  # one cluster of images in so many
SHARE = 0.75  # of max_drop, that settings may cost the images that the box is built with
SIZES = (1.0, 0.5, 0.2)  # of the box that was built, that are tested with the other images
SCAN = 8  # settings between the default and a bound of the space, tried from the inside out
HALVINGS = 6  # of the gap between the last setting that holds and the first that does not: 0.2 %
ROUNDS = 8  # of attacks on the joint box
MARGIN = 0.01  # extra shrinking after the second attack; it doubles with each further one
SEARCH = 10  # steps of the adversarial search, from two starts
INSIDE = 16  # random settings of each attack
SMALLEST = 1e-3  # scale at which a joint box is given up: the default alone
EVERY = 8  # axes of which every corner is tried; of more, as many corners of an orthogonal array


class Box(NamedTuple):
    """Bounds (D,) of settings."""

    low: Vector
    high: Vector


class Joint(NamedTuple):
    """A box and its tests. needed: clusters it takes to show anything; 0 if that is not known.
    evaluations: passes of all images through the net."""

    box: Box
    validation: Validation
    needed: int
    evaluations: float


def nothing(space: ParameterSpace, needed: int = 0, evaluations: float = 0.0) -> Joint:
    """Return the box that is the camera's own setting."""
    validation = Validation(0, 0, Interval(0.0, 0.0, 1.0), 0.0, 0, 0, 0.0, {}, 0)
    return Joint(Box(space.default, space.default), validation, needed, evaluations)


def joint_box(
    chain: Chain,
    test: DropTest,
    space: ParameterSpace,
    alone: Box,
    max_drop: float,
    error: float,
    cameras: int,
    seed: int,
) -> Joint:
    """Build a box of settings inside the tolerances `alone`, and test it.

    test: of the chain. error: the chance that a statement on the box is wrong. cameras: to draw.
    """
    rng = np.random.default_rng([seed, 0])
    building, others = _halves(chain, rng)
    held_out = test.take(others)
    corner_level = error / len(SIZES)
    # Half of the error is for the cameras that are drawn, half for the images. A camera that loses
    # too much passes its test with a chance of `level`, so of all such cameras a share above 1/2
    # does with a chance of 2 level (Markov): the share of violations is then at least half theirs.
    level = error / 2 / len(SIZES) / 2
    needed = -(-held_out.needed(max_drop, level) * test.count // held_out.count)
    if test.count < needed or not len(building):
        return nothing(space, needed)
    built = chain.take(building)
    box = _build(built, space, alone, SHARE * max_drop, rng)
    tested = chain.take(others)
    # The corners that harmed the other images most come first, since one that fails is enough.
    metrics = [built.ask(space, corner, "doubtful").metric for corner in corners_of(box)[0]]
    order = np.argsort(metrics, kind="stable")

    def ask(setting: Vector) -> Answers:
        return tested.ask(space, setting, "doubtful")

    def drop(answers: Answers) -> float:
        return tested.baseline.metric - answers.metric

    def evaluations() -> float:
        return (built.asked * len(building) + tested.asked * len(others)) / len(chain.truth)

    for size in SIZES:
        smaller = _scaled(space, box, size)
        if not _is_wide(smaller).any():
            break
        corners, strength = corners_of(smaller)
        at_corners = [ask(corner) for corner in corners]
        if not all(at_corners[i].rules_out(held_out, max_drop, corner_level) for i in order):
            continue
        drawn = smaller.low + rng.random((cameras, len(space))) * (smaller.high - smaller.low)
        at_cameras, violations = [ask(camera) for camera in drawn], 0
        for answers in at_cameras:
            violations += not answers.rules_out(held_out, max_drop, level)
            if violations > error * cameras:
                break
        if violations > error * cameras:
            continue
        most = min(1.0, 2 * largest_share(violations, cameras, error / 2 / len(SIZES)))
        drops = [drop(answers) for answers in at_corners]
        worst = int(np.argmax(drops))
        validation = Validation(
            cameras,
            violations,
            Interval(violations / cameras, 0.0, most),
            max(drop(answers) for answers in at_cameras),
            len(corners),
            strength,
            drops[worst],
            space.named(corners[worst]),
            held_out.count,
        )
        return Joint(smaller, validation, needed, evaluations())
    return nothing(space, needed, evaluations())


def _halves(chain: Chain, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images into those to build with and the others, by group, evenly over classes."""
    count = int(chain.clusters.max()) + 1
    first = np.zeros(count, dtype=np.int64)
    if chain.targets.of_classes:
        first[chain.clusters[::-1]] = chain.answers[::-1]  # the class of a group's first image
    several = np.bincount(first)[first] > 1  # the only one of its class tests the box
    order = np.lexsort((rng.random(count), first))
    order = order[several[order]]
    builds = np.zeros(count, dtype=bool)
    builds[order[BUILDING - 1 :: BUILDING]] = True
    return np.flatnonzero(builds[chain.clusters]), np.flatnonzero(~builds[chain.clusters])


def _build(
    chain: Chain, space: ParameterSpace, alone: Box, max_drop: float, rng: np.random.Generator
) -> Box:
    """Find a box in which an attack finds no setting that costs these images more than `max_drop`.

    With many axes, each attack finds a corner a little worse than the last, so the box is shrunk by
    a growing margin. Only a box that withstood its last attack is returned, else the default alone.
    """

    def holds(setting: Vector) -> bool:
        answers = chain.ask(space, setting, "doubtful")
        return answers.holds(lambda metric: chain.baseline.metric - metric <= max_drop)

    default, scale = space.default, 1.0
    ends = []
    for bounds in alone:
        end = default.copy()
        for number in np.flatnonzero(bounds != default):
            setting = space.default
            setting[number] = bounds[number]
            end[number] += reach(space.default, setting, holds) * (bounds[number] - end[number])
        ends.append(end)
    whole = Box(*ends)
    for attempt in range(ROUNDS):
        box = _scaled(space, whole, scale)
        shrunk = 1.0
        for setting in _attacks(chain, space, box, rng, attempt):
            at = setting if shrunk == 1 else default + shrunk * (setting - default)
            if not holds(at):
                shrunk *= reach(default, at, holds)
        if shrunk == 1:
            return box
        scale *= shrunk * (1 - MARGIN * 2 ** (attempt - 1) if attempt else 1)
        if scale < SMALLEST:
            break
    return Box(default, default)


def _scaled(space: ParameterSpace, box: Box, scale: float) -> Box:
    if scale == 1:
        return box
    return Box(*(space.clip(space.default + scale * (end - space.default)) for end in box))


def _is_wide(box: Box) -> NDArray[np.bool_]:
    """The axes (D,) on which a box is more than one setting."""
    return box.low < box.high


def _attacks(
    chain: Chain, space: ParameterSpace, box: Box, rng: np.random.Generator, attempt: int
) -> Iterator[Vector]:
    """Settings of a box: the worst that a search finds, then its corners, then random others."""
    wide = np.flatnonzero(_is_wide(box))
    if not len(wide):
        return
    inside = ParameterSpace(
        tuple(replace(space.axes[i], low=float(box.low[i]), high=float(box.high[i])) for i in wide)
    )
    worst = space.default
    search = search_chain(chain, inside, restarts=2, steps=SEARCH, seed=attempt)
    worst[wide] = [*search.parameters.values()]
    yield worst
    yield from corners_of(box)[0]
    yield from box.low + rng.random((INSIDE, len(space))) * (box.high - box.low)


def corners_of(box: Box) -> tuple[Vector, int]:
    """Return corners (n, D) of a box, and their strength: any so many axes take all their corners.

    These are all corners of up to 8 wide axes. Of more they are a linear orthogonal array (Hedayat,
    Sloane and Stufken, "Orthogonal Arrays", 1999, chapter 4) of 256 corners or more, of strength 4
    for up to 17 axes and else of strength 3: a corner's number, in binary, is combined with a
    column's, and as many columns as the strength are linearly independent.
    """
    wide = np.flatnonzero(_is_wide(box))
    if len(wide) <= EVERY:
        bits, strength, columns = len(wide), len(wide), [1 << i for i in range(len(wide))]
    else:
        bits, strength, columns = EVERY, 4, _independent(EVERY)
        if len(columns) < len(wide):
            bits, strength = max(EVERY, 1 + int(np.ceil(np.log2(len(wide))))), 3
            columns = [(1 << (bits - 1)) + i for i in range(1 << (bits - 1))]
        columns.sort(key=lambda column: column.bit_count())  # the first ones span all bits
    number = np.arange(1 << bits)[:, None] & np.array(columns[: len(wide)], dtype=np.int64)
    is_high = np.zeros((1 << bits, len(box.low)), dtype=bool)
    is_high[:, wide] = np.bitwise_count(number) % 2 == 1
    return np.where(is_high, box.high, box.low), strength


def _independent(bits: int) -> list[int]:
    """Return columns of so many bits of which no 4 or fewer add up to 0 (mod 2), the first ones."""
    columns: list[int] = []
    sums = {0}  # of up to 3 of them
    for column in range(1, 1 << bits):
        if column not in sums:
            sums |= {column ^ a ^ b for a, b in combinations([0, *columns], 2)}
            sums |= {column}
            columns.append(column)
    return columns


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
