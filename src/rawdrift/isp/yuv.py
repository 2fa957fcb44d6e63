"""The YUV of scikit-image, in which sharpening and denoising act."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from rawdrift.isp import constants
from rawdrift.isp.number import Option

Channels = Literal["luma", "yuv"]
CHANNELS: tuple[Channels, ...] = get_args(Channels)
# What a filter acts on: Y alone, as in the authors' code, or all of Y, U and V (eqs. 22 and 27).
CHANNELS_OPTION = Option(default="luma", choices=CHANNELS)

YUV_FROM_RGB = torch.from_numpy(constants.YUV_FROM_RGB)
RGB_FROM_YUV = torch.from_numpy(constants.RGB_FROM_YUV)


def mix(matrix: Tensor, x: Tensor) -> Tensor:
    """`matrix @ x` over the channels of (..., 3, H, W), in full precision on every device."""
    columns = matrix.to(x).T[..., None, None]
    red, green, blue = (x[..., c : c + 1, :, :] for c in range(3))
    return (columns[0] * red).addcmul_(columns[1], green).addcmul_(columns[2], blue)


def luma(x: Tensor) -> Tensor:
    """Y of a view: (..., 3, H, W) to (..., H, W)."""
    red, green, blue = x.unbind(dim=-3)
    weights = YUV_FROM_RGB[0].to(x)
    return (weights[0] * red).addcmul_(weights[1], green).addcmul_(weights[2], blue)


def filtered(x: Tensor, channels: Channels, filter: Callable[[Tensor], Tensor]) -> Tensor:
    """A view with `filter` applied to its Y ("luma") or to Y, U and V ("yuv").

    Y has the weight one in each of R, G, B, so that a change of Y is added to all three.
    """
    if channels == "luma":
        y = luma(x)
        return x + (filter(y) - y).unsqueeze(-3)
    return mix(RGB_FROM_YUV, filter(mix(YUV_FROM_RGB, x)))
