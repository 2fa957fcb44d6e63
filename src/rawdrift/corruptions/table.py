"""Corrupt a batch of views: the table of corruptions, and the one function that applies them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rawdrift.checks import InputError, choose
from rawdrift.corruptions import (
    blur,
    color,
    digital,
    elastic,
    fog,
    glass,
    noise,
)
from rawdrift.corruptions.streams import Seed, open_streams
from rawdrift.severities import LEVELS, TABLES

# To add one: a function of views, streams and its constants, a line here, and its constants in
# `rawdrift.severities`.
_CORRUPTIONS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function
    for function in (
        digital.identity,
        noise.gaussian_noise,
        noise.shot_noise,
        noise.impulse_noise,
        noise.speckle_noise,
        blur.gaussian_blur,
        blur.defocus_blur,
        glass.glass_blur,
        blur.motion_blur,
        blur.zoom_blur,
        fog.fog,
        color.contrast,
        color.brightness,
        color.saturate,
        elastic.elastic_transform,
        digital.pixelate,
        digital.jpeg_compression,
    )
}


@torch.no_grad()
def corrupt(
    views: Tensor, name: str, severity: int, seeds: Sequence[Seed], table: str = "imagenet"
) -> Tensor:
    """Views with one of the common corruptions (Hendrycks and Dietterich, ICLR 2019).

    views: (..., 3, H, W) in [0, 1], float32 or float64, of any size, on any device.
    name: one of `rawdrift.severities.NAMES`.
    severity: 1 to 5.
    seeds: for each image an integer, or a tuple of integers such as (seed, index of the image).
        An image's random numbers depend on its seed, the corruption and the severity, not on the
        other images or their order. They differ between CPU and GPU.
    table: "imagenet", constants for images of 224 pixels, or "small", for 32 pixels: see
        `rawdrift.severities`.

    Returns new views of the same shape, type and device, in [0, 1]. No gradient passes.
    Raises InputError for a name, severity or table that is not known, for views that are not as
    described, and for a wrong number of seeds.
    """
    choose("corruption", name, _CORRUPTIONS)
    choose("table of severities", table, TABLES)
    if type(severity) is not int or severity not in LEVELS:
        valid = "; ".join(map(str, LEVELS))
        raise InputError(f"unknown severity {severity!r}; choose one of {valid}")
    images = _checked(views)
    if not hasattr(seeds, "__len__") or len(seeds) != len(images):
        raise InputError(
            f"seeds must hold one for each image, {len(images)} for views of shape "
            f"{tuple(views.shape)}, got {seeds!r}"
        )
    streams = open_streams(seeds, name, severity, views.device)
    constants = {key: values[severity - 1] for key, values in TABLES[table][name].items()}
    out = torch.empty_like(images, memory_format=torch.contiguous_format)
    # On the CPU one image after another: it stays in the cache, and no sum depends on the batch.
    step = 1 if views.device.type == "cpu" else max(len(images), 1)
    for first in range(0, len(images), step):
        some = slice(first, first + step)
        corrupted = _CORRUPTIONS[name](images[some].contiguous(), streams[some], **constants)
        torch.clamp(corrupted, 0, 1, out=out[some])
    return out.view(views.shape)


def _checked(views: Tensor) -> Tensor:
    """The views as one batch (N, 3, H, W); an InputError if they are none."""
    if views.ndim < 3 or views.shape[-3] != 3 or 0 in views.shape[-2:]:
        raise InputError(f"views must be of shape (..., 3, H, W), got {tuple(views.shape)}")
    if views.dtype not in (torch.float32, torch.float64):
        raise InputError(f"views must be float32 or float64 in [0, 1], got {views.dtype}")
    if views.numel():
        low, high = (float(end) for end in views.aminmax())
        if not 0 <= low <= high <= 1:  # so that NaN is caught as well
            raise InputError(f"views must lie in [0, 1], got values from {low:g} to {high:g}")
    return views.reshape(-1, *views.shape[-3:])
