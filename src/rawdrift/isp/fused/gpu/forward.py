"""From mosaics to views, kernel by kernel, and what the backward pass computes again."""

from typing import NamedTuple

from torch import Tensor

from rawdrift.isp.fused.gpu.bayer import corrected
from rawdrift.isp.fused.gpu.correlation import correlate
from rawdrift.isp.fused.gpu.finish import to_planes, to_views
from rawdrift.isp.fused.gpu.menon import Planes, menon
from rawdrift.isp.fused.gpu.numbers import Layout, Numbers


class Stages(NamedTuple):
    """What there is before the views. P planes are filtered, see finish.py."""

    mosaics: Tensor  # (N, H, W), black level corrected
    menon: Planes | None
    source: Tensor  # of colors: the mosaics, or Menon's colors (N, 3, H, W)
    planes: Tensor  # (N * P, H, W)
    blurred: Tensor | None  # planes along rows, of the unsharp mask
    sharp: Tensor  # (N * P, H, W)


def stages(raw: Tensor, full: float, numbers: Numbers, layout: Layout) -> Stages:
    """The stages of raw mosaics (N, H, W)."""
    mosaics = corrected(raw, full, numbers.black, numbers.span)
    source, on_the_way, blurred = mosaics, None, None
    if not layout.size:
        source, on_the_way = menon(mosaics, numbers.demosaic, layout.red)
    planes = to_planes(source, numbers, layout)
    if layout.unsharp:
        blurred = correlate(planes, numbers.sharpen[:1])
        sharp = correlate(blurred, numbers.sharpen[1:].mT, planes, numbers.keep)
    else:
        sharp = correlate(planes, numbers.sharpen)
    return Stages(mosaics, on_the_way, source, planes, blurred, sharp)


def forward(out: Tensor, raw: Tensor, full: float, numbers: Numbers, layout: Layout) -> None:
    """Write the views (N, 3, H, W) of raw mosaics (N, H, W), float32 or DN up to `full`."""
    found = stages(raw, full, numbers, layout)
    to_views(out, found.source, found.sharp, numbers, layout)
