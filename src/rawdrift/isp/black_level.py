"""Black level correction."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Pattern, offsets
from rawdrift.checks import InputError, choose
from rawdrift.isp.step import Kind, Step, Value


@final
class BlackLevel(Step):
    """v = x - black, site by site (eq. 15); with a white level, (x - black) / (white - black).

    level: (4,) of R, G in red rows, G in blue rows, B; white: one number; in units of full scale.
    Mosaic (..., H, W) to mosaic. Nothing is clipped.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"

    level: Tensor
    sites: Tensor

    def __init__(self, cfa: Pattern, level: Value, white: float | None = None):
        super().__init__()
        self.own("level", level, (4,))
        if white is not None and not bool((self.level < white).all()):
            raise InputError(f"white must be above the black level, got {white!r}")
        self.white = white
        # Which of the four numbers belongs to each pixel of the 2x2 cell.
        sites = torch.empty(2, 2, dtype=torch.long)
        choose("cfa pattern", cfa, PATTERNS)
        self.cfa = cfa
        for site, at in enumerate(offsets(cfa)):
            sites[at] = site
        self.register_buffer("sites", sites, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        height, width = x.shape[-2:]
        black = self.level[self.sites]
        if self.white is None:
            return x - _tiled(black.to(x), height, width)
        span = self.white - black
        return (x - _tiled(black.to(x), height, width)) / _tiled(span.to(x), height, width)


def _tiled(cell: Tensor, height: int, width: int) -> Tensor:
    return cell.repeat((height + 1) // 2, (width + 1) // 2)[:height, :width]
