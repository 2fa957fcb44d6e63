"""From a pipeline to the steps that can be fused and the numbers of their kernels, or why not."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module

from rawdrift.cfa import PATTERNS
from rawdrift.isp.fused import plan
from rawdrift.isp.fused.plan import Array, CannotFuseError, Layout, Numbers, Plan, numbers_back
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.step import Step
from rawdrift.isp.steps import STEPS
from rawdrift.neighborhood import gaussian_taps, sigma_back

# The stages of the canonical pipeline.
_ORDER = (
    "black_level",
    "demosaic",
    "white_balance",
    "color_correction",
    "sharpen",
    "denoise",
    "gamma",
)

# Which steps


def run(steps: Sequence[Step]) -> slice:
    """The steps that are fused: demosaicing, and those around it that are in the usual order.

    Steps before and after must run one by one. Raises CannotFuseError if there is no demosaicing
    of rawdrift's.
    """
    places = [_ORDER.index(step.stage) if _is_own(step) else -1 for step in steps]
    demosaic = _ORDER.index("demosaic")
    if demosaic not in places:
        raise CannotFuseError("its demosaicing is not one of rawdrift's")
    first = places.index(demosaic)
    last = first + 1
    if first and places[first - 1] == demosaic - 1:
        first -= 1
    while last < len(steps) and places[last] > places[last - 1]:
        last += 1
    return slice(first, last)


def run_of_view(steps: Sequence[Step]) -> int:
    """How many steps from the first on, all behind a demosaicing, can be fused."""
    before, count = _ORDER.index("demosaic"), 0
    for step in steps:
        place = _ORDER.index(str(step.stage)) if _is_own(step) else -1
        if place <= before:
            break
        before, count = place, count + 1
    return count


def _is_own(step: Step) -> bool:
    """Whether it is exactly a step of rawdrift, in a stage of the canonical pipeline."""
    return STEPS.get(type(step).__name__) is type(step) and step.stage in _ORDER


class Fusable(NamedTuple):
    """Steps that can be fused, in the usual order."""

    layout: Layout
    values: dict[str, Tensor]  # their numbers, learnable or not, by stage and name: "gamma.gamma"
    steps: Sequence[Step]


def fusable(steps: Sequence[Step]) -> Fusable:
    """Steps in the usual order as one; CannotFuseError if they can't be fused. Without a
    demosaicing they take a view."""
    if any(map(_is_changed, steps)) or module._has_any_global_hook():
        raise CannotFuseError("its steps have hooks, or another forward than that of their class")
    values = {f"{step.stage}.{name}": x for step in steps for name, x in step.tensors().items()}
    if not all(is_plain(value) for value in values.values()):
        raise CannotFuseError("its numbers are not plain tensors")
    by_stage: dict[str | None, Step] = {step.stage: step for step in steps}
    black, sharpen, denoise = (by_stage.get(s) for s in ("black_level", "sharpen", "denoise"))
    channels = {step.channels for step in (sharpen, denoise) if step is not None}
    if len(channels) > 1 or not channels <= {"luma", "yuv"}:
        raise CannotFuseError("sharpening and denoising act on different or unknown channels")
    demosaic = by_stage.get("demosaic")
    layout = Layout(
        demosaic=type(demosaic).__name__ if demosaic is not None else plan.GIVEN,
        sharpen=type(sharpen).__name__ if sharpen is not None else None,
        denoise=type(denoise).__name__ if denoise is not None else None,
        gamma="gamma" in by_stage,
        luma="yuv" not in channels,
        cfa=demosaic.cfa if demosaic is not None else PATTERNS[0],
        black_cfa=black.cfa if black is not None else None,
        white=black.white if black is not None else None,
    )
    return Fusable(layout, values, steps)


def _is_changed(step: Step) -> bool:
    """Whether running the step does more, or something else, than its class says."""
    hooks = (
        step._forward_hooks,
        step._forward_pre_hooks,
        step._backward_hooks,
        step._backward_pre_hooks,
    )
    return any(hooks) or "forward" in vars(step)


def is_plain(x: Tensor) -> bool:
    """Whether a kernel can read it: no subclass, nor traced, mapped or differentiated forward."""
    return (
        type(x) in (Tensor, nn.Parameter)
        and (x.is_cpu or x.is_cuda)
        and x.layout is torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and forward_ad.unpack_dual(x).tangent is None
    )


# Which numbers

_IS_MEASURED = (np.array(Menon2007.numbers["kernels"].default) != 0).astype(float)


def numbers(steps: Fusable) -> Numbers:
    """The numbers of kernels, by PyTorch operations that carry gradients back to `steps.values`."""
    values = prepared(steps.layout, steps.values)
    return plan.numbers(steps.layout, values, values["demosaic.kernels"].new_tensor)


def prepared(layout: Layout, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values that `plan.numbers` takes: of Menon's taps those that fall on what is measured,
    since others don't count, and the taps of the unsharp mask."""
    value = {name: x.double() for name, x in values.items()}
    if layout.demosaic == Menon2007.__name__:
        kernels = value["demosaic.kernels"]
        value["demosaic.kernels"] = kernels * kernels.new_tensor(_IS_MEASURED)
    if "sharpen.radius" in value:
        value["sharpen.taps"] = gaussian_taps(value.pop("sharpen.radius"))
    return value


def values_back(plan: Plan, of: Numbers) -> dict[str, Array]:
    """Gradients of `Fusable.values` from those of `plan.Numbers`: what `numbers` does, backward."""
    found = numbers_back(plan.layout, plan.values, of)
    if plan.layout.demosaic == Menon2007.__name__:
        found["demosaic.kernels"] = found["demosaic.kernels"] * _IS_MEASURED
    if "sharpen.taps" in found:
        taps, sigma = plan.values["sharpen.taps"], plan.values["sharpen.radius"].item()
        found["sharpen.radius"] = sigma_back(sigma, taps, found.pop("sharpen.taps"))
    return {name: np.asarray(x).reshape(plan.values[name].shape) for name, x in found.items()}


def planned(steps: Fusable) -> Plan:
    """The plan of steps on the CPU; CannotFuseError where there is none."""
    layout, values, _ = steps
    if not all(value.is_cpu for value in values.values()):
        raise CannotFuseError("its numbers are not on the CPU, as the mosaic is")
    flat = b"".join(value.detach().double().numpy().tobytes() for value in values.values())
    shapes = tuple((name, tuple(value.shape)) for name, value in values.items())
    return _planned(layout, shapes, flat)


@lru_cache(maxsize=64)
def _planned(layout: Layout, shapes: tuple[tuple[str, tuple[int, ...]], ...], flat: bytes) -> Plan:
    together = torch.frombuffer(bytearray(flat or bytes(8)), dtype=torch.float64)[: len(flat) // 8]
    if not torch.isfinite(together).all():
        raise CannotFuseError("some of its numbers are not finite")
    parts = together.split([math.prod(shape) for _, shape in shapes])
    values = {name: x.view(shape) for (name, shape), x in zip(shapes, parts, strict=True)}
    arrays = {name: x.numpy() for name, x in {**values, **prepared(layout, values)}.items()}
    return plan.plan(layout, arrays)
