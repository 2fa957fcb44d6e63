"""Sharpening by an unsharp mask."""

from typing import final

from torch import Tensor, nn

from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import CHANNELS_OPTION, filtered
from rawdrift.neighborhood import NO_BLUR, along_columns, along_rows, gaussian_taps


@final
class UnsharpMask(Step):
    """v = y + amount * (y - blurred y) with a 2-D Gaussian, cut at 4 sigma (eq. 25).

    radius: sigma in pixels; amount: 1 doubles the detail. Shape (..., 3, H, W) is kept. In a
    compiled or exported graph, a learned radius may grow to twice what it is here.
    """

    stage = "sharpen"
    options = {"channels": CHANNELS_OPTION}
    numbers = {
        "radius": Number(
            default=1.0, drift=relative(0.5), above=0.0, used_below=NO_BLUR, unit="px"
        ),
        "amount": Number(default=1.0, drift=relative(0.5)),
    }

    def setup(self) -> None:
        width = float(self.radius.detach())
        self._largest = 2 * width if isinstance(self.radius, nn.Parameter) else width

    @property
    def reach(self) -> int:
        return len(gaussian_taps(self.radius.detach())) // 2

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        taps = gaussian_taps(self.radius, self._largest)
        amount: Tensor = self.amount.to(x)

        def unsharp(y: Tensor) -> Tensor:
            return y + amount * (y - along_columns(along_rows(y, taps), taps))

        return filtered(x, self.channels, unsharp)
