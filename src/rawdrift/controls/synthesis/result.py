"""What drift synthesis found. No torch."""

from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from rawdrift.checks import InputError
from rawdrift.controls.result import Result
from rawdrift.models.case import Case, Kind
from rawdrift.report.sample import SampleImage
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import Interval, Spread

T = TypeVar("T")


class MaskPair(msgspec.Struct, frozen=True):
    """The masks that a model answered to an image's own view and to a test's, as PNG files."""

    matched: bytes
    mask: bytes


class SynthesisRecord(Record, frozen=True, kw_only=True):
    """The tests of one model.

    outcomes: answers to the fold's n test images by `Case.key`: classes (n,), or for masks counts
        of pixels (n, C, 3), see `statistics.measures.Outcomes`.
    distance: between the case's views and the matched ones, by `Case.key`: "dssim" and "mse".
    masks: by `Case.key` and number of the image in the data, of the images that lose most.
    """

    train: str
    fold: int
    repeat: int = 0
    outcomes: dict[str, list[int | list[list[int]]]]
    distance: dict[str, dict[str, float]]
    masks: dict[str, dict[int, MaskPair]] = {}


class ByKind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Something for tests on other pipelines, and for tests under corruptions if there were any."""

    isp: T
    corruption: T | None = None

    def items(self) -> list[tuple[Kind, T]]:
        """Return the kinds of tests that there were, with their values."""
        both: list[tuple[Kind, T]] = [("isp", self.isp)]
        return both if self.corruption is None else [*both, ("corruption", self.corruption)]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A training pipeline's models on one test.

    mean, low, high: the metric over all images, each tested once, with its 95 % interval.
    std: of the metric over the folds. n: how many images. further: other metrics by name.
    ssim, psnr: similarity of the test's views to the matched ones; psnr (dB) is None if they are
        equal.
    drop, drop_low, drop_high: the matched metric minus `mean`, with its 95 % interval; None for the
        models' own views, as are p and p_all. p: two-sided, of the drop. p_all: corrected for all
        drops of the result. is_drop: whether the drop is claimed: with the intervals of all drops
        made so wide that they hold together, that of this one lies above 0, and `p_all` is below
        0.05.
    """

    train: str
    kind: Kind
    test: str
    severity: int
    mean: float
    std: float | None
    folds: int
    n: int
    low: float | None
    high: float | None
    ssim: float
    psnr: float | None
    further: dict[str, float | None]
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
    p: float | None = None
    p_all: float | None = None
    is_drop: bool = False

    @property
    def case(self) -> Case:
        return Case(self.kind, self.test, self.severity)

    @property
    def value(self) -> Interval:
        """The metric with its interval."""
        return Interval(self.mean, self.low, self.high)

    @property
    def loss(self) -> Interval | None:
        """The drop with its interval."""
        return None if self.drop is None else Interval(self.drop, self.drop_low, self.drop_high)


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A training pipeline in the ranking by its mean over all tests of a kind.

    rank_low, rank_high: between which the rank lies; those of all ranks of a kind hold together
        with 95 % confidence.
    mean, low, high: over the tests, own views among the pipelines, with the 95 % interval.
    std: of the mean over the folds. matched: the metric on the own views. drop: `matched` minus
    the mean of the other tests. worst, worst_test, worst_severity: the lowest of the other tests.
    """

    rank: int
    rank_low: int
    rank_high: int
    train: str
    mean: float
    low: float | None
    high: float | None
    std: float | None
    matched: float
    drop: float
    worst_test: str
    worst_severity: int
    worst: float

    @property
    def value(self) -> Interval:
        """The mean with its interval."""
        return Interval(self.mean, self.low, self.high)

    @property
    def rank_interval(self) -> Interval:
        return Interval(self.rank, self.rank_low, self.rank_high)


class Rankings(ByKind[list[Ranked]], frozen=True, kw_only=True):
    """The training pipelines by their mean over all tests of a kind, the best first."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The training pipelines on one test, the best first.

    "identity", of the kind "corruption", is the test on each model's own views.
    """

    kind: Kind
    test: str
    severity: int
    order: list[str]


class AverageDrops(ByKind[Interval], frozen=True, kw_only=True):
    """Drops averaged over all training pipelines and tests of a kind, with 95 % intervals.

    severities: under corruptions of each severity. ratio: of corruptions to pipelines; None unless
    the drop on other pipelines is clearly above zero.
    """

    severities: dict[int, Interval]
    ratio: Interval | None


class CaseDrop(msgspec.Struct, frozen=True, kw_only=True):
    """The drop on one test, averaged over the training pipelines whose own views it isn't."""

    kind: Kind
    test: str
    severity: int
    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> Interval:
        return Interval(self.value, self.low, self.high)


class SameDistance(msgspec.Struct, frozen=True, kw_only=True):
    """Average drops on pipelines and under corruptions that change the views equally.

    compared: how many pairs of pipelines a corruption reaches. pairs: how many there are.
    """

    isp: Interval
    corruption: Interval
    ratio: Interval | None
    compared: int
    pairs: int


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """The test of a kind with the largest drop that is claimed, or if none is, that was measured.

    mean, matched: the metric on the test, and on the model's own views. drop: their difference.
    low, high: its 95 % interval, which holds together with those of all drops of the result, and so
    accounts for the choice of the test; the drop is claimed if it lies above 0. most: the highest
    upper end of the kind: no drop is larger, with the same confidence. strength: constants of a
    corruption, by name. images: those that lose most. amplified: how many times
    their pictures of the change enlarge it.
    """

    train: str
    kind: Kind
    test: str
    severity: int
    mean: float
    matched: float
    drop: float
    low: float | None
    high: float | None
    most: float
    p_all: float
    is_drop: bool
    strength: dict[str, float]
    amplified: int = 1
    images: list[SampleImage] = []

    @property
    def case(self) -> Case:
        return Case(self.kind, self.test, self.severity)


class WorstCases(ByKind[Worst], frozen=True, kw_only=True):
    """The largest drop on other pipelines, and the largest under corruptions."""


class Views(msgspec.Struct, frozen=True, kw_only=True):
    """One image as all pipelines develop it, and corrupted: paths of pictures by name.

    cropped: whether they show its middle alone. tested, others: views of the pipeline `own` with
    the corruptions that models were tested under, and with the rest of the common corruptions, all
    of this severity; empty without corruptions.
    """

    image: str
    cropped: bool
    views: dict[str, str]
    own: str = ""
    severity: int = 0
    tested: dict[str, str] = {}
    others: dict[str, str] = {}

    def blocks(self) -> dict[str, dict[str, str]]:
        """Return the pictures by title and name."""
        corrupted = f"{self.own}, severity {self.severity}"
        blocks = {
            "Pipelines (ISP)": self.views,
            f"Corruptions of {corrupted}": self.tested,
            f"Corruptions that were not tested, of {corrupted}": self.others,
        }
        return {title: pictures for title, pictures in blocks.items() if pictures}


class SynthesisResult(Result, frozen=True, kw_only=True, tag="synthesis", dict=True):
    """What drift synthesis found.

    trained_here: False for a trained model of the user's own. repeats: how often each fold was
    trained.
    train: training pipelines all of whose folds were done. test: pipelines they were tested on.
    corruptions, severities, severity_table: of the corruptions they were tested under.
    matched: the metric on own views, mean and standard deviation over pipelines and folds.
    agreement: Kendall's tau of the two rankings; None with fewer than three pipelines.
    severity_matched: by measure of distance, "dssim" or "mse"; None where no corruption changes
        the views as much as another pipeline does.
    """

    trained_here: bool
    train: list[str]
    test: list[str]
    corruptions: list[str]
    severities: list[int]
    severity_table: str
    folds: int
    cells: list[Cell]
    rankings: Rankings
    orders: list[Order]
    agreement: Interval | None
    average_drops: AverageDrops
    case_drops: list[CaseDrop]
    severity_matched: dict[str, SameDistance | None]
    matched: Spread
    worst: WorstCases
    views: Views | None = None
    repeats: int = 1

    def headline(self) -> dict[str, float]:
        values = {f"matched {self.metric}": self.matched.mean}
        for kind, drop in self.average_drops.items():
            values[f"average drop {kind}"] = drop.value
        return values

    def rows(self) -> list[dict[str, Any]]:
        """One row a cell: a training pipeline on a test."""
        rows = []
        for cell in self.cells:
            row = msgspec.structs.asdict(cell)
            further = row.pop("further")
            rows.append({**row, **further})
        return rows

    def cases(self, kind: Kind | None = None) -> list[Case]:
        """Return all tests, or those of a kind."""
        cases = [Case("isp", name) for name in self.test]
        cases += [
            Case("corruption", name, severity)
            for name in self.corruptions
            for severity in self.severities
        ]
        return [case for case in cases if kind in (None, case.kind)]

    def cell(self, train: str, case: Case) -> Cell:
        """Return the cell of a training pipeline on a test. Raises InputError if there is none."""
        try:
            return self.by_case[train, case]
        except KeyError:
            raise InputError(f"the result has no number for {train} tested on {case.key}") from None

    def own(self, train: str) -> Cell:
        """Return the cell of a training pipeline on its own views."""
        return self.cell(train, Case("isp", train))

    @cached_property
    def by_case(self) -> dict[tuple[str, Case], Cell]:
        """The cells by training pipeline and test."""
        return {(cell.train, cell.case): cell for cell in self.cells}

    @property
    def compared(self) -> int:
        """How many drops the p-values are corrected for."""
        return sum(cell.drop is not None for cell in self.cells)
