"""Stage by stage through an ISP: the views, and the gradient of the task's loss by each."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.losses import CrossEntropy


class Stage(NamedTuple):
    """The output of a step, and the gradient of the loss by it.

    view, gradient: (N, H, W) for mosaics, (N, 3, H, W) for views.
    """

    view: Tensor
    gradient: Tensor

    @property
    def magnitude(self) -> Tensor:
        """The norm of the gradient at each pixel, over the channels: (N, H, W)."""
        return self.gradient.abs() if self.gradient.ndim == 3 else self.gradient.norm(dim=1)

    @property
    def leverage(self) -> float:
        """The growth of the loss, to first order, if every value of the stage moves by 1 % of the
        stage's range (its 1st to 99th percentile) in its worst direction."""
        low, high = np.quantile(self.view.cpu().numpy(), [0.01, 0.99])
        return 0.01 * float(high - low) * float(self.gradient.double().abs().sum())


def stages(
    isp: Pipeline, net: nn.Module, mosaics: Tensor, truth: Tensor, loss: nn.Module | None = None
) -> dict[str, Stage]:
    """Return every stage of a batch by the name of its step. The first is "raw", the mosaics.

    net: (N, 3, H, W) to logits, in evaluation mode. mosaics: (N, H, W) in [0, 1].
    truth: (N,) or (N, H, W). loss: (logits, truth) to a number. None: cross entropy, binary for one
    channel.
    """
    x = isp.checked(mosaics).detach().requires_grad_()
    with torch.enable_grad():
        views = {"raw": x, **dict(isp.stages(x))}
        logits = net(next(reversed(views.values())).float().clone())  # a net may change its input
        harm = (loss or CrossEntropy())(logits, truth)
        gradients = torch.autograd.grad(harm, list(views.values()))
    return {
        name: Stage(view.detach(), gradient)
        for (name, view), gradient in zip(views.items(), gradients, strict=True)
    }
