"""Noise. Views (N, 3, H, W), a stream for each; values beyond [0, 1] are cut by `corrupt`."""

from torch import Tensor

from rawdrift.corruptions.streams import Streams, normal, poisson, uniform


def gaussian_noise(views: Tensor, streams: Streams, std: float) -> Tensor:
    """x + std n, with n standard normal."""
    return normal(views.shape[1:], streams).to(views).mul_(std).add_(views)


def shot_noise(views: Tensor, streams: Streams, photons: float) -> Tensor:
    """Poisson(photons x) / photons: `photons` is the count that white stands for."""
    return poisson(views * photons, streams).to(views).div_(photons)


def impulse_noise(views: Tensor, streams: Streams, amount: float) -> Tensor:
    """A share `amount` of all samples, of each channel for itself, is set to 0 or 1, half each."""
    chance = uniform(views.shape[1:], streams)
    return views.masked_fill(chance < amount, 0).masked_fill_(chance < amount / 2, 1)


def speckle_noise(views: Tensor, streams: Streams, std: float) -> Tensor:
    """x + x std n, with n standard normal."""
    return normal(views.shape[1:], streams).to(views).mul_(std).add_(1).mul_(views)
