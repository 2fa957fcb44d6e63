"""Adaptive homogeneity-directed demosaicing."""

from functools import cache
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import offsets
from rawdrift.checks import InputError, numbers, whole
from rawdrift.isp import engines
from rawdrift.isp.kernels import demosaicing
from rawdrift.isp.median import median3x3
from rawdrift.isp.number import Option
from rawdrift.isp.sites import BAYER_OPTION, Sites
from rawdrift.isp.step import Kind, Step
from rawdrift.isp.yuv import mix
from rawdrift.neighborhood import along_columns, along_rows, correlate, extend

LINE = (-0.25, 0.5, 0.5, 0.5, -0.25)
_LARGEST = 1e30  # mosaics with samples beyond it, infinite or NaN, go to the steps
_FULL = 65535  # the choice of direction sees whole numbers, as the original does
# Linear sRGB to CIE XYZ (IEC 61966-2-1), divided by its white, as in LibRaw.
_XYZ_FROM_RGB = torch.tensor(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / torch.tensor([[0.95047], [1.0], [1.08883]])

Rows = tuple[tuple[float, ...], ...]


def _gains(name: str, value: object) -> tuple[float, ...]:
    gains = numbers(name, value, 3)
    if 0 in gains:
        raise InputError(f"{name} must not be 0, got {list(gains)}")
    return gains


def _matrix(name: str, value: object) -> Rows:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise InputError(f"{name} must be three rows of three numbers, got {value!r}")
    return tuple(numbers(f"{name}, row {index}", row, 3) for index, row in enumerate(value))


@final
class AHD(Step):
    """Two views, with green interpolated along rows and along columns; each pixel is of the one
    whose neighbors look more alike in CIE L*a*b*, or the mean of both where none does.

    kernels: (5,), of green along a line, clipped to the greens beside it. gains: a white balance
    that the mosaic has inside, and that is undone after; matrix: from there to linear sRGB, for the
    choice alone. median_passes: 3x3 medians of red - green and blue - green in the end. The choice
    is piecewise constant in the image and has no gradient. Mosaic (..., H, W) to view
    (..., 3, H, W).
    Source: Hirakawa, Parks, "Adaptive homogeneity-directed demosaicing algorithm", IEEE
    Transactions on Image Processing 14(3), 2005, in the form of dcraw and LibRaw.
    """

    takes: ClassVar[Kind] = "mosaic"
    options = {
        "cfa": BAYER_OPTION,
        "gains": Option(camera="white_balance", default=(1.0, 1.0, 1.0), check=_gains),
        "matrix": Option(
            camera="color_matrix", default=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), check=_matrix
        ),
        "median_passes": Option(default=0, check=lambda name, value: whole(name, value, least=0)),
    }
    numbers = {"kernels": demosaicing(LINE)}

    def setup(self) -> None:
        matrix = torch.tensor(self.matrix)
        if abs(torch.linalg.det(matrix)) < 1e-6:
            raise InputError(f"AHD.matrix must have an inverse, got {self.matrix}")
        # A gray mosaic counts as gray.
        self._xyz = _XYZ_FROM_RGB @ (matrix * torch.linalg.solve(matrix, torch.ones(3)))

    @property
    def reach(self) -> int:
        return 5 + int(self.median_passes)  # green 2, red and blue 1, their steps 1, the vote 1

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        at = Sites.of(self.cfa, x)
        gains = x.new_tensor(self.gains) / min(map(abs, self.gains))
        x = x * torch.where(at.red, gains[0], torch.where(at.blue, gains[2], gains[1]))
        view = self._chosen(x) if self._is_fast(x) else self._chosen_by_steps(x, at)
        for _ in range(self.median_passes):
            green = view[..., 1:2, :, :]
            red_blue = median3x3(view[..., ::2, :, :] - green) + green
            view = torch.cat([red_blue[..., :1, :, :], green, red_blue[..., 1:, :, :]], -3)
        unbalanced: Tensor = view / gains[:, None, None]
        return unbalanced

    def _is_fast(self, x: Tensor) -> bool:
        """Whether the kernel gives what is asked for."""
        from rawdrift.isp.fused.fusable import is_plain  # which imports this module

        learns = torch.is_grad_enabled() and (x.requires_grad or self.kernels.requires_grad)
        return (
            engines.current() != "eager"
            and not learns
            and not torch.compiler.is_compiling()
            and not torch._C._is_tracing()
            and x.dtype in (torch.float32, torch.float64)
            and is_plain(x)
            and x.device.type == self.kernels.device.type == "cpu"
            and _kernel() is not None
            and x.numel() > 0
            and bool(x.abs().amax() < _LARGEST)
        )

    def _chosen(self, x: Tensor) -> Tensor:
        red = offsets(self.cfa)[0]
        view: Tensor = _kernel().demosaiced(
            x.detach(), red, self.kernels.detach(), self._xyz, _roots()
        )
        return view

    def _chosen_by_steps(self, x: Tensor, at: Sites) -> Tensor:
        along_h = _view(x, at, self._green(x))
        along_v = _view(x, at, self._green(x.mT).mT)
        better = self._better(along_h, along_v).unsqueeze(-3)
        mean = (along_h + along_v) / 2
        return torch.where(better > 0, along_h, torch.where(better < 0, along_v, mean))

    def _green(self, x: Tensor) -> Tensor:
        """Green along rows at all sites, between the values on both sides."""
        left, _, right = extend(x, 0, 1).unfold(-1, x.shape[-1], 1).unbind(-2)
        green = along_rows(x, self.kernels)
        clipped: Tensor = green.maximum(left.minimum(right)).minimum(left.maximum(right))
        return clipped

    @torch.no_grad()
    def _better(self, along_h: Tensor, along_v: Tensor) -> Tensor:
        """How many more neighbors look alike along rows than along columns: (..., H, W)."""
        both = [_lab(view.detach(), self._xyz) for view in (along_h, along_v)]
        light, color = zip(*map(_steps, both), strict=True)
        limits = []
        for steps in (light, color):
            rows, columns = (s[0].maximum(s[1]) for s in (steps[0][:2], steps[1][2:]))
            limits.append(rows.minimum(columns))
        alike = []
        for direction in range(2):
            near = (light[direction] <= limits[0]) & (color[direction] <= limits[1])
            alike.append(near.sum(0).to(along_h.dtype))
        return correlate(alike[0] - alike[1], alike[0].new_ones(3, 3))


def _view(x: Tensor, at: Sites, green: Tensor) -> Tensor:
    """The view of a mosaic and its green: red and blue by their mean differences to green."""
    at_green = at.green_in_red_rows | at.green_in_blue_rows
    green = torch.where(at_green, x, green)
    difference = x - green
    half = x.new_tensor((0.5, 0.0, 0.5))
    row, column = along_rows(difference, half), along_columns(difference, half)
    across = along_columns(row, half)

    def color(own: Tensor, in_row: Tensor, in_column: Tensor) -> Tensor:
        at_greens = torch.where(in_row, row, torch.where(in_column, column, across))
        return green + torch.where(own, difference, at_greens)

    return torch.stack(
        [
            color(at.red, at.green_in_red_rows, at.green_in_blue_rows),
            green,
            color(at.blue, at.green_in_blue_rows, at.green_in_red_rows),
        ],
        dim=-3,
    )


def _lab(view: Tensor, xyz: Tensor) -> Tensor:
    """64 times CIE L*a*b*, cut to whole numbers, (..., 3, H, W)."""
    tones = (view.float().clamp(0, 1).nan_to_num() * _FULL).floor()  # NaN chooses as 0
    levels = (mix(xyz.to(tones), tones) + 0.5).clamp(0, _FULL).long()
    x, y, z = _roots().to(tones)[levels].unbind(-3)
    return torch.stack([64 * (116 * y - 16), 64 * 500 * (x - y), 64 * 200 * (y - z)], -3).trunc()


@cache
def _kernel() -> Any:
    """The kernel, imported with Numba when it is first used; None without Numba."""
    try:
        from rawdrift.isp import ahd_kernel
    except ImportError:
        return None
    return ahd_kernel


@cache
def _roots() -> Tensor:
    share = torch.arange(_FULL + 1, dtype=torch.float64) / _FULL
    return torch.where(share > 0.008856, share ** (1 / 3), 7.787 * share + 16 / 116)


def _steps(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Differences in lightness, and squared ones in color, to the pixels left, right, above and
    below: (4, ..., H, W) each."""
    around = extend(lab, 1, 1)
    inner = slice(1, -1)
    moved: list[tuple[Any, Any]] = [
        (inner, slice(None, -2)),
        (inner, slice(2, None)),
        (slice(None, -2), inner),
        (slice(2, None), inner),
    ]
    steps = torch.stack([around[..., rows, columns] - lab for rows, columns in moved])
    light, a, b = steps.unbind(-3)
    return light.abs(), a.square() + b.square()
