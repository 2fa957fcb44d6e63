"""Stage by stage through an ISP: its views, and what the task's loss makes of each."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.losses import CrossEntropy


class Stage(NamedTuple):
    """What a step gave, (N, H, W) of a mosaic or (N, 3, H, W) of a view, and the gradient of the
    loss by it, of the same shape."""

    view: Tensor
    gradient: Tensor

    @property
    def magnitude(self) -> Tensor:
        """Of the gradient at each pixel, over the channels: (N, H, W)."""
        return self.gradient.abs() if self.gradient.ndim == 3 else self.gradient.norm(dim=1)

    @property
    def leverage(self) -> float:
        """By how much the loss grows, to first order, where every value of the stage moves by 1 %
        of the stage's range, its 1st to 99th percentile, in the direction that is worst for it."""
        low, high = np.quantile(self.view.cpu().numpy(), [0.01, 0.99])
        return 0.01 * float(high - low) * float(self.gradient.double().abs().sum())


def stages(
    isp: Pipeline, net: nn.Module, mosaics: Tensor, truth: Tensor, loss: nn.Module | None = None
) -> dict[str, Stage]:
    """Every stage of a batch by the name of its step, after "raw", the mosaics in [0, 1].

    net: (N, 3, H, W) to logits, in evaluation mode. mosaics: (N, H, W), truth: (N,) or (N, H, W).
    loss: (logits, truth) to a number; None: cross entropy, of one channel binary.
    """
    x = isp.checked(mosaics).detach().requires_grad_()
    with torch.enable_grad():
        found = {"raw": x, **dict(isp.stages(x))}
        logits = net(next(reversed(found.values())).float().clone())  # a net may change its input
        harm = (loss or CrossEntropy())(logits, truth)
        gradients = torch.autograd.grad(harm, list(found.values()))
    return {
        name: Stage(view.detach(), gradient)
        for (name, view), gradient in zip(found.items(), gradients, strict=True)
    }
