"""What every stage of an ISP shows, and how much the loss depends on it there."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rawdrift.isp.pipeline import Pipeline


class Stage(NamedTuple):
    """One stage: "raw", or what the step of that name gives.

    values: (N, H, W) before demosaicing, (N, 3, H, W) after. gradient: the magnitude of the
    gradient of the loss there, of the same shape.
    """

    name: str
    values: Tensor
    gradient: Tensor


def stages(
    isp: Pipeline,
    net: nn.Module,
    mosaics: Tensor,
    truth: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> list[Stage]:
    """The stages of mosaics (N, H, W), from the raw ones to the view. `net` takes views to logits,
    in whatever mode it is; its parameters gain no gradients."""
    with torch.enable_grad():
        x = isp.checked(mosaics).detach().requires_grad_()
        found = {"raw": x, **dict(isp.stages(x))}
        view = next(reversed(found.values()))
        gradients = torch.autograd.grad(loss(net(view), truth), list(found.values()))
    return [
        Stage(name, values.detach(), gradient.abs())
        for (name, values), gradient in zip(found.items(), gradients, strict=True)
    ]
