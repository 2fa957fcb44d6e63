"""A training in which what stands before the network may be learned too, epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.models.chain import Front

Follow = Callable[[Front, nn.Module, nn.Module], dict[str, Any]]


class DivergedError(InputError):
    """A training whose loss or parameters are no longer finite."""


@dataclass
class Course:
    """How a front is learned with its network, and what is told of it.

    lr: learning rate of the front's parameters, by name, at the start. Those that are not named are
        not learned.
    schedule: of these rates, "cosine" or "constant".
    running: the network's input is normalized by running statistics of its views, instead of by
        fixed ones at the beginning.
    penalty: what is added to the loss: (mosaics, camera_index, views) to a number.
    after_step: called after each step of the optimizer.
    follow: what is told after each epoch: (front, net, loss), in evaluation mode and without
        gradients, to plain values.
    history: of each epoch that is done `epoch` and `step` (optimizer steps so far), `losses` of its
        steps, `train`, scores of the training images as they were answered on the way, and what
        `follow` told.
    """

    lr: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "constant"
    running: bool = False
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    after_step: Callable[[], object] = lambda: None
    follow: Follow = lambda *_: {}
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def identity(self) -> object:
        """What the numbers of the training depend on, beside what `train` is given."""
        return dict(self.lr), self.schedule, self.running
