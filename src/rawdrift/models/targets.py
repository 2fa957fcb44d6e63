"""What a task model learns of each image: its label, or the mask of its pixels."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import imports
from rawdrift.checks import InputError, choose
from rawdrift.data.dataset import RawDataset
from rawdrift.models.spec import Task
from rawdrift.statistics import measures
from rawdrift.statistics.measures import Measure, Outcomes

Kind = Literal["classification", "segmentation"]


@dataclass(frozen=True)
class Targets:
    """The right answers for N images, and the metrics of answers to them.

    kind: classification of images, or segmentation of their pixels.
    names: of the classes, one for each channel of the logits. Binary masks have one, "object".
    values: class numbers, (N,) int64 or (N, H, W) uint8; in binary masks 1 for the object, else 0.
    metric: the metric to compare models by, if not the first one of the kind; see `Task.metric`.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Tensor
    metric: str | None = None

    @classmethod
    def of(cls, data: RawDataset, task: Task) -> "Targets":
        """Return the targets that the task asks for.

        Raises InputError if the data lack them, or if model or metric are for other targets.
        """
        kind = _kind(data, task)
        targets = _of_labels(data) if kind == "classification" else _of_masks(data, task.mask)
        if task.metric == "auto":
            return targets
        targets = cls(kind, targets.names, targets.values, task.metric)
        targets._check_metric(task.metric)
        return targets

    @property
    def outputs(self) -> int:
        """The number of channels of the logits."""
        return len(self.names)

    @property
    def measures(self) -> dict[str, Measure]:
        """The metrics by name. The first one is the one to compare models by."""
        return measures.of(self.kind, self.outputs, self.metric)

    @property
    def truth(self) -> NDArray[Any]:
        """The right answers (N,) that go with outcomes in the features of a measure: class numbers,
        or zeros for masks, whose outcomes hold everything."""
        of_labels = self.kind == "classification"
        return self.values.numpy() if of_labels else np.zeros(len(self.values), dtype=np.int64)

    def _check_metric(self, name: str) -> None:
        """Raise InputError unless the metric can be computed, tried on right answers."""
        if not imports.is_import(name):
            choose(f"task.metric for {self.kind}", name, measures.of(self.kind, self.outputs))
            return
        measure = measures.resolve(name, self.kind, self.outputs)
        try:
            value = measure.value(self._right_answers(), self.truth)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"task.metric {name} fails for the right answers: {type(error).__name__}: {error}"
            ) from error
        if value.shape != ():
            raise InputError(
                f"task.metric {name} must give one number for a set of images, got an array of "
                f"shape {value.shape}"
            )

    def _right_answers(self) -> Outcomes:
        """The outcomes of a network that makes no mistake; see `metrics.outcome`."""
        if self.kind == "classification":
            return self.truth
        classes = [1] if self.outputs == 1 else range(self.outputs)
        pixels = torch.stack([(self.values == c).sum(dim=(1, 2)) for c in classes], dim=1)
        return pixels.unsqueeze(-1).expand(-1, -1, 3).numpy()


def _kind(data: RawDataset, task: Task) -> Kind:
    able: Kind | None = None  # only users know what their own models are for
    if not imports.is_import(task.model):
        able = "segmentation" if task.model == "unetplusplus" else "classification"
    if task.kind == "auto":
        return able or ("classification" if data.labels is not None else "segmentation")
    if able not in (None, task.kind):
        raise InputError(
            f"task.model {task.model} is for {able}, but task.kind is {task.kind}; choose "
            f"{'unetplusplus' if task.kind == 'segmentation' else 'another'} or a model of your own"
        )
    return task.kind


def _of_labels(data: RawDataset) -> Targets:
    if data.labels is None:
        instead = "segment with task.model unetplusplus, or " if data.masks is not None else ""
        raise InputError(
            f"the data have no labels, and classification needs them; {instead}add a column label "
            f"to manifest.csv"
        )
    return Targets("classification", data.classes, data.labels)


def _of_masks(data: RawDataset, mask: str) -> Targets:
    if data.masks is None:
        raise InputError(
            "the data have no masks, and segmentation needs them; add a column mask to manifest.csv"
        )
    masks = data.masks[torch.arange(len(data))]  # into memory, if they are mapped from a file
    if mask == "binary":
        return Targets("segmentation", ("object",), (masks != 0).to(torch.uint8))
    values = masks.unique()
    if len(values) < 2:
        raise InputError(f"the masks hold one value, {values.tolist()}, expected at least 2")
    number = torch.zeros(256, dtype=torch.uint8)
    number[values.long()] = torch.arange(len(values), dtype=torch.uint8)
    return Targets("segmentation", tuple(map(str, values.tolist())), number[masks.long()])
