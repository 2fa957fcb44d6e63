"""Clipping of a mosaic."""

from typing import ClassVar, final

from torch import Tensor

from rawdrift.cfa import SITES, layout
from rawdrift.isp.number import Number, relative
from rawdrift.isp.sites import CFA_OPTION, check_numbers, of_cell, tiled
from rawdrift.isp.step import Kind, Step


@final
class Clipping(Step):
    """v = clip(x, 0, level of the site): as programs that balance and clip the mosaic first, so
    that what is white stays white. With gains g that is the level min(g) / g.

    level: (4,) of R, G in red rows, G in blue rows, B, or of the sites of another pattern. Mosaic
    (..., H, W) to mosaic.
    """

    reach = 0
    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {"cfa": CFA_OPTION}
    numbers = {
        "level": Number(
            shape=(None,),
            default=lambda given: [1.0] * len(layout(given["cfa"]).sites),
            drift=relative(0.05),
            above=0.0,
            label="clipping level",
            elements=SITES,
        )
    }

    def setup(self) -> None:
        check_numbers("Clipping.level", self.level, self.cfa)
        self.register_buffer("sites", of_cell(self.cfa), persistent=False)

    def element(self, number: str, index: tuple[int, ...]) -> str:
        return layout(self.cfa).sites[index[0]]

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        level = self.level[self.sites].to(x)
        return x.clamp(min=0).minimum(tiled(level, x.shape[-2], x.shape[-1]))
