"""Losses of a task: (logits, targets) to a number."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawdrift.imports import need
from rawdrift.models.spec import Task


def class_weights(task: Task, outputs: int, values: Tensor) -> Tensor | None:
    """Return the weights by class that the task asks for; see `balanced_weights`."""
    return balanced_weights(outputs, values) if task.class_weights == "balanced" else None


def balanced_weights(outputs: int, values: Tensor) -> Tensor:
    """Return weights by class with which each class counts alike: n / (classes * n of the class).

    values: class numbers of images, or of pixels of masks, which n counts. A class that does not
    occur has weight 0. Binary masks have two classes, the background and the object.
    """
    classes = max(outputs, 2)
    counts = torch.zeros(classes, dtype=torch.long)
    for part in values.flatten().split(1 << 24):  # bincount makes them int64
        counts += torch.bincount(part, minlength=classes)
    return torch.where(counts > 0, counts.sum() / (classes * counts.clamp(min=1)), 0.0)


class CrossEntropy(nn.Module):
    """Cross entropy: the mean over images or pixels, weighted by class if there are weights.

    Logits (N, C) go with targets (N,), logits (N, C, H, W) with targets (N, H, W). For a single
    channel and targets of 0 and 1 it is the binary cross entropy.
    """

    weights: Tensor | None

    def __init__(self, weights: Tensor | None = None):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.ndim == 2:
            return F.cross_entropy(logits, targets, self.weights)
        # The sum of many pixels needs more digits than bfloat16 has.
        logits, targets = logits.float(), targets.long()
        if logits.shape[1] > 1:  # flat: on a GPU, the loss of images has no deterministic kernel
            flat = logits.movedim(1, -1).reshape(-1, logits.shape[1])
            return F.cross_entropy(flat, targets.flatten(), self.weights)
        logits, is_object = logits.squeeze(1), targets.float()
        if self.weights is None:
            return F.binary_cross_entropy_with_logits(logits, is_object)
        weights = self.weights[targets]
        total = F.binary_cross_entropy_with_logits(logits, is_object, weights, reduction="sum")
        return total / weights.sum()


class Dice(nn.Module):
    """The mean over classes of 1 - 2 sum(p t) / sum(p + t), over a batch (Milletari et al. 2016).

    It is the loss of segmentation-models-pytorch, as in the authors' code. A class without a pixel
    in the batch adds 0 to the sum over classes.
    """

    def __init__(self, outputs: int):
        super().__init__()
        losses = need("segmentation_models_pytorch", "models").losses
        self.loss = losses.DiceLoss("multiclass" if outputs > 1 else "binary", from_logits=True)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self.loss(logits.float(), targets.long())
        return loss


class Sum(nn.Module):
    """The sum of losses."""

    def __init__(self, parts: Sequence[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([part(logits, targets) for part in self.parts]).sum()
