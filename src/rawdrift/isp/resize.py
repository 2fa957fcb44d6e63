"""Resizing."""

from typing import Literal, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.checks import positive
from rawdrift.isp.number import Option
from rawdrift.isp.step import Step

Method = Literal["area", "bilinear", "bicubic"]
METHODS: tuple[Method, ...] = get_args(Method)


@final
class Resize(Step):
    """A view of another size: (..., 3, H, W) to (..., 3, round(factor H), round(factor W)).

    factor: above 0, any number. method: "area" averages what each new pixel covers, parts of pixels
    included; "bilinear" and "bicubic" interpolate, with the filter widened where the image shrinks,
    so that nothing aliases, as in Pillow.
    """

    options = {
        "factor": Option(check=positive),
        "method": Option(default="area", choices=METHODS),
    }

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        height, width = (max(round(self.factor * size), 1) for size in x.shape[-2:])
        if self.method == "area":
            return _averaged(_averaged(x, height, -2), width, -1)
        flat = x.reshape(-1, *x.shape[-3:])
        resized = F.interpolate(flat, (height, width), mode=self.method, antialias=True)
        return resized.view(*x.shape[:-2], height, width)


def _averaged(x: Tensor, new: int, dim: int) -> Tensor:
    """Average along an axis over `new` intervals of the same length, parts of pixels included."""
    old = x.shape[dim]
    edges = torch.arange(new + 1, dtype=torch.float64, device=x.device) * (old / new)
    first = edges[:-1].floor().long()
    total: Tensor | None = None
    for k in range(int((edges.ceil()[1:] - first[:new]).max())):  # pixels that one may cover
        pixel = first + k
        overlap = torch.minimum(edges[1:], pixel + 1.0) - torch.maximum(edges[:-1], pixel.double())
        share = (overlap.clamp(min=0) * (new / old)).to(x)
        part = x.index_select(dim, pixel.clamp(max=old - 1))
        part = part * (share[:, None] if dim == -2 else share)
        total = part if total is None else total + part
    assert total is not None
    return total
