"""From raw mosaics to what a network takes: fronts, normalization, and views by many pipelines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rawdrift import isp
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.yuv import Channels

BATCH = 32
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and std, as torchvision has them


class Front(nn.Module):
    """A module before the network: mosaics (N, H, W) and the numbers of their cameras (N,) to views
    (N, `channels`, H / `factor`, W / `factor`), rounded up.

    least_std: of a channel; normalization doesn't divide by less.
    """

    channels = 3
    factor = 1
    least_std = 1e-3


class Develop(Front):
    """Mosaics (N, H, W) to views (N, 3, H, W), each by the pipeline of its camera.

    pipelines: one for each camera of the dataset, in order.
    """

    def __init__(self, pipelines: Sequence[Pipeline]):
        super().__init__()
        self.pipelines = nn.ModuleList(pipelines)

    @property
    def isps(self) -> list[Pipeline]:
        """The pipelines, typed."""
        return [pipeline for pipeline in self.pipelines if isinstance(pipeline, Pipeline)]

    @classmethod
    def static(cls, name: str, cameras: Sequence[Camera], channels: Channels) -> "Develop":
        """Return the same configuration for each camera."""
        return cls([isp.static(name, camera, channels) for camera in cameras])

    @classmethod
    def external(cls, isp: External, cameras: Sequence[Camera]) -> "Develop":
        """Return the same black box for each camera."""
        return cls([isp.of(camera) for camera in cameras])

    @classmethod
    def parametrized(cls, name: str, cameras: Sequence[Camera], channels: Channels) -> "Develop":
        """Return the same configuration for each camera, each with parameters of its own."""
        return cls([isp.parametrized(name, camera, channels) for camera in cameras])

    def forward(self, mosaics: Tensor, camera_index: Tensor) -> Tensor:
        if len(self.pipelines) == 1:
            return cast(Tensor, self.pipelines[0](mosaics))
        views = mosaics.new_empty(len(mosaics), 3, *mosaics.shape[1:], dtype=torch.float32)
        for index, pipeline in enumerate(self.pipelines):
            of_camera = camera_index == index
            if of_camera.any():
                views[of_camera] = pipeline(mosaics[of_camera])
        return views


class Normalize(nn.Module):
    """Normalize channels by fixed statistics of the training views: v = (x - mean) / std.

    The layer is the same behind every kind of pipeline, so that it confounds no comparison.
    mean, std: (C,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean.to(torch.float32))
        self.register_buffer("std", std.to(torch.float32))

    @classmethod
    def of(cls, develop: Front, data: RawDataset, indices: Tensor) -> "Normalize":
        """Return the normalization by the views of these images, computed in float64."""
        count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        with torch.inference_mode():
            for batch in indices.split(BATCH):
                views = develop(data.mosaics[batch], data.camera_index[batch]).double()
                count += views.numel() // views.shape[1]
                total = total + views.sum(dim=(0, 2, 3))
                squares = squares + views.square().sum(dim=(0, 2, 3))
        mean = total / count
        std = (squares / count - mean**2).clamp(min=1e-12).sqrt()
        return cls(mean, std.clamp(min=develop.least_std))  # a constant channel carries nothing

    @classmethod
    def fixed(cls, kind: str | Sequence[Sequence[float]]) -> "Normalize":
        """Return "none", "imagenet", or the normalization by (mean, std) of R, G and B."""
        if isinstance(kind, str):
            kind = {"none": ((0.0,) * 3, (1.0,) * 3), "imagenet": IMAGENET}[kind]
        mean, std = map(torch.tensor, kind)
        return cls(mean, std)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


def layout(net: nn.Module) -> torch.memory_format:
    """Return how views for a network should lie in memory: channels last, which convolves faster,
    unless a part of it can't take that."""
    contiguous = any(hasattr(module, "contiguous_views") for module in net.modules())
    return torch.contiguous_format if contiguous else torch.channels_last


def check_finite(logits: Tensor, images: Sequence[str], views: str) -> None:
    """Raise InputError for the first of these images whose logits (n, ...) are not all finite.

    views: what the network saw, for the error.
    """
    if bool(torch.isfinite(logits).all()):
        return
    wrong = ~torch.isfinite(logits).flatten(1).all(1)
    first = int(wrong.nonzero()[0])
    value = logits[first][~torch.isfinite(logits[first])][0]
    raise InputError(
        f"the network answers image {images[first]!r}, {views}, with {float(value):g}, expected "
        f"finite logits ({int(wrong.sum())} of {len(images)} images are like this); check its "
        f"weights and its normalization"
    )


def views(
    data: RawDataset,
    batch: Tensor,
    names: Sequence[str],
    channels: Channels = "luma",
    device: torch.device | str = "cpu",
    isps: Mapping[str, Pipeline] | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each pipeline and its views (n, 3, H, W) of these images, float32.

    names: of configurations, which take the camera of each image, or of `isps`, on the device.
    """
    mosaics, camera_index = data.mosaics[batch].to(device), data.camera_index[batch]
    by_camera = {
        int(index): developed(
            mosaics[camera_index == index], data.cameras[index], names, channels, isps
        )
        for index in camera_index.unique()
    }
    for name in names:
        if len(by_camera) == 1:  # no copy
            (part,) = by_camera.values()
            yield name, part[name].to(torch.float32)
            continue
        view = torch.empty(len(batch), 3, *data.size, device=device)
        for index, part in by_camera.items():
            view[camera_index == index] = part[name].to(torch.float32)
        yield name, view


def developed(
    mosaics: Tensor,
    camera: Camera,
    names: Sequence[str],
    channels: Channels = "luma",
    isps: Mapping[str, Pipeline] | None = None,
) -> dict[str, Tensor]:
    """Return the views (n, 3, H, W) of mosaics of one camera by the name of the pipeline.

    names: of configurations, which share work that they have in common, or of `isps`, of which
        black boxes take the camera too.
    """
    own = {name: isps[name] for name in names if name in isps} if isps else {}
    views = isp.views(mosaics, camera, [name for name in names if name not in own], channels)
    views |= {
        name: pipeline.of(camera)(mosaics) if isinstance(pipeline, External) else pipeline(mosaics)
        for name, pipeline in own.items()
    }
    return {name: views[name] for name in names}
