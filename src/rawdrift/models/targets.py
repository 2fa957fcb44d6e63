"""What a task model learns of each image, and how its answers are judged: a class for each task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift import imports
from rawdrift.checks import InputError, choose
from rawdrift.data.dataset import RawDataset
from rawdrift.models import weights
from rawdrift.models.spec import KINDS, Task
from rawdrift.statistics import measures
from rawdrift.statistics.measures import Measure, Outcomes


@dataclass(frozen=True)
class Targets(ABC):
    """The right answers for N images. Subclasses are the kinds of tasks.

    names: of the classes, by default one for each channel of the logits.
    values: what the loss and `outcome` compare logits with, (N, ...).
    metric: the metric to compare models by, if not the first one of `table`; see `Task.metric`.

    kind: the name of the kind. of_pixels: whether logits are (N, C, H, W), not (N, C). of_classes:
    whether values are the class of each image, (N,).
    """

    kind: ClassVar[str]
    of_pixels: ClassVar[bool] = False
    of_classes: ClassVar[bool] = False

    names: tuple[str, ...]
    values: Tensor
    metric: str | None = None

    @classmethod
    @abstractmethod
    def of(cls, data: RawDataset, task: Task) -> Self:
        """Return the targets of a dataset. Raises InputError if it lacks them."""

    @abstractmethod
    def loss(self, task: Task, images: Tensor) -> nn.Module:
        """Return the loss, (logits, values) to a number. images: those that are trained on."""

    @abstractmethod
    def outcome(self, logits: Tensor, values: Tensor) -> Tensor:
        """Return what metrics need of the answers to n images, (n, ...) int64."""

    def outcomes_of(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return the outcomes of the answers to these images (n,), as tests count them."""
        return self.outcome(logits, self.values[images].to(logits.device))

    @abstractmethod
    def table(self) -> dict[str, Measure]:
        """Return the metrics of the kind by name; models are compared by the first one."""

    @abstractmethod
    def right_outcomes(self) -> Outcomes:
        """Return the outcomes of a model that makes no mistake."""

    def constant_outcomes(self) -> Outcomes | None:
        """Return the outcomes of answers that ignore the image, (K, N, ...), of which one has the
        highest metric; None where such answers are not known."""
        return None

    def answer(self, outcome: Any) -> str | None:
        """Return the answer to one image in words; None for an answer that has only a score."""
        return None

    def label(self, index: int) -> str | None:
        """Return the right answer for one image in words, if answers are words."""
        return None

    def masks(self, logits: Tensor) -> Tensor | None:
        """Return the answers to n images as gray pictures (n, H, W) in [0, 1], a level for each
        class; None for answers that are no masks."""
        return None

    def mask(self, index: int) -> Tensor | None:
        """Return the right answer for one image as such a picture (H, W), if answers are masks."""
        return None

    def more_scores(self, outcomes: Outcomes, images: NDArray[Any]) -> Mapping[str, float]:
        """Return scores beside the metrics, for results.csv."""
        return {}

    @property
    def outputs(self) -> int:
        """The number of channels of the logits."""
        return len(self.names)

    @property
    def truth(self) -> NDArray[Any]:
        """The right answers (N,) that go with outcomes in the features of a measure: the values, or
        zeros for pixels, whose outcomes hold everything."""
        return np.zeros(len(self.values), np.int64) if self.of_pixels else self.values.numpy()

    @property
    def measures(self) -> dict[str, Measure]:
        """The metrics by name. The first one is the one to compare models by."""
        return self.measures_by(self.metric)

    def measures_by(self, metric: str | None) -> dict[str, Measure]:
        """Return the metrics with this one first, of the table or the user's own."""
        table = self.table()
        return table if metric is None else {metric: self._measure(metric), **table}

    def scores(self, outcomes: Tensor, images: Tensor) -> dict[str, float]:
        """Return the scores of the answers to `images` (n,) by name, the metric of comparisons
        first; without those that are not defined for these images."""
        answers, taken = outcomes.numpy(), images.numpy()
        truth = self.truth[taken]
        scores: dict[str, Any] = {
            name: measure.value(answers, truth) for name, measure in self.measures.items()
        }
        scores |= self.more_scores(answers, taken)
        return {name: float(score) for name, score in scores.items() if not np.isnan(score)}

    def take(self, images: Any) -> Self:
        """Return the targets of these images."""
        return replace(self, values=self.values[images])

    def logits_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """The shape of the logits of one view of this height and width."""
        return (self.outputs, *size) if self.of_pixels else (self.outputs,)

    def check_metric(self, name: str, field: str) -> None:
        """Raise InputError unless a metric can be computed, tried on the right answers.

        field: of the spec that names it.
        """
        if not imports.is_import(name):
            choose(f"{field} for {self.kind}", name, self.table())
            return
        measure = self._measure(name)
        try:
            value = measure.value(self.right_outcomes(), self.truth)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{field} {name} fails for the right answers: {type(error).__name__}: {error}"
            ) from error
        if value.shape != ():
            raise InputError(
                f"{field} {name} must give one number for a set of images, got an array of "
                f"shape {value.shape}"
            )

    def _measure(self, name: str) -> Measure:
        outcome_axes = self.right_outcomes()[:1].ndim
        return measures.resolve(name, self.kind, self.table(), outcome_axes)


def kind_of(data: RawDataset, task: Task) -> type[Targets]:
    """Return the kind of task. Raises InputError if the model is for another one."""
    able = None  # only users know what their own models are for
    if not imports.is_import(task.model):
        able = "segmentation" if task.model == "unetplusplus" else "classification"
    name = task.kind
    if name == "auto":
        name = able or ("classification" if data.labels is not None else "segmentation")
    elif name in KINDS and able not in (None, name):
        raise InputError(
            f"task.model {task.model} is for {able}, but task.kind is {name}; choose "
            f"{'unetplusplus' if name == 'segmentation' else 'another'} or a model of your own"
        )
    kind = imports.resolve(KINDS.get(name, name), "task.kind")
    if not (isinstance(kind, type) and issubclass(kind, Targets)):
        raise InputError(f"task.kind {name} must be a subclass of Targets, got {kind!r}")
    return kind


def class_order(task: Task) -> tuple[str, ...] | None:
    """Return the names of the outputs of `task.checkpoint`: of `task.classes`, or of the file.

    None if neither says. Raises InputError if they contradict each other.
    """
    if task.checkpoint is None:
        return None
    stored = weights.classes(Path(task.checkpoint))
    named = None if task.classes is None else tuple(map(str, task.classes))
    if stored and named and stored != named:
        raise InputError(
            f"task.classes {', '.join(named)} contradicts {task.checkpoint}, whose outputs are "
            f"{', '.join(stored)}; leave out task.classes"
        )
    return named or stored


def targets_of(data: RawDataset, task: Task) -> Targets:
    """Return the targets that the task asks for.

    Raises InputError if the data lack them, or if model or metric are for other targets.
    """
    targets = kind_of(data, task).of(data, task)
    if task.metric == "auto":
        return targets
    targets.check_metric(task.metric, "task.metric")
    return replace(targets, metric=task.metric)
