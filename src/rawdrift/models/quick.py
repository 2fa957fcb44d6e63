"""The class that a network answers, in bfloat16 where that leaves no doubt."""

from contextlib import suppress
from copy import deepcopy

import torch
from torch import Tensor, fx, nn

from rawdrift.models.forward import Pass, differentiable, forward_of, pays
from rawdrift.models.packed import packed

DOUBTS = 0.5  # share of answers; of a network with more, float32 alone is faster
ENOUGH = 64  # answers, from which on that share counts
WORSE = 2  # times the error of the network as it is in bfloat16, that packed convolutions may have
SAFETY = 4  # how many times the largest error seen the difference of two logits may be wrong by


class Quick:
    """A network for classes, whose logits are those of bfloat16 for images about which these are
    sure, and its own for the others.

    Sure is what differs from the next class by more than SAFETY times the largest error that was
    seen on any image, of the difference of two logits. Errors are relative to the largest logit of
    the image, or to the mean of these if that is more. Whatever is repeated in float32 shows its
    error, too. Once most answers were in doubt, all that follow are the network's own.

    exact: the network. half: the same in bfloat16. sloped: that with gradients, if they are wanted.
    """

    def __init__(self, exact: Pass, half: Pass, sloped: nn.Module | None = None):
        self.exact, self.half, self.sloped, self.error = exact, half, sloped, 0.0
        self._asked = self._doubted = 0
        self._largest = 0.0  # logits, mean over the images that were learned from first

    def learn(self, views: Tensor) -> None:
        """See how wrong the logits of these views (n, 3, H, W) are."""
        exact = self.exact(views.clone())
        self._largest = self._largest or float(exact.abs().amax(1).mean().nan_to_num(0.0))
        for half in {self.half, self.sloped or self.half}:
            self._compare(exact, half(views))

    def __call__(self, views: Tensor) -> Tensor:
        if self._asked >= ENOUGH and self._doubted > DOUBTS * self._asked:
            return self.exact(views)
        return self.settle(self.half(views), views)

    def settle(self, logits: Tensor, views: Tensor) -> Tensor:
        """Return logits of bfloat16 with those that leave a doubt replaced by the network's own."""
        best, next_best = logits.topk(2, dim=1).values.unbind(1)
        allowed = SAFETY * self.error * self._scale(logits)
        doubtful = ~(best - next_best > allowed)  # also those of NaN
        self._asked += len(doubtful)
        self._doubted += int(doubtful.sum())
        if doubtful.any():
            exact = self.exact(views[doubtful])
            self._compare(exact, logits[doubtful])
            logits = logits.clone()
            logits[doubtful] = exact
        return logits

    def _compare(self, exact: Tensor, half: Tensor) -> None:
        errors = exact - half
        of_differences = errors.amax(1) - errors.amin(1)
        relative = of_differences / self._scale(exact)
        self.error = max(self.error, float(relative.nan_to_num(0.0).max()))

    def _scale(self, logits: Tensor) -> Tensor:
        return logits.abs().amax(1).clamp(min=max(self._largest, 1e-30))


def is_faster(views: Tensor, pixels: float, runtime: str) -> bool:
    """Whether bfloat16 may save time; arguments: see `forward_of`."""
    has_bfloat16 = bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return runtime == "auto" and has_bfloat16 and pays(views, pixels)


def quick_of(
    net: nn.Module,
    views: Tensor,
    pixels: float,
    runtime: str,
    sloped: nn.Module | None = None,
) -> Quick | None:
    """Return the network for classes, or None where it would not be faster.

    views, pixels, runtime: see `forward_of`. sloped: what `differentiable` made of the network, if
    gradients are wanted.
    """
    if not is_faster(views, pixels, runtime):
        return None
    with torch.inference_mode(False), torch.no_grad():
        folded = differentiable(net, views, pixels, runtime) if sloped is None else sloped
        half = _Half(deepcopy(folded).to(torch.bfloat16).requires_grad_(False))
        try:
            half(views)
        except Exception:  # a network that fixes the type of its input, in whatever way
            return None
        exact = forward_of(net, views, pixels, runtime)

        def taught(way: nn.Module) -> Quick:
            quick = Quick(exact, way, None if sloped is None else half)
            quick.learn(views)
            return quick

        found = taught(half)
        if isinstance(half.net, fx.GraphModule):
            with suppress(RuntimeError, AttributeError):  # a PyTorch without these convolutions
                other = taught(_Half(packed(deepcopy(half.net), views)))
                if other.error <= WORSE * found.error:
                    found = other
    return found


class _Half(nn.Module):
    """A network in bfloat16, between views and logits in float32."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, views: Tensor) -> Tensor:
        logits: Tensor = self.net(views.bfloat16()).float()
        return logits
