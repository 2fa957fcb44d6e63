"""Random numbers from one stream for each image, which depends on the seed of that image alone.

All draws are float32, so that an image is corrupted alike in every precision.
"""

import hashlib
from collections.abc import Sequence
from operator import index

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.corruptions import counters

Seed = int | tuple[int, ...]
Streams = Sequence[torch.Generator]


def open_streams(
    seeds: Sequence[Seed], name: str, severity: int, device: torch.device
) -> list[torch.Generator]:
    """Return a generator for each image; other corruptions and severities draw independently."""
    streams = []
    for seed in seeds:
        text = f"{name} {severity} {numbers_of(seed)}"
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        streams.append(torch.Generator(device).manual_seed(int.from_bytes(key, "little")))
    return streams


def numbers_of(seed: Seed) -> list[int]:
    """Return the integers of a seed. InputError if it is none."""
    try:
        return [index(part) for part in (seed if isinstance(seed, tuple) else (seed,))]
    except TypeError:
        raise InputError(
            f"a seed must be an integer or a tuple of integers, got {seed!r}"
        ) from None


def normal(shape: Sequence[int], streams: Streams) -> Tensor:
    """Return (N, *shape) standard normal numbers, a row from each of N streams."""
    drawn = _empty(shape, streams)
    for row, stream in zip(drawn, streams, strict=True):
        row.normal_(generator=stream)
    return drawn


def uniform(shape: Sequence[int], streams: Streams, low: float = 0, high: float = 1) -> Tensor:
    """Return (N, *shape) numbers uniform in [low, high), a row from each of N streams."""
    drawn = _empty(shape, streams)
    for row, stream in zip(drawn, streams, strict=True):
        if row.is_cpu:
            counters.uniform(row.view(-1).numpy(), _key(stream), low, high)
        else:
            row.uniform_(low, high, generator=stream)
    return drawn


def integers(shape: Sequence[int], streams: Streams, low: int, high: int) -> Tensor:
    """Return (N, *shape) integers from low to high - 1, a row from each of N streams."""
    drawn = _empty(shape, streams, torch.int64)
    for row, stream in zip(drawn, streams, strict=True):
        row.random_(low, high, generator=stream)
    return drawn


def poisson(rate: Tensor, streams: Streams) -> Tensor:
    """Return Poisson counts of the rates (N, ...), a row from each of N streams."""
    rates = rate.detach().float().contiguous()
    drawn = torch.empty_like(rates)
    for row, out, stream in zip(rates, drawn, streams, strict=True):
        if row.is_cpu and row.numel() and row.min() >= 0 and row.max() < counters.MOST:
            counters.poisson(row.view(-1).numpy(), out.view(-1).numpy(), _key(stream))
        else:
            out.copy_(torch.poisson(row, stream))
    return drawn


def _key(stream: torch.Generator) -> int:
    """Draw the key of a row of numbers that `counters` makes."""
    return int(torch.empty((), dtype=torch.int64).random_(generator=stream))


def _empty(shape: Sequence[int], streams: Streams, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(len(streams), *shape, dtype=dtype, device=streams[0].device)
