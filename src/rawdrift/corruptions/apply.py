"""Corrupt a batch of views."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.corruptions.declaration import Corruption, find
from rawdrift.corruptions.streams import Seed, numbers_of, open_streams
from rawdrift.machine import Array, empty, for_each


def corrupt(
    views: Tensor, name: str, severity: int, seeds: Sequence[Seed], table: str = "imagenet"
) -> Tensor:
    """Return views with one of the common corruptions, or one of your own.

    views: (..., 3, H, W) in [0, 1], float32 or float64, of any size, on any device.
    name: one of `rawdrift.corruptions.NAMES`, or import:package.module.name, a function declared
        with `rawdrift.corruptions.corruption`.
    severity: 1 to 5.
    seeds: for each image an integer, or a tuple of integers such as (seed, index of the image).
        An image's random numbers depend on its seed, the corruption and the severity, not on the
        other images or their order. They differ between CPU and GPU.
    table: "imagenet", constants for images of 224 pixels, or "small", for 32 pixels: see
        `rawdrift.corruptions.TABLES`.

    Returns new views of the same shape, type and device, in [0, 1]. No gradient passes.
    Raises InputError for an unknown name, severity or table, for views that are not as described,
    and for a wrong number of seeds.
    """
    corruption = find(name)
    constants = corruption.constants(table, severity)
    _check(views)
    images = views.detach().reshape(-1, *views.shape[-3:])
    if not hasattr(seeds, "__len__") or len(seeds) != len(images):
        raise InputError(
            f"seeds must hold one for each image, {len(images)} for views of shape "
            f"{tuple(views.shape)}, got {seeds!r}"
        )
    if corruption.fills and images.is_cpu:
        for seed in seeds:
            numbers_of(seed)
        out = _filled(images.numpy(), corruption, constants)
    else:
        streams = open_streams(seeds, name, severity, views.device)
        out = _corrupted(images, streams, corruption, name, constants)
    return out.view(views.shape)


def _filled(images: Array, corruption: Corruption, constants: dict[str, float]) -> Tensor:
    out = empty(*images.shape, dtype=images.dtype.type)
    doubtful: list[int] = []

    def fill(k: int) -> bool:
        image = np.ascontiguousarray(images[k])
        if not corruption.function(image, out[k], **constants):
            doubtful.append(k)
        return True

    for_each(fill, range(len(images)), torch.get_num_threads())
    for k in sorted(doubtful):
        _check_range(np.ascontiguousarray(images[k]))
    return torch.from_numpy(out)


@torch.no_grad()
def _corrupted(
    images: Tensor,
    streams: list[torch.Generator],
    corruption: Corruption,
    name: str,
    constants: dict[str, float],
) -> Tensor:
    out = _empty_like(images)
    # On the CPU one image after another: it stays in the cache, and no sum depends on the batch.
    step = 1 if images.is_cpu else max(len(images), 1)
    for first in range(0, len(images), step):
        part = slice(first, first + step)
        image, new = images[part].contiguous(), out[part]
        _check_range(_numbers(image))
        corrupted = corruption(image, streams[part], **constants)
        if corrupted.shape != image.shape or corrupted.dtype != image.dtype:
            raise InputError(
                f"the corruption {name} turned {image.dtype} views of shape {tuple(image.shape)} "
                f"into {corrupted.dtype} of shape {tuple(corrupted.shape)}; expected the same "
                f"shape and type"
            )
        torch.clamp(corrupted, 0, 1, out=new)
        if not _surely_within(_numbers(new)) and new.isnan().any():
            raise InputError(f"the corruption {name} returned NaN; expected finite views")
    return out


def _empty_like(images: Tensor) -> Tensor:
    if images.is_cpu:
        return torch.from_numpy(empty(*images.shape, dtype=images.numpy().dtype.type))
    return torch.empty_like(images, memory_format=torch.contiguous_format)


def _check(views: Tensor) -> None:
    """Raise InputError if these are not views."""
    if views.ndim < 3 or views.shape[-3] != 3 or 0 in views.shape[-2:]:
        raise InputError(f"views must be of shape (..., 3, H, W), got {tuple(views.shape)}")
    if views.dtype not in (torch.float32, torch.float64):
        raise InputError(f"views must be float32 or float64 in [0, 1], got {views.dtype}")


def _numbers(values: Tensor) -> Tensor | Array:
    return values.numpy() if values.is_cpu else values


def _check_range(image: Tensor | Array) -> None:
    if not _surely_within(image):
        low, high = float(image.min()), float(image.max())
        if not 0 <= low <= high <= 1:  # so that NaN is caught as well
            raise InputError(f"views must lie in [0, 1], got values from {low:g} to {high:g}")


def _surely_within(values: Tensor | Array) -> bool:
    """Return True if an array lies in [0, 1], by one fast pass; False if it may not."""
    if isinstance(values, Tensor):
        return False
    bits = np.dtype(f"u{values.itemsize}")  # see `compiled.highest_bits`
    return bool(values.view(bits).max() <= values.dtype.type(1).view(bits))
