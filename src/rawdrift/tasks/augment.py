"""Random flips and quarter turns: what a microscope or a drone does not tell apart."""

import torch
from torch import Tensor


def flip_and_turn(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of (N, ..., H, W) in one of its eight orientations (four, where H is not W).

    The draws come from a CPU generator, so that every device sees the same ones.
    """
    draws = torch.randint(0, 2, (3, len(x)), generator=generator, dtype=torch.bool).to(x.device)
    left_right, up_down, transpose = draws.view(3, len(x), *[1] * (x.ndim - 1))
    x = torch.where(left_right, x.flip(-1), x)
    x = torch.where(up_down, x.flip(-2), x)
    return torch.where(transpose, x.mT, x) if x.shape[-1] == x.shape[-2] else x
