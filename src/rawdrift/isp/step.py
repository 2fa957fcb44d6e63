"""One stage of an ISP."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from rawdrift.checks import InputError

Value = Any  # a number, nested sequences of numbers, a Tensor; or an nn.Parameter to be learned
Kind = Literal["mosaic", "view"]


class Step(nn.Module):
    """Base of every step: a small module from an image to an image, of any leading dimensions.

    A step says what it takes and gives: a "mosaic" (..., H, W) or a "view" (..., 3, H, W). Its
    numbers are kept in float64 and used in the image's precision, so that one step serves float32
    and float64 to the last digit. A number that is passed as an `nn.Parameter` stays that
    Parameter and is learned; any other becomes a buffer.
    """

    takes: ClassVar[Kind] = "view"
    gives: ClassVar[Kind] = "view"

    def own(self, name: str, value: Value, shape: tuple[int, ...]) -> None:
        """Keep `value` under `name`: a Parameter as it is, anything else as a float64 buffer."""
        given = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        if tuple(given.shape) != shape:
            raise InputError(
                f"{type(self).__name__}.{name} must have shape {shape}, got {tuple(given.shape)}"
            )
        if not torch.isfinite(given.detach()).all():
            raise InputError(f"{type(self).__name__}.{name} must be finite, got {given.tolist()}")
        if isinstance(given, nn.Parameter):
            self.register_parameter(name, given)
        else:
            self.register_buffer(name, given.detach().to(torch.float64).clone())

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless `x` has the shape that the step takes."""
        if x.ndim < 2 or (self.takes == "view" and (x.ndim < 3 or x.shape[-3] != 3)):
            expected = "(..., H, W)" if self.takes == "mosaic" else "(..., 3, H, W)"
            raise ValueError(
                f"{type(self).__name__} takes a {self.takes} {expected}, got {tuple(x.shape)}"
            )
