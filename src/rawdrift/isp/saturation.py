"""Saturation."""

from typing import final

from torch import Tensor

from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import luma


@final
class Saturation(Step):
    """v = y + amount * (x - y) around the luma y of each pixel.

    amount: 0 is gray, 1 changes nothing. Shape (..., 3, H, W) is kept.
    """

    reach = 0
    numbers = {
        "amount": Number(camera="saturation", default=1.0, drift=relative(0.2), least=0.0),
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        y = luma(x).unsqueeze(-3)
        amount: Tensor = self.amount.to(x)
        return y + amount * (x - y)
