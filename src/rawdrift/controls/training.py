"""What the controls share about training a network on a fold."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from rawdrift.controls.material import Material
from rawdrift.models.chain import BATCH, Front
from rawdrift.models.spec import Task
from rawdrift.models.train import train

CHECKPOINT_EVERY = 60.0
"""Seconds between checkpoints: a kill loses at most these and the epoch under way."""

_MEASURING = 2.0  # seconds
_STARTING = 120.0  # seconds that the first step may take for imports and kernels, to do it again


def name(fold: int, repeat: int) -> str:
    """Name a training of a fold as files do: "fold0", and its repeats "fold0_repeat1"."""
    return f"fold{fold}" + (f"_repeat{repeat}" if repeat else "")


def label(fold: int, repeat: int, folds: int | None = None) -> str:
    """Name a training for readers: "fold 1" or "fold 1/5", and its repeats "fold 1 repeat 2"."""
    which = f"fold {fold + 1}" + (f"/{folds}" if folds else "")
    return which + (f" repeat {repeat + 1}" if repeat else "")


def steps(task: Task, images: int) -> int:
    """Return how often a unit of one training, or of the test of a checkpoint with so many images,
    reports progress: after each epoch, or batch."""
    return task.epochs if task.checkpoint is None else -(-images // BATCH)


def seconds_of_training(
    material: Material, fold: int, develop: Front, task: Task
) -> tuple[nn.Module, float]:
    """Estimate the seconds that training on a fold takes, from a few images.

    Returns the network that they trained, too.
    """
    data, targets, splits = material
    indices = torch.from_numpy(splits[fold].train)

    def seconds(count: int) -> tuple[nn.Module, float, int]:
        few = indices[:count]
        started = time.monotonic()
        net = train(data, targets, few, develop, replace(task, epochs=1), seed=0)
        return net, time.monotonic() - started, len(few)

    net, short, least = seconds(2)  # libraries are imported, and kernels compiled
    if short < _STARTING:
        net, short, least = seconds(2)
    if short > _MEASURING:
        return net, task.epochs * len(indices) * short / least
    affordable = int(least * _MEASURING / max(short, 1e-3))
    net, longer, most = seconds(max(4, min(3 * task.batch_size, affordable)))
    images = max(most - least, 1)
    return net, max(0.0, task.epochs * len(indices) * (longer - short) / images)


def seconds_an_image(work: Callable[[int], object], most: int) -> float:
    """Estimate the seconds that work takes for an image.

    work: what is done with the first n of `most` images. More of them are taken until they take
    some seconds.
    """
    started = time.monotonic()
    work(1)  # libraries are imported, and kernels compiled
    if (took := time.monotonic() - started) > _STARTING:
        return took
    count = 1
    while True:
        started = time.monotonic()
        work(count)
        took = time.monotonic() - started
        if count >= most or took > _MEASURING / 4:
            return took / count
        count = min(most, 4 * count)
