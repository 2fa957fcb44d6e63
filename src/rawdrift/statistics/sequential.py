"""The decision of a release, taken as soon as it is known: tests that hold at any stopping time.

The images, or their groups, come in random order and in blocks, and after each block the bets of
`guarantees` are settled. Under the hypothesis the capital is a supermartingale, so it reaches
1 / alpha at any time with a chance of at most alpha (Ville's inequality; Ramdas et al.,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38, 2023). Every
block has images of every class, so that a block by itself says what the metric drops.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.statistics.acceptance import Verdict, test_of
from rawdrift.statistics.drops import Answers
from rawdrift.statistics.estimates import Clusters
from rawdrift.statistics.guarantees import DropTest, Wager

LOOKS = 50  # at most
_LEAST = 4  # clusters of a block

Blocks = list[NDArray[np.int64]]
"""The images of each block, (n,), in the order of the blocks."""


def blocks(labels: NDArray[np.int64], clusters: Clusters, seed: int) -> Blocks:
    """Put images (N,) into blocks at random: whole clusters, and every label in every block."""
    rng = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    size = max(_LEAST, ceil(count / LOOKS))
    if count == len(clusters):
        return _of_images(labels, size, rng)
    whole = set(np.unique(labels).tolist())
    members = [np.flatnonzero(clusters == cluster) for cluster in rng.permutation(count)]
    found: list[list[NDArray[np.int64]]] = [[]]
    seen: set[int] = set()
    for images in members:
        if len(found[-1]) >= size and seen == whole:
            found.append([])
            seen = set()
        found[-1].append(images)
        seen |= set(labels[images].tolist())
    if len(found) > 1 and seen != whole:
        rest = found.pop()
        found[-1] += rest
    return [np.concatenate(block) for block in found]


def _of_images(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> Blocks:
    """Deal the images of each label out to the blocks, as evenly as possible."""
    each = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    count = max(1, min(len(labels) // size, *map(len, each)))
    parts = [np.array_split(images, count) for images in each]
    return [np.concatenate([part[i] for part in parts]) for i in range(count)]


class Stopped(NamedTuple):
    """The first decision, after so many blocks; undecided after all of them."""

    verdict: Verdict
    p: float
    blocks: int


def decide_early(
    given: Answers, order: Sequence[NDArray[np.int64]], margin: float, alpha: float
) -> Stopped:
    """Decide as `accept` does after each of these blocks, and stop at the first decision.

    given: answers before, then those after.
    """
    drops = _p_values(test_of(given, 0), given.features[1], order, margin)
    gains = _p_values(test_of(given, 1), given.features[0], order, -margin)
    least = 1.0
    for look in range(1, len(order) + 1):
        least = min(least, drops(look))
        if least <= alpha:
            return Stopped("accept", least, look)
        if gains(look) <= alpha:
            return Stopped("reject", least, look)
    return Stopped("undecided", least, len(order))


def _p_values(
    test: DropTest, after: NDArray[np.float64], order: Sequence[NDArray[np.int64]], margin: float
) -> Callable[[int], float]:
    """Return the p-value after so many blocks, asked for in turn."""
    if not test.limits.is_fixed:  # bets depend on nothing that a block would have to say

        def of_all(look: int) -> float:
            images = np.sort(np.concatenate(order[:look]))
            return test.take(images).bet(after[images], margin).p

        return of_all
    capital = Wager.none()

    def of_each(look: int) -> float:
        nonlocal capital
        images = np.sort(order[look - 1])
        capital = capital.then(test.take(images).bet(after[images], margin))
        return capital.p

    return of_each
