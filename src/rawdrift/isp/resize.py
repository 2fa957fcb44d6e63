"""Resizing."""

from collections.abc import Callable
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from torch import Tensor

from rawdrift.checks import positive
from rawdrift.isp.number import Option
from rawdrift.isp.step import Step, Window

Method = Literal["area", "bilinear", "bicubic"]
METHODS: tuple[Method, ...] = get_args(Method)
Array = np.ndarray[Any, Any]


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

    def length_after(self, length: int) -> int:
        new: int = max(round(self.factor * length), 1)
        return new

    def needs(self, start: int, stop: int, length: int) -> tuple[int, int]:
        first, weights = self._taps(length, slice(start, stop))
        return int(first[0]), min(int(first[-1]) + weights.shape[1], length)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        height, width = x.shape[-2:]
        rows, columns = (slice(0, self.length_after(length)) for length in (height, width))
        return self.part(x, Window(0, 0, height, width), rows, columns)

    def part(self, x: Tensor, window: Window, rows: slice, columns: slice) -> Tensor:
        for dim, begin, length, wanted in (
            (-2, window.top, window.height, rows),
            (-1, window.left, window.width, columns),
        ):
            first, weights = self._taps(length, wanted)
            pixels = np.minimum(first[:, None] + np.arange(weights.shape[1]), length - 1) - begin
            x = _mixed(x, torch.tensor(pixels.T), torch.tensor(weights.T).to(x), dim)
        return x

    def _taps(self, old: int, wanted: slice) -> tuple[Array, Array]:
        """The first old pixel (n,) that each wanted new one is made of, and the weights (n, k) of
        the k from there on. old: how many pixels there are."""
        scale = old / self.length_after(old)
        new = np.arange(wanted.start, wanted.stop)
        if self.method == "area":
            low, high = new * scale, (new + 1) * scale
            first = np.floor(low).astype(np.int64)
            pixels = first[:, None] + np.arange(int(np.ceil(high - first).max()))
            ends = np.minimum(pixels + 1, high[:, None]), np.maximum(pixels, low[:, None])
            return first, np.maximum(ends[0] - ends[1], 0) / scale
        # As in Pillow: the filter is as wide as new pixels are, where these are larger.
        reach, curve = _FILTERS[self.method]
        wide = max(scale, 1.0)
        center = (new + 0.5) * scale
        first = np.maximum(np.floor(center - reach * wide + 0.5), 0).astype(np.int64)
        stop = np.minimum(np.floor(center + reach * wide + 0.5), old)
        pixels = first[:, None] + np.arange(int((stop - first).max()))
        weights = curve(np.abs(pixels + 0.5 - center[:, None]) / wide) * (pixels < stop[:, None])
        return first, weights / weights.sum(1, keepdims=True)


def _cubic(x: Array) -> Array:
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "bilinear": (1.0, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (2.0, _cubic),
}


def _mixed(x: Tensor, pixels: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Sum pixels along an axis. pixels, weights: (k, n), for n new pixels of k old ones each."""
    if dim == -2:
        weights = weights[..., None]
    total = x.index_select(dim, pixels[0].to(x.device)) * weights[0]
    for at, weight in zip(pixels[1:], weights[1:], strict=True):
        total = torch.addcmul(total, x.index_select(dim, at.to(x.device)), weight)
    return total
