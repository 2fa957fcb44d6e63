"""Experiments as data: frozen, validated, the same fields in YAML and as flags."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from rawdrift.checks import InputError, choose, is_number, numbers, positive, whole

PUBLISHED = ("raw-microscopy", "raw-drone")
DATASETS = ("folder", *PUBLISHED, "synthetic-microscopy", "synthetic-drone")
INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
MODELS = ("resnet18", "resnet34", "resnet50", "unetplusplus", "timm:NAME", "import:MODULE.FACTORY")
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
            path = existing_file(
                "task.weights", self.weights, f"none, imagenet, or the path of {kind}"
            )
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
        path = existing_file("task.checkpoint", self.checkpoint, f"the path of {kind}")
        object.__setattr__(self, "checkpoint", path)
        object.__setattr__(self, "normalize", _normalization(self.normalize or "none"))


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


def existing_file(name: str, value: str, expected: str) -> str:
    """The absolute path of a file that a field names."""
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
