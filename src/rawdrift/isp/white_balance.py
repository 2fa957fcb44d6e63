"""White balance."""

from collections.abc import Iterator, Sequence
from typing import final

from torch import Tensor

from rawdrift.isp.number import Array, Number, relative
from rawdrift.isp.step import Step


def _other_signs(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
    # The camera's own gains may be negative: they may cancel signs of the color matrix.
    for color, gain, before in zip("RGB", value, start, strict=True):
        if gain * before <= 0:
            yield f"{color}: {gain:.3g} has lost the sign of {before:.3g}"


@final
class WhiteBalance(Step):
    """v = gains[c] * x[c] (eq. 18).

    gains: (3,) of R, G, B. Shape (..., 3, H, W) is kept.
    """

    reach = 0
    stage = "white_balance"
    numbers = {
        "gains": Number(
            shape=(3,),
            camera="white_balance",
            # Blue against green changes by a fifth between 5500 K and 4600 K or 6900 K (Planck's
            # law at 450 and 550 nm): daylight from a low sun to a clouded sky.
            drift=relative(0.2),
            label="white balance gain",
            elements="RGB",
            implausible=_other_signs,
        )
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        gains: Tensor = self.gains.to(x)
        return x * gains[:, None, None]
