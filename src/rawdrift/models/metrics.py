"""Outcomes of a network, on which the metrics of `statistics.measures` are computed."""

import numpy as np
import torch
from torch import Tensor

from rawdrift.models.targets import Targets


def outcome(logits: Tensor, truth: Tensor) -> Tensor:
    """Return what metrics need of the answers to N images, int64.

    logits (N, C): the predicted class, (N,). logits (N, C, H, W) and truth (N, H, W): the pixels of
    each class in (intersection, prediction, mask), (N, C, 3). A single channel C is the object,
    which is predicted where its logit is above 0.
    """
    if logits.ndim == 2:
        return logits.argmax(dim=1)
    if logits.shape[1] == 1:
        return _overlap(logits.squeeze(1) > 0, truth != 0).unsqueeze(1)
    predicted = logits.argmax(dim=1)
    classes = range(logits.shape[1])
    return torch.stack([_overlap(predicted == c, truth == c) for c in classes], dim=1)


def over_set(outcomes: Tensor, targets: Targets, indices: Tensor) -> dict[str, float]:
    """Return the scores of the images `indices` by name, the metric to compare models by first.

    Classification: accuracy; balanced_accuracy, the mean recall of the classes that occur;
    macro_f1, the mean F1 of the classes that occur or were predicted; and recall:NAME of each class
    that occurs. Segmentation: iou and dice of the pixels of all images together, and image_iou and
    image_dice, the means over images. An empty mask that was predicted empty has 1. The user's own
    metric is left out if it is not defined for these images.
    """
    answers, truth = outcomes.numpy(), targets.truth[indices.numpy()]
    measures = targets.measures
    scores = {name: measure.value(answers, truth) for name, measure in measures.items()}
    if targets.kind == "segmentation":
        for name in ("iou", "dice"):
            by_image = measures[name].of(measures[name].features(answers, truth))
            scores[name] = np.nan_to_num(scores[name], nan=1.0)
            scores[f"image_{name}"] = np.nan_to_num(by_image, nan=1.0).mean()
    else:
        for number, name in enumerate(targets.names):
            answers_to_class = answers[truth == number]
            if len(answers_to_class):
                scores[f"recall:{name}"] = (answers_to_class == number).mean()
    return {name: float(score) for name, score in scores.items() if not np.isnan(score)}


def _overlap(predicted: Tensor, mask: Tensor) -> Tensor:
    """Return the pixels (N, 3) in both, in the prediction, and in the mask: (N, H, W) booleans."""
    return torch.stack([x.sum(dim=(-2, -1)) for x in (predicted & mask, predicted, mask)], dim=-1)
