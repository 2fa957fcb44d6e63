"""Tone curves through points."""

from typing import final

from torch import Tensor

from rawdrift.camera.optional import points
from rawdrift.isp import curves
from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Step


@final
class ToneCurve(Step):
    """v = a smooth curve through points, element-wise, in place of gamma correction.

    The curve is a cubic between each two points and rises where they do: it makes no maximum or
    minimum of its own (PCHIP; Fritsch and Butland 1984, as in `scipy.interpolate`).

    points: (K, 2), K >= 2, of (input, output), rising. A value beyond the first or last input
    counts as that input; outputs are usually 0 to 1. Shape (..., 3, H, W) is kept.
    """

    reach = 0
    numbers = {
        "points": Number(
            shape=(None, 2),
            camera="tone_curve",
            drift=relative(0.05),
            label="tone curve",
            knobs={"bend": curves.BEND, "contrast": curves.CONTRAST},
            implausible=curves.not_rising,
        )
    }

    def setup(self) -> None:
        points("ToneCurve.points", self.points.tolist())

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return curves.smooth(self.points, x)
