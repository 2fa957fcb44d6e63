"""Checks that net, data and space fit together, before anything is computed."""

from collections.abc import Iterable
from math import isclose

import torch
from torch import Tensor, nn

from rawdrift import inputs
from rawdrift.checks import InputError, choose, is_number
from rawdrift.controls.forensics.quantities import candidates
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets


def axes_of(
    isp: Pipeline, space: ParameterSpace, parameters: Iterable[str] | None
) -> ParameterSpace:
    """Return the axes of these names, or all. Raises InputError if the space is of another ISP."""
    if not isinstance(isp, Pipeline):
        hint = "; the network comes first, then the isp" if isinstance(isp, nn.Module) else ""
        raise InputError(
            f"isp must be a Pipeline, as of rd.isp.static, got {type(isp).__name__}{hint}"
        )
    if not isinstance(space, ParameterSpace):
        raise InputError(
            f"space must be a ParameterSpace, as of ParameterSpace.around(isp, ranges), got "
            f"{type(space).__name__}"
        )
    own = {name: candidate.axis for name, candidate in candidates(isp).items()}
    for axis in space.axes:
        if axis.name not in own:
            choose("parameter of this pipeline", axis.name, [name.split("[")[0] for name in own])
        default = own[axis.name].default
        if not isclose(axis.default, default, rel_tol=1e-4, abs_tol=1e-6):
            raise InputError(
                f"the space is around another ISP: {axis.name} is {axis.default:g} there and "
                f"{default:g} here; make one with ParameterSpace.around(isp, ranges)"
            )
    return space if parameters is None else space.only(parameters)


def check_seed(seed: int) -> None:
    """Raise InputError unless NumPy's generators take the seed."""
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed must be a whole number from 0 on, got {seed!r}")


def check_confidence(confidence: float) -> None:
    """Raise InputError unless intervals can have this confidence."""
    if not is_number(confidence) or not 0.5 < confidence < 1:
        raise InputError(f"confidence must be above 0.5 and below 1, got {confidence!r}")


def check_fit(
    net: nn.Module, loss: nn.Module, view: Tensor, truth: Tensor, targets: Targets | None = None
) -> int:
    """Return the number of channels of the logits that a net makes of views (n, 3, H, W).

    truth: the targets of all images, classes or masks unless `targets` says what they are. Raises
    InputError if logits and targets don't fit, or if the loss is not one number.
    """
    try:
        logits = net(view)
    except Exception as error:
        raise InputError(
            f"the net fails on views of shape {tuple(view.shape)}: {_reason(error)}"
        ) from error
    n = len(view)
    if targets is not None:
        height, width = view.shape[-2:]
        needed = (n, *targets.logits_shape((height, width)))
        expected, fits = str(needed), isinstance(logits, Tensor) and logits.shape == needed
    else:
        expected, fits = _fits_classes(logits, n, truth)
    if not fits:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the net makes {shape} of views of shape {tuple(view.shape)}, expected {expected} "
            f"for these targets"
        )
    if not logits.is_floating_point():
        raise InputError(f"the net makes {logits.dtype}, expected logits, which are real numbers")
    if not torch.isfinite(logits).all():
        raise InputError("the net makes NaN or infinity of the camera's own views")
    if targets is None and truth.ndim in (1, 3):
        inputs.logits(logits, "the net")
    try:
        shape = tuple(loss(logits, truth[:n]).shape)
    except Exception as error:
        raise InputError(
            f"the loss fails on logits of shape {tuple(logits.shape)} and targets of shape "
            f"{tuple(truth[:n].shape)}: {_reason(error)}"
        ) from error
    if shape:
        raise InputError(f"the loss must be one number, the mean over images, got shape {shape}")
    return int(logits.shape[1])


def _fits_classes(logits: object, n: int, truth: Tensor) -> tuple[str, bool]:
    """Return the shape that logits of classes (N,) or masks (N, H, W) need, and if they have it."""
    size = list(truth.shape[1:])
    classes = max(int(truth.max()) + 1, 2)
    expected = f"({n}, C) with C at least {classes}"
    if size:
        expected = f"({n}, C, {size[0]}, {size[1]}) with C at least {classes}, or 1 for 0 and 1"
    if not isinstance(logits, Tensor) or logits.ndim != 2 + len(size):
        return expected, False
    fits = logits.shape[0] == n and list(logits.shape[2:]) == size
    enough = logits.shape[1] >= classes or (size and logits.shape[1] == 1 and classes == 2)
    return expected, bool(fits and enough)


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
