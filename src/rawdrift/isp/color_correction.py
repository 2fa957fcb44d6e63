"""Color correction."""

import math
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
from torch import Tensor

from rawdrift.isp import hue
from rawdrift.isp.number import Array, Knob, Number, Settings, absolute, relative
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import RGB_FROM_YUV, YUV_FROM_RGB, mix

SINGULAR = 0.02  # of the determinant at the camera's values


def _saturated(matrix: Tensor, saturation: Tensor) -> Tensor:
    """Every color's distance from the gray of its Y, times `saturation`."""
    gray = YUV_FROM_RGB[0].to(matrix).expand(3, 3)
    return gray @ matrix + saturation * (matrix - gray @ matrix)


def _turned(matrix: Tensor, degrees: Tensor) -> Tensor:
    """The plane of U and V turned; Y stays."""
    return hue.turned(degrees.to(matrix)) @ matrix


def _settings(before: Array, after: Array, names: frozenset[str]) -> Settings:
    """Saturation and hue that turn one matrix into the other, nearest by least squares in the plane
    of U and V; only those that are named."""
    try:
        change = after @ np.linalg.inv(before)
    except np.linalg.LinAlgError:
        return {}
    chroma = (YUV_FROM_RGB.numpy() @ change @ RGB_FROM_YUV.numpy())[1:, 1:]
    along = (chroma[0, 0] + chroma[1, 1]) / 2
    across = (chroma[1, 0] - chroma[0, 1]) / 2
    settings = {
        "saturation": math.hypot(along, across) if "hue" in names else float(along),
        "hue": math.degrees(math.atan2(across, along)),
    }
    return {name: setting for name, setting in settings.items() if name in names}


def _implausible(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
    whole = float(np.linalg.det(start))
    share = float(np.linalg.det(value)) / whole if whole else 1.0
    if share <= 0:
        yield "it mirrors colors: its determinant has changed its sign"
    elif share < SINGULAR:
        yield f"it is nearly singular: {share:.2g} of the camera's determinant"


@final
class ColorCorrection(Step):
    """v = matrix @ x at every pixel (eq. 20).

    matrix: (3, 3). Shape (..., 3, H, W) is kept.
    """

    reach = 0
    stage = "color_correction"
    numbers = {
        "matrix": Number(
            shape=(3, 3),
            camera="color_matrix",
            drift=relative(0.2),
            label="color matrix",
            elements=[[f"{source} to {target}" for source in "RGB"] for target in "RGB"],
            knobs={
                "saturation": Knob(turn=_saturated, default=1.0, drift=relative(0.2), least=0.0),
                "hue": Knob(
                    turn=_turned,
                    default=0.0,
                    drift=absolute(10.0),
                    unit="degrees",
                    rounding=math.degrees(1e-3),
                ),
            },
            settings=_settings,
            implausible=_implausible,
        )
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return mix(self.matrix, x)
