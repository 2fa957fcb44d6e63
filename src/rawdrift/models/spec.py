"""What a user sets for the task model and its training."""

import re
from dataclasses import dataclass
from typing import Literal

from rawdrift.checks import InputError, choose, choose_literals, distinct, numbers, positive, whole
from rawdrift.imports import is_import, named
from rawdrift.runs.spec import existing_file
from rawdrift.statistics import measures

MODELS = (
    "resnet18", "resnet34", "resnet50", "unetplusplus", "timm:NAME", "import:package.module.factory"
)  # fmt: skip
KINDS = {
    "classification": "import:rawdrift.models.classification.Classification",
    "segmentation": "import:rawdrift.models.segmentation.Segmentation",
}
METRICS = (
    "auto", *measures.classification(2), *measures.segmentation(), "import:package.module.name"
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """The task model and its training, by Adam.

    Args:
        model: "resnet18", "resnet34", "resnet50", "unetplusplus" (U-Net++ with a ResNet34 encoder),
            "timm:NAME", or "import:package.module.factory", a function of yours that takes the
            number of output channels and returns the network.
        weights: weights to start from: "none", "imagenet", or the path of a .safetensors or
            state-dict file.
        kind: kind of task: "classification" learns labels, "segmentation" masks; "auto" is what the
            model is for. "import:package.module.Name" is a kind of your own, a subclass of
            `models.targets.Targets`.
        mask: what masks hold: "binary", where all but 0 is the object, or "classes", where every
            value is a class.
        loss: "cross_entropy", or for masks "dice" or "dice_cross_entropy", their sum; "auto" is
            cross entropy for labels and the sum for masks.
        class_weights: class weights of the cross entropy: "balanced" counts all classes equally.
        metric: what models are compared by: for labels "accuracy", "balanced_accuracy" or
            "macro_f1", for masks "iou" or "dice"; "auto" is the first of these; or
            "import:package.module.name", a function of yours that takes outcomes and right answers
            and returns a value for each image, whose mean is the metric, or a
            `rawdrift.statistics.Measure`. Outcomes are the predicted classes (N,), or for masks the
            pixels of each class in intersection, prediction and mask (N, C, 3); right answers are
            classes (N,), or zeros for masks. Larger is better; NaN leaves an image out.
        epochs: passes over the training images.
        lr: learning rate at the start.
        schedule: "cosine" lets the learning rate fall to zero, "constant" keeps it.
        batch_size: images per step.
        augment: "weak" flips and turns each view at random; "strong" flips, rotates, softens and
            adds noise; "none" does nothing.
        precision: "auto" is bfloat16 mixed precision where the processor has it, else "32".
        runtime: what runs the network in tests: "torch", "onnx", ONNX Runtime on a CPU, or "auto",
            the fastest that gives the network's logits to 1e-5. Needs the extra "onnx" for that.
            With "auto", forensics also uses bfloat16, for answers that it leaves no doubt about.
        checkpoint: a trained network, tested as it is: a .safetensors file of task.model, or a
            state dict that torch.save wrote.
        normalize: what the network of task.checkpoint expects of its input: "none", views in [0,
            1]; "imagenet"; or the mean and the standard deviation of R, G and B, such as "[[0.8,
            0.7, 0.6], [0.2, 0.3, 0.2]]". A file that rawdrift has written holds its own.
        classes: order of the outputs of task.checkpoint: the label of each, such as "[a, b, c]", or
            the value of each in masks of classes. The data may lack some of them. A file that
            rawdrift has written holds its own; otherwise labels are sorted, whole numbers by value.
        expected: value of the metric that you expect on the matched views, such as the accuracy
            that was measured when the model was trained. A result that contradicts it is reported.
        repeats: how often each fold is trained, each time with another seed. One training of each
            says nothing of other seeds; 3 or more compare settings.
    """

    model: str = "resnet18"
    weights: str = "none"
    kind: str = "auto"
    mask: Literal["binary", "classes"] = "binary"
    loss: Literal["auto", "cross_entropy", "dice", "dice_cross_entropy"] = "auto"
    class_weights: Literal["none", "balanced"] = "none"
    metric: str = "auto"
    epochs: int = 20
    lr: float = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 32
    augment: Literal["none", "weak", "strong"] = "weak"
    precision: Literal["auto", "32", "bf16"] = "auto"
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    checkpoint: str | None = None
    normalize: str | list[list[float]] | None = None
    classes: list[str | int] | None = None
    expected: float | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("model", "metric", "kind"):
            object.__setattr__(self, name, named(getattr(self, name), f"task.{name}"))
        if not (is_import(self.model) or re.fullmatch(r"timm:\S+", self.model)):
            choose("task.model", self.model, MODELS)
        if not is_import(self.metric):
            choose("task.metric", self.metric, METRICS)
        if not is_import(self.kind):
            choose("task.kind", self.kind, ("auto", *KINDS))
        choose_literals("task", self)
        if self.class_weights != "none" and self.loss == "dice":
            raise InputError(
                "task.class_weights apply to the cross entropy; choose a task.loss other than dice"
            )
        if self.expected is not None:
            (expected,) = numbers("task.expected", [self.expected], 1)
            if not is_import(self.metric) and not 0 <= expected <= 1:
                raise InputError(f"task.expected must be between 0 and 1, got {expected:g}")
            object.__setattr__(self, "expected", expected)
        whole("task.epochs", self.epochs, 1)
        whole("task.repeats", self.repeats, 1)
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
                    "task.normalize applies to task.checkpoint only; training uses the mean and "
                    "standard deviation of its own views"
                )
            if self.classes is not None:
                raise InputError(
                    "task.classes applies to task.checkpoint only; a training orders its outputs "
                    "by the sorted labels"
                )
            return
        if self.weights != "none":
            raise InputError(
                "task.weights start a training, and task.checkpoint is used without training; "
                "give only one"
            )
        if self.repeats > 1:
            raise InputError(
                "task.repeats trains with other seeds, and task.checkpoint is used without "
                "training; give only one"
            )
        path = existing_file("task.checkpoint", self.checkpoint, f"the path of {kind}")
        object.__setattr__(self, "checkpoint", path)
        object.__setattr__(self, "normalize", _normalization(self.normalize or "none"))
        if self.classes is not None:
            object.__setattr__(self, "classes", _classes(self.classes))


def _classes(value: object) -> list[str]:
    if not isinstance(value, list) or any(type(name) not in (str, int) for name in value):
        raise InputError(
            f"task.classes must be a list of names, as in [a, b, 'no', '1.0'], where those that "
            f"YAML does not read as text need quotes, got {value!r}"
        )
    names = [str(name) for name in value]
    distinct("task.classes", names, 2)
    return names


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
