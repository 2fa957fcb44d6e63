"""Noise of photons and of the electronics."""

import torch
from torch import Tensor


def shot(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Draw photoelectrons N ~ Poisson(mean), with a pathwise gradient. Shape kept, mean >= 0.

    N is a whole number and has no derivative. Its Gaussian limit N = mean + sqrt(mean) z has one
    for fixed z (the reparametrization of Kingma and Welling 2014), and expressed in terms of N

        dN / dmean = 1 + (N - mean) / (2 mean).

    For a loss that is quadratic in N its expectation is exact at any mean, since the first two
    moments of Poisson and Gaussian agree; for a cubic one it is off by 1/2 at any mean. A
    score-function gradient, exact for any loss, would have a variance that grows with the number of
    pixels; dN / dmean = 1 (straight-through) would ignore that more light brings more noise.
    Without light the derivative is 1.
    """
    count = torch.poisson(mean.detach(), generator)
    if not mean.requires_grad:
        return count
    fixed = mean.detach()
    slope = 1 + (count - fixed) / (2 * fixed).clamp(min=torch.finfo(fixed.dtype).tiny)
    # The value is exactly the count; the derivative is the slope.
    return count + torch.where(fixed > 0, slope, 1.0) * (mean - fixed)


def read(like: Tensor, rms: float, generator: torch.Generator) -> Tensor:
    """Draw the noise of each pixel's readout, Normal(0, rms), in the shape of `like`."""
    return torch.empty_like(like).normal_(generator=generator).mul_(rms)


def row(like: Tensor, rms: float, generator: torch.Generator) -> Tensor:
    """Draw the noise that a row shares, Normal(0, rms): (..., H, 1) for `like` of (..., H, W)."""
    return torch.empty_like(like[..., :1]).normal_(generator=generator).mul_(rms)
