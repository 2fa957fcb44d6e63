"""What a comparison found. No torch."""

from typing import Any, Literal

import msgspec

from rawdrift.controls.result import Result
from rawdrift.report.sample import SampleImage
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import Interval

UNEXPLAINED = "unexplained"
"""What the stage is called that nobody can divide: of pictures, or of a black box."""

Decision = Literal["non-inferior", "inferior", "undecided"]


class MaskPair(msgspec.Struct, frozen=True):
    """The masks that a model answered to an image's views before and after, as PNG files."""

    before: bytes
    after: bytes


class StandIn(msgspec.Struct, frozen=True, kw_only=True):
    """An ISP that was fitted to views of a black box, to divide what the box changes into stages.

    images: to which it was fitted, of no test. isp: as the text of an ISP file; None if it could
    not be fitted, and `why`. psnr, delta_e: of pictures that were held out, in dB and CIEDE2000.
    """

    reference: str
    images: int
    isp: str | None = None
    psnr: float | None = None
    delta_e: float | None = None
    warnings: list[str] = []
    why: str | None = None


class ComparisonRecord(Record, frozen=True, kw_only=True):
    """The tests of one network.

    images: numbers of the tested images, (n,), in the order of the test. outcomes: answers to them
    by coalition (`sides.Between`): classes (n,), or for masks counts of pixels (n, C, 3). masks: by
    number of the image, of those that lose most. stand_ins: of before and after, where those are
    black boxes.
    """

    fold: int
    images: list[int]
    outcomes: list[list[int | list[list[int]]]]
    masks: dict[int, MaskPair] = {}
    stand_ins: list[StandIn | None] = []


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """The share of the drop that a stage has: its Shapley value, with its 95 % interval.

    The values of all stages add up to the drop, and the intervals hold together. before, after: the
    stage in words, "none" where an ISP lacks it.
    """

    stage: str
    value: float
    low: float | None
    high: float | None
    before: str
    after: str

    @property
    def interval(self) -> Interval:
        return Interval(self.value, self.low, self.high)


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the metric comes back if one stage of `after` is as in `before`, with its 95 %
    interval; all these intervals hold together. share: of the drop; None unless the drop is clearly
    above zero."""

    stage: str
    value: float
    low: float | None
    high: float | None
    share: float | None

    @property
    def interval(self) -> Interval:
        return Interval(self.value, self.low, self.high)


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """How much more two stages cost together than each by itself, averaged over the states of the
    other stages (Grabisch and Roubens, International Journal of Game Theory 28, 1999).

    low, high: its 95 % interval; those of all pairs hold together.
    """

    one: str
    other: str
    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> Interval:
        return Interval(self.value, self.low, self.high)

    @property
    def is_clear(self) -> bool:
        """Whether it is more than chance."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """A group of images: the metric before and after; None where it is not defined."""

    group: str
    n: int
    before: float | None
    after: float | None
    drop: float | None


class Stopped(msgspec.Struct, frozen=True):
    """How many images an early decision took, and how many there were. looks: of how many."""

    images: int
    of: int
    looks: int


class ComparisonResult(Result, frozen=True, kw_only=True, tag="comparison"):
    """What a comparison found.

    before, after: the ISPs. trained_here: False for a trained model of the user's own.
    margin, alpha, p: of the test, see `statistics.accept`. needed: images, or groups, it would take
    to be non-inferior if no answer changed. stopped: if comparison.stop_early is set; then
    everything is of the images that were tested. why: what keeps a test from deciding that could.
    metric_before, metric_after, drop: with 95 % intervals.
    moved, not_moved: of another sensor after, what raw files of the old one were changed to, and
    what they could not be; in words. stand_ins: of black boxes.
    blame: of each stage in which the ISPs differ, the largest first. remedies: likewise.
    lost, won: images that are right before and wrong after, and the reverse; None for masks.
    groups: those that lose most. images: those that lose most. amplified: how many times their
    pictures of the change enlarge it. stages: in which the ISPs differ, in their order. values: the
    metric by coalition of stages, a whole number whose bit i says whether stage i is that of
    `after`.
    """

    before: str
    after: str
    trained_here: bool
    margin: float
    alpha: float
    decision: Decision
    p: float
    needed: int
    metric_before: Interval
    metric_after: Interval
    drop: Interval
    blame: list[Blame]
    remedies: list[Remedy]
    interactions: list[Interaction]
    stages: list[str]
    values: list[float]
    why: str | None = None
    stopped: Stopped | None = None
    lost: int | None = None
    won: int | None = None
    groups: list[GroupChange] = []
    images: list[SampleImage] = []
    amplified: int = 1
    moved: list[str] = []
    not_moved: list[str] = []
    stand_ins: list[StandIn] = []

    @property
    def exit_code(self) -> int:
        return 0 if self.decision == "non-inferior" and not self.failed else 1

    @property
    def is_drop(self) -> bool:
        """Whether the metric is shown to drop at all."""
        return self.drop.low is not None and self.drop.low > 0

    def headline(self) -> dict[str, float]:
        return {
            f"{self.metric} before": self.metric_before.value,
            f"{self.metric} after": self.metric_after.value,
            "drop": self.drop.value,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a coalition of stages: which are those of `after`, and the metric."""
        return [
            {
                **{stage: bool(number >> i & 1) for i, stage in enumerate(self.stages)},
                self.metric: value,
                "drop": self.values[0] - value,
            }
            for number, value in enumerate(self.values)
        ]
