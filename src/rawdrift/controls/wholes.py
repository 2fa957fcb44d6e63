"""What pages show of images: each image, or if images are tiles, the whole frames."""

from collections.abc import Sequence

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift.controls.material import Material
from rawdrift.statistics.measures import Array, Measure


class Wholes:
    """N images as K wholes: frames of tiles whose answers are masks, or else the images themselves.

    images: their numbers in the dataset, (N,), sorted.
    """

    def __init__(self, material: Material, images: NDArray[np.int64]):
        data, self.targets, _ = material
        self.images = images
        self.tiling = data.tiling if self.targets.of_pixels else None
        number = images if self.tiling is None else self.tiling.frame[images]
        self.numbers, self._whole = np.unique(number, return_inverse=True)
        self._names = data.images if self.tiling is None else self.tiling.frames

    def name(self, whole: int) -> str:
        """The name of an image or a frame."""
        return self._names[int(self.numbers[whole])]

    def holding(self, place: int) -> int:
        """Return the whole that the image at a place among the N belongs to."""
        return int(self._whole[place])

    def places(self, whole: int) -> NDArray[np.int64]:
        """Return which of the N images belong to a whole."""
        return np.flatnonzero(self._whole == whole)

    def members(self, whole: int) -> list[int]:
        """Return the numbers in the dataset of the images that belong to a whole."""
        return [int(image) for image in self.images[self.places(whole)]]

    def values(self, measure: Measure, features: Array) -> Array:
        """Return the measure of each whole alone, (K,), by the features of the images (N, F)."""
        sums = np.zeros((len(self.numbers), features.shape[-1]))
        np.add.at(sums, self._whole, features)
        return measure.of(sums)

    def joined(self, whole: int, parts: Sequence[Tensor]) -> Tensor:
        """Return what was computed of the images of a whole, (..., h, w) each, as one picture.

        Parts that are smaller than tiles by a whole factor are enlarged, as are raw values packed
        by cells.
        """
        if self.tiling is None:
            return parts[0]
        factor = self.tiling.size // parts[0].shape[-1]
        arrays = [part.cpu().numpy().repeat(factor, -2).repeat(factor, -1) for part in parts]
        return torch.from_numpy(self.tiling.stitch(self.images[self.places(whole)], arrays))

    def truth(self, whole: int) -> Tensor | None:
        """Return the right mask of a whole as a picture (H, W), if answers are masks."""
        masks = [self.targets.mask(index) for index in self.members(whole)]
        parts = [mask for mask in masks if mask is not None]
        return self.joined(whole, parts) if parts else None

    def joined_png(self, whole: int, files: Sequence[bytes]) -> bytes:
        """Return the gray PNG files of all N images that belong to a whole as one."""
        places = self.places(whole).tolist()
        if self.tiling is None:
            return files[int(places[0])]
        pictures = [torch.from_numpy(imagecodecs.png_decode(files[place])) for place in places]
        return bytes(imagecodecs.png_encode(self.joined(whole, pictures).numpy()))
