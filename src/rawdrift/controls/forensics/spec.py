"""The spec of drift forensics."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rawdrift.checks import InputError, choose, choose_literals, distinct, is_number, whole
from rawdrift.controls.spec import FOLDS, Spec
from rawdrift.data.spec import Data
from rawdrift.imports import named
from rawdrift.models.spec import Task
from rawdrift.runs.spec import isp_reference

RIVALS = ("random", "cma-es")


@dataclass(frozen=True)
class Forensics:
    """Drift forensics: settings of the camera and its ISP that break a model, and safe ones.

    Args:
        isp: the pipeline to train on and to drift, such as "bi,s,ga", an ISP file (.toml) of the
            data's camera, or a black box (libraw:..., command:..., import:...), which is searched
            without gradients; with task.checkpoint, the ISP that this model was trained on.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
        folds: number of folds of the cross-validation, at least 2, by default 5. Not for data with
            a column split, whose test images are held out instead.
        models: number of folds, the first ones, for which a model is trained; by default all.
            Sensitivity, envelope and signature are those of the first model.
        images: largest number of test images of each fold, drawn evenly from all labels; by default
            all.
        space: "default", every step within its documented range; or ranges by parameter: a pair
            (low, high), or a half-width relative to the value. Of a black box, by option:
            {"libraw:bright": [0.7, 1.4], "libraw:demosaic_algorithm": [AHD, VNG, DCB]}.
        sensor: whether exposure, gain, read noise and PSF of the sensor drift too; the camera file
            must give the gain.
        groups: what is searched: "all" parameters together; "each" step alone; or names of steps,
            parameters or axes.
        regularizations: weights of the penalty on the distance between drifted and default views; 0
            is no penalty.
        distance: distance between views: "l2", root mean square, or "ssim", 1 - SSIM.
        metric: metric to use instead of task.metric, with the same choices.
        restarts: number of ascents that the evaluations of a search suffice for; it spends some of
            them without the gradient.
        steps: number of steps of each ascent.
        rivals: methods to compare the searches of the first group with, at as many evaluations:
            "random", "cma-es".
        samples: base samples of the Sobol indices, a power of 2; each costs as many evaluations as
            there are axes, and 2 more. 0 leaves the sensitivity out.
        envelope: whether to find safe settings and to sign them.
        max_drop: largest drop of the metric within the envelope.
        confidence: confidence level of the envelope and of intervals.
        cameras: number of random cameras to validate the envelope with.
    """

    isp: str = "bi,s,ga"
    channels: Literal["luma", "yuv"] = "luma"
    folds: int | None = None
    models: int | None = None
    images: int | None = None
    space: Literal["default"] | dict[str, float | list[float | bool | str]] = "default"
    sensor: bool = False
    groups: list[str] = field(default_factory=lambda: ["all", "each"])
    regularizations: list[float] = field(default_factory=lambda: [0.0, 1.0, 10.0, 100.0])
    distance: Literal["l2", "ssim"] = "l2"
    metric: str | None = None
    restarts: int = 4
    steps: int = 20
    rivals: list[str] = field(default_factory=lambda: ["random", "cma-es"])
    samples: int = 64
    envelope: bool = True
    max_drop: float = 0.02
    confidence: float = 0.95
    cameras: int = 200

    def __post_init__(self) -> None:
        object.__setattr__(self, "isp", isp_reference("forensics.isp", self.isp))
        if self.metric is not None:
            object.__setattr__(self, "metric", named(self.metric, "forensics.metric"))
        choose_literals("forensics", self)
        for name, least in (("restarts", 1), ("steps", 1), ("cameras", 1)):
            whole(f"forensics.{name}", getattr(self, name), least)
        for name, least in (("folds", 2), ("models", 1), ("images", 2)):
            if getattr(self, name) is not None:
                whole(f"forensics.{name}", getattr(self, name), least)
        if self.models is not None and self.models > (self.folds or FOLDS):
            raise InputError(
                f"forensics.models must be at most forensics.folds ({self.folds or FOLDS}), "
                f"got {self.models}"
            )
        if self.space != "default" and (not isinstance(self.space, dict) or not self.space):
            raise InputError(
                f'forensics.space must be "default" or ranges by parameter, such as '
                f'{{"gamma.gamma": [1.6, 2.8], "white_balance.gains": 0.2}}, got {self.space!r}'
            )
        for name, least in (("groups", 1), ("regularizations", 1), ("rivals", 0)):
            distinct(f"forensics.{name}", getattr(self, name), least)
        for value in self.regularizations:
            if not is_number(value) or value < 0:
                raise InputError(f"forensics.regularizations must be at least 0, got {value!r}")
        weights = [float(value) for value in self.regularizations]
        object.__setattr__(self, "regularizations", weights)
        for rival in self.rivals:
            choose("rival", rival, RIVALS)
        if whole("forensics.samples", self.samples, 0) & (self.samples - 1) or self.samples == 1:
            raise InputError(
                f"forensics.samples must be a power of 2, or 0 for none, got {self.samples}"
            )
        for name, low in (("max_drop", 0.0), ("confidence", 0.5)):
            value = getattr(self, name)
            if not is_number(value) or not low < value < 1:
                raise InputError(f"forensics.{name} must be above {low:g} and below 1, got {value}")


@dataclass(frozen=True)
class ForensicsSpec(Spec):
    """A whole drift forensics experiment.

    Args:
        data: the raw images and their labels, of one camera.
        forensics: what is searched, and how.
        task: the task model and its training.
        seed: seed of everything that is random.
    """

    takes_repeats: ClassVar[bool] = False

    data: Data
    forensics: Forensics = field(default_factory=Forensics)
    task: Task = field(default_factory=Task)
    seed: int = 0


DEMO = ForensicsSpec(
    data=Data("synthetic-microscopy", images=240, size=48),
    forensics=Forensics(
        folds=3, models=1, images=80, groups=["all"], regularizations=[0], restarts=2, steps=4,
        space={"white_balance.gains[2]": 0.2, "color_correction.hue": [-20, 20],
               "gamma.gamma": 0.2},
        rivals=["random"], samples=0, max_drop=0.15, cameras=50,
    ),
    task=Task(epochs=8, lr=1e-3),
)  # fmt: skip
