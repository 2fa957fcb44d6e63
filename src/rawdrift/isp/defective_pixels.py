"""Correction of defective pixels."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.camera.optional import pixels
from rawdrift.checks import InputError, positive
from rawdrift.isp.number import Option
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import extend

_PERIOD = 2  # rows and columns to the next pixel of the same site
_RING = [
    (down, across)
    for down in (-_PERIOD, 0, _PERIOD)
    for across in (-_PERIOD, 0, _PERIOD)
    if down or across
]


@final
class DefectivePixels(Step):
    """Defective pixels replaced by the median of the intact ones among the eight nearest pixels of
    the same color site.

    positions: the defective pixels, [row, column] from 0 in the whole frame. Left out, they are
    detected: a pixel is defective if it is brighter than all eight by more than `threshold`, or
    darker. threshold: in units of full scale. Mosaic (..., H, W) to mosaic, mirrored at its
    borders. The gradient passes to the pixels that are used.

    Raises InputError for positions outside the mosaic, and for a pixel with no intact neighbor.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {
        "positions": Option(default=None, camera="defective_pixels", check=pixels),
        "threshold": Option(default=0.1, check=positive),
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        flat = x.reshape(-1, *x.shape[-2:])
        around = extend(flat, _PERIOD, _PERIOD)
        if self.positions is None:
            image, row, column = self._detected(flat, around).nonzero(as_tuple=True)
        else:
            row, column = self._listed(x)
            image = torch.arange(len(flat), device=x.device).repeat_interleave(len(row))
            row, column = row.repeat(len(flat)), column.repeat(len(flat))
        if not len(row):
            return x
        defective = torch.zeros_like(flat, dtype=torch.bool)
        defective[image, row, column] = True
        broken = extend(defective.to(x), _PERIOD, _PERIOD) > 0
        ring = [(row + _PERIOD + down, column + _PERIOD + across) for down, across in _RING]
        values = torch.stack([around[image, r, c] for r, c in ring], -1)
        intact = torch.stack([~broken[image, r, c] for r, c in ring], -1)
        repaired = flat.clone()
        repaired[image, row, column] = self._median(values, intact)
        return repaired.view_as(x)

    def _listed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows and columns of the defective pixels."""
        places = torch.tensor(self.positions, dtype=torch.long, device=x.device).view(-1, 2)
        beyond = (places >= torch.tensor(x.shape[-2:], device=x.device)).any(1)
        if beyond.any():
            raise InputError(
                f"defective pixel {places[beyond][0].tolist()} is outside the mosaic of "
                f"{x.shape[-2]}x{x.shape[-1]} pixels; the positions are those of whole frames"
            )
        return places[:, 0], places[:, 1]

    def _detected(self, flat: Tensor, around: Tensor) -> Tensor:
        """Return which pixels stick out of all their neighbors: (N, H, W) booleans."""
        height, width = flat.shape[-2:]
        lowest = torch.full_like(flat, float("inf"))
        highest = -lowest
        for down, across in _RING:
            rows = around[:, _PERIOD + down : _PERIOD + down + height]
            one = rows[..., _PERIOD + across : _PERIOD + across + width].detach()
            lowest, highest = torch.minimum(lowest, one), torch.maximum(highest, one)
        values, threshold = flat.detach(), float(self.threshold)
        return (values > highest + threshold) | (values < lowest - threshold)

    def _median(self, values: Tensor, intact: Tensor) -> Tensor:
        """Return the median of the intact ones of (P, 8) values; of all where none is."""
        if self.positions is not None and not intact.any(1).all():
            raise InputError("a defective pixel has no intact one of its color site around it")
        intact = intact | ~intact.any(1, keepdim=True)
        ordered = values.where(intact, float("inf")).sort(1).values
        last = intact.sum(1, keepdim=True) - 1
        pair = ordered.gather(1, torch.cat([last // 2, (last + 1) // 2], 1))
        median: Tensor = pair.mean(1)
        return median
