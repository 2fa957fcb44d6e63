"""Sharpening."""

from typing import final

from torch import Tensor, nn

from rawdrift.checks import choose, positive
from rawdrift.isp.color import CHANNELS, Channels, filtered
from rawdrift.isp.step import Step, Value
from rawdrift.neighborhood import along_columns, along_rows, correlate, gaussian_taps


@final
class SharpeningFilter(Step):
    """Y correlated with a 3x3 kernel (eq. 22). kernel: (3, 3). View (..., 3, H, W) kept."""

    KERNEL = ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))

    kernel: Tensor

    def __init__(self, kernel: Value = KERNEL, channels: Channels = "luma"):
        super().__init__()
        self.own("kernel", kernel, (3, 3))
        choose("channels", channels, CHANNELS)
        self.channels: Channels = channels

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return filtered(x, self.channels, lambda y: correlate(y, self.kernel))


@final
class UnsharpMask(Step):
    """v = y + amount * (y - blurred y) with a 2-D Gaussian, cut at 4 sigma (eq. 25).

    radius: sigma in pixels; amount: 1 doubles the detail. View (..., 3, H, W) kept. In a compiled
    or exported graph a learned radius may grow to twice what it is here.
    """

    RADIUS = 1.0
    AMOUNT = 1.0

    radius: Tensor
    amount: Tensor

    def __init__(self, radius: Value = RADIUS, amount: Value = AMOUNT, channels: Channels = "luma"):
        super().__init__()
        self.own("radius", radius, ())
        width = positive("radius", float(self.radius.detach()))
        self._largest = 2 * width if isinstance(radius, nn.Parameter) else width
        self.own("amount", amount, ())
        choose("channels", channels, CHANNELS)
        self.channels: Channels = channels

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        taps = gaussian_taps(self.radius, self._largest)
        amount = self.amount.to(x)

        def unsharp(y: Tensor) -> Tensor:
            return y + amount * (y - along_columns(along_rows(y, taps), taps))

        return filtered(x, self.channels, unsharp)
