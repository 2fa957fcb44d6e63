"""Noise on views (N, 3, H, W). `corrupt` clips values outside of [0, 1]."""

import torch
from torch import Tensor

from rawdrift.corruptions.declaration import corruption
from rawdrift.corruptions.streams import Streams, normal, poisson, uniform


@corruption(
    small={"std": (0.04, 0.06, 0.08, 0.09, 0.1)}, imagenet={"std": (0.08, 0.12, 0.18, 0.26, 0.38)}
)
def gaussian_noise(views: Tensor, streams: Streams, std: float) -> Tensor:
    """x + std n, with n standard normal."""
    return normal(views.shape[1:], streams).to(views).mul_(std).add_(views)


@corruption(small={"photons": (500, 250, 100, 75, 50)}, imagenet={"photons": (60, 25, 12, 5, 3)})
def shot_noise(views: Tensor, streams: Streams, photons: float) -> Tensor:
    """Poisson(photons x) / photons: `photons` is the count that white stands for."""
    return poisson(views * photons, streams).to(views).div_(photons)


@corruption(
    small={"amount": (0.01, 0.02, 0.03, 0.05, 0.07)},
    imagenet={"amount": (0.03, 0.06, 0.09, 0.17, 0.27)},
)
def impulse_noise(views: Tensor, streams: Streams, amount: float) -> Tensor:
    """A share `amount` of samples is set to 0 or 1, half each, independently for each channel."""
    chance = uniform(views.shape[1:], streams).to(views)
    keep, white = chance.clone().ge_(amount), chance.lt_(amount / 2)
    return torch.addcmul(white, views, keep)


@corruption(
    small={"std": (0.06, 0.1, 0.12, 0.16, 0.2)}, imagenet={"std": (0.15, 0.2, 0.35, 0.45, 0.6)}
)
def speckle_noise(views: Tensor, streams: Streams, std: float) -> Tensor:
    """x + x std n, with n standard normal."""
    return normal(views.shape[1:], streams).to(views).mul_(std).add_(1).mul_(views)
