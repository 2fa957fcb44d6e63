"""Sharpening by a filter."""

from typing import final

from torch import Tensor

from rawdrift.isp.kernels import BLENDED, other_sum
from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import CHANNELS_OPTION, filtered
from rawdrift.neighborhood import correlate

KERNEL = ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))


@final
class SharpeningFilter(Step):
    """Y correlated with a 3x3 kernel (eq. 22).

    kernel: (3, 3). Shape (..., 3, H, W) is kept.
    """

    reach = 1
    stage = "sharpen"
    options = {"channels": CHANNELS_OPTION}
    numbers = {
        "kernel": Number(
            shape=(3, 3),
            default=KERNEL,
            drift=relative(0.5),
            knobs={"strength": BLENDED},
            implausible=other_sum,
        )
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return filtered(x, self.channels, lambda y: correlate(y, self.kernel))
