"""Segmentation: the class of each pixel."""

from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.models.losses import CrossEntropy, Dice, Sum, class_weights
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets, class_order
from rawdrift.statistics import measures
from rawdrift.statistics.measures import Measure, Outcomes

_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
_AT_ONCE = 64  # images


@final
@dataclass(frozen=True)
class Segmentation(Targets):
    """values: class numbers, (N, H, W) uint8; in binary masks 1 for the object, else 0.

    Logits (N, C, H, W). Binary masks have one name, "object", and one channel, which predicts the
    object where its logit is above 0. Outcomes: the pixels of each class in the intersection, in
    the prediction and in the mask, (N, C, 3).

    own: of tiles, the pixels that count: first row, end row, first column, end column, (N, 4). Each
    pixel of a frame then counts once, however tiles overlap.
    """

    own: Tensor | None = None

    kind = "segmentation"
    of_pixels = True

    @classmethod
    def of(cls, data: RawDataset, task: Task) -> Self:
        if data.masks is None:
            raise InputError(
                "the data have no masks, and segmentation needs them; add a column mask to "
                "manifest.csv"
            )
        masks = data.masks[torch.arange(len(data))]  # into memory, if they are mapped from a file
        own = None if data.tiling is None else torch.from_numpy(data.tiling.own)
        if task.mask == "binary":
            return cls(("object",), (masks != 0).to(torch.uint8), own=own)
        values = masks.unique().tolist()
        names = class_order(task) or tuple(map(str, values))
        if unknown := {str(value) for value in values} - {*names}:
            raise InputError(
                f"the masks hold the values {', '.join(map(str, values))}, but the outputs of the "
                f"network are {', '.join(names)}, without {', '.join(sorted(unknown))}; name them "
                f"in task.classes"
            )
        if len(names) < 2:
            raise InputError(f"the masks hold one value, {values[0]}, expected at least 2")
        number = torch.zeros(256, dtype=torch.uint8)
        for value in values:
            number[value] = names.index(str(value))
        return cls(names, number[masks.long()], own=own)

    def loss(self, task: Task, images: Tensor) -> nn.Module:
        if task.loss == "dice":
            return Dice(self.outputs)
        cross_entropy = CrossEntropy(class_weights(task, self.outputs, self.values[images]))
        if task.loss == "cross_entropy":
            return cross_entropy
        return Sum([cross_entropy, Dice(self.outputs)])

    def take(self, images: Any) -> Self:
        own = None if self.own is None else self.own[images]
        return replace(super().take(images), own=own)

    def outcome(self, logits: Tensor, values: Tensor) -> Tensor:
        return self._outcome(logits, values, None)

    def outcomes_of(self, logits: Tensor, images: Tensor) -> Tensor:
        counts = self._counts(images, logits.device)
        return self._outcome(logits, self.values[images].to(logits.device), counts)

    def _outcome(self, logits: Tensor, values: Tensor, counts: Tensor | None) -> Tensor:
        if logits.shape[1] == 1:
            return _overlap(logits.squeeze(1) > 0, values != 0, counts).unsqueeze(1)
        predicted = logits.argmax(dim=1)
        classes = range(logits.shape[1])
        return torch.stack([_overlap(predicted == c, values == c, counts) for c in classes], dim=1)

    def _counts(self, images: Tensor, device: Any = "cpu") -> Tensor | None:
        """Return which pixels of these images (n,) count, (n, H, W); None if all do."""
        if self.own is None:
            return None
        own = self.own[images].to(device)
        rows, columns = (torch.arange(n, device=device) for n in self.values.shape[1:])
        in_rows = (rows >= own[:, :1]) & (rows < own[:, 1:2])
        in_columns = (columns >= own[:, 2:3]) & (columns < own[:, 3:])
        return in_rows[:, :, None] & in_columns[:, None]

    def masks(self, logits: Tensor) -> Tensor:
        if logits.shape[1] == 1:
            return (logits.squeeze(1) > 0).float()
        return logits.argmax(dim=1) / (self.outputs - 1)

    def mask(self, index: int) -> Tensor:
        return self.values[index] / max(self.outputs - 1, 1)

    def table(self) -> dict[str, Measure]:
        return measures.segmentation(self.values[0].numel())

    def right_outcomes(self) -> Outcomes:
        pixels = []
        for images in torch.arange(len(self.values)).split(_AT_ONCE):
            values = self.values[images]
            pixels.append(self._outcomes_of(values, values, self._counts(images)))
        return torch.cat(pixels).numpy()

    def constant_outcomes(self) -> Outcomes:
        """A class everywhere, and the most frequent class of all other images at each pixel.
        Binary: where the object is more frequent there than some share."""
        numbers = range(max(2, self.outputs))
        total = torch.stack([(self.values == c).sum(0) for c in numbers])[:, None]
        others = max(1, len(self.values) - 1)
        parts = []
        for images in torch.arange(len(self.values)).split(_AT_ONCE):
            values, counts = self.values[images], self._counts(images)
            share = (total - torch.stack([values == c for c in numbers]).int()) / others
            if self.outputs == 1:
                masks = [(share[1] > level).long() for level in (-1, *_LEVELS)]
            else:
                masks = [*(torch.full_like(values, c) for c in numbers), share.argmax(0)]
            parts.append(torch.stack([self._outcomes_of(mask, values, counts) for mask in masks]))
        return torch.cat(parts, dim=1).numpy()

    def _outcomes_of(self, masks: Tensor, values: Tensor, counts: Tensor | None) -> Tensor:
        """Return the outcomes (n, C, 3) of masks (n, H, W), where `values` are right."""
        classes = [1] if self.outputs == 1 else range(self.outputs)
        return torch.stack([_overlap(masks == c, values == c, counts) for c in classes], dim=1)

    def more_scores(self, outcomes: Outcomes, images: NDArray[Any]) -> dict[str, float]:
        """IoU and Dice with 1 for an empty mask that was predicted empty, and image_iou and
        image_dice, their means over images."""
        truth, scores = self.truth[images], {}
        for name, measure in self.table().items():
            features = measure.features(outcomes, truth)
            scores[name] = float(np.nan_to_num(measure.of(features.sum(-2)), nan=1.0))
            scores[f"image_{name}"] = float(np.nan_to_num(measure.of(features), nan=1.0).mean())
        return scores


def _overlap(predicted: Tensor, mask: Tensor, counts: Tensor | None) -> Tensor:
    """Return the pixels (N, 3) in both, in the prediction, and in the mask: (N, H, W) booleans.

    counts: which pixels count; None: all.
    """
    if counts is not None:
        predicted, mask = predicted & counts, mask & counts
    return torch.stack([x.sum(dim=(-2, -1)) for x in (predicted & mask, predicted, mask)], dim=-1)
