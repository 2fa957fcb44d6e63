"""Raw images with their targets, of any dataset."""

from typing import Any, Protocol

import torch
from torch import Tensor

from rawdrift import inputs
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.models.targets import Targets
from rawdrift.statistics.estimates import Clusters
from rawdrift.statistics.resampling import clusters


class Samples(Protocol):
    """Any dataset of pairs (mosaic, target): a mosaic (H, W), a class or a mask (H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


def read(
    data: RawDataset | Samples, targets: Targets | None = None
) -> tuple[Tensor, Tensor, Clusters]:
    """Return mosaics (N, H, W), targets (N,) or (N, H, W) int64, and the group of each image (N,).

    targets: the right answers; without, those of the data.

    Raises InputError if the data are not of this form, or if mosaics hold NaN.
    """
    inputs.samples(data)
    if len(data) < 2:
        raise InputError(f"forensics needs at least 2 images, got {len(data)}")
    groups = data.groups if isinstance(data, RawDataset) else None
    if isinstance(data, RawDataset) and len(data.cameras) > 1:
        names = ", ".join(camera.name for camera in data.cameras)
        raise InputError(f"one ISP develops the images of one camera, got those of {names}")
    pairs = [data[i] for i in range(len(data))]
    for pair in pairs[:1]:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(
                f"the data must give pairs (mosaic, target), got {type(pair).__name__}"
            )
        inputs.target(pair[1])
        inputs.mosaic(torch.as_tensor(pair[0]), "the mosaic of image 0")
    try:
        mosaics = torch.stack([torch.as_tensor(mosaic) for mosaic, _ in pairs])
        if targets is None:
            truth = torch.stack([torch.as_tensor(target) for _, target in pairs])
        else:
            truth = targets.values
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the data must give pairs (mosaic, target) of one size: {error}"
        ) from None
    is_checked = targets is not None
    if mosaics.ndim != 3 or (
        not is_checked and (truth.ndim not in (1, 3) or truth.is_floating_point())
    ):
        raise InputError(
            f"mosaics must be (H, W), and targets whole numbers () or (H, W), got "
            f"{tuple(mosaics.shape[1:])} and {tuple(truth.shape[1:])} of {truth.dtype}"
        )
    broken = ~mosaics.isfinite().flatten(1).all(1)
    if broken.any():
        first = int(broken.nonzero()[0])
        name = f" ({data.images[first]})" if isinstance(data, RawDataset) else ""
        raise InputError(
            f"{int(broken.sum())} of {len(mosaics)} mosaics hold NaN or infinity, first image "
            f"{first}{name}; leave them out"
        )
    groups_of_images = clusters(len(data), groups)
    if is_checked:
        return mosaics, truth if truth.is_floating_point() else truth.long(), groups_of_images
    if truth.ndim == 3 and truth.unique().tolist() == [0, 255]:  # as files of masks often are
        truth = (truth != 0).to(torch.uint8)
    if truth.min() < 0:
        raise InputError(f"targets must be at least 0, got {int(truth.min())}")
    return mosaics, truth.long(), groups_of_images
