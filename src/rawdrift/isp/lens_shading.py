"""Lens shading correction by a map of gains."""

from typing import ClassVar, final

import torch
from torch import Tensor

from rawdrift.cfa import layout
from rawdrift.checks import InputError
from rawdrift.isp.number import Knob, Number, relative
from rawdrift.isp.sites import CFA_OPTION
from rawdrift.isp.step import Kind, Part, Step, Window


def _scaled(gains: Tensor, strength: Tensor) -> Tensor:
    """From no correction at 0 through the map at 1 and beyond."""
    return 1 + strength * (gains - 1)


@final
class LensShading(Step):
    """v = x * gain, with the gain of each pixel interpolated linearly between the points of a map
    of its color site, as the GainMap of a DNG file.

    gains: (4, M, N) of R, G in red rows, G in blue rows, B, or of the sites of another pattern, at
    points that are spread evenly over the frame from edge to edge, M >= 2 down and N >= 2 across.
    Mosaic (..., H, W) of the whole frame to mosaic.
    """

    reach = 0
    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "mosaic"
    options = {"cfa": CFA_OPTION}
    numbers = {
        "gains": Number(
            shape=(None, None, None),
            camera="shading",
            drift=relative(0.05),
            above=0.0,
            label="lens shading",
            knobs={"strength": Knob(turn=_scaled, default=1.0, drift=relative(0.5), least=0.0)},
        )
    }

    def setup(self) -> None:
        sites = layout(self.cfa).sites
        if len(self.gains) != len(sites) or min(self.gains.shape[1:]) < 2:
            raise InputError(
                f"LensShading.gains must be {len(sites)} maps, of {', '.join(sites)}, of 2x2 "
                f"points or more, got {tuple(self.gains.shape)}"
            )

    def within(self, window: Window) -> Step:
        return Part(self, window)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return self.at(x, Window(0, 0, *x.shape[-2:]))

    def at(self, x: Tensor, window: Window) -> Tensor:
        """Correct a part of a frame; see `Step.within`."""
        gains = self.gains.to(x)
        top, left, height, width = window
        down = _weights(gains.shape[1], height, gains)[top : top + x.shape[-2]]
        across = _weights(gains.shape[2], width, gains)[left : left + x.shape[-1]]
        full = torch.empty_like(x[(0,) * (x.ndim - 2)])
        height, width, _, _, places = layout(self.cfa)
        for site, row, column, _ in places:
            points = down[row::height] @ gains[site] @ across[column::width].T
            full[row::height, column::width] = points
        return x * full


def _weights(points: int, size: int, like: Tensor) -> Tensor:
    """Return the weight (size, points) of each point of a line in each pixel, at its center."""
    centers = (torch.arange(size, device=like.device, dtype=torch.float64) + 0.5) / size
    place = centers[:, None] * (points - 1) - torch.arange(points, device=like.device)
    return (1 - place.abs()).clamp(min=0).to(like)
