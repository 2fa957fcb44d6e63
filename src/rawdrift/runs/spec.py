"""Experiments as data: frozen, validated, the same fields in YAML and as flags."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from rawdrift.checks import InputError, choose, is_number, numbers, positive, whole
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.severities import LEVELS, NAMES, PAPER, TABLES

PUBLISHED = ("raw-microscopy", "raw-drone")
DATASETS = ("folder", *PUBLISHED, "synthetic-microscopy", "synthetic-drone")
INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
MODELS = ("resnet18", "resnet34", "resnet50", "unetplusplus", "timm:NAME", "import:MODULE.FACTORY")
RIVALS = ("random", "cma-es")
LOSSES = ("auto", "cross_entropy", "dice", "dice_cross_entropy")


@dataclass(frozen=True)
class Data:
    """The raw images and their labels.

    Args:
        name: "folder", your own images with a manifest.csv; "raw-microscopy" or "raw-drone", the
            published datasets; or drawn on the fly "synthetic-microscopy", white blood cells of
            nine classes, or "synthetic-drone", cars seen from above with their masks.
        root: of a folder: where its manifest.csv is, seen from where the command runs; of a
            published dataset: where its files are.
        intensity: of the light, as a share of the full: 0.01, 0.05, 0.1, 0.25, 0.5, 0.75 or 1. The
            images that a published dataset has at that intensity; else made from the full one.
        exclude: labels to leave out.
        images: of synthetic data: how many.
        size: of synthetic data: height and width in pixels.
        seed: of synthetic data: which images are drawn.
        balanced: of synthetic-microscopy: all classes equally often, instead of as often as in
            Raw-Microscopy.
    """

    name: str = "folder"
    root: str | None = None
    intensity: float = 1.0
    exclude: list[str] = field(default_factory=list)
    images: int | None = None
    size: int | None = None
    seed: int | None = None
    balanced: bool | None = None

    def __post_init__(self) -> None:
        choose("data.name", self.name, DATASETS)
        if not is_number(self.intensity) or self.intensity not in INTENSITIES:
            raise InputError(
                f"data.intensity must be one of {', '.join(map(str, INTENSITIES))}, "
                f"got {self.intensity!r}"
            )
        object.__setattr__(self, "intensity", float(self.intensity))
        if self.name == "synthetic-microscopy":
            object.__setattr__(self, "balanced", bool(self.balanced))
        elif self.balanced is not None:
            raise InputError("data.balanced is for data.name synthetic-microscopy alone")
        if self.name == "folder" or self.name in PUBLISHED:
            if self.root is None:
                holds = "manifest.csv" if self.name == "folder" else f"the files of {self.name}"
                raise InputError(f"data.root is missing: give the folder that holds {holds}")
            for name in ("images", "size", "seed"):
                if getattr(self, name) is not None:
                    raise InputError(
                        f"data.{name} is for synthetic data; {self.name} has its own images"
                    )
            # A run must find its data again from wherever it is resumed.
            object.__setattr__(self, "root", str(Path(self.root).expanduser().resolve()))
        else:
            if self.root is not None:
                raise InputError(
                    f"data.root is for data.name folder, {' and '.join(PUBLISHED)}; "
                    f"{self.name} needs no files"
                )
            for name, default, least in (("images", 240, 10), ("size", 96, 32), ("seed", 0, 0)):
                value = default if getattr(self, name) is None else getattr(self, name)
                object.__setattr__(self, name, whole(f"data.{name}", value, least))


@dataclass(frozen=True)
class Task:
    """The task model and its training, by Adam.

    Args:
        model: "resnet18", "resnet34", "resnet50", "unetplusplus" (U-Net++ with a ResNet34 encoder),
            "timm:NAME", or "import:package.module.factory", a function of yours that takes the
            number of output channels and returns the network.
        weights: to start from: "none", "imagenet", or the path of a .safetensors or state-dict
            file.
        kind: "classification" learns labels, "segmentation" masks; "auto" is what the model is for.
        mask: what masks hold: "binary", where all but 0 is the object, or "classes", where every
            value is a class.
        loss: "cross_entropy", or for masks "dice" or "dice_cross_entropy", their sum; "auto" is
            cross entropy for labels and the sum for masks.
        class_weights: of the cross entropy: "balanced" weighs every class alike, however rare.
        epochs: passes over the training images.
        lr: learning rate at the start.
        schedule: "cosine" lets the learning rate fall to zero, "constant" keeps it.
        batch_size: images a step.
        augment: "weak" flips and turns each view at random; "strong" flips, rotates, softens and
            adds noise; "none" does nothing.
        precision: "auto" is bfloat16 mixed precision where the processor has it, else "32".
        checkpoint: a trained network, tested as it is: a .safetensors or state-dict file of
            task.model.
        normalize: what the network of task.checkpoint expects of its input: "none", views in
            [0, 1]; "imagenet"; or the mean and the standard deviation of R, G and B. A file that
            rawdrift has written holds its own.
    """

    model: str = "resnet18"
    weights: str = "none"
    kind: Literal["auto", "classification", "segmentation"] = "auto"
    mask: Literal["binary", "classes"] = "binary"
    loss: Literal["auto", "cross_entropy", "dice", "dice_cross_entropy"] = "auto"
    class_weights: Literal["none", "balanced"] = "none"
    epochs: int = 20
    lr: float = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 32
    augment: Literal["none", "weak", "strong"] = "weak"
    precision: Literal["auto", "32", "bf16"] = "auto"
    checkpoint: str | None = None
    normalize: str | list[list[float]] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"timm:\S+|import:\w+(\.\w+)+", self.model):
            choose("task.model", self.model, MODELS)
        choose("task.kind", self.kind, ("auto", "classification", "segmentation"))
        choose("task.mask", self.mask, ("binary", "classes"))
        choose("task.loss", self.loss, LOSSES)
        choose("task.class_weights", self.class_weights, ("none", "balanced"))
        if self.class_weights != "none" and self.loss == "dice":
            raise InputError(
                "task.class_weights are of the cross entropy; choose another task.loss than dice"
            )
        choose("task.schedule", self.schedule, ("cosine", "constant"))
        choose("task.augment", self.augment, ("none", "weak", "strong"))
        choose("task.precision", self.precision, ("auto", "32", "bf16"))
        whole("task.epochs", self.epochs, 1)
        whole("task.batch_size", self.batch_size, 2)
        positive("task.lr", self.lr)
        kind = "a .safetensors or state-dict file"
        if self.weights not in ("none", "imagenet"):
            path = _file("task.weights", self.weights, f"none, imagenet, or the path of {kind}")
            object.__setattr__(self, "weights", path)
        if self.checkpoint is None:
            if self.normalize is not None:
                raise InputError(
                    "task.normalize is for task.checkpoint; a training takes the mean and the "
                    "standard deviation of its own views"
                )
            return
        if self.weights != "none":
            raise InputError(
                "task.weights begin a training and task.checkpoint is used without one; give one"
            )
        path = _file("task.checkpoint", self.checkpoint, f"the path of {kind}")
        object.__setattr__(self, "checkpoint", path)
        object.__setattr__(self, "normalize", _normalization(self.normalize or "none"))


@dataclass(frozen=True)
class Synthesis:
    """Drift synthesis: the pipelines to train on. All twelve are tested, and corruptions.

    Args:
        train: names of training pipelines, such as "bi,s,ga". With task.checkpoint the one
            pipeline whose views that model knows.
        isps: ISP files (.toml) of the data's camera, to be tested beside the twelve, and trained on
            where train names them: by the file's name without .toml.
        precision: of the network in tests: "32", or "bf16", twice as fast where the processor has
            bfloat16, with other answers to images near a decision.
        folds: of the cross-validation, at least 2.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
        corruptions: common corruptions of the training pipeline's views to test on; by default the
            ten of the paper.
        severities: of the corruptions, from 1 to 5.
        severity_table: "imagenet", constants for images of about 224 pixels, or "small", for 32
            pixels, as the paper's code used them.
    """

    train: list[str] = field(default_factory=lambda: list(CONFIGURATIONS))
    folds: int = 5
    channels: Literal["luma", "yuv"] = "luma"
    corruptions: list[str] = field(default_factory=lambda: [n for n in PAPER if n != "identity"])
    severities: list[int] = field(default_factory=lambda: [1, 3, 5])
    severity_table: Literal["imagenet", "small"] = "imagenet"
    precision: Literal["32", "bf16"] = "32"
    isps: list[str] | None = None

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Names of all that are tested: the twelve, then those of files."""
        return (*CONFIGURATIONS, *(Path(path).stem for path in self.isps or ()))

    def __post_init__(self) -> None:
        if self.isps is not None:
            paths = [_file("synthesis.isps", path, "ISP files (.toml)") for path in self.isps]
            object.__setattr__(self, "isps", paths or None)
        names = self.pipelines
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"two pipelines are called {name!r}; rename a file of synthesis.isps"
                )
        if not self.train:
            raise InputError("synthesis.train is empty; name at least one training pipeline")
        for name in self.train:
            choose("pipeline in synthesis.train", name, names)
        whole("synthesis.folds", self.folds, 2)
        choose("synthesis.channels", self.channels, ("luma", "yuv"))
        for name in self.corruptions:
            # The identity is the test on the training pipeline itself.
            choose("corruption", name, [name for name in NAMES if name != "identity"])
        for severity in self.severities:
            if severity not in LEVELS or type(severity) is not int:
                raise InputError(f"synthesis.severities must be from 1 to 5, got {severity!r}")
        if self.corruptions and not self.severities:
            raise InputError("synthesis.severities is empty; name one, or no corruptions")
        choose("synthesis.severity_table", self.severity_table, TABLES)
        choose("synthesis.precision", self.precision, ("32", "bf16"))
        for field_name in ("train", "corruptions", "severities"):
            values = getattr(self, field_name)
            if len(set(values)) != len(values):
                raise InputError(f"synthesis.{field_name} names one twice: {values}")


@dataclass(frozen=True)
class SynthesisSpec:
    """A drift synthesis experiment, whole.

    Args:
        data: the raw images and their labels.
        synthesis: the grid of pipelines.
        task: the task model and its training.
        seed: of everything that is drawn at random.
    """

    data: Data
    synthesis: Synthesis = field(default_factory=Synthesis)
    task: Task = field(default_factory=Task)
    seed: int = 0

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0)
        if self.task.checkpoint is not None and len(self.synthesis.train) != 1:
            raise InputError(
                "task.checkpoint is a trained model: name in synthesis.train the one pipeline "
                f"whose views it was trained on, got {len(self.synthesis.train)} pipelines"
            )


@dataclass(frozen=True)
class Forensics:
    """Drift forensics: settings of the camera and its ISP that break a model, and those that are
    safe.

    Args:
        isp: the pipeline to train on and to drift, such as "bi,s,ga", or an ISP file (.toml) of the
            data's camera; with task.checkpoint the one whose views that model knows.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
        folds: of the cross-validation, at least 2.
        models: of how many folds to train a model, the first ones; by default of all. Sensitivity,
            envelope and signature are of the first.
        images: at most so many test images of each fold, of all labels alike; by default all.
        space: "default", every step within its documented range, or ranges by parameter: a pair
            (low, high), or a half-width relative to the value.
        sensor: whether exposure, gain, read noise and PSF of the sensor drift too; the camera must
            know its gain.
        groups: what is searched: "all" parameters; "each" step alone; names of steps, parameters or
            axes.
        regularizations: weights of the distance between drifted and default views; 0 searches
            without regard to it.
        distance: between views: "l2", root mean square, or "ssim", 1 - SSIM.
        metric: accuracy, balanced_accuracy or macro_f1; of masks iou or dice; by default the first.
        restarts: of the gradient search.
        steps: of each restart.
        rivals: what the searches of the first group are compared with, with as many evaluations:
            "random", "cma-es".
        samples: of the Sobol indices, a power of 2, each of as many evaluations as axes and 2; 0
            leaves the sensitivity out.
        envelope: whether to look for safe settings and to sign them.
        max_drop: of the metric, within the envelope.
        confidence: of the envelope and of intervals.
        cameras: random ones that the envelope is validated with.
    """

    isp: str = "bi,s,ga"
    channels: Literal["luma", "yuv"] = "luma"
    folds: int = 5
    models: int | None = None
    images: int | None = None
    space: Literal["default"] | dict[str, float | list[float]] = "default"
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
        if Path(self.isp).suffix == ".toml":
            path = _file("forensics.isp", self.isp, "a configuration, or an ISP file (.toml)")
            object.__setattr__(self, "isp", path)
        else:
            choose("pipeline in forensics.isp", self.isp, CONFIGURATIONS)
        choose("forensics.channels", self.channels, ("luma", "yuv"))
        choose("forensics.distance", self.distance, ("l2", "ssim"))
        for name, least in (("folds", 2), ("restarts", 1), ("steps", 1), ("cameras", 1)):
            whole(f"forensics.{name}", getattr(self, name), least)
        for name, least in (("models", 1), ("images", 2)):
            if getattr(self, name) is not None:
                whole(f"forensics.{name}", getattr(self, name), least)
        if self.models is not None and self.models > self.folds:
            raise InputError(
                f"forensics.models {self.models} is more than the {self.folds} forensics.folds"
            )
        if self.space != "default" and (not isinstance(self.space, dict) or not self.space):
            raise InputError(
                f'forensics.space must be "default" or ranges by parameter, such as '
                f'{{"gamma.gamma": [1.6, 2.8], "white_balance.gains": 0.2}}, got {self.space!r}'
            )
        for name in ("groups", "regularizations", "rivals"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise InputError(f"forensics.{name} names one twice: {values}")
            if not values and name != "rivals":
                raise InputError(f"forensics.{name} is empty; name at least one")
        for value in self.regularizations:
            if not is_number(value) or value < 0:
                raise InputError(f"forensics.regularizations must be at least 0, got {value!r}")
        found = [float(value) for value in self.regularizations]
        object.__setattr__(self, "regularizations", found)
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
class ForensicsSpec:
    """A drift forensics experiment, whole.

    Args:
        data: the raw images and their labels, of one camera.
        forensics: what is searched, and how.
        task: the task model and its training.
        seed: of everything that is drawn at random.
    """

    data: Data
    forensics: Forensics = field(default_factory=Forensics)
    task: Task = field(default_factory=Task)
    seed: int = 0

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0)


def to_dict(spec: Any) -> dict[str, Any]:
    """A spec as plain nested dictionaries, without fields that do not apply."""

    def present(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if value is not None}

    return asdict(spec, dict_factory=present)


def to_yaml(spec: Any) -> str:
    """A spec as YAML that `--config` takes."""
    return yaml.safe_dump(to_dict(spec), sort_keys=False, allow_unicode=True)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names, as flags have them."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _file(name: str, value: str, expected: str) -> str:
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{name} {value!r} is no file; choose {expected}")
    return str(path)


def _normalization(value: object) -> str | list[list[float]]:
    if isinstance(value, str) and value in ("none", "imagenet"):
        return value
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(
            f"task.normalize must be none, imagenet, or [[mean of R, G, B], [standard deviation of "
            f"R, G, B]], got {value!r}"
        )
    mean, std = (list(numbers("each part of task.normalize", part, 3)) for part in value)
    for number in std:
        positive("a standard deviation of task.normalize", number)
    return [mean, std]
