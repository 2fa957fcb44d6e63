"""Linearization of coded sensor values."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.camera.optional import points
from rawdrift.isp import curves
from rawdrift.isp.number import Number, relative
from rawdrift.isp.step import Kind, Step


@final
class Linearization(Step):
    """Raw values from coded ones, along straight lines between points: a piecewise linear
    companding of the sensor, or the LinearizationTable of a DNG file.

    points: (K, 2), K >= 2, of (input, output) in units of full scale, rising. A value beyond the
    first or last input counts as that input. Mosaic (..., H, W) to mosaic.
    """

    reach = 0
    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    numbers = {
        "points": Number(
            shape=(None, 2),
            camera="linearization",
            unit="of full scale",
            drift=relative(0.02),
            label="linearization",
            knobs={"bend": curves.BEND},
            implausible=curves.not_rising,
        )
    }

    def setup(self) -> None:
        points("Linearization.points", self.points.tolist())

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        inputs, outputs = (column.to(x) for column in curves.rising(self.points))
        at = curves.segment(inputs, x)
        slopes = outputs.diff() / inputs.diff().clamp(min=torch.finfo(x.dtype).tiny)
        inside = x.clamp(inputs[0], inputs[-1])
        return outputs[at] + slopes[at] * (inside - inputs[at])
