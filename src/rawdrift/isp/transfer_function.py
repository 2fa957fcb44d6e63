"""Standard tone curves."""

from typing import final

import torch
from torch import Tensor

from rawdrift.isp.number import Option
from rawdrift.isp.step import Step

# Linear with this slope up to a limit, then scale * x ** power - (scale - 1).
_STANDARDS = {
    "srgb": (12.92, 0.0031308, 1.055, 1 / 2.4),  # IEC 61966-2-1
    "rec709": (4.5, 0.018, 1.099, 0.45),  # ITU-R BT.709
}


@final
class TransferFunction(Step):
    """v = the encoding of a standard, element-wise, in place of gamma correction.

    standard: "srgb" (IEC 61966-2-1) or "rec709" (ITU-R BT.709). Values are clipped to [0, 1] first.
    Shape (..., 3, H, W) is kept.
    """

    reach = 0
    options = {"standard": Option(choices=tuple(_STANDARDS))}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        slope, limit, scale, power = _STANDARDS[self.standard]
        x = x.clamp(0, 1)
        curve = scale * x.clamp(min=limit) ** power - (scale - 1)
        return torch.where(x <= limit, slope * x, curve)
