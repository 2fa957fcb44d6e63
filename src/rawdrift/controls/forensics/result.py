"""What drift forensics finds: shared by searches, records of units, the result and its page."""

import math
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import asdict

from rawdrift import plots
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.result import Result
from rawdrift.report.sample import SampleImage
from rawdrift.statistics.basics import Interval
from rawdrift.text import Shown, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

GRADIENT = "gradient"


class Found(msgspec.Struct, Shown, frozen=True):
    """The worst setting that a method found.

    method: "gradient", "random" or "cma-es". parameters: values by axis. metric, loss, distance: of
    the images that were searched with; see `chain.Score`. evaluations: passes of these images
    through the net; one with a gradient counts as three, or four of masks.
    parts: the lowest metric that each part of the method found, in their order.
    """

    method: str
    parameters: dict[str, float]
    metric: float
    loss: float
    distance: float
    evaluations: int
    parts: dict[str, float]

    @property
    def part(self) -> str:
        """The part that found the lowest metric, the first of equal ones; "" if none did."""
        return min(self.parts, key=lambda part: self.parts[part], default="")


class FoldSearch(msgspec.Struct, Shown, frozen=True):
    """The search for the model of one fold, by gradients and by rivals with as many evaluations.

    default: the metric of the images searched with, at the camera's own setting. methods: what each
    found, by its name.
    """

    fold: int
    default: float
    methods: dict[str, Found]
    warnings: list[str]

    @property
    def gradient(self) -> Found:
        """The setting that the gradient found."""
        return self.methods[GRADIENT]

    @property
    def worst(self) -> Found:
        """The worst setting of all methods; of equal ones that of the gradient."""
        return min(self.methods.values(), key=lambda found: found.metric)


class Sobol(msgspec.Struct, Shown, frozen=True):
    """Shares of the metric's variance over the box that an axis explains.

    first: alone. total: alone and together with others; 0 where it does not matter.
    """

    first: Interval
    total: Interval


class Point(msgspec.Struct, frozen=True):
    """The metric, with its interval, where one axis has a value and all others their default."""

    at: float
    metric: Interval


class Sensitivity(msgspec.Struct, Shown, frozen=True, kw_only=True):
    """Which axes matter to a model.

    indices, curves: by axis. variance: of the metric over the box; 0 if it is the same everywhere.
    samples: of the Sobol indices. evaluations: passes of all images through the net.
    """

    metric: str
    confidence: float
    variance: float
    samples: int
    indices: dict[str, Sobol]
    curves: dict[str, list[Point]]
    evaluations: int

    def to_frame(self) -> "pandas.DataFrame":
        """Return the indices as a pandas DataFrame, a row for each axis."""
        return frame(
            [
                {
                    "axis": name,
                    **{f"total_{key}": value for key, value in asdict(index.total).items()},
                    **{f"first_{key}": value for key, value in asdict(index.first).items()},
                }
                for name, index in self.indices.items()
            ]
        )

    def plot(self) -> "Figure":
        """Draw the total order of each axis with its interval, the largest first (Matplotlib)."""
        names = self.by_importance()
        totals = [self.indices[name].total for name in names]
        ends = [(total.low, total.high) for total in totals]
        return plots.intervals("Total order", names, [total.value for total in totals], ends)

    def by_importance(self) -> list[str]:
        """The axes, the one of the largest total order first."""
        return sorted(self.indices, key=lambda name: -self.indices[name].total.value)


class Tolerance(msgspec.Struct, Shown, frozen=True):
    """How far one axis may go alone.

    by_low, by_high: what ends the interval: a "drop" of the metric that is not ruled out, the
    "space" that was searched, or too few "images" for any setting.
    """

    default: float
    low: float
    high: float
    by_low: Literal["drop", "space", "images"]
    by_high: Literal["drop", "space", "images"]


class Validation(msgspec.Struct, Shown, frozen=True):
    """Tests of the joint box with images that it was not built with.

    cameras: drawn uniformly from the box; 0 without a box. violations: cameras for which the test
    does not rule out that they lose more than `max_drop`. share: of violations; high bounds the
    share of cameras in the box that do lose more. worst_drop: the largest that these images show.
    corners: that were tried, all of which passed their test. strength: any so many axes take all
    their corners; as many as there are axes if every corner was tried. worst_corner_drop,
    worst_corner: the largest drop at a corner, and this setting. held_out: images or groups.
    """

    cameras: int
    violations: int
    share: Interval
    worst_drop: float
    corners: int
    strength: int
    worst_corner_drop: float
    worst_corner: dict[str, float]
    held_out: int


class Envelope(msgspec.Struct, Shown, frozen=True, kw_only=True):
    """The settings at which the metric drops by less than `max_drop`.

    baseline: the metric of the ISP as it is. axes: of the space. tolerances: by axis, of each
    alone. box: (low, high) by axis, of all together. scale: the smallest share of a tolerance's
    reach that the box keeps; 0 if there is no box. level: the p-value that the first setting of
    each axis needs. images, groups: how many; groups are what is independent. needed: images or
    groups it takes for a setting at which no answer changes. evaluations: passes of all images
    through the net. warnings: what a reader must know.
    """

    metric: str
    baseline: Interval
    max_drop: float
    confidence: float
    axes: tuple[Axis, ...]
    tolerances: dict[str, Tolerance]
    box: dict[str, tuple[float, float]]
    scale: float
    validation: Validation
    level: float
    seed: int
    images: int
    groups: int
    needed: int
    evaluations: int
    warnings: tuple[str, ...]

    def to_frame(self) -> "pandas.DataFrame":
        """Return the safe settings as a pandas DataFrame, a row for each axis."""
        return frame(
            [
                {
                    "axis": axis.name,
                    "unit": axis.unit,
                    **asdict(self.tolerances[axis.name]),
                    "together_low": self.box[axis.name][0],
                    "together_high": self.box[axis.name][1],
                }
                for axis in self.axes
            ]
        )

    def plot(self) -> "Figure":
        """Draw how far each axis may go alone, and all together (Matplotlib)."""
        from rawdrift.controls.forensics import safety
        from rawdrift.report import style

        with style.drawing():
            return safety.envelope(self.axes, self)

    @property
    def is_empty(self) -> bool:
        """Whether there are too few images to sign anything."""
        return any("images" in (t.by_low, t.by_high) for t in self.tolerances.values())

    @property
    def most_lose(self) -> str:
        """The bound on the share of cameras in the box that lose too much, in percent, rounded up
        to a tenth."""
        share = self.validation.share.high
        return f"{math.ceil(1000 * (1.0 if share is None else share)) / 10:g} %"

    @property
    def bounds_share(self) -> bool:
        """Whether enough cameras were drawn to bound that share below 1."""
        share = self.validation.share.high
        return share is not None and share < 1

    @property
    def unit(self) -> str:
        """What is independent, in the plural."""
        return "images" if self.groups == self.images else "groups of images"

    def claims(self) -> list[str]:
        """Return what the envelope states, in sentences."""
        if self.is_empty:
            return []
        confidence, checked = f"{100 * self.confidence:g} % confidence", self.validation
        metric, drop = self.metric.replace("_", " "), f"{self.max_drop:g}"
        alone = (
            f"with one parameter at an end of its tolerance and all others at the camera's own "
            f"value, {metric} drops by at most {drop}, with {confidence} for all ends together"
        )
        if not checked.cameras:
            return [alone, "nothing is stated for cameras that differ in several parameters"]
        every = checked.corners == 2**checked.strength
        corners = f"all {checked.corners} corners" if every else f"the {checked.corners} corners"
        share = (
            f"of cameras drawn uniformly from this box, at most {self.most_lose} "
            f"lose more than {drop}, with {confidence}"
        )
        if not self.bounds_share:
            share = (
                f"how many cameras drawn from this box lose more than {drop} is not stated: "
                f"{checked.cameras} were drawn, which is too few to bound it"
            )
        return [
            alone,
            share,
            f"at {corners} of the box that were tried, {metric} drops by at most {drop}, with "
            f"{confidence}; the most that {checked.held_out} held-out {self.unit} show there is "
            f"{max(0.0, checked.worst_corner_drop):.3f}",
        ]


class Visited(msgspec.Struct, frozen=True):
    """A setting that a gradient search tried.

    part: of the search: "probes", "ascents", "cma-es" or "refinement". start: the number of the
    ascent that it belongs to, or -1.
    """

    part: str
    start: int
    loss: float
    metric: float
    distance: float


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """The metric over the held-out images of some folds, each with its own model and setting.

    regularization: weight of the distance. std: of the metric over folds; None of a single one.
    drop: from the metric of the same images with the camera's own setting. Without held-out images,
    of those that were searched with, and without intervals.
    """

    group: str
    regularization: float
    metric: Interval
    std: float | None
    drop: Interval

    @property
    def is_drop(self) -> bool:
        """Whether the interval of the drop lies above zero."""
        return self.drop.low is not None and self.drop.low > 0


class Search(Searched, frozen=True, kw_only=True):
    """The searches of a group of parameters in all folds.

    metric, std, drop, distance: at the settings that the gradient search found; distance: mean over
    folds. The intervals of all searches' drops hold together.
    """

    distance: float
    folds: list[FoldSearch]


class Worst(Searched, frozen=True, kw_only=True):
    """The search that costs most the images that were searched with, at the worst settings of all
    methods.

    It is chosen without the held-out images, so the interval of its drop holds by itself. folds:
    how many. search: of the fold that loses most of the images searched with.
    """

    folds: int
    search: FoldSearch

    @property
    def setting(self) -> Found:
        """The worst setting of the fold that loses most."""
        return self.search.worst


class Baseline(msgspec.Struct, frozen=True):
    """The metric with the camera's own setting, over all models that were searched.

    n: images. held_out: whether these were not searched with.
    """

    metric: Interval
    std: float | None
    by_fold: list[float | None]
    n: int
    held_out: bool


class Trajectory(msgspec.Struct, frozen=True):
    """The settings that a gradient search tried, in order."""

    regularization: float
    visits: list[Visited]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of the envelope, as far as the page shows it.

    model_kind: the class of the network. model_parameters: how many it has. bounds: how the bounds
    of the envelope were found.
    """

    file: str
    checksum: str
    model_sha256: str
    model_kind: str
    model_parameters: int
    data_sha256: str
    bounds: str


class StripView(msgspec.Struct, frozen=True):
    """An image at the setting that a regularization led to, and the model's answer.

    view: its picture. prediction: a class; score: the metric of a mask. mask: its picture.
    """

    regularization: float
    view: str
    prediction: str | None
    score: float | None
    mask: str | None = None


class Strip(msgspec.Struct, frozen=True):
    """One image with the camera's own setting and with every regularization, the weakest first.

    truth, matched_mask: pictures of the right mask and of the answer with the own setting.
    """

    image: str
    label: str | None
    matched_view: str
    views: list[StripView]
    truth: str | None = None
    matched_mask: str | None = None


class StagePicture(msgspec.Struct, frozen=True):
    """The output of an ISP's step for one image, and the gradient of the loss by it, as pictures.

    leverage: the growth of the loss of all images that are shown; see `Stage.leverage`.
    """

    view: str
    gradient: str
    leverage: float


class StagePair(msgspec.Struct, frozen=True):
    """A step of the ISP with the camera's own setting and at the worst one."""

    step: str
    default: StagePicture
    drifted: StagePicture


class Pictures(msgspec.Struct, frozen=True):
    """The worst setting in pictures: of the images that lose most there.

    amplified: how many times differences are enlarged. strips: of the first images. stages: of the
    first one.
    """

    amplified: int
    images: list[SampleImage]
    strips: list[Strip]
    stages: list[StagePair]


class ForensicsResult(Result, frozen=True, kw_only=True, tag="forensics"):
    """What drift forensics found.

    trained_here: whether the models were trained in this run. distance: "l2" or "ssim".
    isp, camera: names. space: the axes that drift. groups: that were searched. models: how many.
    tested: test images of each. trajectories: of the worst group in its worst fold, by
    regularization. sensitivity, envelope: of the first model.
    model_file: of the first model, relative to the run folder if it was trained here.
    """

    trained_here: bool
    distance: str
    isp: str
    camera: str
    space: list[Axis]
    groups: list[str]
    regularizations: list[float]
    models: int
    tested: list[int]
    confidence: float
    baseline: Baseline
    searches: list[Search]
    worst: Worst
    trajectories: list[Trajectory]
    sensitivity: Sensitivity | None
    envelope: Envelope | None
    signature: Signed | None
    model_file: str
    pictures: Pictures | None = None

    @property
    def farthest(self) -> Search:
        """The search that changes the views most."""
        return max(self.searches, key=lambda search: search.distance)

    @property
    def lowest(self) -> Search:
        """The search with the lowest metric, of equal ones that with the smallest change."""
        return min(self.searches, key=lambda search: (search.metric.value, search.distance))

    def headline(self) -> dict[str, float]:
        numbers = {
            f"default {self.metric}": self.baseline.metric.value,
            f"worst {self.metric}": self.worst.metric.value,
        }
        return (
            numbers if self.envelope is None else numbers | {"envelope scale": self.envelope.scale}
        )

    def compared(self) -> list[tuple[Search, FoldSearch]]:
        """The searches that had rivals, fold by fold."""
        return [(s, fold) for s in self.searches for fold in s.folds if len(fold.methods) > 1]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each search, fold and method; `value` is the metric of the images that were
        searched with, at its setting; `part` what found it."""
        return [
            {
                "group": search.group,
                "regularization": search.regularization,
                "fold": fold.fold,
                "method": found.method,
                "metric": self.metric,
                "default": fold.default,
                "value": found.metric,
                "loss": found.loss,
                "distance": found.distance,
                "evaluations": found.evaluations,
                "part": found.part,
                **{axis.name: found.parameters.get(axis.name, axis.default) for axis in self.space},
            }
            for search in self.searches
            for fold in search.folds
            for found in fold.methods.values()
        ]
