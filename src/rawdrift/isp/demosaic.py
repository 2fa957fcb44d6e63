"""Demosaicing: the two missing colors of every pixel."""

from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Pattern, offsets
from rawdrift.checks import InputError, choose
from rawdrift.isp.step import Kind, Step, Value
from rawdrift.neighborhood import along_columns, along_rows, correlate, extend


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


@final
class Bilinear(Step):
    """Each color's samples, spread over the mosaic with zeros between, correlated with its kernel.

    kernels: (3, 3, 3), one 3x3 kernel each for R, G, B (eqs. 33-35).
    Mosaic (..., H, W) to view (..., 3, H, W).
    """

    takes: ClassVar[Kind] = "mosaic"

    KERNELS = (
        ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25)),
        ((0.0, 0.25, 0.0), (0.25, 1.0, 0.25), (0.0, 0.25, 0.0)),
        ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25)),
    )

    kernels: Tensor

    def __init__(self, cfa: Pattern, kernels: Value = KERNELS):
        super().__init__()
        choose("cfa pattern", cfa, PATTERNS)
        self.cfa = cfa
        self.own("kernels", kernels, (3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        red, green_red, green_blue, blue = offsets(self.cfa)
        colors = []
        for sites, kernel in zip(
            ([red], [green_red, green_blue], [blue]), self.kernels, strict=True
        ):
            samples = torch.zeros_like(x)
            for row, column in sites:
                samples[..., row::2, column::2] = x[..., row::2, column::2]
            colors.append(correlate(samples, kernel))
        return torch.stack(colors, dim=-3)


@final
class Malvar2004(Step):
    """Linear 5x5 interpolation that lets each color follow the others' Laplacian.

    kernels: (4, 5, 5): green at red and blue; red or blue at green, from its row; the same from its
    column; red at blue and blue at red. Mosaic (..., H, W) to view (..., 3, H, W).
    Source: Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of
    Bayer-patterned color images", ICASSP 2004, with its gains 1/2, 5/8, 3/4.
    """

    takes: ClassVar[Kind] = "mosaic"

    _FROM_ROW = (
        (0.0, 0.0, 0.0625, 0.0, 0.0),
        (0.0, -0.125, 0.0, -0.125, 0.0),
        (-0.125, 0.5, 0.625, 0.5, -0.125),
        (0.0, -0.125, 0.0, -0.125, 0.0),
        (0.0, 0.0, 0.0625, 0.0, 0.0),
    )
    KERNELS = (
        (
            (0.0, 0.0, -0.125, 0.0, 0.0),
            (0.0, 0.0, 0.25, 0.0, 0.0),
            (-0.125, 0.25, 0.5, 0.25, -0.125),
            (0.0, 0.0, 0.25, 0.0, 0.0),
            (0.0, 0.0, -0.125, 0.0, 0.0),
        ),
        _FROM_ROW,
        tuple(zip(*_FROM_ROW, strict=True)),
        (
            (0.0, 0.0, -0.1875, 0.0, 0.0),
            (0.0, 0.25, 0.0, 0.25, 0.0),
            (-0.1875, 0.0, 0.75, 0.0, -0.1875),
            (0.0, 0.25, 0.0, 0.25, 0.0),
            (0.0, 0.0, -0.1875, 0.0, 0.0),
        ),
    )

    kernels: Tensor

    def __init__(self, cfa: Pattern, kernels: Value = KERNELS):
        super().__init__()
        choose("cfa pattern", cfa, PATTERNS)
        self.cfa = cfa
        self.own("kernels", kernels, (4, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        at = Sites.of(self.cfa, x)
        green, from_row, from_column, across = (correlate(x, kernel) for kernel in self.kernels)
        at_green = at.green_in_red_rows | at.green_in_blue_rows

        def color(own: Tensor, in_row: Tensor, in_column: Tensor) -> Tensor:
            at_greens = torch.where(in_row, from_row, torch.where(in_column, from_column, across))
            return torch.where(own, x, at_greens)

        return torch.stack(
            [
                color(at.red, at.green_in_red_rows, at.green_in_blue_rows),
                torch.where(at_green, x, green),
                color(at.blue, at.green_in_blue_rows, at.green_in_red_rows),
            ],
            dim=-3,
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

    takes: ClassVar[Kind] = "mosaic"

    KERNELS = (
        (-0.25, 0.5, 0.5, 0.5, -0.25),
        (0.0, 0.5, 0.0, 0.5, 0.0),
        (0.0, 1 / 3, 1 / 3, 1 / 3, 0.0),
    )

    kernels: Tensor

    def __init__(self, cfa: Pattern, kernels: Value = KERNELS):
        super().__init__()
        choose("cfa pattern", cfa, PATTERNS)
        self.cfa = cfa
        self.own("kernels", kernels, (3, 5))
        if not torch.equal(self.taps(), self.kernels):
            raise InputError(
                "Menon2007.kernels must be zero where those of the original are, got "
                f"{self.kernels.tolist()}"
            )

    def taps(self) -> Tensor:
        """The kernels, of which only what is measured counts."""
        return self.kernels * (self.kernels.new_tensor(self.KERNELS) != 0)

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
