"""What drift optimization found. No torch.

Means and standard deviations leave out trainings that diverged or failed. Intervals and p-values
cover other images, or groups of them, and, where trainings were repeated, other seeds.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from rawdrift.controls.result import Result, to_builtins
from rawdrift.runs.spec import flat

CERTAIN = 0.05
"""Differences are claimed only if their p-values, corrected for all differences, are below this."""

Values = dict[str, Any]
"""Parameters of an ISP by name, such as "gamma.gamma": a number, or nested lists of numbers."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A metric after an epoch, over all test images, and its standard deviation over trainings.

    std: None of a single training. epoch: from 1. step: of the optimizer.
    """

    mean: float
    std: float | None
    epoch: int
    step: int


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The optimizer step after which a metric first reached a level.

    mean, std: over trainings; None unless all reached it. reached: how many trainings did.
    folds: the step of each training, by fold and repeat; None where it was never reached.
    """

    mean: float | None
    std: float | None
    reached: int
    folds: list[int | None]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A setting at an intensity: a row of the paper's Table 4, and how fast it is learned.

    folds, trainings: how many were trained to the end. mean: of the metric over all test images
    and epochs. low, high: its 95 % interval. std: of the metric over trainings and epochs.
    std_over_folds: of the trainings' means over epochs. std_over_steps: of the epochs' means over
    trainings.
    final: after the last epoch. best: after the epoch with the highest mean, which was chosen by
    the test images. steps_to_90: until each training reached 90 % of its own best value.
    steps_to_90_of_best: until it reached 90 % of the highest mean of any setting.
    """

    intensity: float
    setting: str
    folds: int
    trainings: int
    epochs: int
    mean: float
    std: float | None
    std_over_folds: float | None
    std_over_steps: float | None
    low: float | None
    high: float | None
    final: Moment
    best: Moment
    steps_to_90: Reached
    steps_to_90_of_best: Reached


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of one setting less that of another, on the images that both answered.

    when: after the last epoch ("final"), or the mean over all epochs. of_first, of_second: the
    metric of both. low, high: the intervals of all differences hold together with 95 % confidence.
    n: images. of_seeds: whether interval and p-values cover other seeds, too. p_all: corrected
    for all differences. is_difference: whether it is claimed: its interval excludes 0.
    """

    intensity: float
    when: Literal["final", "mean"]
    first: str
    second: str
    of_first: float
    of_second: float
    value: float
    low: float | None
    high: float | None
    n: int
    of_seeds: bool
    p: float
    p_all: float
    is_difference: bool


def key(fold: int, repeat: int) -> str:
    """Name a training as `Point` does."""
    return f"{fold} repeat {repeat}" if repeat else f"{fold}"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a learning curve, a mean over trainings.

    folds: values by fold, from "0", and for its repeats "0 repeat 1".
    """

    epoch: int
    step: int
    mean: float
    std: float | None
    folds: dict[str, float]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a setting by epoch, on the images of a split. metric: also "loss"."""

    intensity: float
    setting: str
    split: Literal["train", "test"]
    metric: str
    points: list[Point]


class Clipped(msgspec.Struct, frozen=True):
    """The shares of a view's values that are black, 0, and white, 1."""

    black: float
    white: float

    @property
    def total(self) -> float:
        return self.black + self.white


class PathPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A learned ISP after an epoch."""

    epoch: int
    step: int
    values: Values
    clipped: Clipped


class LearnedISP(msgspec.Struct, frozen=True, kw_only=True):
    """The ISP of a camera, learned in a fold.

    file: in the run folder, for `rd.isp.load`; None if it can't be an ISP any more.
    initial, clipped: before the training. final: after the last epoch of `path`.
    """

    intensity: float
    setting: str
    fold: int
    repeat: int = 0
    camera: str
    file: str | None
    configuration: str
    initial: Values
    clipped: Clipped
    final: Values
    path: list[PathPoint]


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a learned ISP that left its physical limits.

    epoch, step, what: when it did first, and what was wrong then. at_end: what is wrong after the
    last epoch; None if it has come back.
    """

    intensity: float
    setting: str
    fold: int
    repeat: int = 0
    camera: str
    parameter: str
    epoch: int
    step: int
    what: str
    at_end: str | None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The static pipeline that static-best chose in a fold.

    validation, losses: the metric and the loss on the `images` of the inner validation, by
    pipeline; None of one whose training diverged.
    """

    intensity: float
    fold: int
    repeat: int = 0
    chosen: str
    metric: str
    validation: dict[str, float | None]
    losses: dict[str, float | None] = {}
    images: int


class Diverged(msgspec.Struct, frozen=True, kw_only=True):
    """A training that diverged in an epoch, after so many steps of whole epochs."""

    intensity: float
    setting: str
    fold: int
    repeat: int = 0
    epoch: int
    after_step: int
    why: str


class Views(msgspec.Struct, frozen=True):
    """Paths of the pictures of a view before and after the training."""

    before: str
    after: str


class Masks(msgspec.Struct, frozen=True):
    """Paths of the pictures of the masks that were answered after the first and the last epoch."""

    first: str
    last: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A test image of the first fold as the network sees it, by setting.

    label: None for masks. truth, masks: the picture of the right mask, and the answers by setting.
    """

    intensity: float
    image: str
    label: str | None
    views: dict[str, Views]
    truth: str | None = None
    masks: dict[str, Masks] = {}


class IntensityView(msgspec.Struct, frozen=True):
    """The raw colors of an image at an intensity: paths of pictures.

    view: in the scale that all intensities share. stretched: from its own minimum to its maximum.
    """

    intensity: float
    image: str
    view: str
    stretched: str


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a trained ISP, and the gradient of the loss there.

    view, gradient: paths of pictures. view_white, gradient_white: the values shown as white.
    gradient_mean: the mean size of the gradient.
    """

    name: str
    view: str
    view_white: float
    gradient: str
    gradient_white: float
    gradient_mean: float


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """A test image of the first fold on its way through the trained ISP of a setting."""

    intensity: float
    setting: str
    image: str
    stages: list[StageView]


class OptimizationResult(Result, frozen=True, kw_only=True, tag="optimization"):
    """What drift optimization found.

    same: settings that equal another one to the last bit, and that one. repeats: how often each
    fold was trained. epochs: of a training.
    table, differences, curves: of the settings at each intensity; empty where none finished.
    isps, violations: of the learned ISPs. labels: what readers call their parameters, and those of
    their elements that have names. units: of parameters that have one.
    choices: of static-best. diverged: trainings without a result. samples, stages: pictures of the
    first fold. less_light: one of its images at each intensity, if there are several.
    """

    settings: list[str]
    same: dict[str, str]
    intensities: list[float]
    folds: int
    repeats: int
    epochs: int
    table: list[Row]
    differences: list[Difference]
    curves: list[Curve]
    isps: list[LearnedISP]
    labels: dict[str, str]
    units: dict[str, str]
    violations: list[Violation]
    choices: list[Choice]
    diverged: list[Diverged]
    samples: list[Sample] = []
    stages: list[Stages] = []
    less_light: list[IntensityView] = []

    def headline(self) -> dict[str, float]:
        return {f"{row.setting} {row.intensity:g} {self.metric}": row.mean for row in self.table}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each setting at each intensity; "final.std" is the field of a field."""
        rows = [{"metric": self.metric, **flat(to_builtins(row))} for row in self.table]
        return [{k: v for k, v in row.items() if not isinstance(v, list)} for row in rows]

    def at(self, intensity: float) -> Sequence[Row]:
        """The rows of an intensity, without settings that equal another one."""
        return [
            row for row in self.table if row.intensity == intensity and row.setting not in self.same
        ]
