"""How good predictions are, over a set of images and for each of them.

What a network found of an image is kept small: the class, or for a mask the pixels that mask and
prediction share and have, from which every score of the image and of any set of images follows.
"""

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_stat_scores,
)

from rawdrift.models.targets import Targets


def outcome(logits: Tensor, truth: Tensor) -> Tensor:
    """What is kept of a prediction.

    logits (N, C): the class, (N,) int64. logits (N, C, H, W) and truth (N, H, W): pixels by class
    in (intersection, prediction, mask), (N, C, 3) int64; with one channel C, of the object, which
    is where the logit is above 0.
    """
    if logits.ndim == 2:
        return logits.argmax(dim=1)
    if logits.shape[1] == 1:
        return _overlap(logits.squeeze(1) > 0, truth != 0).unsqueeze(1)
    found = logits.argmax(dim=1)
    return torch.stack([_overlap(found == c, truth == c) for c in range(logits.shape[1])], dim=1)


def per_image(outcomes: Tensor, targets: Targets, indices: Tensor) -> dict[str, Tensor]:
    """Scores of each image, (n,) float64: what statistics over images need.

    Classification: accuracy, 1 where the class is right, else 0. Segmentation: iou and dice, with
    the intersection and the union in pixels, over all classes.
    """
    if targets.kind == "classification":
        return {"accuracy": (outcomes == targets.values[indices]).double()}
    shared, found, there = outcomes.double().unbind(-1)
    return {
        "iou": iou(outcomes),
        "dice": dice(outcomes),
        "intersection": shared.sum(-1),
        "union": (found + there - shared).sum(-1),
    }


def over_set(outcomes: Tensor, targets: Targets, indices: Tensor) -> dict[str, float]:
    """Scores of a set of images.

    Classification: accuracy; balanced_accuracy, the mean recall of the classes that are there;
    macro_f1, the mean F1 of the classes that are there or were predicted; and recall:NAME of each
    class that is there. Segmentation: iou and dice of the pixels of all images together, and
    image_iou and image_dice, the means over images.
    """
    if targets.kind == "segmentation":
        pooled = outcomes.sum(dim=0)
        return {
            "iou": float(iou(pooled)),
            "dice": float(dice(pooled)),
            "image_iou": float(iou(outcomes).mean()),
            "image_dice": float(dice(outcomes).mean()),
        }
    labels = targets.values[indices]
    confusion = multiclass_confusion_matrix(outcomes, labels, num_classes=targets.outputs).double()
    right, there, found = confusion.diag(), confusion.sum(dim=1), confusion.sum(dim=0)
    recall = right / there
    return {
        "accuracy": accuracy(outcomes, labels, targets.outputs),
        "balanced_accuracy": float(recall.nanmean()),
        "macro_f1": float((2 * right / (there + found)).nanmean()),
        **{
            f"recall:{name}": float(value)
            for name, value in zip(targets.names, recall, strict=True)
            if not value.isnan()
        },
    }


def accuracy(predicted: Tensor, labels: Tensor, classes: int) -> float:
    """The share of right predictions. predicted, labels: (n,) class indices."""
    right, *_, n = multiclass_stat_scores(
        predicted, labels, num_classes=classes, average="micro"
    ).tolist()
    return float(right / n)  # counts, since a float32 mean is not the share to the last digit


def iou(overlap: Tensor) -> Tensor:
    """Intersection over union (Jaccard 1912), float64: (..., C, 3) counts of pixels to (...).

    The mean over the classes that the mask or the prediction has. Where neither has any, as for a
    binary mask that is empty and was found empty, nothing is wrong: 1. An empty mask in which
    something was found has 0.
    """
    shared, found, there = overlap.double().unbind(-1)
    return _mean_of_present(shared / (found + there - shared))


def dice(overlap: Tensor) -> Tensor:
    """2 intersection / (prediction + mask) (Dice 1945); shape and empty masks as of `iou`."""
    shared, found, there = overlap.double().unbind(-1)
    return _mean_of_present(2 * shared / (found + there))


def _mean_of_present(values: Tensor) -> Tensor:
    return values.nanmean(dim=-1).nan_to_num(nan=1.0)


def _overlap(found: Tensor, there: Tensor) -> Tensor:
    """(N, H, W) true and false to (N, 3)."""
    return torch.stack([x.sum(dim=(-2, -1)) for x in (found & there, found, there)], dim=-1)
