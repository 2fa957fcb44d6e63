"""Images that a search does not use, to show what the setting that it found costs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.statistics.estimates import Clusters

FEWEST_IMAGES, FEWEST_GROUPS = 30, 8
"""Held-out images and groups with which the interval of a drop holds what it promises."""


class Halves(NamedTuple):
    """Numbers of the images that are searched with, and of those that are not; in order."""

    searched: NDArray[np.int64]
    held_out: NDArray[np.int64]


def halve(clusters: Clusters, truth: Tensor, seed: int, folds: int = 1) -> Halves:
    """Split images into halves, by group and stratified by class, or by the size of masks.

    clusters: (N,) the group of each image. truth: (N, ...). folds: how many are split and then
    pooled. If the held-out images or groups were too few, none are held out.
    """
    count = int(clusters.max()) + 1
    target = truth.double().reshape(len(truth), -1).mean(1).numpy()
    mean = np.bincount(clusters, target) / np.bincount(clusters)
    rng = np.random.default_rng([seed, 0])
    order = np.lexsort((rng.random(count), mean))  # alike ones are neighbors, and then parted
    first = rng.integers(0, 2, (count + 1) // 2)
    held = np.empty(count, dtype=bool)
    held[order] = np.stack([first, 1 - first], axis=1).ravel()[:count]
    of_images = held[clusters]
    images, groups = int(of_images.sum()), int(held.sum())
    if folds * images < FEWEST_IMAGES or folds * groups < FEWEST_GROUPS or of_images.all():
        of_images[:] = False
    return Halves(np.flatnonzero(~of_images), np.flatnonzero(of_images))
