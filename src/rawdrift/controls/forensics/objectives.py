"""What a search maximizes, from sums over images, so that batches add up."""

import torch
from torch import Tensor, nn


class MeanLoss(nn.Module):
    """The mean of a loss over images. loss: (logits, targets) to a number, a mean."""

    pooled = False

    def __init__(self, loss: nn.Module):
        super().__init__()
        self.loss = loss

    def sums(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over images and their number, (2,)."""
        loss = self.loss(logits, targets)
        return torch.stack([loss * len(targets), torch.full_like(loss, len(targets))])

    def forward(self, sums: Tensor) -> Tensor:
        return sums[0] / sums[1]


class SoftOverlap(nn.Module):
    """1 - IoU or Dice of soft masks, of the pixels of all images together, as the metrics are.

    The mean of a loss over pixels is largest where everything is marked as object, or nothing; an
    overlap is not. Probabilities are those of logits divided by `temperature`, by which a net that
    is sure of every pixel still has a gradient. The mean is over classes.
    """

    pooled = True

    def __init__(self, metric: str, temperature: float):
        super().__init__()
        self.is_dice = metric == "dice"
        self.temperature = temperature

    def sums(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the intersection, the prediction and the mask of each class in pixels, (C, 3)."""
        logits, classes = logits.float() / self.temperature, logits.shape[1]
        predicted = logits.sigmoid() if classes == 1 else logits.softmax(1)
        numbers = torch.arange(classes, device=targets.device)[:, None, None]
        masks = (targets != 0)[:, None] if classes == 1 else targets[:, None] == numbers
        parts = (predicted * masks, predicted, masks)
        return torch.stack([x.sum((0, 2, 3), dtype=torch.float64) for x in parts], dim=1)

    def forward(self, sums: Tensor) -> Tensor:
        both, predicted, mask = sums.unbind(1)
        whole = (predicted + mask) / 2 if self.is_dice else predicted + mask - both
        return 1 - (both / whole.clamp(min=1e-9))[whole > 0].mean()
