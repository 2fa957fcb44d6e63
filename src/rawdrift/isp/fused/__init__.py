"""The fused engines: the numbers of the steps, many times faster, for pipelines in the usual order.

The steps stay the one definition: here is only how their numbers are computed together, and every
pipeline, mosaic or situation that isn't known here goes back to them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from rawdrift.checks import InputError
from rawdrift.isp import engines
from rawdrift.isp.fused.gradient import recorded
from rawdrift.isp.fused.plan import CannotFuseError, check_steps, is_plain, numbers, plan
from rawdrift.isp.step import Step

__all__ = ["develop"]


def develop(
    pipelines: Sequence[Sequence[Step]], mosaic: Tensor, bit_depth: int
) -> list[Tensor] | None:
    """One view (..., 3, H, W) for each pipeline, or None if the steps must run one by one.

    pipelines: the steps of each; two or more must differ in the kinds of sharpening and denoising
    only. mosaic: (..., H, W), checked.

    Raises InputError for what can't be fused if the engine "fused" is asked for.
    """
    if torch.compiler.is_compiling() or engines.current() == "eager":
        return None
    try:
        _check(pipelines, mosaic)
        on_device = _on_gpu if mosaic.is_cuda else _on_cpu
        return on_device(pipelines, mosaic, bit_depth)
    except CannotFuseError as reason:
        if engines.current() == "fused":
            raise InputError(
                f"the engine 'fused' can't run this pipeline: {reason}; use engine('auto')"
            ) from None
        return None


def _on_cpu(
    pipelines: Sequence[Sequence[Step]], mosaic: Tensor, bit_depth: int
) -> list[Tensor] | None:
    plans = [plan(tuple(steps)) for steps in pipelines]
    cpu = _cpu()
    if cpu is None:
        raise CannotFuseError("Numba is not installed")
    if len(pipelines) > 1 and _needs_gradient(pipelines, mosaic):
        raise CannotFuseError("gradients of several views at a time are not fused")
    with torch.no_grad():
        views: list[Tensor] | None = cpu.develop(plans, mosaic, bit_depth)
    if views is not None and _needs_gradient(pipelines, mosaic):
        return [recorded(views[0], plans[0], pipelines[0], mosaic, bit_depth)]
    return views


def _on_gpu(pipelines: Sequence[Sequence[Step]], mosaic: Tensor, bit_depth: int) -> list[Tensor]:
    if engines.current() == "auto":
        # So far its kernels ran in Triton's interpreter alone: they must be asked for by name.
        raise CannotFuseError("no GPU has confirmed its kernels yet")
    for steps in pipelines:
        check_steps(tuple(steps))
    gpu = _gpu()
    if gpu is None:
        raise CannotFuseError("Triton is not installed")
    return [gpu.develop(steps, mosaic, bit_depth) for steps in pipelines]


def _check(pipelines: Sequence[Sequence[Step]], mosaic: Tensor) -> None:
    if mosaic.dtype not in (torch.float32, torch.uint8, torch.uint16) or mosaic.numel() == 0:
        raise CannotFuseError("the mosaic is empty, or not of float32, uint8 or uint16")
    if torch._C._is_tracing() or not is_plain(mosaic):
        raise CannotFuseError("the mosaic is not a plain tensor on the CPU or a CUDA device")


def _needs_gradient(pipelines: Sequence[Sequence[Step]], mosaic: Tensor) -> bool:
    return torch.is_grad_enabled() and (
        mosaic.requires_grad
        or any(x.requires_grad for steps in pipelines for step in steps for x in numbers(step))
    )


@cache
def _cpu() -> Any:
    """The engine on the CPU, imported with Numba when it is first used; None without Numba."""
    try:
        from rawdrift.isp.fused import cpu
    except ImportError:
        return None
    return cpu


@cache
def _gpu() -> Any:
    """The engine on a GPU, imported when it is first used; None without Triton."""
    try:
        from rawdrift.isp.fused import gpu
    except ImportError:
        return None
    return gpu
