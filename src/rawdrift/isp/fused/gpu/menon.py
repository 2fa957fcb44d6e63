"""Menon2007 in stages, each a kernel over all pixels. See demosaic.py.

C is the color of a pixel that is not green, G the green at it. Along its row, a pixel at green has
the samples of the row's color beside it, along its column those of the column's color. Planes:

    difference_h, difference_v   at C: C - G, with G from the row, from the column; zero at green
    along, across                at C: C - G along the smoother direction, in both;
                                 at green: the row's color - green, the column's color - green
    own, other                   the same after refining, but at C: C - G in `own`, and in `other`
                                 what the third color is more than C
    way                          at C: whether the row is the smoother direction
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift.isp.fused.gpu.menon_colors import at_green, at_green_again, refined, third_colors
from rawdrift.isp.fused.gpu.menon_direction import decide, differences
from rawdrift.isp.fused.gpu.tiles import COLUMNS, ROWS, launch, tiles


class Planes(NamedTuple):
    """What the backward pass needs, each (N, H, W)."""

    along: Tensor
    across: Tensor
    own: Tensor
    other: Tensor
    way: Tensor  # int8


def menon(x: Tensor, kernels: Tensor, red: tuple[int, int]) -> tuple[Tensor, Planes]:
    """Colors (N, 3, H, W) of mosaics (N, H, W), and what was on the way. red: its row, column."""
    rows, columns = x.shape[1:]
    difference_h, difference_v = torch.empty_like(x), torch.empty_like(x)
    kept = [torch.empty_like(x) for _ in range(4)]
    planes = Planes._make([*kept, torch.empty_like(x, dtype=torch.int8)])
    out = x.new_empty(len(x), 3, rows, columns)
    line, difference, refine = kernels

    # Rounding decides between directions that are equally smooth: it must be that of the steps.
    def stage(kernel: object, *values: Tensor) -> None:
        launch(
            kernel,
            (tiles(*x.shape),),
            x,
            *values,
            rows,
            columns,
            GREEN=(sum(red) + 1) % 2,
            RED_ROW=red[0],
            ROWS=ROWS,
            COLUMNS=COLUMNS,
            fuse=False,
        )

    stage(differences, difference_h, difference_v, x, line)
    stage(decide, planes.along, planes.across, planes.way, difference_h, difference_v)
    del difference_h, difference_v
    stage(at_green, planes.along, planes.across, difference)
    stage(refined, *planes, difference, refine)
    stage(at_green_again, *planes, difference)
    stage(third_colors, out, x, *planes, refine)
    return out, planes
