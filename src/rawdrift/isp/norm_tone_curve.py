"""Tone curves on a norm of the channels."""

from typing import final

from torch import Tensor

from rawdrift.camera.optional import points
from rawdrift.isp import curves
from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Step

_DARK = 1e-6  # norm below which colors are scaled as at it


@final
class NormToneCurve(Step):
    """v = x * curve(n) / n with the norm n = sum |x|**3 / sum |x|**2 of each pixel's channels:
    the ratios of the channels stay, as in darktable's filmic. Usually before gamma correction.

    points: (K, 2), K >= 2, of (input, output), rising, joined as by `ToneCurve`. Shape
    (..., 3, H, W) is kept.
    """

    reach = 0
    numbers = {
        "points": Number(
            shape=(None, 2),
            drift=relative(0.05),
            label="tone curve on the norm",
            knobs={"bend": curves.BEND, "contrast": curves.CONTRAST},
            implausible=curves.not_rising,
        )
    }

    def setup(self) -> None:
        points("NormToneCurve.points", self.points.tolist())

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        size = x.abs().clamp(min=_DARK)
        square = size.square()
        norm = (square * size).sum(-3, keepdim=True) / square.sum(-3, keepdim=True)
        scaled: Tensor = x * (curves.smooth(self.points, norm) / norm)
        return scaled
