"""Views by the engine that fits: the fused steps by its kernels, the others one by one around."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from rawdrift.camera.read import to_unit
from rawdrift.checks import InputError
from rawdrift.inputs import is_watched
from rawdrift.isp import engines
from rawdrift.isp.fused import fusable
from rawdrift.isp.fused.fusable import Fusable
from rawdrift.isp.fused.plan import CannotFuseError
from rawdrift.isp.step import Step, one_by_one


def develop(
    pipelines: Sequence[Sequence[Step]], mosaic: Tensor, bit_depth: int
) -> list[Tensor] | None:
    """One view (..., 3, H, W) for each pipeline, or None if the steps must run one by one.

    pipelines: the steps of each. One may have steps before and after those that are fused; two or
    more must differ in the kinds of sharpening and denoising only. mosaic: (..., H, W), checked.

    Raises InputError for what can't be fused if the engine "fused" is asked for.
    """
    if torch.compiler.is_compiling() or engines.current() == "eager":
        return None
    try:
        if len(pipelines) == 1:
            return [_one(pipelines[0], mosaic, bit_depth)]
        if any(fusable.run(steps) != slice(0, len(steps)) for steps in pipelines):
            raise CannotFuseError("several pipelines with steps of others are not fused")
        return _fused([fusable.fusable(steps) for steps in pipelines], mosaic, bit_depth)
    except CannotFuseError as reason:
        if engines.current() == "fused":
            raise InputError(
                f"the engine 'fused' can't run this pipeline: {reason}; use engine('auto')"
            ) from None
        return None


def _one(steps: Sequence[Step], mosaic: Tensor, bit_depth: int) -> Tensor:
    """The view by one pipeline: some of its steps are fused, those around run one by one."""
    _check(mosaic)
    try:
        run = fusable.run(steps)
        together = fusable.fusable(steps[run])
    except CannotFuseError:
        if engines.current() == "fused" or not _is_on_cpu(mosaic):
            raise
        return _behind(steps, to_unit(mosaic, bit_depth))
    x = mosaic
    if run.start:
        *_, x = one_by_one(steps[: run.start], to_unit(mosaic, bit_depth))
    views = None
    try:
        views = _fused([together], x, bit_depth)
    except CannotFuseError:
        if not run.start or engines.current() == "fused":
            raise
    if views is None:
        *_, view = one_by_one(steps[run], to_unit(x, bit_depth))
    else:
        view = views[0]
    return _behind(steps[run.stop :], view)


def _behind(steps: Sequence[Step], x: Tensor) -> Tensor:
    """The result of steps one by one, but for those on a view that can be fused."""
    while steps:
        count = fusable.run_of_view(steps)
        fused = _fused_view(steps[:count], x) if count else None
        if fused is None:
            count = max(count, 1)
            for fused in one_by_one(steps[:count], x):  # noqa: B007
                pass
        assert fused is not None
        steps, x = steps[count:], fused
    return x


def _fused_view(steps: Sequence[Step], view: Tensor) -> Tensor | None:
    """The result of fused steps on a view, None if they must run one by one."""
    learns = torch.is_grad_enabled() and (
        view.requires_grad or any(p.requires_grad for step in steps for p in step.parameters())
    )
    if learns or view.dtype != torch.float32 or not _is_on_cpu(view):
        return None
    try:
        _check(view)
        views = _fused([fusable.fusable(steps)], view, 0)
    except CannotFuseError:
        return None
    return None if views is None else views[0]


def _is_on_cpu(x: Tensor) -> bool:
    return fusable.is_plain(x) and x.is_cpu


def _fused(pipelines: Sequence[Fusable], mosaic: Tensor, bit_depth: int) -> list[Tensor] | None:
    """Views by steps that can all be fused; None if a sample is NaN, infinite or huge."""
    _check(mosaic)
    if mosaic.is_cuda:
        return _on_gpu(pipelines, mosaic, bit_depth)
    cpu = _cpu()
    if cpu is None:
        raise CannotFuseError("Numba is not installed, or disabled")
    views: list[Tensor] | None = cpu.develop(pipelines, mosaic, bit_depth)
    return views


def _on_gpu(pipelines: Sequence[Fusable], mosaic: Tensor, bit_depth: int) -> list[Tensor]:
    if engines.current() == "auto":
        # So far its kernels ran in Triton's interpreter alone: they must be asked for by name.
        raise CannotFuseError("no GPU has confirmed its kernels yet")
    gpu = _gpu()
    if gpu is None:
        raise CannotFuseError("Triton is not installed")
    return [gpu.develop(steps, mosaic, bit_depth) for steps in pipelines]


def _check(mosaic: Tensor) -> None:
    if mosaic.dtype not in (torch.float32, torch.uint8, torch.uint16) or mosaic.numel() == 0:
        raise CannotFuseError("the mosaic is empty, or not of float32, uint8 or uint16")
    if torch._C._is_tracing() or is_watched():
        raise CannotFuseError("PyTorch traces or transforms it")
    if not fusable.is_plain(mosaic):
        raise CannotFuseError("the mosaic is not a plain tensor on the CPU or a CUDA device")


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
