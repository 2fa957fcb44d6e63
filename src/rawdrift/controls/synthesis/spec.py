"""The spec of drift synthesis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rawdrift.checks import InputError, choose, choose_literals, distinct, whole
from rawdrift.configurations import CONFIGURATIONS, check_name, is_external, is_file, label
from rawdrift.controls.spec import Spec
from rawdrift.corruptions.table import LEVELS, NAMES, PAPER
from rawdrift.data.spec import Data
from rawdrift.imports import is_import, named
from rawdrift.models.case import Case
from rawdrift.models.spec import Task
from rawdrift.runs.spec import isp_reference


@dataclass(frozen=True)
class Synthesis:
    """The pipelines to train on and to test on, and corruptions.

    Args:
        train: training pipelines, by default all twelve: names such as "bi,s,ga", in which "-"
            leaves a step out as in "bi,-,-", ISP files (.toml) of the data's camera, or black
            boxes (libraw:..., command:..., import:...). With task.checkpoint, the one pipeline
            whose views that model was trained on.
        test: pipelines to test on, by name; by default all twelve. Malvar's and Menon's
            demosaicing are for Bayer and quad-Bayer mosaics, so name others for another camera.
        isps: ISPs to test beside them, as in `train`. Those of `train` are added.
        precision: precision of the network in tests: "32", or "bf16", which is twice as fast on
            processors with bfloat16, but may change answers that are close calls.
        folds: number of folds of the cross-validation, at least 2, by default 5. Not for data with
            a column split, whose test images are held out instead.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
        corruptions: corruptions of the training pipeline's views to test on, by name or as
            import:package.module.name; by default the ten of the paper.
        severities: severities of the corruptions, from 1 to 5.
        severity_table: "imagenet", constants for images of about 224 pixels, or "small", for 32
            pixels, as the paper's code used them.
    """

    train: list[str] = field(default_factory=lambda: list(CONFIGURATIONS))
    folds: int | None = None
    channels: Literal["luma", "yuv"] = "luma"
    corruptions: list[str] = field(default_factory=lambda: [n for n in PAPER if n != "identity"])
    severities: list[int] = field(default_factory=lambda: [1, 3, 5])
    severity_table: Literal["imagenet", "small"] = "imagenet"
    precision: Literal["32", "bf16"] = "32"
    isps: list[str] | None = None
    test: list[str] = field(default_factory=lambda: list(CONFIGURATIONS))

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Names of all tested pipelines: those of `test`, then of `isps`; a file by its stem."""
        return (*self.test, *map(label, self.isps or ()))

    @property
    def files(self) -> list[str]:
        """Paths of the ISP files that are tested, and references of black boxes."""
        return [isp for isp in self.isps or () if is_file(isp) or is_external(isp)]

    @property
    def cases(self) -> list[Case]:
        """All tests: the pipelines, then each corruption at each severity."""
        pipelines = [Case("isp", name) for name in self.pipelines]
        return pipelines + [
            Case("corruption", name, severity)
            for name in self.corruptions
            for severity in self.severities
        ]

    def __post_init__(self) -> None:
        for name in self.test:
            if is_file(name) or is_external(name):
                raise InputError(
                    f"synthesis.test takes names of pipelines, got {name!r}; ISP files and black "
                    f"boxes stand in synthesis.isps, which is tested, too"
                )
            check_name(name, "pipeline in synthesis.test")
        others = [isp_reference("synthesis.isps", isp) for isp in self.isps or ()]
        _check_labels([*self.test, *map(label, others)])
        known = [*self.test, *map(label, others)]
        train = []
        for isp in self.train:
            if isp not in known:
                isp = isp_reference("pipeline in synthesis.train", isp, known)
                others += [isp] if isp not in others else []
            train.append(label(isp))
        _check_labels([*self.test, *map(label, others)])
        object.__setattr__(self, "train", train)
        object.__setattr__(self, "isps", others or None)
        if self.folds is not None:
            whole("synthesis.folds", self.folds, 2)
        choose_literals("synthesis", self)
        corruptions = [named(each, "synthesis.corruptions") for each in self.corruptions]
        object.__setattr__(self, "corruptions", corruptions)
        for name in self.corruptions:
            # The identity is the test on the training pipeline itself.
            if not is_import(name):
                choose("corruption", name, [name for name in NAMES if name != "identity"])
        for severity in self.severities:
            if severity not in LEVELS or type(severity) is not int:
                raise InputError(f"synthesis.severities must be from 1 to 5, got {severity!r}")
        if self.corruptions and not self.severities:
            raise InputError("synthesis.severities is empty; name one, or no corruptions")
        for name, least in (("train", 1), ("test", 1), ("corruptions", 0), ("severities", 0)):
            distinct(f"synthesis.{name}", getattr(self, name), least)
        if not self.corruptions and list(self.pipelines) == self.train and len(self.train) == 1:
            raise InputError(
                f"nothing is tested but {self.train[0]}, which the model is trained on; name other "
                f"pipelines in synthesis.test, or synthesis.corruptions"
            )


def _check_labels(labels: Sequence[str]) -> None:
    for name in labels:
        if labels.count(name) > 1:
            raise InputError(f"two pipelines are called {name!r}; rename a file of synthesis.isps")


@dataclass(frozen=True)
class SynthesisSpec(Spec):
    """A whole drift synthesis experiment.

    Args:
        data: the raw images and their labels.
        synthesis: the grid of pipelines.
        task: the task model and its training.
        seed: seed of everything that is random.
    """

    data: Data
    synthesis: Synthesis = field(default_factory=Synthesis)
    task: Task = field(default_factory=Task)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task.checkpoint is not None and len(self.synthesis.train) != 1:
            raise InputError(
                "task.checkpoint is a trained model: name in synthesis.train the one pipeline "
                f"whose views it was trained on, got {len(self.synthesis.train)} pipelines"
            )


DEMO = SynthesisSpec(
    data=Data("synthetic-microscopy", images=240, size=96),
    synthesis=Synthesis(
        train=["bi,s,ga", "ma,u,me"],
        folds=3,
        corruptions=["gaussian_noise", "gaussian_blur", "contrast"],
    ),
    task=Task(epochs=8, lr=1e-3),
)
