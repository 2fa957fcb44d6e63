"""Where a mosaic measures each color."""

from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Pattern, offsets
from rawdrift.isp.number import Option

CFA_OPTION = Option(camera="cfa", choices=PATTERNS)


class Sites(NamedTuple):
    """Where each color is measured: (H, W) booleans."""

    red: Tensor
    green_in_red_rows: Tensor
    green_in_blue_rows: Tensor
    blue: Tensor

    @classmethod
    def of(cls, pattern: Pattern, mosaic: Tensor) -> "Sites":
        height, width = mosaic.shape[-2:]
        cells = torch.zeros(4, 2, 2, dtype=torch.bool, device=mosaic.device)
        for cell, at in zip(cells, offsets(pattern), strict=True):
            cell[at] = True
        return cls(*cells.repeat(1, (height + 1) // 2, (width + 1) // 2)[:, :height, :width])
