"""Tone curves through points."""

from typing import final

import torch
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
        inputs, outputs = curves.rising(self.points)
        width = inputs.diff().clamp(min=torch.finfo(torch.float64).tiny)
        slope = outputs.diff() / width
        tangent = _tangents(width, slope)
        # The cubic of each segment, by the share t of the way through it.
        start, linear = outputs[:-1], width * tangent[:-1]
        square = width * (3 * slope - 2 * tangent[:-1] - tangent[1:])
        cube = width * (tangent[:-1] + tangent[1:] - 2 * slope)
        left, width, start, linear, square, cube = (
            c.to(x) for c in (inputs[:-1], width, start, linear, square, cube)
        )
        at = curves.segment(inputs.to(x), x)
        inside = x.clamp(left[0], left[-1] + width[-1])
        t = (inside - left[at]) / width[at]
        return start[at] + t * (linear[at] + t * (square[at] + t * cube[at]))


def _tangents(width: Tensor, slope: Tensor) -> Tensor:
    """Return the slopes of the curve at the points, from those of the lines between them."""
    if len(slope) == 1:
        return torch.cat([slope, slope])
    before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    left, right = slope[:-1], slope[1:]
    flat = (left <= 0) | (right <= 0)
    mean = (before + after) / (before / left.where(~flat, 1) + after / right.where(~flat, 1))
    first = _end(width[0], width[1], slope[0], slope[1])
    last = _end(width[-1], width[-2], slope[-1], slope[-2])
    return torch.cat([first[None], mean.where(~flat, 0), last[None]])


def _end(width: Tensor, next_width: Tensor, slope: Tensor, next_slope: Tensor) -> Tensor:
    """Return the slope at an end: of the parabola through three points, from 0 to 3 `slope`."""
    parabola = ((2 * width + next_width) * slope - width * next_slope) / (width + next_width)
    return parabola.clamp(min=0).minimum(3 * slope)
