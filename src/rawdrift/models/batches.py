"""Batches of an epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rawdrift.data.dataset import RawDataset
from rawdrift.models.targets import Targets


class Batches:
    """Shuffled batches (mosaics, camera_index, targets) straight from memory, of even sizes.

    Even, because batch normalization learns nothing from a last batch of one image.
    """

    def __init__(
        self, data: RawDataset, targets: Targets, indices: Tensor, batch_size: int, seed: int
    ):
        self.data = data
        self.targets = targets
        self.indices = indices
        self.steps = max(1, min(-(-len(indices) // batch_size), len(indices) // 2))
        self.draws = torch.Generator().manual_seed(seed)
        self.order = indices  # of the epoch under way

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        self.order = self.indices[torch.randperm(len(self.indices), generator=self.draws)]
        for batch in self.order.tensor_split(self.steps):
            camera_index = self.data.camera_index[batch]
            yield self.data.mosaics[batch], camera_index, self.targets.values[batch]
