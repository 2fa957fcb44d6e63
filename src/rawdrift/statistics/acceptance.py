"""The question of a release: may this camera, firmware or processing replace the one before?"""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import msgspec

from rawdrift.checks import InputError, is_number
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.drops import Answers, read_answers
from rawdrift.statistics.estimates import estimate
from rawdrift.statistics.guarantees import DropTest

Verdict = Literal["accept", "reject", "undecided"]


class Acceptance(msgspec.Struct, frozen=True):
    """Whether the metric is shown to drop by less than a margin.

    decision: "accept" if it is, "reject" if a drop of more is shown, else "undecided".
    p: p-value of "the metric drops by `margin` or more in the population"; `alpha` or less accepts.
    drop: with its two-sided interval of confidence 1 - alpha, by a method of its own.
    needed: images, or groups, it would take to accept if no answer changed. used: images that were
    looked at before the decision was known.
    """

    decision: Verdict
    p: float
    drop: Interval
    needed: int
    margin: float
    alpha: float
    used: int | None = None


def accept(
    truth: Any,
    before: Any,
    after: Any,
    margin: float = 0.02,
    alpha: float = 0.05,
    groups: Sequence[Hashable] | None = None,
    metric: str = "accuracy",
    stop_early: bool = False,
    seed: int = 0,
) -> Acceptance:
    """Decide whether a metric drops by less than `margin` between two answers to the same images.

    If it does drop by `margin` or more in the population of the images, or of their groups, it is
    accepted with a chance of at most `alpha`, for any number of images (`guarantees`). Likewise it
    is rejected with at most this chance if it drops by less.

    Args:
        truth, before, after, groups, metric: see `drop`. No group of the population is taken to be
            larger than the largest of these.
        margin: the drop that must not be reached, between 0 and 1.
        alpha: the largest chance of a wrong decision, below 0.5.
        stop_early: look at the images in random order, drawn by `seed`, and stop at the first
            decision, see `sequential`. `drop` is of all images nevertheless.

    Raises InputError for arguments that don't fit together, and for a metric without known bounds.
    """
    for name, value, most in (("margin", margin, 1.0), ("alpha", alpha, 0.5)):
        if not is_number(value) or not 0 < value < most:
            raise InputError(f"{name} must be above 0 and below {most:g}, got {value!r}")
    given = read_answers(truth, before, [after], metric, groups)
    if not stop_early:
        return decide(given, margin, alpha)
    from rawdrift.statistics.sequential import blocks, decide_early  # which imports this module

    order = blocks(given.labels, given.clusters, seed)
    early = decide_early(given, order, margin, alpha)
    used = sum(map(len, order[: early.blocks]))
    found = decide(given, margin, alpha)
    return msgspec.structs.replace(found, decision=early.verdict, p=early.p, used=used)


def decide(given: Answers, margin: float, alpha: float) -> Acceptance:
    """Decide as `accept` does. given: answers before, then those after."""
    test = test_of(given, 0)
    p = test.p_value(given.features[1], margin)
    decision: Verdict = "accept" if p <= alpha else "undecided"
    if decision == "undecided" and test_of(given, 1).p_value(given.features[0], -margin) <= alpha:
        decision = "reject"
    values = estimate(given.measure, given.features, given.clusters)
    interval = (values[0] - values[1]).interval(1 - alpha)
    return Acceptance(decision, p, interval, test.needed(margin, alpha), margin, alpha)


def test_of(given: Answers, which: int) -> DropTest:
    """Return the test of how much the metric drops from the answers before (0) or after (1)."""
    limits = given.measure.limits
    least = None if limits is None else limits.least(given.outcomes[0], given.labels)
    return DropTest(given.measure, given.features[which], least, given.clusters)
