"""Experiments as data: frozen, validated, the same fields in YAML and as flags."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from rawdrift.checks import InputError, choose, is_number, positive
from rawdrift.configurations import CONFIGURATIONS

PUBLISHED = ("raw-microscopy", "raw-drone")
DATASETS = ("folder", *PUBLISHED, "synthetic-microscopy", "synthetic-drone")
INTENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
MODELS = ("resnet18",)


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
                object.__setattr__(self, name, _whole(f"data.{name}", value, least))


@dataclass(frozen=True)
class Task:
    """The task model and its training, by Adam.

    Args:
        model: the network.
        weights: "none", "imagenet", or the path of a .safetensors or state-dict file.
        epochs: passes over the training images.
        lr: learning rate at the start.
        schedule: "cosine" lets the learning rate fall to zero, "constant" keeps it.
        batch_size: images a step.
        augment: "weak" flips and turns each view at random, "none" does not.
        precision: "auto" is bfloat16 mixed precision where the processor has it, else "32".
    """

    model: str = "resnet18"
    weights: str = "none"
    epochs: int = 20
    lr: float = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 32
    augment: Literal["weak", "none"] = "weak"
    precision: Literal["auto", "32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        choose("task.model", self.model, MODELS)
        choose("task.schedule", self.schedule, ("cosine", "constant"))
        choose("task.augment", self.augment, ("weak", "none"))
        choose("task.precision", self.precision, ("auto", "32", "bf16"))
        _whole("task.epochs", self.epochs, 1)
        _whole("task.batch_size", self.batch_size, 2)
        positive("task.lr", self.lr)
        if self.weights not in ("none", "imagenet"):
            path = Path(self.weights).expanduser().resolve()
            if not path.is_file():
                raise InputError(
                    f"task.weights {self.weights!r} is no file; choose none, imagenet, or the path "
                    f"of a .safetensors or state-dict file"
                )
            object.__setattr__(self, "weights", str(path))


@dataclass(frozen=True)
class Synthesis:
    """Drift synthesis: which pipelines to train on. Each is tested on all twelve.

    Args:
        train: names of training pipelines, such as "bi,s,ga".
        folds: of the cross-validation, at least 2.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
    """

    train: list[str] = field(default_factory=lambda: list(CONFIGURATIONS))
    folds: int = 5
    channels: Literal["luma", "yuv"] = "luma"

    def __post_init__(self) -> None:
        if not self.train:
            raise InputError("synthesis.train is empty; name at least one training pipeline")
        for name in self.train:
            choose("pipeline in synthesis.train", name, CONFIGURATIONS)
        if len(set(self.train)) != len(self.train):
            raise InputError(f"synthesis.train names a pipeline twice: {self.train}")
        _whole("synthesis.folds", self.folds, 2)
        choose("synthesis.channels", self.channels, ("luma", "yuv"))


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
        _whole("seed", self.seed, 0)


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


def _whole(name: str, value: object, least: int) -> int:
    if not is_number(value) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value
