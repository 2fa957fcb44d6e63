"""What a task model learns of each image: its label, or the mask of its pixels."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.models.spec import Task

Kind = Literal["classification", "segmentation"]


@dataclass(frozen=True)
class Targets:
    """The right answers.

    kind: classification of images, or segmentation of their pixels.
    names: of the classes, one for each channel of the logits. Binary masks have one, "object".
    values: class indices, (N,) int64 or (N, H, W) uint8; of binary masks 1 for the object, else 0.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Tensor

    @classmethod
    def of(cls, data: RawDataset, task: Task) -> "Targets":
        """Those that the task asks for. InputError where the data lack them or the model is for
        others."""
        kind = _kind(data, task)
        if kind == "classification":
            if data.labels is None:
                instead = (
                    "segment with --task.model unetplusplus, or " if data.masks is not None else ""
                )
                raise InputError(
                    f"the data have no labels, and classification needs them; {instead}add a "
                    f"column label to manifest.csv"
                )
            return cls(kind, data.classes, data.labels)
        if data.masks is None:
            raise InputError(
                "the data have no masks, and segmentation needs them; add a column mask to "
                "manifest.csv"
            )
        masks = data.masks[torch.arange(len(data))]  # into memory, where they are in a file
        if task.mask == "binary":
            return cls(kind, ("object",), (masks != 0).to(torch.uint8))
        values = masks.unique()
        if len(values) < 2:
            raise InputError(f"the masks hold one value, {values.tolist()}, expected at least 2")
        index = torch.zeros(256, dtype=torch.uint8)
        index[values.long()] = torch.arange(len(values), dtype=torch.uint8)
        return cls(kind, tuple(map(str, values.tolist())), index[masks.long()])

    @property
    def outputs(self) -> int:
        """Channels of the logits."""
        return len(self.names)


def _kind(data: RawDataset, task: Task) -> Kind:
    able: Kind | None = None  # to what the user's own model is able only the user knows
    if not task.model.startswith("import:"):
        able = "segmentation" if task.model == "unetplusplus" else "classification"
    if task.kind == "auto":
        return able or ("classification" if data.labels is not None else "segmentation")
    if able not in (None, task.kind):
        raise InputError(
            f"task.model {task.model} is for {able}, but task.kind is {task.kind}; choose "
            f"{'unetplusplus' if task.kind == 'segmentation' else 'another'} or a model of your own"
        )
    return task.kind
