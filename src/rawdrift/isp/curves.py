"""What the steps that bend tones by points have in common: (K, 2), rows of input and output."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rawdrift.isp.number import Array, Knob, absolute


def rising(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs and outputs (K,), sorted, so that what learning has left is still a curve.

    An output below one before it counts as that one.
    """
    inputs, order = points[:, 0].sort()
    return inputs, points[:, 1][order].cummax(0).values


def not_rising(value: Array, start: Array, signal: Sequence[float]) -> Iterator[str]:
    """Name the points at which a learned curve falls; see `Number.implausible`."""
    for k in np.flatnonzero((np.diff(value, axis=0) < 0).any(1)):
        yield f"it falls from point {k} {value[k].tolist()} to {value[k + 1].tolist()}"


def segment(inputs: Tensor, x: Tensor) -> Tensor:
    """Return the index of the segment (0 to K - 2) of each value, the ends' beyond the ends."""
    inner = inputs.detach()[1:-1].contiguous()
    return torch.bucketize(x.detach().contiguous(), inner, right=True)


def smooth(points: Tensor, x: Tensor) -> Tensor:
    """Return the smooth curve through points (K, 2) at each value; see `ToneCurve`."""
    inputs, outputs = rising(points)
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
    at = segment(inputs.to(x), x)
    inside = x.clamp(left[0], left[-1] + width[-1])
    t = (inside - left[at]) / width[at]
    bent: Tensor = start[at] + t * (linear[at] + t * (square[at] + t * cube[at]))
    return bent


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


def _bent(points: Tensor, bend: Tensor) -> Tensor:
    """Outputs raised in the middle by up to `bend` of their range; both ends stay."""
    inputs, outputs = points.unbind(-1)
    low, span = outputs[0], outputs[-1] - outputs[0]
    share = (outputs - low) / span.clamp(min=torch.finfo(points.dtype).tiny)
    return torch.stack([inputs, outputs + 4 * bend * share * (1 - share) * span], -1)


def _contrasted(points: Tensor, contrast: Tensor) -> Tensor:
    """Outputs pulled away from the middle of their range, or to it below 0; both ends stay."""
    inputs, outputs = points.unbind(-1)
    low, span = outputs[0], outputs[-1] - outputs[0]
    share = (outputs - low) / span.clamp(min=torch.finfo(points.dtype).tiny)
    pulled = contrast * share * (1 - share) * (2 * share - 1)
    return torch.stack([inputs, outputs + pulled * span], -1)


# Within these bounds a curve that rises goes on rising.
BEND = Knob(turn=_bent, default=0.0, drift=absolute(0.05), least=-0.25, most=0.25)
CONTRAST = Knob(turn=_contrasted, default=0.0, drift=absolute(0.3), least=-1.0, most=1.0)
