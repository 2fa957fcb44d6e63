"""From a quad-Bayer mosaic to a Bayer one."""

from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Pattern, layout, pattern, quad
from rawdrift.checks import InputError
from rawdrift.isp.normalized_convolution import Interpolation
from rawdrift.isp.number import Option
from rawdrift.isp.step import Kind, Step, Window


def _quad(name: str, value: Any) -> Pattern:
    cfa = pattern(value, name)
    if quad(cfa) is None:
        raise InputError(
            f"{name} is {cfa}, expected a quad-Bayer pattern, the blocks of 2x2 of one of "
            f"{', '.join(PATTERNS)}: ['RRGG', 'RRGG', 'GGBB', 'GGBB']"
        )
    return cfa


class _FromQuad(Step):
    """A step from a quad-Bayer mosaic to a Bayer one."""

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {"cfa": Option(camera="cfa", check=_quad)}

    def cfa_after(self, cfa: Pattern | None) -> Pattern | None:
        return quad(self.cfa)


@final
class Remosaic(_FromQuad, Interpolation):
    """A quad-Bayer mosaic as the Bayer mosaic of the same size, for demosaicing that takes those.

    Each pixel is the value that `NormalizedConvolution` gives for its color in the Bayer pattern.
    Mosaic (..., H, W) to mosaic.
    """

    numbers = Interpolation.numbers

    def forward(self, x: Tensor) -> Tensor:
        planes = self.planes(x)
        height, width, _, colors, places = layout(str(quad(self.cfa)))
        bayer = torch.empty_like(x)
        for _, row, column, color in places:
            plane = planes[..., colors.index(color), :, :]
            bayer[..., row::height, column::width] = plane[..., row::height, column::width]
        return bayer


@final
class Binning(_FromQuad):
    """The mean of each block of 2x2 pixels of a quad-Bayer mosaic: a Bayer mosaic of half the size
    with half the noise. Mosaic (..., H, W) of even height and width to (..., H / 2, W / 2).
    """

    def length_after(self, length: int) -> int:
        return length // 2

    def needs(self, start: int, stop: int, length: int) -> tuple[int, int]:
        return 2 * start, 2 * stop

    def part(self, x: Tensor, window: Window, rows: slice, columns: slice) -> Tensor:
        return self(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            raise InputError(f"Binning takes an even height and width, got {height}x{width}")
        blocks = x.unflatten(-1, (width // 2, 2)).unflatten(-3, (height // 2, 2))
        mean: Tensor = blocks.mean((-3, -1))
        return mean
