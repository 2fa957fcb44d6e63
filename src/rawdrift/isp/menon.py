"""Demosaicing of Menon, Andriani and Calvagno."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.isp.kernels import demosaicing
from rawdrift.isp.sites import BAYER_OPTION, Sites
from rawdrift.isp.step import Kind, Step
from rawdrift.neighborhood import along_columns, along_rows, extend

KERNELS = (
    (-0.25, 0.5, 0.5, 0.5, -0.25),
    (0.0, 0.5, 0.0, 0.5, 0.0),
    (0.0, 1 / 3, 1 / 3, 1 / 3, 0.0),
)


@final
class Menon2007(Step):
    """Green interpolated along the smoother direction, then color differences, then refining.

    kernels: (3, 5): green along a line; a color difference at the next pixel; the refining average.
    Where the original has zeros, nothing is measured: other taps there are an error, and learned
    ones stay zero. The choice of direction is piecewise constant in the image and has no gradient.
    Mosaic (..., H, W) to view (..., 3, H, W).
    Source: Menon, Andriani, Calvagno, "Demosaicing with directional filtering and a posteriori
    decision", IEEE Transactions on Image Processing 16(1), 2007.
    """

    reach = 8
    takes: ClassVar[Kind] = "mosaic"
    stage = "demosaic"
    options = {"cfa": BAYER_OPTION}
    numbers = {"kernels": demosaicing(KERNELS)}

    def setup(self) -> None:
        if not torch.equal(self.taps(), self.kernels):
            raise InputError(
                "Menon2007.kernels must be zero where those of the original are, got "
                f"{self.kernels.tolist()}"
            )

    def taps(self) -> Tensor:
        """The kernels, of which only what is measured counts."""
        taps: Tensor = self.kernels * (self.kernels.new_tensor(KERNELS) != 0)
        return taps

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        at = Sites.of(self.cfa, x)
        at_green = at.green_in_red_rows | at.green_in_blue_rows
        line, difference, refine = self.taps()

        green_h = torch.where(at_green, x, _green_along_rows(x, line))
        green_v = torch.where(at_green, x, _green_along_rows(x.mT, line).mT)
        horizontal = _is_horizontal(x - green_h, x - green_v)
        green = torch.where(horizontal, green_h, green_v)

        def directed(v: Tensor, taps: Tensor) -> Tensor:
            return torch.where(horizontal, along_rows(v, taps), along_columns(v, taps))

        def at_greens(red: Tensor, blue: Tensor, green: Tensor) -> tuple[Tensor, Tensor]:
            """Red and blue at green, from their differences to green in the row or the column."""
            red_h, red_v = (f(red - green, difference) for f in (along_rows, along_columns))
            blue_h, blue_v = (f(blue - green, difference) for f in (along_rows, along_columns))
            red_at_green = green + torch.where(at.green_in_red_rows, red_h, red_v)
            blue_at_green = green + torch.where(at.green_in_blue_rows, blue_h, blue_v)
            return torch.where(at_green, red_at_green, red), torch.where(
                at_green, blue_at_green, blue
            )

        red, blue = at_greens(x, x, green)
        red_minus_blue = directed(red - blue, difference)
        red = torch.where(at.blue, x + red_minus_blue, red)
        blue = torch.where(at.red, x - red_minus_blue, blue)

        # Refining: green from the measured color, red and blue at green, then red against blue.
        green = torch.where(
            at_green,
            x,
            x - torch.where(at.red, directed(red - green, refine), directed(blue - green, refine)),
        )
        red, blue = at_greens(red, blue, green)
        red_minus_blue = directed(red - blue, refine)
        return torch.stack(
            [
                torch.where(at.blue, x + red_minus_blue, red),
                green,
                torch.where(at.red, x - red_minus_blue, blue),
            ],
            dim=-3,
        )


# Raw data are integers, so that both directions are often equally smooth, and rounding decides. In
# float64 it decides as in colour-demosaicing, because the two functions below add in its order.


def _green_along_rows(x: Tensor, line: Tensor) -> Tensor:
    width = x.shape[-1]
    x = extend(x, 0, 2)
    a, b, c, d, e = (tap * x[..., i : i + width] for i, tap in enumerate(line.to(x)))
    green: Tensor = (b + d) + (c + (a + e))
    return green


@torch.no_grad()
def _is_horizontal(difference_h: Tensor, difference_v: Tensor) -> Tensor:
    """Where color differences vary no more along rows than along columns: (..., H, W) booleans.

    The variation is that of Menon's window: steps of two pixels, weighted three on the line itself,
    over five lines.
    """
    height, width = difference_h.shape[-2:]

    def at(steps: Tensor, row: int, column: int, weight: int = 1) -> Tensor:
        part = steps[..., 2 + row : 2 + row + height, 2 + column : 2 + column + width]
        return part if weight == 1 else weight * part

    c = extend(difference_h, 2, 2)
    steps = (c[..., :-2] - c[..., 2:]).abs()
    along_h = at(steps, -2, -2) + at(steps, -2, 0)
    along_h += at(steps, -1, -1)
    along_h += at(steps, 0, -2, 3)
    along_h += at(steps, 0, 0, 3)
    along_h += at(steps, 1, -1)
    along_h += at(steps, 2, -2)
    along_h += at(steps, 2, 0)

    c = extend(difference_v, 2, 2)
    steps = (c[..., :-2, :] - c[..., 2:, :]).abs()
    along_v = at(steps, -2, -2) + at(steps, -2, 0, 3)
    along_v += at(steps, -2, 2)
    along_v += at(steps, -1, -1)
    along_v += at(steps, -1, 1)
    along_v += at(steps, 0, -2)
    along_v += at(steps, 0, 0, 3)
    along_v += at(steps, 0, 2)
    return torch.ge(along_v, along_h)
