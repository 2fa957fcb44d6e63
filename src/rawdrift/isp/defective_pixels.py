"""Correction of defective pixels."""

from functools import cache
from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.camera.optional import pixels
from rawdrift.cfa import PATTERNS, Pattern, layout, sampled
from rawdrift.checks import InputError, positive
from rawdrift.isp.number import Option
from rawdrift.isp.sites import CFA_OPTION
from rawdrift.isp.step import Kind, Part, Step, Window
from rawdrift.neighborhood import extend

_NEAREST = 8


@final
class DefectivePixels(Step):
    """Defective pixels replaced by the median of the intact ones among the eight nearest pixels of
    the same color site.

    positions: the defective pixels, [row, column] from 0 in the whole frame. Left out, they are
    detected: a pixel is defective if it is brighter than all eight by more than `threshold`, or
    darker. threshold: in units of full scale. Mosaic (..., H, W) to mosaic, mirrored at its
    borders, where pixels of another site don't count. The gradient passes to the pixels that are
    used.

    Raises InputError for positions outside the mosaic, and for a pixel with no intact neighbor.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {
        "positions": Option(default=None, camera="defective_pixels", check=pixels),
        "threshold": Option(default=0.1, check=positive),
        "cfa": Option(default=PATTERNS[0], camera="cfa", check=CFA_OPTION.check),
    }

    @property
    def reach(self) -> int:
        return 2 * _reach(self.cfa)  # a detected neighbor does not count

    def within(self, window: Window) -> Step:
        return self if self.positions is None else Part(self, window)

    def at(self, x: Tensor, window: Window) -> Tensor:
        """Correct a part of a frame; see `Step.within`."""
        height, width = x.shape[-2:]
        shifted = [(row - window.top, column - window.left) for row, column in self.positions]
        inside = [(r, c) for r, c in shifted if 0 <= r < height and 0 <= c < width]
        if not inside:
            return x
        return DefectivePixels(inside, self.threshold, self.cfa)(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        flat = x.reshape(-1, *x.shape[-2:])
        rings = _rings(self.cfa)
        reach = _reach(self.cfa)
        around = extend(flat, reach, reach)
        sites = extend(_sites(self.cfa, flat), reach, reach)
        if self.positions is None:
            image, row, column = self._detected(flat, around, sites, reach).nonzero(as_tuple=True)
        else:
            row, column = self._listed(x)
            image = torch.arange(len(flat), device=x.device).repeat_interleave(len(row))
            row, column = row.repeat(len(flat)), column.repeat(len(flat))
        if not len(row):
            return x
        defective = torch.zeros_like(flat, dtype=torch.bool)
        defective[image, row, column] = True
        broken = extend(defective.to(x), reach, reach) > 0
        height, width = layout(self.cfa)[:2]
        steps = torch.tensor(
            [[rings[r, c] for c in range(width)] for r in range(height)], device=x.device
        )[row % height, column % width]
        rows = row[:, None] + reach + steps[..., 0]
        columns = column[:, None] + reach + steps[..., 1]
        images = image[:, None].expand_as(rows)
        own = sites[0, row + reach, column + reach]
        intact = ~broken[images, rows, columns] & (sites[0, rows, columns] == own[:, None])
        repaired = flat.clone()
        repaired[image, row, column] = self._median(around[images, rows, columns], intact)
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

    def _detected(self, flat: Tensor, around: Tensor, sites: Tensor, reach: int) -> Tensor:
        """Return which pixels stick out of all their neighbors: (N, H, W) booleans."""
        lowest = torch.full_like(flat, float("inf"))
        highest = -lowest
        height, width = layout(self.cfa)[:2]
        for (row, column), ring in _rings(self.cfa).items():
            at = (..., slice(row, None, height), slice(column, None, width))
            rows, columns = flat[at].shape[-2:]
            for down, across in ring:
                there = (
                    ...,
                    slice(reach + row + down, None, height),
                    slice(reach + column + across, None, width),
                )
                one = around[there][..., :rows, :columns].detach()
                same = sites[there][..., :rows, :columns] == sites[..., reach + row, reach + column]
                lowest[at] = torch.minimum(lowest[at], one.where(same, float("inf")))
                highest[at] = torch.maximum(highest[at], one.where(same, -float("inf")))
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


@cache
def _rings(cfa: Pattern) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return the steps to the eight nearest pixels of its site, of each pixel of the cell."""
    height, width, _, _, places = layout(cfa)
    of = {(place.row, place.column): place.site for place in places}
    reach = 2 * max(height, width)
    steps = [
        (down, across)
        for down in range(-reach, reach + 1)
        for across in range(-reach, reach + 1)
        if down or across
    ]
    steps.sort(key=lambda step: (step[0] ** 2 + step[1] ** 2, step))
    return {
        at: [
            (down, across)
            for down, across in steps
            if of[(at[0] + down) % height, (at[1] + across) % width] == of[at]
        ][:_NEAREST]
        for at in of
    }


def _reach(cfa: Pattern) -> int:
    """Return how far the nearest pixels of a site lie at most, in rows or columns."""
    return max(abs(n) for ring in _rings(cfa).values() for step in ring for n in step)


def _sites(cfa: Pattern, flat: Tensor) -> Tensor:
    """Return the site of each pixel, (1, H, W)."""
    sites = torch.empty_like(flat[:1])
    for site, of_site in sampled(sites, cfa):
        of_site[...] = site
    return sites
