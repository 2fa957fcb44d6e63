"""Classification: the class of each image."""

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.models.losses import CrossEntropy, class_weights
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets
from rawdrift.statistics import measures
from rawdrift.statistics.measures import Measure, Outcomes


@final
@dataclass(frozen=True)
class Classification(Targets):
    """values: class numbers, (N,) int64. Logits (N, C). Outcomes: predicted classes, (N,)."""

    kind = "classification"
    of_classes = True

    @classmethod
    def of(cls, data: RawDataset, task: Task) -> Self:
        if data.labels is None:
            instead = "segment with task.model unetplusplus, or " if data.masks is not None else ""
            raise InputError(
                f"the data have no labels, and classification needs them; {instead}add a column "
                f"label to manifest.csv"
            )
        if task.loss not in ("auto", "cross_entropy"):
            raise InputError(f"task.loss {task.loss} is for masks; choose cross_entropy for labels")
        return cls(data.classes, data.labels)

    def loss(self, task: Task, images: Tensor) -> nn.Module:
        return CrossEntropy(class_weights(task, self.outputs, self.values[images]))

    def outcome(self, logits: Tensor, values: Tensor) -> Tensor:
        return logits.argmax(dim=1)

    def table(self) -> dict[str, Measure]:
        return measures.classification(self.outputs)

    def right_outcomes(self) -> Outcomes:
        return self.truth

    def constant_outcomes(self) -> Outcomes:
        """A class for all images."""
        return np.repeat(np.arange(self.outputs)[:, None], len(self.values), axis=1)

    def answer(self, outcome: Any) -> str:
        return self.names[int(outcome)]

    def label(self, index: int) -> str:
        return self.names[int(self.values[index])]

    def more_scores(self, outcomes: Outcomes, images: NDArray[Any]) -> dict[str, float]:
        """The recall of each class that occurs, recall:NAME."""
        truth = self.truth[images]
        return {
            f"recall:{name}": (outcomes[truth == number] == number).mean()
            for number, name in enumerate(self.names)
            if (truth == number).any()
        }
