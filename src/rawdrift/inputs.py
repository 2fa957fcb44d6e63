"""Checks of what users hand over in Python: each wrong kind is named, with what to do instead.

Gradients pass, and nothing is checked in what is traced, compiled, mapped or on a GPU.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift.checks import InputError

_SAMPLE = 257  # values that are looked at, so that a check costs nothing beside developing
_NO_RAW = 4.0  # full scale is 1; noise and light beyond it do not come so far


class InputTypeError(InputError, TypeError):
    """The user's input is of a wrong type."""


def mosaic(value: Any, what: str = "a mosaic") -> None:
    """Raise InputError unless it is a mosaic (..., H, W): float32 or float64 in [0, 1], or uint8 or
    uint16 as in its file. Values a little outside of [0, 1] pass."""
    if not isinstance(value, Tensor):
        hint = ""
        if hasattr(value, "mosaic") and hasattr(value, "camera"):
            hint = "; give its .mosaic"
        elif hasattr(value, "__array__"):
            hint = "; give torch.from_numpy(mosaic), float32 in [0, 1], uint8 or uint16"
        elif isinstance(value, str):
            hint = "; read the file with rd.read_raw(path).mosaic"
        raise InputTypeError(f"{what} must be a torch.Tensor, got {type(value).__name__}{hint}")
    if value.dtype not in (torch.float32, torch.float64, torch.uint8, torch.uint16):
        whole = not value.is_floating_point() and not value.is_complex()
        hint = "; convert it with .to(torch.uint16)" if whole else ""
        raise InputTypeError(
            f"{what} must be float32 or float64 in [0, 1], or uint8 or uint16 as in its file, got "
            f"{value.dtype}{hint}"
        )
    shape = tuple(value.shape)
    traced = torch.compiler.is_compiling()  # sizes must stay free then
    if not traced and value.ndim > 2 and shape[-1] in (3, 4) and shape[-2] > 8:
        raise InputError(
            f"{what} must be (..., H, W), one raw value for each pixel, got {shape}, which looks "
            f"like a developed RGB picture; expected the raw file"
        )
    if value.ndim < 2 or min(shape[-2:]) < 2:
        raise InputError(f"{what} must be (..., H, W) with H and W at least 2, got {shape}")
    if traced or is_watched() or not value.is_floating_point() or not _is_plain(value):
        return
    values = value.numpy(force=True)
    flat = values.reshape(-1) if value.is_contiguous() else values[..., 0].reshape(-1)
    few = flat[:: max(1, -(-len(flat) // _SAMPLE))]
    if 2 * np.count_nonzero(np.abs(few) > _NO_RAW) > len(few):
        raise InputError(
            f"{what} must be in [0, 1], but half of its values are beyond {_NO_RAW:g}, up to "
            f"{float(flat.max()):.4g}, which look like DN; divide them by 2**bit_depth - 1, or "
            f"give uint16"
        )


def is_watched() -> bool:
    """Whether PyTorch transforms (torch.func) or records (make_fx) the operations that run now: it
    doesn't see what reads the memory of tensors."""
    transforms = torch._C._functorch.peek_interpreter_stack() is not None
    return transforms or torch._C._len_torch_dispatch_stack() > 0


def _is_plain(value: Tensor) -> bool:
    return type(value) in (Tensor, nn.Parameter) and value.is_cpu


def network(net: Any, isp: Any = None) -> None:
    """Raise InputError unless `net` is a network, and not in the place of the ISP."""
    if isinstance(net, nn.Module) and not hasattr(net, "bit_depth"):
        return
    if hasattr(net, "bit_depth") and isinstance(isp, nn.Module):
        raise InputTypeError("net and isp are swapped: the network comes first, then the pipeline")
    hint = "; call it to make one" if isinstance(net, type) else ""
    raise InputTypeError(
        f"net must be an nn.Module from views (N, 3, H, W) to logits, got "
        f"{net.__name__ if isinstance(net, type) else type(net).__name__}{hint}"
    )


def logits(output: Tensor, what: str) -> None:
    """Raise InputError for probabilities (N, C, ...) of two classes or more, in place of logits."""
    if output.ndim < 2 or output.shape[1] < 2 or not output.is_floating_point():
        return
    values = output.detach().double()
    strictly = (values > 0) & (values < 1)
    sums = values.sum(dim=1)
    if bool(strictly.all()) and bool(((sums - 1).abs() < 1e-3).all()):
        raise InputError(
            f"{what} returns probabilities, which are in [0, 1] and sum to 1 over the classes; "
            f"expected logits: leave out its last softmax"
        )


def samples(data: Any) -> None:
    """Raise InputError unless `data` can be indexed and has a length, as a list of pairs."""
    if isinstance(data, torch.utils.data.DataLoader):
        raise InputTypeError(
            "data is a DataLoader, which gives batches; give its dataset (loader.dataset), or a "
            "list of pairs (mosaic, target)"
        )
    if isinstance(data, Tensor) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise InputTypeError(
            f"data must be a RawDataset or a list of pairs (mosaic, target), got "
            f"{type(data).__name__}"
        )


def target(value: Any) -> None:
    """Raise InputError for a label that is a text."""
    if isinstance(value, str):
        raise InputTypeError(
            f"targets must be class numbers or masks, got the text {value!r}; give the number of "
            f"each label, as classes.index(label)"
        )
