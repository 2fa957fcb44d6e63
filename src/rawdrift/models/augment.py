"""Augmentation: random changes of training views that leave their labels right.

The paper trains with "common data augmentations" (Appendix B.2). They are those of its published
code, where "weak" and "strong" are called `augmentation_weak` and `augmentation_strong`.
"""

import math

import torch
from torch import Tensor

from rawdrift.neighborhood import correlate

NOISE = 0.0005  # standard deviation
# Half the view and half the smoothed view: the sharpness 0.5 of Pillow and of torchvision, whose
# function has no gradient.
SOFTEN = torch.tensor([[1, 1, 1], [1, 18, 1], [1, 1, 1]]) / 26


def augment(
    kind: str, views: Tensor, masks: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Change views (N, C, H, W) in [0, 1] at random, and move masks (N, H', W') as their views.

    kind: "none"; "weak", flips and quarter turns; or "strong", flips, and each with a chance of
        one half a rotation of up to 90 degrees either way, Gaussian noise, and softening.
    """
    if kind == "none":
        return views, masks
    move = flip_and_turn if kind == "weak" else flip_and_rotate
    if masks is None:
        views = move(views, generator)
    elif masks.shape[-2:] == views.shape[-2:]:  # the mask is one more channel; floats hold it
        moved = move(torch.cat([views, masks.unsqueeze(1).to(views)], dim=1), generator)
        views, masks = moved[:, :-1], moved[:, -1].to(masks.dtype)
    else:  # masks of another size move by the same draws
        before = generator.get_state()
        views = move(views, generator)
        generator.set_state(before)
        masks = move(masks.unsqueeze(1), generator).squeeze(1)
    return (soften_and_add_noise(views, generator) if kind == "strong" else views), masks


def flip_and_turn(x: Tensor, generator: torch.Generator) -> Tensor:
    """Turn each image of (N, ..., H, W) to one of its eight orientations (four if H is not W).

    The draws come from a CPU generator, so that they are the same on every device.
    """
    left_right, up_down, transpose = _chances(3, x, generator)
    x = torch.where(left_right, x.flip(-1), x)
    x = torch.where(up_down, x.flip(-2), x)
    return torch.where(transpose, x.mT, x) if x.shape[-1] == x.shape[-2] else x


def flip_and_rotate(x: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image of (N, C, H, W) at random and, with a chance of one half, rotate it by up to
    90 degrees either way."""
    left_right, up_down, turned = _chances(3, x, generator)
    degrees = torch.rand(len(x), generator=generator) * 180 - 90
    x = torch.where(left_right, x.flip(-1), x)
    x = torch.where(up_down, x.flip(-2), x)
    return rotate(x, degrees * turned.flatten().cpu())


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Rotate each image of (N, C, H, W) counterclockwise about its center by (N,) degrees.

    A pixel takes the value of the nearest one, as in the authors' code, so that masks stay masks.
    Outside, the image is mirrored at its edges; the authors' code has zeros there.
    """
    height, width = x.shape[-2:]
    angle = (degrees.double().cpu() * math.pi / 180).view(-1, 1, 1)
    down = torch.arange(height, dtype=torch.double).sub((height - 1) / 2).view(-1, 1)
    right = torch.arange(width, dtype=torch.double).sub((width - 1) / 2)
    rows = angle.cos() * down + angle.sin() * right + (height - 1) / 2
    columns = angle.cos() * right - angle.sin() * down + (width - 1) / 2
    index = _mirror(rows, height) * width + _mirror(columns, width)
    source = index.view(len(x), 1, -1).to(x.device).expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, source).view_as(x)


def soften_and_add_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise to (N, C, H, W) and halve its sharpness, each with a chance of one half."""
    noisy, soft = _chances(2, x, generator)
    x = x + noisy * NOISE * torch.randn(x.shape, generator=generator).to(x)
    return torch.where(soft, correlate(x, SOFTEN), x)


def _chances(count: int, x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw `count` booleans for each image of (N, ...), in shapes that broadcast to x."""
    draws = torch.randint(0, 2, (count, len(x)), generator=generator, dtype=torch.bool)
    return draws.to(x.device).view(count, len(x), *[1] * (x.ndim - 1))


def _mirror(position: Tensor, length: int) -> Tensor:
    """Return the nearest index of a position, mirrored at both ends without repeating them."""
    period = max(2 * (length - 1), 1)
    index = position.round().long().remainder(period)
    return torch.minimum(index, period - index)
