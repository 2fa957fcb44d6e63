"""Nets with a weakness that is known, and mosaics that they get right."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import rawdrift as rd

CAMERA = rd.Camera(
    name="lab",
    cfa="RGGB",
    black_level=(0.02,) * 4,
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.5, -0.4, -0.1), (-0.2, 1.6, -0.4), (0.0, -0.4, 1.4)),
)
ISP = rd.isp.static("bi,s,ga", CAMERA)
RANGES = {
    "gamma.gamma": (1.6, 2.8),
    "color_correction.hue": (-20, 20),
    "sharpen.strength": (0.2, 1.8),
}


class Threshold(nn.Module):
    """Two classes by one feature of a view; a steeper net saturates more."""

    def __init__(self, feature, at, steepness):
        super().__init__()
        self.feature = feature
        self.steepness = steepness
        self.register_buffer("at", torch.tensor(float(at)))

    def forward(self, view):
        x = self.steepness * (self.feature(view) - self.at)
        return torch.stack([-x, x], dim=1)


def brightness(view):
    return view.mean((1, 2, 3))


def hue(view):
    """Red less blue of the plane of colors, as an angle from the axis of V: gray is none."""
    u = (view[:, 2] - view[:, 1]).mean((1, 2))
    v = (view[:, 0] - view[:, 1]).mean((1, 2))
    return torch.atan2(u, v)


def high_frequencies(view):
    """Of the logarithm, which no gamma changes but by a factor: relative to that of its contrast."""
    y = view.mean(1)
    fine = (y[:, 1:-1, 1:-1] - (y[:, :-2, 1:-1] + y[:, 2:, 1:-1]) / 2).abs().mean((1, 2))
    return fine / y.mean((1, 2))


class Planted(NamedTuple):
    net: nn.Module
    data: list
    parameter: str


def planted(kind, images=80, size=24, seed=0):
    """A net and its data: the class is a difference of the one thing that the net looks at."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    side = np.where(labels, 1, -1) + rng.normal(0, 0.35, images)  # of each image, from the border
    light = np.full((images, 3, size, size), 0.15)
    texture = rng.normal(0, 1, (images, 1, size, size))
    amount = np.full(images, 0.05)
    if kind == "brightness":
        light *= np.exp(0.2 * side)[:, None, None, None]
    elif kind == "hue":
        angle = 0.9 + 0.22 * side
        light[:, 0] += 0.1 * np.cos(angle)[:, None, None]
        light[:, 2] += 0.1 * np.sin(angle)[:, None, None]
    else:
        amount = 0.06 * np.exp(0.25 * side)
    light *= 1 + amount[:, None, None, None] * texture
    camera = np.array(CAMERA.color_matrix) * np.array(CAMERA.white_balance)
    light = np.einsum("ij,njhw->nihw", np.linalg.inv(camera), light)
    mosaics = np.empty((images, size, size))
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        mosaics[:, row::2, column::2] = light[:, channel, row::2, column::2]
    mosaics = torch.from_numpy(np.clip(mosaics + 0.02, 0, 1)).float()
    feature, parameter = {
        "brightness": (brightness, "gamma.gamma"),
        "hue": (hue, "color_correction.hue"),
        "high frequencies": (high_frequencies, "sharpen.strength"),
    }[kind]
    seen = feature(ISP(mosaics))
    dark, bright = (seen[torch.from_numpy(labels == label)] for label in (0, 1))
    spread = float(bright.mean() - dark.mean())
    net = Threshold(feature, (dark.mean() + bright.mean()) / 2, 8 / spread)
    return Planted(net, list(zip(mosaics, labels.tolist(), strict=True)), parameter)
