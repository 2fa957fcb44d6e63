"""Memory for views that the system doesn't have to clear each time.

A new page costs more than what is written to it: first use of a view's memory takes as long as
bilinear demosaicing with all that follows, or three times as long in small pages.
"""

import math
import weakref

import numpy as np
import torch
from torch import Tensor

from rawdrift.isp.fused.nontemporal import LINE
from rawdrift.isp.fused.plan import Array

_KEPT = 2**28  # bytes at most that wait for the next view

_waiting: dict[int, list[Array]] = {}  # by size


def empty(*shape: int) -> Tensor:
    """A new float32 tensor that begins a line of the cache.

    Its memory is kept for the next one of its size when it is gone.
    """
    size = math.prod(shape)
    try:
        block = _waiting[size].pop()
    except (KeyError, IndexError):
        block = np.empty(size + LINE, np.float32)  # NumPy asks for huge pages, PyTorch doesn't
    first = -block.ctypes.data // 4 % LINE
    lent = block[first : first + size].reshape(shape)
    weakref.finalize(lent, _back, size, block).atexit = False
    return torch.from_numpy(lent)


def _back(size: int, block: Array) -> None:
    """Called when no tensor has the block any more."""
    if size not in _waiting:
        _waiting.clear()  # sizes of the past
    kept = _waiting.setdefault(size, [])
    if (len(kept) + 1) * block.nbytes <= _KEPT:
        kept.append(block)
