"""Black level correction."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, final

from torch import Tensor

from rawdrift.cfa import SITES, layout
from rawdrift.checks import positive
from rawdrift.isp.number import Array, Number, Option, relative
from rawdrift.isp.sites import CFA_OPTION, check_numbers, of_cell, tiled
from rawdrift.isp.step import Kind, Step

BELOW = 0.05  # of the signal, that a black level may be below zero


def _implausible(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
    for at, (level, median) in enumerate(zip(value, signal, strict=True)):
        site = SITES[at] if len(value) == len(SITES) else at
        if level >= median:
            yield f"{site}: {level:.3g} is above the median signal, {median:.3g}"
        elif level < -BELOW * median:
            yield f"{site}: {level:.3g} is below zero"


@final
class BlackLevel(Step):
    """v = x - black, site by site (eq. 15); with a white level, (x - black) / (white - black).

    level: (4,) of R, G in red rows, G in blue rows, B, or of as many sites as the pattern has
    (`rawdrift.cfa.layout`); white: one number; in units of full scale.
    Mosaic (..., H, W) to mosaic. Nothing is clipped.
    """

    reach = 0
    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    stage = "black_level"
    options = {
        "cfa": CFA_OPTION,
        "white": Option(default=None, camera="white_level", check=positive),
    }
    numbers = {
        "level": Number(
            shape=(None,),
            camera="black_level",
            unit="of full scale",
            # A pedestal is known to some digital numbers of a 12-bit converter: 4 of 4095 are
            # 0.001. Only learning goes below zero.
            drift=relative(0.05, plus=0.001, least=0.0),
            below="white",
            label="black level",
            elements=SITES,
            implausible=_implausible,
            scale="signal",
        )
    }

    def setup(self) -> None:
        check_numbers("BlackLevel.level", self.level, self.cfa)
        self.register_buffer("sites", of_cell(self.cfa), persistent=False)

    def element(self, number: str, index: tuple[int, ...]) -> str:
        return layout(self.cfa).sites[index[0]]

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        height, width = x.shape[-2:]
        black = self.level[self.sites]
        if self.white is None:
            return x - tiled(black.to(x), height, width)
        span = self.white - black
        return (x - tiled(black.to(x), height, width)) / tiled(span.to(x), height, width)
