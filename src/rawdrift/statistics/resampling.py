"""What is resampled, or independent: images, or the groups that they come in."""

from collections.abc import Sequence

import numpy as np

from rawdrift.statistics.estimates import Clusters


def clusters(images: int, groups: Sequence[str] | None) -> Clusters:
    """Number the cluster of each image: its group, or the image itself."""
    if groups is None:
        return np.arange(images)
    numbers: Clusters = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers
