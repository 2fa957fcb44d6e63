"""Where the numbers of a frame differ from the light: photons, and the electronics."""

import torch
from torch import Tensor


def shot(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Photoelectrons N ~ Poisson(mean), with a pathwise gradient. Shape kept, mean at least 0.

    N takes whole values and has no derivative. Its Gaussian limit N = mean + sqrt(mean) z has one
    for fixed z (the reparametrization of Kingma and Welling 2014), and with z put back in terms of
    N

        dN / dmean = 1 + (N - mean) / (2 mean).

    For a loss that is quadratic in N its expectation is exact at any mean, since the first two
    moments of Poisson and Gaussian agree; for a cubic one it is off by 1/2, whatever the mean. A
    score-function gradient, exact for any loss, would have a variance that grows with the number of
    pixels; dN / dmean = 1 (straight-through) would forget that more light brings more noise.
    Without light the derivative is taken as 1.
    """
    count = torch.poisson(mean.detach(), generator)
    if not mean.requires_grad:
        return count
    held = mean.detach()
    slope = 1 + (count - held) / (2 * held).clamp(min=torch.finfo(held.dtype).tiny)
    # The value is the count, to the last bit; the derivative is the slope.
    return count + torch.where(held > 0, slope, 1.0) * (mean - held)


def read(like: Tensor, rms: float, generator: torch.Generator) -> Tensor:
    """Noise of each pixel's readout: Normal(0, rms), of the shape of `like`."""
    return torch.empty_like(like).normal_(generator=generator).mul_(rms)


def row(like: Tensor, rms: float, generator: torch.Generator) -> Tensor:
    """Noise that a row's pixels share: Normal(0, rms), (..., H, 1) for `like` of (..., H, W)."""
    return torch.empty_like(like[..., :1]).normal_(generator=generator).mul_(rms)
