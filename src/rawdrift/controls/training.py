"""What the controls share about training a network on a fold."""

import time
from dataclasses import replace

import torch
from torch import nn

from rawdrift.controls.material import Material
from rawdrift.models.chain import Front
from rawdrift.models.spec import Task
from rawdrift.models.train import train

CHECKPOINT_EVERY = 60.0
"""Seconds between checkpoints: a kill loses at most these and the epoch under way."""


def name(fold: int, repeat: int) -> str:
    """Name a training of a fold as files do: "fold0", and its repeats "fold0_repeat1"."""
    return f"fold{fold}" + (f"_repeat{repeat}" if repeat else "")


def label(fold: int, repeat: int, folds: int | None = None) -> str:
    """Name a training for readers: "fold 1" or "fold 1/5", and its repeats "fold 1 repeat 2"."""
    which = f"fold {fold + 1}" + (f"/{folds}" if folds else "")
    return which + (f" repeat {repeat + 1}" if repeat else "")


def seconds_of_training(
    material: Material, fold: int, develop: Front, task: Task
) -> tuple[nn.Module, float]:
    """Estimate the seconds that training on a fold takes, from two batches after a first one.

    Returns the network that these batches trained, too.
    """
    data, targets, splits = material
    indices = torch.from_numpy(splits[fold].train)
    took = []
    for batches in (1, 3):
        few = indices[: batches * task.batch_size]
        started = time.monotonic()
        net = train(data, targets, few, develop, replace(task, epochs=1), seed=0)
        took.append((time.monotonic() - started, len(few)))
    images = max(took[1][1] - took[0][1], 1)
    seconds = task.epochs * len(indices) * (took[1][0] - took[0][0]) / images
    return net, max(0.0, seconds)
