"""Analog-to-digital conversion."""

import torch
from torch import Tensor


def quantize(dn: Tensor, step: int, white: int) -> Tensor:
    """Round DN to the nearest code in [0, white], a multiple of `step`. Shape kept.

    A converter with fewer bits than its container writes them left-justified: its codes are `step`
    = 2**(bits of the container - bits of the converter) apart. The gradient is that of the clipping
    alone, straight through the rounding (Bengio et al. 2013): 0 where the value saturates.
    """
    clipped = dn.clamp(0, white)
    codes = torch.floor(clipped.detach() / step + 0.5) * step
    return codes + (clipped - clipped.detach()) if dn.requires_grad else codes
