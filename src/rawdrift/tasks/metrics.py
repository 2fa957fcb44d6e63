"""How good predictions are."""

from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores


def accuracy(predicted: Tensor, labels: Tensor, classes: int) -> float:
    """The share of right predictions. predicted, labels: (n,) class indices."""
    right, *_, n = multiclass_stat_scores(
        predicted, labels, num_classes=classes, average="micro"
    ).tolist()
    return float(right / n)  # counts, since a float32 mean is not the share to the last digit
